// SPDX-License-Identifier: Apache-2.0
#include "svc-user/svc.h"

#include <errno.h>

#include "libcommon/core/clock.h"
#include "svc-user/handlers.h"
#include "svc-user/hasher.h"
#include "svc-user/keeper.h"
#include "svc-user/keys.h"

enum {
    READY_TIMEOUT_US = 500 * 1000,
    // More than hash_slots and hash_waiting at their largest with cores to spare: a flood of logins
    // must leave threads for the other calls.
    WORKERS = 48,
    CONNECTIONS = 16,
};

static int open_server(struct user_svc *svc)
{
    struct reel_server_config server = {
        .service = "user",
        .urls = svc->listen.urls,
        .n_urls = svc->listen.n,
        .peers = svc->config->peers,
        .n_peers = USER_N_PEERS,
        .workers = WORKERS,
    };
    int rc = reel_server_new(&server, &svc->server);
    if (rc != REEL_OK)
        return rc;
    reel_server_add(svc->server, &user_service, &user_handlers, svc);
    reel_server_gather(svc->server, &user_service.methods[USER_SERVICE_GET_USER], handle_get_users);
    return REEL_OK;
}

static int open_all(struct user_svc *svc)
{
    const struct user_config *config = svc->config;
    struct reel_pg_config pg = {
        .url = config->database_url, .application = "reel-user", .max_connections = CONNECTIONS};
    int rc = reel_pg_new(&pg, &svc->pg);

    if (rc == REEL_OK)
        rc = keys_open(config->keys_dir, config->signing_delay_s, &svc->keys);
    if (rc == REEL_OK)
        rc = hasher_new((unsigned)config->hash_slots, (unsigned)config->hash_waiting, &svc->hasher);
    if (rc == REEL_OK)
        rc = keeper_start(svc->pg, svc->keys, config->sweep_ms, &svc->keeper);
    if (rc == REEL_OK)
        rc = open_server(svc);
    return rc;
}

int user_svc_new(const struct user_config *config, struct user_svc **ret_svc)
{
    struct user_svc *svc = calloc(1, sizeof(*svc));

    if (!svc)
        return -ENOMEM;
    svc->config = config;
    int rc = reel_settings_urls_init(&svc->listen, "REEL_USER_LISTEN", config->listen);
    if (rc == REEL_OK)
        rc = open_all(svc);
    if (rc != REEL_OK) {
        user_svc_free(svc);
        return rc;
    }
    *ret_svc = svc;
    return REEL_OK;
}

void user_svc_free(struct user_svc *svc)
{
    if (!svc)
        return;
    user_svc_drain(svc);
    reel_server_free(svc->server);
    keeper_stop(svc->keeper);
    hasher_free(svc->hasher);
    keys_close(svc->keys);
    reel_pg_free(svc->pg);
    reel_settings_urls_fini(&svc->listen);
    free(svc);
}

bool user_svc_is_ready(void *arg)
{
    struct user_svc *svc = arg;

    return reel_pg_is_up(svc->pg, reel_deadline_in_us(READY_TIMEOUT_US));
}

void user_svc_drain(void *arg)
{
    struct user_svc *svc = arg;

    atomic_store(&svc->draining, true);
}
