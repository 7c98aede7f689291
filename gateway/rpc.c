// SPDX-License-Identifier: Apache-2.0
#include "gateway/rpc.h"

#include <string.h>

#include "gateway/gateway.h"
#include "gateway/transcode.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"

// Runs on a transport thread while the request is parked: the arena is this thread's meanwhile.
static bool copy_status(struct rpc_wait *wait, const struct reel_status *status)
{
    struct reel_arena *arena = wait->arena;
    struct reel_violation *violations =
        reel_arena_array(arena, status->n_violations, sizeof(*violations));
    wait->status = *status;
    wait->status.message = reel_arena_strdup(arena, status->message ? status->message : "");
    wait->status.policy = reel_arena_strdup(arena, status->policy ? status->policy : "");
    if (!violations || !wait->status.message || !wait->status.policy)
        return false;
    for (size_t i = 0; i < status->n_violations; i++) {
        violations[i].field = reel_arena_strdup(arena, status->violations[i].field);
        violations[i].description = reel_arena_strdup(arena, status->violations[i].description);
        if (!violations[i].field || !violations[i].description)
            return false;
    }
    wait->status.violations = violations;
    return true;
}

static void on_reply(void *arg, const struct reel_status *status, const uint8_t *payload,
                     size_t payload_len)
{
    struct rpc_wait *wait = arg;
    wait->lost = !copy_status(wait, status);
    if (payload_len > 0) {
        wait->payload = reel_arena_memdup(wait->arena, payload, payload_len);
        wait->payload_len = payload_len;
        wait->lost = wait->lost || !wait->payload;
    }
    waker_wake(&wait->req->waker);
}

static void on_gone(void *arg)
{
    reel_client_call_cancel(arg);
}

struct rpc_wait *rpc_start_in(struct request *req, struct reel_arena *arena,
                              const struct reel_method *method, const ProtobufCMessage *message)
{
    struct reel_channel *channel = gateway_channel(req->gw, method);
    struct rpc_wait *wait = reel_arena_zalloc(arena, sizeof(*wait));
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = reel_arena_alloc(arena, len);
    struct reel_metadata metadata[CALL_METADATA_MAX];
    if (!wait || !packed || !channel)
        return NULL;
    protobuf_c_message_pack(message, packed);
    const struct reel_call_options options = {
        .deadline_us = transcode_deadline_us(req, method),
        .metadata = metadata,
        .n_metadata = transcode_metadata(req, metadata),
    };
    wait->req = req;
    wait->arena = arena;
    req->rpc = wait;
    wait->method = method;
    waker_arm(&req->waker);
    reel_channel_start(channel, method, &options, packed, len, on_reply, wait, &wait->call);
    conn_on_gone(req->conn, on_gone, wait->call);
    return wait;
}

struct rpc_wait *rpc_start(struct request *req, const struct reel_method *method,
                           const ProtobufCMessage *message)
{
    return rpc_start_in(req, &req->arena, method, message);
}

void rpc_release(struct request *req)
{
    if (req->rpc)
        reel_client_call_unref(req->rpc->call);
    req->rpc = NULL;
}

// Says in the log what the client is not told. A service that refuses this gateway's own key is a
// fault of ours, not of the client's credentials.
static void judge_failure(struct rpc_wait *wait)
{
    struct reel_status *status = &wait->status;
    struct reel_channel *channel = gateway_channel(wait->req->gw, wait->method);
    bool refused = status->code == REEL_UNAUTHENTICATED && !reel_channel_is_ready(channel);
    if (!refused && status->code > 0 && reel_code_http_status(status->code) < 500)
        return;
    reel_log(REEL_LOG_WARN, "call.failed", REEL_FS("id", wait->req->id),
             REEL_FS("method", wait->method->path), REEL_FS("code", reel_code_name(status->code)),
             REEL_FS("message", status->message));
    if (refused)
        status->code = REEL_UNAVAILABLE;
}

enum step rpc_wait_step(struct rpc_wait *wait)
{
    if (waker_park(&wait->req->waker))
        return STEP_WAIT;
    conn_on_gone(wait->req->conn, NULL, NULL);
    reel_client_call_unref(wait->call);
    wait->call = NULL;
    // The code for too much would tell the client that it has asked too often.
    if (wait->lost)
        wait->status = (struct reel_status){.code = REEL_INTERNAL,
                                            .message = "The answer is larger than a request's "
                                                       "memory."};
    if (wait->status.code != REEL_OK)
        judge_failure(wait);
    return STEP_NEXT;
}
