// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/chain.h"
#include "gateway/endpoints.h"
#include "gateway/gateway.h"
#include "proto/job.reel.h"
#include "proto/user.reel.h"
#include "proto/video.reel.h"

static const struct {
    const char *path;
    const struct endpoint_ops *ops;
    enum reel_access access;
    const char *rate_class;
    const char *summary;
} own_rows[] = {
    {"/health", &health_ops, REEL_ACCESS_PUBLIC, NULL, "Whether this process lives"},
    {"/ready", &ready_ops, REEL_ACCESS_PUBLIC, NULL, "Whether everything it needs answers"},
    {"/metrics", &metrics_ops, REEL_ACCESS_PUBLIC, NULL, "Counters for Prometheus"},
    {"/openapi.json", &openapi_ops, REEL_ACCESS_PUBLIC, "default", "This description"},
    {"/api/services/status", &status_ops, REEL_ACCESS_PUBLIC, "default",
     "State of each service behind the gateway"},
    {"/api/events", &events_ops, REEL_ACCESS_AUTHENTICATED, "default",
     "The user's job events as they happen (server-sent events)"},
};

static const struct endpoint_ops *const ops_of_mode[] = {
    [REEL_HTTP_JSON] = &proxy_ops,
    [REEL_HTTP_UPLOAD] = &upload_ops,
    [REEL_HTTP_ASSET] = &asset_ops,
};

static int add(struct gateway *gw, const struct endpoint *row)
{
    if (gw->n_endpoints == MAX_ENDPOINTS)
        return -EINVAL;
    struct endpoint *endpoint = &gw->endpoints[gw->n_endpoints++];
    memcpy(endpoint, row, sizeof(*endpoint));
    metrics_prepare(endpoint);
    return router_add(&gw->router, endpoint->verb, endpoint->path, endpoint);
}

static int add_service(struct gateway *gw, const struct reel_route *routes, unsigned n_routes)
{
    for (unsigned i = 0; i < n_routes; i++) {
        const struct endpoint row = {
            .verb = routes[i].verb,
            .path = routes[i].path,
            .route = &routes[i],
            .ops = ops_of_mode[routes[i].mode],
            .access = routes[i].method->access,
            .rate_class = routes[i].rate_class,
            .summary = routes[i].summary,
        };
        int rc = row.access == REEL_ACCESS_INTERNAL ? 0 : add(gw, &row);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int add_own(struct gateway *gw)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(own_rows); i++) {
        const struct endpoint row = {
            .verb = "GET",
            .path = own_rows[i].path,
            .ops = own_rows[i].ops,
            .access = own_rows[i].access,
            .rate_class = own_rows[i].rate_class,
            .summary = own_rows[i].summary,
        };
        int rc = add(gw, &row);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int routes_build(struct gateway *gw)
{
    gw->endpoints = calloc(MAX_ENDPOINTS, sizeof(*gw->endpoints));
    gw->no_endpoint = calloc(1, sizeof(*gw->no_endpoint));
    if (!gw->endpoints || !gw->no_endpoint)
        return -ENOMEM;
    gw->no_endpoint->verb = "ANY";
    gw->no_endpoint->path = "none";
    metrics_prepare(gw->no_endpoint);
    int rc = add_service(gw, user_service_routes, user_service_n_routes);
    if (rc == 0)
        rc = add_service(gw, video_service_routes, video_service_n_routes);
    if (rc == 0)
        rc = add_service(gw, job_service_routes, job_service_n_routes);
    return rc == 0 ? add_own(gw) : rc;
}
