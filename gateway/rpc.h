// SPDX-License-Identifier: Apache-2.0
// One asynchronous unary call of a parked request.
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "gateway/request.h"
#include "libcommon/rpc/channel.h"

// Private; lives in the call's arena.
struct rpc_wait {
    struct request *req;
    struct reel_arena *arena;
    const struct reel_method *method;
    struct reel_client_call *call;
    bool lost; // the answer did not fit into memory
    struct reel_status status;
    const uint8_t *payload;
    size_t payload_len;
};

// Starts a call for the request with its user and trace; NULL when memory is out. The client going
// away cancels it. Wait with rpc_wait_step, then read `status` and `payload`.
struct rpc_wait *rpc_start(struct request *req, const struct reel_method *method,
                           const ProtobufCMessage *message);

// As rpc_start, with everything in `arena` instead of the request's, for a request that makes many
// calls: it may be reset once rpc_release has been called, and must outlive the request else.
struct rpc_wait *rpc_start_in(struct request *req, struct reel_arena *arena,
                              const struct reel_method *method, const ProtobufCMessage *message);

// Drops what a call has left behind in a request that ends without taking its answer: the library
// closes a connection that failed as soon as it is resumed.
void rpc_release(struct request *req);

// STEP_WAIT until the call has ended, then STEP_NEXT. The call is released then.
enum step rpc_wait_step(struct rpc_wait *wait);
