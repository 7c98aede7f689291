// SPDX-License-Identifier: Apache-2.0
// What the files of the client share: the channel and a call on it.
//
// One lock for each channel. A call is in the channel's list from its start until whoever takes it
// out, under the lock, completes it, without the lock: so it is completed exactly once.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "libcommon/rpc/backoff.h"
#include "libcommon/rpc/balancer.h"
#include "libcommon/rpc/call.h"
#include "libcommon/rpc/channel.h"
#include "libcommon/rpc/connector.h"
#include "libcommon/rpc/flow.h"
#include "libcommon/rpc/idmap.h"
#include "libcommon/rpc/link.h"
#include "libcommon/rpc/metadata.h"
#include "libcommon/rpc/pipe.h"
#include "libcommon/rpc/resolve.h"
#include "libcommon/rpc/scope.h"

// The scope of a serving call's children (libcommon/rpc/call.c).
struct reel_scope *reel_call_scope(struct reel_call *call);

enum reel_channel_state {
    REEL_CHANNEL_CONNECTING, // never connected yet: calls wait a little
    REEL_CHANNEL_READY,
    REEL_CHANNEL_LEAVING, // GOAWAY came: calls in flight go on
    REEL_CHANNEL_REFUSED, // the peer does not take our HELLO
    REEL_CHANNEL_DOWN,
};

// How a call ended, and with what; borrowed until the completion returns.
struct reel_reply {
    struct reel_status status;
    struct reel_slice payload;
    bool has_payload;
    struct reel_inbound *inbound; // holds `payload`, or NULL
};

struct reel_client_call {
    struct reel_idmap_node node; // id: 0 until sent
    struct reel_scope_child child;
    atomic_uint refs;
    struct reel_channel *channel;
    const struct reel_method *method;
    struct reel_client_call *next;
    struct reel_client_call **back; // NULL when not in the list
    int64_t deadline_us;
    bool waiting; // for a connection; `tail` is what to send then
    bool wait_for_ready;
    bool cancelled; // maybe before it was in the list
    struct reel_buf tail;
    // Ends the call; called once with no lock held. Must not block.
    void (*complete)(struct reel_client_call *call, const struct reel_reply *reply);
    // Frees what embeds the call.
    void (*destroy)(struct reel_client_call *call);
    struct reel_stream *stream; // NULL for unary calls
};

struct reel_channel {
    struct reel_balancer *balancer;       // of a channel to a name: its lanes have all that follows
    struct reel_balancer *owner;          // of a lane
    atomic_uint refs;                     // its opener's and one for each call
    char *url;                            // of a lane, with the name
    char address[REEL_RESOLVE_URL_BYTES]; // of a lane; empty until it is known
    char *service;
    char *key;
    size_t max_message_bytes;
    uint32_t default_timeout_ms;
    int64_t heartbeat_us;
    struct reel_connector *connector;
    pthread_t timer;
    bool timer_started;

    pthread_mutex_t lock;
    pthread_cond_t changed;                 // state, timers, callbacks; monotonic
    _Atomic(enum reel_channel_state) state; // written with the lock held
    int refused_code;
    char reason[160];       // why it is DOWN or REFUSED
    struct reel_pipe *pipe; // NULL: there is no connection, nor one that has yet to greet
    uint32_t next_header;
    uint64_t next_id;
    struct reel_link link;
    struct reel_idmap calls;        // that were sent
    struct reel_client_call *first; // every call that has not ended
    size_t peer_max_message;
    uint64_t peer_stream_credit;
    int64_t opened_us;
    int64_t heard_us;
    int64_t pinged_us;
    unsigned swallowed; // connections on which HELLO was not answered, since one was
    int64_t attempt_us; // when the attempt to connect in progress began
    int64_t dial_at_us; // when the next one is due
    struct reel_backoff backoff;
    int64_t wake_us;         // when the timer thread looks next
    unsigned n_completing;   // completions that run on threads that are not the transport's
    unsigned n_link_waiters; // streams that wait for the link to drain
    bool has_target;         // there is somewhere to dial
    bool aimed;              // the next attempt is to `address`, for the first time
    bool dialing;
    bool connected; // the pipe may be sent on
    bool late;      // the attempt was given up
    bool greeted;   // HELLO was answered on this connection
    bool sending;
    bool corked;
    bool leaving; // no new calls
    bool closing;
};

// Prepares a call with one reference; `complete`, `destroy` and `stream` are the caller's to set.
void reel_client_call_init(struct reel_client_call *call, struct reel_channel *channel,
                           const struct reel_method *method);

// Starts a prepared call. It is completed exactly once, maybe before the return.
void reel_client_call_start(struct reel_client_call *call, const struct reel_call_options *options,
                            const struct reel_slice *payload);

// Takes a call out of the channel's list; false when it has ended. Called with the lock held. The
// caller completes it and drops the list's reference.
bool reel_client_call_take(struct reel_client_call *call);

// Completes a call that was taken, with a status and no payload, on a thread that is not the
// transport's; `text` is copied.
void reel_client_call_end(struct reel_client_call *call, int code, const char *text);

// Sends a call that has been waiting. Called with the lock held; a code when it cannot be sent.
int reel_client_call_release(struct reel_client_call *call);

// Queues a frame and lets it leave. Called with the lock held.
int reel_channel_put(struct reel_channel *channel, const struct reel_frame *frame, bool urgent);

// Lets the timer thread look no later than at `at_us`. Called with the lock held.
void reel_channel_wake_at(struct reel_channel *channel, int64_t at_us);

// channel.c

// Opens a channel of one connection: a balancer's, which dials when it has been aimed, or, with
// `owner` NULL, one that dials its URL.
int reel_channel_open_lane(const struct reel_channel_config *config, struct reel_balancer *owner,
                           struct reel_channel **ret_channel) REEL_MUST_CHECK;

// Takes a reference; returns the channel.
struct reel_channel *reel_channel_ref(struct reel_channel *channel);

// Drops a reference. The last one frees: the channel was closed by then.
void reel_channel_unref(struct reel_channel *channel);

// connection.c

// Lets a lane dial `address` from now on, its calls waiting a little as for a first connection.
// False when it may not leave its peer: they are connected and at one.
bool reel_channel_aim(struct reel_channel *channel, const char *address);

// How often an attempt to connect, and an unanswered HELLO, is looked at.
enum { REEL_DIAL_TICK_US = 50 * 1000 };

// Takes the wanted calls out of the list and ends them; `tell_peer` sends CANCEL for those that
// were sent. Called without the lock.
void reel_connection_end_calls(struct reel_channel *channel,
                               bool (*wanted)(const struct reel_client_call *call, const void *arg),
                               const void *arg, int code, const char *text, bool tell_peer);

// The first connection was not made in time, or at all: what waits for it fails.
void reel_connection_give_up(struct reel_channel *channel, const char *reason);

// Dials when it is time to, and gives an attempt up that has taken too long. To be called by the
// timer thread a few times a second while there is no connection.
void reel_connection_tick(struct reel_channel *channel);

// Ends the connection.
void reel_connection_abandon(struct reel_channel *channel);

// Prepares for dialing; the timer thread does the rest.
int reel_connection_open(struct reel_channel *channel);

// Ends the connection and every callback, once the timer thread has ended.
void reel_connection_close(struct reel_channel *channel);

// stream.c

// A DATA frame. Called without the lock.
void reel_stream_on_data(struct reel_stream *stream, struct reel_slice payload);

// A CREDIT frame.
void reel_stream_on_credit(struct reel_stream *stream, uint64_t credit);

// The stream may have become writable. `call` is referenced by the caller.
void reel_stream_on_writable(struct reel_stream *stream);
