// SPDX-License-Identifier: Apache-2.0
#include <stdatomic.h>
#include <stdio.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"
#include "libcommon/obs/metrics.h"

void metrics_prepare(struct endpoint *endpoint)
{
    char labels[256];
    snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\"", endpoint->verb, endpoint->path);
    endpoint->duration = reel_histogram_get("reel_http_request_seconds",
                                            "Time from request line to end of reply", labels);
}

static struct reel_counter *status_counter(struct endpoint *endpoint, unsigned status)
{
    _Atomic(struct reel_counter *) *slot =
        &endpoint->by_status[status < ENDPOINT_MAX_STATUS ? status : 500];
    struct reel_counter *counter = atomic_load_explicit(slot, memory_order_acquire);
    if (counter)
        return counter;
    char labels[300];
    snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\",status=\"%u\"", endpoint->verb,
             endpoint->path, status);
    counter = reel_counter_get("reel_http_requests_total", "Requests by route and status", labels);
    atomic_store_explicit(slot, counter, memory_order_release);
    return counter;
}

void metrics_count(struct request *req, unsigned status, int64_t duration_us)
{
    // The route table is shared; its counters are the only part written after start.
    struct endpoint *endpoint = req->endpoint
                                    ? &req->gw->endpoints[req->endpoint - req->gw->endpoints]
                                    : req->gw->no_endpoint;
    reel_counter_add(status_counter(endpoint, status), 1);
    reel_histogram_observe_us(endpoint->duration, duration_us);
}
