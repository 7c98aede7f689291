// SPDX-License-Identifier: Apache-2.0
#include <strings.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"

static void rate_headers(struct request *req)
{
    const struct rate_verdict *rate = &req->rate;
    if (!rate->is_limited)
        return;
    reply_headerf(req, "RateLimit-Policy", "\"%s\";q=%u;w=%u", rate->policy, rate->quota,
                  rate->window_s);
    reply_headerf(req, "RateLimit", "\"%s\";r=%u;t=%u", rate->policy, rate->remaining,
                  rate->reset_s);
}

static bool has_header(const struct reply *reply, const char *name)
{
    for (unsigned i = 0; i < reply->n_headers; i++)
        if (strcasecmp(reply->headers[i].name, name) == 0)
            return true;
    return false;
}

void finish_headers(struct request *req)
{
    struct reply *reply = &req->reply;
    if (req->id)
        reply_header(req, "X-Request-Id", req->id);
    rate_headers(req);
    cors_headers(req);
    reply_header(req, "X-Content-Type-Options", "nosniff");
    reply_header(req, "X-Frame-Options", "DENY");
    reply_header(req, "Referrer-Policy", "no-referrer");
    reply_header(req, "Content-Security-Policy",
                 "default-src 'none'; frame-ancestors 'none'; sandbox");
    if (req->is_secure)
        reply_header(req, "Strict-Transport-Security", "max-age=31536000");
    if (!reply->stream && !has_header(reply, "Cache-Control"))
        reply_header(req, "Cache-Control", "no-store");
    if (reply->close || atomic_load_explicit(&req->gw->draining, memory_order_relaxed))
        reply_header(req, "Connection", "close");
}
