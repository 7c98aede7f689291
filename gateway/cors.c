// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"
#include "gateway/origin.h"

#define ALLOW_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE"
#define ALLOW_HEADERS                                                                              \
    "Authorization, Content-Type, Filename, If-Match, If-Modified-Since, If-None-Match, "          \
    "If-Range, If-Unmodified-Since, Last-Event-ID, Range, X-Request-Id, traceparent"
#define EXPOSE_HEADERS                                                                             \
    "Accept-Ranges, Content-Disposition, Content-Range, ETag, Location, RateLimit, "               \
    "RateLimit-Policy, Retry-After, X-Request-Id"

void cors_headers(struct request *req)
{
    const char *origin = request_header(req, "Origin");
    if (*req->gw->config.cors_origins == '\0')
        return;
    reply_header(req, "Vary", "Origin");
    if (!origin || !origin_is_listed(req->gw->config.cors_origins, origin))
        return;
    reply_header(req, "Access-Control-Allow-Origin", origin);
    reply_header(req, "Access-Control-Allow-Credentials", "true");
    reply_header(req, "Access-Control-Expose-Headers", EXPOSE_HEADERS);
}

enum step cors_step(struct request *req)
{
    const char *origin = request_header(req, "Origin");
    if (strcmp(req->method, "OPTIONS") != 0 || !origin ||
        !request_header(req, "Access-Control-Request-Method"))
        return STEP_NEXT;
    if (origin_is_listed(req->gw->config.cors_origins, origin)) {
        reply_header(req, "Access-Control-Allow-Methods", ALLOW_METHODS);
        reply_header(req, "Access-Control-Allow-Headers", ALLOW_HEADERS);
        reply_header(req, "Access-Control-Max-Age", "7200");
    }
    return reply_set(req, 204);
}
