// SPDX-License-Identifier: Apache-2.0
// The gateway's own state: liveness, readiness, services, metrics.
#include <stdio.h>
#include <string.h>

#include "gateway/endpoints.h"
#include "gateway/gateway.h"
#include "gateway/limiter.h"
#include "gateway/problem.h"
#include "gateway/revocations.h"
#include "libcommon/json/json.h"
#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/channel.h"

static enum step answer_out(struct request *req, unsigned status, const char *type)
{
    if (req->out.failed)
        return problem_answer(req, 500, "The answer is too large.");
    return reply_text(req, status, type, req->out.data, req->out.len);
}

static enum step health_finish(struct request *req)
{
    static const char body[] = "{\"status\":\"ok\"}";
    return reply_text(req, 200, "application/json", body, sizeof(body) - 1);
}

static void add_state(struct reel_buf *out, const char *key, const char *state)
{
    reel_json_add_key(out, key);
    reel_json_add_string(out, state);
}

static void add_services(struct request *req, struct reel_buf *out)
{
    reel_json_add_key(out, "services");
    reel_buf_addc(out, '{');
    for (unsigned i = 0; i < N_UPSTREAMS; i++) {
        bool up = reel_channel_is_ready(req->gw->upstreams[i].channel);
        add_state(out, req->gw->upstreams[i].name, up ? "up" : "down");
    }
    reel_buf_addc(out, '}');
}

// Without Redis limits are this gateway's own: worth knowing, no reason to turn clients away.
static void add_state_of_all(struct request *req, struct reel_buf *out)
{
    add_services(req, out);
    add_state(out, "rateLimits", limiter_is_shared(req->gw->limiter) ? "shared" : "local");
}

static enum step not_ready(struct request *req)
{
    char away[128] = "";
    size_t n = 0;
    for (unsigned i = 0; i < N_UPSTREAMS; i++)
        if (!reel_channel_is_ready(req->gw->upstreams[i].channel) && n < sizeof(away))
            n += (size_t)snprintf(away + n, sizeof(away) - n, "%s%s", n > 0 ? ", " : "",
                                  req->gw->upstreams[i].name);
    return problem_extended(req, 503, 1, add_state_of_all,
                            "Not ready: no answer from %s. It is dialled again and again; see that "
                            "it runs.",
                            *away ? away : "a service");
}

static enum step ready_finish(struct request *req)
{
    struct reel_buf *out = &req->out;
    if (atomic_load(&req->gw->draining))
        return problem_extended(req, 503, 1, add_state_of_all,
                                "This gateway is shutting down. Use another one, or wait until it "
                                "is back.");
    if (!gateway_is_ready(req->gw))
        return not_ready(req);
    reel_buf_reset(out);
    reel_buf_addc(out, '{');
    add_state(out, "status", "ready");
    add_state_of_all(req, out);
    reel_buf_addc(out, '}');
    return answer_out(req, 200, "application/json");
}

static enum step status_finish(struct request *req)
{
    struct reel_buf *out = &req->out;
    reel_buf_reset(out);
    reel_buf_addc(out, '{');
    add_state(out, "gateway", atomic_load(&req->gw->draining) ? "draining" : "up");
    add_services(req, out);
    add_state(out, "revocations", revocations_is_fresh(req->gw->revocations) ? "fresh" : "stale");
    add_state(out, "rateLimits", limiter_is_shared(req->gw->limiter) ? "shared" : "local");
    reel_buf_addc(out, '}');
    return answer_out(req, 200, "application/json");
}

static enum step metrics_finish(struct request *req)
{
    struct netaddr client;
    if (!netaddr_parse(req->client, strlen(req->client), &client) ||
        !netaddr_list_holds(&req->gw->metrics_allow, &client))
        return problem_answer(req, 403,
                              "Metrics are for the operators' network "
                              "(REEL_METRICS_ALLOW).");
    reel_buf_reset(&req->out);
    reel_metrics_render(&req->out);
    return answer_out(req, 200, "text/plain; version=0.0.4; charset=utf-8");
}

static enum step openapi_finish(struct request *req)
{
    reply_header(req, "Cache-Control", "public, max-age=300");
    return reply_text(req, 200, "application/json", req->gw->openapi, strlen(req->gw->openapi));
}

const struct endpoint_ops health_ops = {.finish = health_finish};
const struct endpoint_ops ready_ops = {.finish = ready_finish};
const struct endpoint_ops status_ops = {.finish = status_finish};
const struct endpoint_ops metrics_ops = {.finish = metrics_finish};
const struct endpoint_ops openapi_ops = {.finish = openapi_finish};
