// SPDX-License-Identifier: Apache-2.0
// The one endpoint behind every JSON route: transcode, call, transcode back.
#include "gateway/proxy.h"

#include "gateway/endpoints.h"
#include "gateway/problem.h"
#include "gateway/transcode.h"
#include "libcommon/core/err.h"

enum step proxy_call(struct request *req, struct rpc_wait **ret_wait)
{
    struct rpc_wait *wait = req->state;
    if (!wait) {
        ProtobufCMessage *message = NULL;
        enum step step = transcode_request(req, &message);
        if (step != STEP_NEXT)
            return step;
        wait = rpc_start(req, req->endpoint->route->method, message);
        if (!wait)
            return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
        req->state = wait;
    }
    if (rpc_wait_step(wait) == STEP_WAIT)
        return STEP_WAIT;
    req->state = NULL;
    if (wait->status.code != REEL_OK)
        return problem_from_status(req, &wait->status);
    *ret_wait = wait;
    return STEP_NEXT;
}

static enum step finish(struct request *req)
{
    struct rpc_wait *wait = NULL;
    enum step step = proxy_call(req, &wait);
    if (step != STEP_NEXT)
        return step;
    return transcode_payload(req, wait->payload, wait->payload_len);
}

const struct endpoint_ops proxy_ops = {.finish = finish};
