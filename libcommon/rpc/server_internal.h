// SPDX-License-Identifier: Apache-2.0
// What the files of the server share: the server, a session for each connection, a call.
//
// Locks: the server's guards the table of sessions and the counts, a session's guards its link, its
// calls and their streams. A session's lock may be held when the server's is taken, never the other
// way round. Handlers, cancellation of children and callbacks run with no lock held.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/acceptor.h"
#include "libcommon/rpc/call.h"
#include "libcommon/rpc/flow.h"
#include "libcommon/rpc/gather.h"
#include "libcommon/rpc/idmap.h"
#include "libcommon/rpc/link.h"
#include "libcommon/rpc/metadata.h"
#include "libcommon/rpc/pipe.h"
#include "libcommon/rpc/scope.h"
#include "libcommon/rpc/server.h"
#include "libcommon/rpc/threads.h"

enum {
    REEL_SERVER_MAX_SERVICES = 16,
    REEL_SERVER_MAX_GATHERED = 8, // methods
    REEL_SERVER_KEEP_CALLS = 64,
    // What may wait for a client; answers may go to twice of it, then the connection ends.
    REEL_LINK_MAX_BYTES = 16 << 20,
    // Connections that have not greeted yet: so many, for so long.
    REEL_SERVER_MAX_GREETING = 256,
    REEL_SERVER_GREETING_US = 5000 * 1000,
    REEL_RETRY_DRAIN_MS = 1000,
    REEL_RETRY_BUSY_MS = 100,
};

struct reel_mounted {
    const struct reel_service *service;
    const void *impl;
    void *svc;
};

// A method as the dispatcher finds it by path.
struct reel_entry {
    const struct reel_method *method;
    const struct reel_mounted *mounted;
    struct reel_histogram *latency;
    _Atomic(struct reel_counter *) counters[REEL_UNAUTHENTICATED + 1];
    reel_gathered_fn serve; // NULL: each call by itself
    struct reel_gather *gather;
};

struct reel_gathered_method {
    const struct reel_method *method;
    reel_gathered_fn serve;
};

struct reel_server {
    struct reel_server_config config;
    struct reel_acceptor **acceptors; // config.n_urls of them
    struct reel_mounted mounted[REEL_SERVER_MAX_SERVICES];
    unsigned n_mounted;
    struct reel_gathered_method gathered[REEL_SERVER_MAX_GATHERED];
    unsigned n_gathered;
    struct reel_entry *entries; // sorted by path
    size_t n_entries;
    struct reel_threads *workers;
    struct reel_threads *streams;
    atomic_bool draining;
    atomic_bool stopping;
    atomic_bool serving;
    pthread_t watchdog;
    bool watching;

    pthread_mutex_t lock;
    pthread_cond_t changed; // n_calls, n_sessions, stopping; monotonic
    struct reel_idmap sessions;
    uint64_t next_session_id;
    size_t n_sessions; // alive, in the table or not
    size_t n_greeting; // sessions that have not greeted yet
    size_t n_calls;
    struct reel_call *free_calls;
    unsigned n_free_calls;
};

struct reel_cooked_reply {
    struct reel_cooked_reply *next;
    size_t len;
    uint8_t message[];
};

struct reel_session {
    struct reel_idmap_node node; // id: a number of its own
    atomic_uint refs;
    struct reel_server *server;
    struct reel_pipe *pipe;
    int64_t opened_us;
    bool greeted; // under the server's lock

    pthread_mutex_t lock;
    struct reel_link link;
    struct reel_idmap calls;
    struct reel_cooked_reply *cooked_first;
    struct reel_cooked_reply **cooked_last;
    uint64_t next_cooked_id;
    uint8_t route[REEL_SP_ROUTE_MAX]; // before every message to a multiplexed client
    size_t route_len;
    const struct reel_peer_key *peer; // NULL until HELLO was accepted
    size_t peer_max_message;
    uint64_t peer_stream_credit;
    unsigned n_link_waiters; // streams that wait for the link to drain
    bool multiplexed;
    bool sending;
    bool muted;       // sends nothing any more and hears nothing
    bool corked;      // packets are being read: what they lead to leaves in parts
    unsigned n_holds; // who makes several answers, which leave together
    bool closed;
};

// Where the answer to a request goes.
struct reel_return_address {
    uint64_t call_id;
    bool cooked;
    size_t route_len;
    uint8_t route[REEL_SP_ROUTE_MAX];
};

struct reel_call {
    struct reel_task task;
    struct reel_idmap_node node;
    atomic_uint refs;
    struct reel_call *next_free;
    struct reel_server *server;
    struct reel_session *session;
    struct reel_entry *entry;
    const struct reel_peer_key *peer;
    struct reel_return_address address;
    struct reel_inbound *inbound; // holds `payload`
    struct reel_slice payload;
    bool has_payload;
    struct reel_arena arena;
    int64_t started_us;
    int64_t deadline_us;
    struct reel_metadata *metadata;
    size_t n_metadata;
    const char *user_id;
    const char *session_id;
    const char *request_id;
    atomic_int ended; // 0, or the code that ended the call from outside
    _Atomic(struct reel_scope *) scope;

    // The failure, as the handler tells it.
    char *text;
    struct reel_violation *violations;
    size_t n_violations;
    uint32_t retry_after_ms;
    const char *policy; // NULL: no quota is used up
    uint32_t quota;
    uint32_t window_s;

    // Streaming; under the session's lock.
    pthread_cond_t event; // monotonic
    struct reel_flow flow;
};

// server.c

// Calls `fn` for every session of the server, with a reference and no lock held.
void reel_session_each(struct reel_server *server,
                       void (*fn)(struct reel_session *session, void *arg), void *arg);

// session.c

// Makes a session of a new connection, takes it over and starts it; when there are too many that
// have not greeted, the oldest of them ends.
void reel_session_open(struct reel_server *server, const char *url, struct nng_stream *stream);

// Cancels every call of a session with the code, an int; NULL is CANCELLED.
void reel_session_cancel(struct reel_session *session, void *code_ptr);

// Ends the connection; the session goes when its pipe has ended.
void reel_session_close(struct reel_session *session, void *unused);

// Ends the connection if it has not greeted in time.
void reel_session_expire(struct reel_session *session, void *unused);

// Drops a reference.
void reel_session_unref(struct reel_session *session);

// outbox.c

// Sends a frame to the client of `address`, at once unless the session is corked.
void reel_session_reply(struct reel_session *session, const struct reel_return_address *address,
                        const struct reel_frame *frame);

// Keeps what is replied from here on until reel_session_release, so that it leaves together; takes
// a reference.
void reel_session_hold(struct reel_session *session);

// Lets it leave, and drops the reference.
void reel_session_release(struct reel_session *session);

// Queues a frame on a multiplexed session and lets it leave. Called with the session's lock held.
int reel_session_put(struct reel_session *session, const struct reel_frame *frame, bool urgent);

// Queues a frame that the client must have, and lets it leave. One that reads nothing for so long
// that not even answers fit is not worth its memory: its connection ends. Called with the session's
// lock held.
void reel_session_tell(struct reel_session *session, const struct reel_frame *frame);

// What was on its way has left: the next may follow.
void reel_session_sent(struct reel_session *session);

// Lets what has gathered while packets were read leave.
void reel_session_uncork(struct reel_session *session);

// GOAWAY to a multiplexed client.
void reel_session_goaway(struct reel_session *session, void *unused);

// Asks a multiplexed client to acknowledge what it has.
void reel_session_ping(struct reel_session *session, void *unused);

// Whether everything sent has been acknowledged, or never will be.
bool reel_session_is_settled(struct reel_session *session);

// dispatch.c

// Takes a REQUEST frame to its handler, or refuses it. Called from the receiving thread.
void reel_dispatch_request(struct reel_session *session, struct reel_inbound *inbound,
                           const struct reel_peer_key *peer, const struct reel_frame *frame,
                           const struct reel_return_address *address);

// Makes the table of methods from the mounted services.
int reel_dispatch_index(struct reel_server *server);

// Starts what serves calls together.
int reel_dispatch_start(struct reel_server *server);

// Ends it, once no call can come any more. Fine when it was not started.
void reel_dispatch_stop(struct reel_server *server);

// call.c

// An empty call of the session, with one reference; NULL when memory is out.
struct reel_call *reel_call_take(struct reel_session *session);

// Drops a reference; the last one gives the call back to the server.
void reel_call_unref(struct reel_call *call);

// Frees the server's unused calls.
void reel_call_free_all(struct reel_server *server);

// Ends a call from outside with CANCELLED or the like: wakes its handler, cancels its children.
void reel_call_cancel(struct reel_call *call, int code);

// Copies the metadata of a frame into the call, dropping what the peer may not say. REEL_OK or the
// code of a refusal, whose text is set.
int reel_call_set_metadata(struct reel_call *call, const struct reel_frame *frame);

// The scope of the call's children, made when first asked for; NULL when memory is out.
struct reel_scope *reel_call_scope(struct reel_call *call);

// Waits until something happens to the call, at most `timeout_us`. False when it is over.
bool reel_call_wait(struct reel_call *call, int64_t timeout_us);

// Unpacks and validates bytes into `arena`. REEL_OK, or a code whose text and violations are set.
int reel_call_unpack(struct reel_call *call, struct reel_arena *arena,
                     const ProtobufCMessageDescriptor *descriptor, struct reel_slice payload,
                     ProtobufCMessage **ret_message);

// health.c

// Mounts the health service, which every server provides.
void reel_health_mount(struct reel_server *server);

// watchdog.c

// Starts the thread that probes the server's listeners and heals them.
int reel_watchdog_start(struct reel_server *server);

// Stops it; `server->stopping` is set. Fine when it was not started.
void reel_watchdog_stop(struct reel_server *server);
