// SPDX-License-Identifier: Apache-2.0
#include "svc-video/svc.h"

#include <errno.h>

#include "libcommon/core/clock.h"
#include "svc-video/events.h"
#include "svc-video/handlers.h"
#include "svc-video/reconciler.h"

enum { READY_TIMEOUT_US = 500 * 1000 };

static int open_server(struct video_svc *svc)
{
    struct reel_server_config server = {
        .service = "video",
        .urls = svc->listen.urls,
        .n_urls = svc->listen.n,
        .peers = svc->config->peers,
        .n_peers = VIDEO_N_PEERS,
    };
    int rc = reel_server_new(&server, &svc->server);
    if (rc == REEL_OK)
        reel_server_add(svc->server, &video_service, &video_handlers, svc);
    return rc;
}

static int open_all(struct video_svc *svc)
{
    const struct video_config *config = svc->config;
    struct reel_pg_config pg = {
        .url = config->database_url, .application = "reel-video", .max_connections = 16};
    struct reel_channel_config jobs = {
        .url = config->job_url, .service = "video", .key = config->key};
    int rc = reel_storage_new(config->storage_dir, &svc->storage);

    if (rc == REEL_OK)
        rc = reel_pg_new(&pg, &svc->pg);
    if (rc == REEL_OK)
        rc = reel_channel_open(&jobs, &svc->jobs);
    if (rc == REEL_OK)
        rc = events_open(config->events_url, svc->pg, svc->jobs, &svc->events);
    if (rc == REEL_OK)
        rc = reconciler_start(svc, &svc->reconciler);
    if (rc == REEL_OK)
        rc = open_server(svc);
    return rc;
}

int video_svc_new(const struct video_config *config, struct video_svc **ret_svc)
{
    struct video_svc *svc = calloc(1, sizeof(*svc));
    int rc;

    if (!svc)
        return -ENOMEM;
    svc->config = config;
    rc = reel_settings_urls_init(&svc->listen, "REEL_VIDEO_LISTEN", config->listen);
    if (rc == REEL_OK)
        rc = open_all(svc);
    if (rc != REEL_OK) {
        video_svc_free(svc);
        return rc;
    }
    *ret_svc = svc;
    return REEL_OK;
}

void video_svc_free(struct video_svc *svc)
{
    if (!svc)
        return;
    reel_server_free(svc->server);
    reconciler_stop(svc->reconciler);
    events_close(svc->events);
    reel_channel_close(svc->jobs);
    reel_pg_free(svc->pg);
    reel_storage_free(svc->storage);
    reel_settings_urls_fini(&svc->listen);
    free(svc);
}

bool video_svc_is_ready(void *arg)
{
    struct video_svc *svc = arg;

    return reel_storage_is_writable(svc->storage) &&
           reel_pg_is_up(svc->pg, reel_deadline_in_us(READY_TIMEOUT_US));
}
