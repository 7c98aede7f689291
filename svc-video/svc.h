// SPDX-License-Identifier: Apache-2.0
// The video service as a whole: what its handlers share, and its life.
#pragma once

#include "libcommon/core/base.h"
#include "libcommon/pg/pg.h"
#include "libcommon/rpc/channel.h"
#include "libcommon/rpc/server.h"
#include "libcommon/storage/storage.h"
#include "libcommon/svc/settings.h"
#include "svc-video/config.h"

struct events;
struct reconciler;

struct video_svc {
    const struct video_config *config;
    struct reel_settings_urls listen;
    struct reel_pg *pg;
    struct reel_storage *storage;
    struct reel_channel *jobs;
    struct reel_server *server; // not started yet
    struct events *events;
    struct reconciler *reconciler;
};

// Opens everything but the server's listeners: database, storage, job service, events, reconciler.
// Databases and services may be away. `config` is borrowed for the life of the service.
int video_svc_new(const struct video_config *config, struct video_svc **ret_svc) REEL_MUST_CHECK;

// Stops and frees; NULL is fine. The server must have drained.
void video_svc_free(struct video_svc *svc);

// Whether database and storage can be used; for reel_svc. `svc` is a struct video_svc.
bool video_svc_is_ready(void *svc);

// Applies the database migrations.
int video_svc_migrate(const struct video_config *config) REEL_MUST_CHECK;
