// SPDX-License-Identifier: Apache-2.0
// The RPC client: one multiplexed channel to one endpoint, or to every address of a name, blocking
// and asynchronous calls, streams.
//
// A channel connects in the background, finds dead peers by its own heartbeat and fails calls
// UNAVAILABLE as soon as their pipe is gone. It never sends a request twice. Any thread.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/rpc/method.h"

struct reel_channel;
struct reel_client_call;
struct reel_stream;

struct reel_channel_config {
    // "tcp://127.0.0.1:3001", "ipc:///...", "inproc://...", or a name, "tcp://user:3001": then
    // there is a connection to each of its addresses, and calls go to those that are ready in turn.
    const char *url;
    const char *service;      // own name, shown to the peer
    const char *key;          // own API key
    size_t max_message_bytes; // both ways; 0 is 4 MiB
    size_t max_outbox_bytes; // frames waiting to be sent; beyond it RESOURCE_EXHAUSTED; 0 is 16 MiB
    uint32_t default_timeout_ms; // for calls without a deadline; 0 is 30,000
    uint32_t heartbeat_ms;       // 0 is 1,000
};

struct reel_metadata {
    const char *key; // lower case; a "-bin" suffix carries bytes, in base64
    const char *value;
};

struct reel_call_options {
    int64_t deadline_us; // monotonic; 0: the method's or the channel's default
    const struct reel_metadata *metadata;
    size_t n_metadata;
    struct reel_call *parent; // inherit deadline, cancellation, request id and user; or NULL
    bool wait_for_ready;      // wait for a connection until the deadline instead of failing fast
};

struct reel_violation {
    const char *field;
    const char *description;
};

// How a call ended.
struct reel_status {
    int code;            // enum reel_code
    const char *message; // for people; "" when there is none
    const struct reel_violation *violations;
    size_t n_violations;
    uint32_t retry_after_ms;
    const char *policy; // the quota that is used up; NULL or "" when there is none
    uint32_t quota;     // of it, in each
    uint32_t window_s;  // seconds
};

// Opens a channel; connecting goes on in the background. Strings are copied.
int reel_channel_open(const struct reel_channel_config *config,
                      struct reel_channel **ret_channel) REEL_MUST_CHECK;

// Fails what is pending with CANCELLED, waits for callbacks to return and frees. NULL is fine.
void reel_channel_close(struct reel_channel *channel);

// Whether the peer has answered lately.
bool reel_channel_is_ready(struct reel_channel *channel);

// Waits until the channel is ready; false when the deadline passes first.
bool reel_channel_wait_ready(struct reel_channel *channel, int64_t deadline_us);

// Blocking unary call. The answer is unpacked into `arena`, which also holds the status' strings.
// Returns ret_status->code (or a fault); `options` and `ret_status` may be NULL. *ret_response is
// untouched on failure. Generated stubs wrap this with types.
int reel_channel_call(struct reel_channel *channel, const struct reel_method *method,
                      const struct reel_call_options *options, const ProtobufCMessage *request,
                      struct reel_arena *arena, ProtobufCMessage **ret_response,
                      struct reel_status *ret_status) REEL_MUST_CHECK;

// The answer of an asynchronous call; everything is borrowed until the callback returns.
typedef void (*reel_reply_fn)(void *arg, const struct reel_status *status, const uint8_t *payload,
                              size_t payload_len);

// Asynchronous unary call on packed bytes (copied before return). `done` is called exactly once,
// from a transport thread or, when the call fails at once, from inside this function; it must not
// block. *ret_call (unless ret_call is NULL) is released with reel_client_call_unref.
void reel_channel_start(struct reel_channel *channel, const struct reel_method *method,
                        const struct reel_call_options *options, const uint8_t *payload,
                        size_t payload_len, reel_reply_fn done, void *arg,
                        struct reel_client_call **ret_call);

// Cancels: the server is told, `done` is called with CANCELLED unless it has been already.
void reel_client_call_cancel(struct reel_client_call *call);

// Drops the caller's reference. NULL is fine.
void reel_client_call_unref(struct reel_client_call *call);

// Opens a streaming call (either or both ways). `on_event` (or NULL) is called from a transport
// thread whenever the stream may have become readable, writable or finished; it must not block.
int reel_stream_open(struct reel_channel *channel, const struct reel_method *method,
                     const struct reel_call_options *options, void (*on_event)(void *arg),
                     void *arg, struct reel_stream **ret_stream) REEL_MUST_CHECK;

// Sends one packed message if the peer's credit allows: REEL_OK, -EAGAIN when on_event must be
// awaited, or the code the call ended with.
int reel_stream_try_send(struct reel_stream *stream, const uint8_t *payload,
                         size_t payload_len) REEL_MUST_CHECK;

// As reel_stream_try_send, waiting for credit.
int reel_stream_send(struct reel_stream *stream, const uint8_t *payload,
                     size_t payload_len) REEL_MUST_CHECK;

// Says that all has been sent. REEL_OK as well when the call is over already, which a server may
// bring about before its client has said so: how it ended is for reel_stream_recv to tell.
int reel_stream_half_close(struct reel_stream *stream) REEL_MUST_CHECK;

// Takes the next message: REEL_OK with *ret_payload (malloc'ed, the caller frees) or NULL at the
// end of the stream; -EAGAIN when there is none yet; else the code the call ended with. Taking a
// message gives the peer credit for another.
int reel_stream_try_recv(struct reel_stream *stream, uint8_t **ret_payload,
                         size_t *ret_len) REEL_MUST_CHECK;

// As reel_stream_try_recv, waiting.
int reel_stream_recv(struct reel_stream *stream, uint8_t **ret_payload,
                     size_t *ret_len) REEL_MUST_CHECK;

// How the call ended, once a receive has returned the end or a code. Strings are borrowed until
// reel_stream_close.
const struct reel_status *reel_stream_status(struct reel_stream *stream);

// Cancels the call unless it has ended, waits for on_event to return, frees. NULL is fine.
void reel_stream_close(struct reel_stream *stream);
