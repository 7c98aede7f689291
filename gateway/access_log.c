// SPDX-License-Identifier: Apache-2.0
// One line a request. The route's template is logged, never the path or the query: those can carry
// what nobody should read later.
#include <string.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"
#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"

void access_log(struct request *req, bool complete)
{
    int64_t us = reel_clock_mono_us() - req->started_us;
    unsigned status = req->reply.status;
    // The HTTP library itself answers a head that it cannot parse.
    if (status == 0)
        status = req->is_guarded ? 499 : 400;
    metrics_count(req, status, us);
    reel_log(REEL_LOG_INFO, "http.request", REEL_FS("id", req->id), REEL_FS("user", req->user_id),
             REEL_FS("client", req->client), REEL_FS("method", req->method),
             REEL_FS("route", req->endpoint ? req->endpoint->path : NULL),
             REEL_FI("status", status), REEL_FI("bytes", req->bytes_sent), REEL_FI("us", us),
             REEL_FB("complete", complete));
}
