// SPDX-License-Identifier: Apache-2.0
// The health service: what every server says of itself, in gRPC's terms.
#include <string.h>

#include "libcommon/rpc/server_internal.h"
#include "proto/health.reel.h"

typedef Health__HealthCheckResponse__ServingStatus health_status;
#define STATUS(name) HEALTH__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

// A watcher hears of a change after this time at most.
static const int64_t watch_interval_us = 200 * 1000;

// The state of the generated handlers is the server itself.
static struct reel_server *server_of(struct health_svc *svc)
{
    return (struct reel_server *)(void *)svc;
}

static health_status status_of(struct reel_server *server)
{
    bool serving = atomic_load(&server->serving) && !atomic_load(&server->draining);

    return serving ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static bool is_known(const struct reel_server *server, const char *service)
{
    if (service[0] == '\0')
        return true;
    for (unsigned i = 0; i < server->n_mounted; i++)
        if (strcmp(server->mounted[i].service->name, service) == 0)
            return true;
    return false;
}

static int handle_check(struct health_svc *svc, struct reel_call *call,
                        const Health__HealthCheckRequest *req, Health__HealthCheckResponse *res)
{
    struct reel_server *server = server_of(svc);

    if (!is_known(server, req->service))
        return reel_call_fail(call, REEL_NOT_FOUND, "this server has no service '%s'",
                              req->service);
    res->status = status_of(server);
    return REEL_OK;
}

static int handle_watch(struct health_svc *svc, struct reel_call *call,
                        const Health__HealthCheckRequest *req)
{
    struct reel_server *server = server_of(svc);
    Health__HealthCheckResponse state = HEALTH__HEALTH_CHECK_RESPONSE__INIT;
    health_status known = STATUS(UNKNOWN);
    int rc = REEL_OK;
    bool draining;

    do {
        // Before the state, so that the last one told is the last one.
        draining = reel_call_draining(call);
        state.status = is_known(server, req->service) ? status_of(server) : STATUS(SERVICE_UNKNOWN);
        if (state.status != known)
            rc = reel_call_send(call, &state.base);
        known = state.status;
    } while (rc == REEL_OK && !draining && reel_call_wait(call, watch_interval_us));
    if (rc == REEL_OK && draining)
        return reel_call_fail(call, REEL_UNAVAILABLE, "the service is going away; watch again");
    return rc == REEL_OK ? REEL_CANCELLED : rc;
}

static int handle_list(struct health_svc *svc, struct reel_call *call,
                       const Health__HealthListRequest *req, Health__HealthListResponse *res)
{
    struct reel_server *server = server_of(svc);
    struct reel_arena *arena = reel_call_arena(call);
    unsigned n = server->n_mounted;
    Health__HealthListResponse__StatusesEntry *entries =
        reel_arena_array(arena, n, sizeof(*entries));
    Health__HealthCheckResponse *states = reel_arena_array(arena, n, sizeof(*states));

    (void)req;
    res->statuses = reel_arena_array(arena, n, sizeof(*res->statuses));
    if (!entries || !states || !res->statuses)
        return REEL_RESOURCE_EXHAUSTED;
    for (unsigned i = 0; i < n; i++) {
        health__health_list_response__statuses_entry__init(&entries[i]);
        health__health_check_response__init(&states[i]);
        states[i].status = status_of(server);
        entries[i].key = (char *)server->mounted[i].service->name;
        entries[i].value = &states[i];
        res->statuses[i] = &entries[i];
    }
    res->n_statuses = n;
    return REEL_OK;
}

void reel_health_mount(struct reel_server *server)
{
    static const struct health_impl impl = {
        .check = handle_check,
        .watch = handle_watch,
        .list = handle_list,
    };

    reel_server_add(server, &health, &impl, server);
}
