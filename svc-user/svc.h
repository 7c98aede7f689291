// SPDX-License-Identifier: Apache-2.0
// The user service as a whole: what its handlers share, and its life.
#pragma once

#include <stdatomic.h>

#include "libcommon/core/base.h"
#include "libcommon/pg/pg.h"
#include "libcommon/rpc/server.h"
#include "libcommon/svc/settings.h"
#include "svc-user/config.h"

struct hasher;
struct keeper;
struct keys;

struct user_svc {
    const struct user_config *config;
    struct reel_settings_urls listen;
    struct reel_pg *pg;
    struct hasher *hasher;
    struct keys *keys;
    struct keeper *keeper;
    struct reel_server *server; // not started yet
    atomic_bool draining;       // revocation streams end
};

// Opens everything but the server's listeners. The database may be away. `config` is borrowed for
// the life of the service.
int user_svc_new(const struct user_config *config, struct user_svc **ret_svc) REEL_MUST_CHECK;

// Stops and frees; NULL is fine. The server must have drained.
void user_svc_free(struct user_svc *svc);

// Whether the database can be used; for reel_svc. `svc` is a struct user_svc.
bool user_svc_is_ready(void *svc);

// Ends the revocation streams, which would otherwise outlast the drain; for reel_svc.
void user_svc_drain(void *svc);

// Applies the database migrations.
int user_svc_migrate(const struct user_config *config) REEL_MUST_CHECK;
