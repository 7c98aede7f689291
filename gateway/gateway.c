// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/endpoints.h"
#include "gateway/event_hub.h"
#include "gateway/keyring.h"
#include "gateway/limiter.h"
#include "gateway/openapi.h"
#include "gateway/revocations.h"
#include "gateway/server.h"
#include "gateway/token_cache.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/redis/redis.h"
#include "libcommon/rpc/channel.h"
#include "libcommon/storage/storage.h"
#include "libcommon/svc/svc.h"
#include "proto/job.reel.h"
#include "proto/user.reel.h"
#include "proto/video.reel.h"

static int bad_setting(const char *name, const char *value)
{
    reel_log(REEL_LOG_ERROR, "config.invalid", REEL_FS("setting", name), REEL_FS("value", value));
    return REEL_INVALID_ARGUMENT;
}

static int parse_lists(struct gateway *gw)
{
    const struct gateway_config *config = &gw->config;
    if (!netaddr_list_parse(config->trusted_proxies, &gw->trusted))
        return bad_setting("REEL_TRUSTED_PROXIES", config->trusted_proxies);
    if (!netaddr_list_parse(config->metrics_allow, &gw->metrics_allow))
        return bad_setting("REEL_METRICS_ALLOW", config->metrics_allow);
    if (!rate_policies_parse(config->rate_limits, &gw->policies))
        return bad_setting("REEL_RATE_LIMITS", config->rate_limits);
    return 0;
}

static int open_upstreams(struct gateway *gw)
{
    const struct {
        const char *name;
        const struct reel_service *service;
        const char *url;
    } rows[N_UPSTREAMS] = {
        [UPSTREAM_USER] = {"user", &user_service, gw->config.user_url},
        [UPSTREAM_VIDEO] = {"video", &video_service, gw->config.video_url},
        [UPSTREAM_JOB] = {"job", &job_service, gw->config.job_url},
    };
    for (unsigned i = 0; i < N_UPSTREAMS; i++) {
        const struct reel_channel_config config = {
            .url = rows[i].url, .service = "gateway", .key = gw->config.key};
        gw->upstreams[i].name = rows[i].name;
        gw->upstreams[i].service = rows[i].service;
        int rc = reel_channel_open(&config, &gw->upstreams[i].channel);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int open_stores(struct gateway *gw)
{
    const struct reel_redis_config redis = {
        .url = gw->config.redis_url, .client_name = "reel-gateway", .max_connections = 2};
    int rc = reel_redis_new(&redis, &gw->redis);
    if (rc == 0 && *gw->config.storage_dir)
        rc = reel_storage_new(gw->config.storage_dir, &gw->storage);
    if (rc == 0)
        rc = limiter_open(gw->redis, &gw->limiter);
    if (rc == 0)
        rc = keyring_new(&gw->keys);
    return rc == 0 ? token_cache_new(&gw->tokens) : rc;
}

static int open_feeds(struct gateway *gw)
{
    struct reel_channel *jobs = gw->upstreams[UPSTREAM_JOB].channel;
    int rc = revocations_open(gw->upstreams[UPSTREAM_USER].channel, &gw->revocations);
    if (rc != 0)
        return rc;
    const struct event_hub_config config = {
        .url = gw->config.events_url,
        .jobs = jobs,
        .revocations = gw->revocations,
        .heartbeat_us = gw->config.sse_heartbeat_ms * 1000,
    };
    return event_hub_open(&config, &gw->events);
}

static int open_edge(struct gateway *gw)
{
    const struct conns_config config = {
        .max_connections = (unsigned)gw->config.max_connections,
        .max_per_address = (unsigned)gw->config.max_connections_per_address,
        .exempt = gw->trusted,
        .header_timeout_us = gw->config.header_timeout_ms * 1000,
        .idle_timeout_us = gw->config.idle_timeout_ms * 1000,
        .min_bytes_per_second = gw->config.min_bytes_per_second,
        .rate_window_us = gw->config.rate_window_ms * 1000,
    };
    int rc = routes_build(gw);
    if (rc == 0)
        rc = openapi_build(gw, &gw->openapi);
    if (rc == 0)
        rc = conns_open(&config, &gw->conns);
    return rc == 0 ? server_open(gw, &gw->server) : rc;
}

int gateway_open(const struct gateway_config *config, struct gateway **ret_gateway)
{
    struct gateway *gw = calloc(1, sizeof(*gw));
    if (!gw)
        return -ENOMEM;
    gw->config = *config;
    request_pool_init(&gw->requests);
    int rc = parse_lists(gw);
    if (rc == 0)
        rc = open_upstreams(gw);
    if (rc == 0)
        rc = open_stores(gw);
    if (rc == 0)
        rc = open_feeds(gw);
    if (rc == 0)
        rc = open_edge(gw);
    if (rc != 0) {
        reel_log(REEL_LOG_ERROR, "gateway.open_failed", REEL_FI("code", rc));
        gateway_close(gw);
        return rc;
    }
    *ret_gateway = gw;
    return 0;
}

void gateway_close(struct gateway *gw)
{
    if (!gw)
        return;
    server_close(gw->server);
    conns_close(gw->conns);
    event_hub_close(gw->events);
    revocations_close(gw->revocations);
    limiter_close(gw->limiter);
    for (unsigned i = 0; i < N_UPSTREAMS; i++)
        reel_channel_close(gw->upstreams[i].channel);
    reel_redis_free(gw->redis);
    reel_storage_free(gw->storage);
    keyring_free(gw->keys);
    token_cache_free(gw->tokens);
    request_pool_fini(&gw->requests);
    free(gw->openapi);
    free(gw->endpoints);
    free(gw->no_endpoint);
    free(gw);
}

struct reel_channel *gateway_channel(const struct gateway *gw, const struct reel_method *method)
{
    for (unsigned i = 0; i < N_UPSTREAMS; i++) {
        const struct reel_service *service = gw->upstreams[i].service;
        if (method >= service->methods && method < service->methods + service->n_methods)
            return gw->upstreams[i].channel;
    }
    return NULL;
}

bool gateway_is_ready(struct gateway *gw)
{
    for (unsigned i = 0; i < N_UPSTREAMS; i++)
        if (!reel_channel_is_ready(gw->upstreams[i].channel))
            return false;
    return true;
}

int gateway_port(const struct gateway *gw)
{
    return server_port(gw->server);
}

static bool is_ready(void *arg)
{
    return gateway_is_ready(arg);
}

static void on_drain(void *arg)
{
    struct gateway *gw = arg;
    gateway_drain(gw, gw->config.grace_ms * 1000);
}

int gateway_serve(struct gateway *gw)
{
    const struct reel_svc svc = {
        .grace_us = gw->config.grace_ms * 1000,
        .is_ready = is_ready,
        .on_drain = on_drain,
        .arg = gw,
    };
    reel_log(REEL_LOG_INFO, "gateway.listening", REEL_FS("host", gw->config.host),
             REEL_FI("port", gateway_port(gw)));
    return reel_svc_serve(&svc);
}
