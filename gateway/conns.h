// SPDX-License-Identifier: Apache-2.0
// What the HTTP library does not watch: absolute deadlines, body rates, a cap per address, and
// clients that go away while their request is suspended.
//
// One thread looks at every connection twice a second and shuts down the sockets of those that have
// overrun; the library then sees the end and cleans up. The same thread learns at once (EPOLLRDHUP)
// when a client leaves and calls the hook that its request has set.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/netaddr.h"
#include "libcommon/core/base.h"

struct conns;
struct conn;

struct conns_config {
    unsigned max_connections;
    unsigned max_per_address;
    struct netaddr_list exempt; // of the cap per address
    int64_t header_timeout_us;
    int64_t idle_timeout_us;
    int64_t min_bytes_per_second;
    int64_t rate_window_us;
};

// What a connection is doing, which decides what it is held to.
enum conn_phase {
    CONN_HEAD,   // waiting for a request's head: an absolute deadline
    CONN_BODY,   // receiving a body: a least rate
    CONN_BUSY,   // waiting for us: nothing
    CONN_REPLY,  // sending a body: a least rate, as acknowledged by the peer
    CONN_LINGER, // answered early, waiting for the peer to stop: a short deadline
};

// Starts the watch.
int conns_open(const struct conns_config *config, struct conns **ret_conns) REEL_MUST_CHECK;

// Stops it and frees. NULL is fine.
void conns_close(struct conns *conns);

// Whether one more connection from `addr` is within the cap. Any thread.
bool conns_admit(struct conns *conns, const struct netaddr *addr);

// Watches a new connection; NULL when the table is full. Until conns_remove `fd` must stay open.
struct conn *conns_add(struct conns *conns, int fd, const struct netaddr *addr);

// Ends the watch. NULL is fine.
void conns_remove(struct conns *conns, struct conn *conn);

// How many there are now.
unsigned conns_count(struct conns *conns);

// Begins the drain: from here on it is known of every connection whether anything has come since
// its last reply.
void conns_drain(struct conns *conns);

// Ends every connection on which nothing has come since its last reply, and every new one that has
// sent nothing for a while. What comes in this very moment is still read and answered. Call it
// again and again after conns_drain.
void conns_close_idle(struct conns *conns);

// Ends what requests wait for, as if their clients had gone away, but leaves their connections open
// for the answer.
void conns_end_waits(struct conns *conns);

// Shuts down every connection.
void conns_close_all(struct conns *conns);

// The request line has come: the rest of the head must follow in time.
void conn_head_begun(struct conn *conn);

// Enters a phase.
void conn_enter(struct conn *conn, enum conn_phase phase);

// The request is over; the next one may take its time to begin.
void conn_request_done(struct conn *conn);

// Body bytes have come.
void conn_progress(struct conn *conn, uint64_t bytes);

// Sets what to call, once, when the client goes away; called at once if it has. `hook` runs under
// the connection's lock, must not block and must not call back into this module. NULL clears it; no
// hook runs after that.
void conn_on_gone(struct conn *conn, void (*hook)(void *arg), void *arg);

// Whether the client has gone away.
bool conn_is_gone(struct conn *conn);

// The peer's address. Borrowed.
const struct netaddr *conn_peer(const struct conn *conn);

// The socket. Borrowed.
int conn_fd(const struct conn *conn);
