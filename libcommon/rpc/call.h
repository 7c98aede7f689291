// SPDX-License-Identifier: Apache-2.0
// A call as its handler sees it.
//
// A handler is straight-line blocking code on one worker thread: no other thread touches its arena.
// The call, its arena and everything borrowed from them are gone when the handler returns.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/err.h"

struct reel_call;

// The call's arena (capped, 4 MiB by default).
struct reel_arena *reel_call_arena(struct reel_call *call);

// When the answer is no longer wanted: pass it on to every database, Redis and RPC call.
int64_t reel_call_deadline_us(const struct reel_call *call);

// Whether the caller has cancelled, gone away, or the deadline has passed. Any thread.
bool reel_call_cancelled(const struct reel_call *call);

// Whether the server is draining. A stream that would otherwise last (a watch) ends itself now with
// UNAVAILABLE; calls with an end of their own go on. Any thread.
bool reel_call_draining(const struct reel_call *call);

// The value of a metadata key (lower case), or NULL. Borrowed.
const char *reel_call_metadata(const struct reel_call *call, const char *key);

// The authenticated name of the calling service ("gateway", "svc-video"). Never NULL. Borrowed.
const char *reel_call_peer(const struct reel_call *call);

// The signed-in user the call is made for, or NULL: metadata `reel-user-id`, which the server keeps
// only from callers that may speak for users. Borrowed.
const char *reel_call_user_id(const struct reel_call *call);

// The session of that user, or NULL (`reel-session-id`). Borrowed.
const char *reel_call_session_id(const struct reel_call *call);

// The request id that follows a request through every service (`reel-request-id`), or "". Borrowed.
const char *reel_call_request_id(const struct reel_call *call);

// Sets the one human sentence of a failed call (what is wrong and what to do) and returns `code`,
// so that a handler ends with `return reel_call_fail(call, REEL_NOT_FOUND, "video '%s'", id);`. For
// a fault (negative) the text goes to the log, never to the client.
int reel_call_fail(struct reel_call *call, int code, const char *fmt, ...) REEL_PRINTF(3, 4);

// Adds a field violation (google.rpc.BadRequest) to the failure: `field` is the path in JSON names.
void reel_call_violation(struct reel_call *call, const char *field, const char *fmt, ...)
    REEL_PRINTF(3, 4);

// Tells the caller when a retry makes sense (google.rpc.RetryInfo); goes with a failure.
void reel_call_retry_after_ms(struct reel_call *call, uint32_t ms);

// Names the quota that the call was refused for (google.rpc.QuotaFailure): `quota` uses in each
// `window_s` seconds under `policy`; goes with a failure and reel_call_retry_after_ms.
void reel_call_quota(struct reel_call *call, const char *policy, uint32_t quota, uint32_t window_s);

// Server streaming: sends one message, waiting for the peer's credit. The message is borrowed until
// return. REEL_CANCELLED or REEL_DEADLINE_EXCEEDED when the call is over: return at once.
int reel_call_send(struct reel_call *call, const ProtobufCMessage *message) REEL_MUST_CHECK;

// Client streaming: waits for the next message and unpacks it into `arena` (the call's, or one that
// the handler resets between messages). REEL_OK with *ret_message NULL when the caller has sent
// all.
int reel_call_recv(struct reel_call *call, struct reel_arena *arena,
                   ProtobufCMessage **ret_message) REEL_MUST_CHECK;
