// SPDX-License-Identifier: Apache-2.0
// What every service has among its settings: the rows of its table (libcommon/core/config.h) for
// log level, listener, database, API keys and the end of the process, and the listener's URLs.
//
// In the rows `type_` is the settings struct of the service and `field_` the member a row fills.
#pragma once

#include <stddef.h>

#include "libcommon/core/base.h"
#include "libcommon/core/config.h"
#include "libcommon/rpc/server.h"

// Fills a const char * that reel_log_level_parse knows.
#define REEL_SETTINGS_LOG_LEVEL(type_, field_)                                                     \
    {                                                                                              \
        .name = "REEL_LOG_LEVEL", .type = REEL_CONFIG_STRING, .offset = offsetof(type_, field_),   \
        .default_text = "info", .help = "lowest level of log lines written",                       \
        .allowed = "debug, info, warn, error"                                                      \
    }

// Fills a const char *, for reel_settings_urls_init.
#define REEL_SETTINGS_LISTEN(type_, field_, name_, default_)                                       \
    {                                                                                              \
        .name = name_, .type = REEL_CONFIG_STRING, .offset = offsetof(type_, field_),              \
        .default_text = default_, .help = "where to listen, comma-separated URLs"                  \
    }

// Fills a const char *.
#define REEL_SETTINGS_DATABASE_URL(type_, field_)                                                  \
    {                                                                                              \
        .name = "DATABASE_URL", .type = REEL_CONFIG_STRING, .offset = offsetof(type_, field_),     \
        .help = "PostgreSQL connection string or URI", .secret = true                              \
    }

// Fills a const char * with an API key; "" when none is set.
#define REEL_SETTINGS_KEY(type_, field_, name_, help_)                                             \
    {                                                                                              \
        .name = name_, .type = REEL_CONFIG_STRING, .offset = offsetof(type_, field_),              \
        .default_text = "", .help = help_, .secret = true                                          \
    }

// Two rows: fills key and previous_key of a struct reel_peer_key, whose other members are the
// service's to set. `whose_` as in "the tools'".
#define REEL_SETTINGS_PEER(type_, field_, name_, help_, whose_)                                    \
    REEL_SETTINGS_KEY(type_, field_.key, name_, help_),                                            \
        REEL_SETTINGS_KEY(type_, field_.previous_key, name_ "_PREVIOUS",                           \
                          whose_ " former key, valid during rotation")

// Fills an int64_t, in milliseconds.
#define REEL_SETTINGS_GRACE_MS(type_, field_, default_, help_)                                     \
    {                                                                                              \
        .name = "REEL_GRACE_MS", .type = REEL_CONFIG_INT, .offset = offsetof(type_, field_),       \
        .default_text = default_, .min = 0, .max = 3600000, .unit = "ms", .help = help_            \
    }

// Fills an int64_t, for struct reel_svc.
#define REEL_SETTINGS_METRICS_PORT(type_, field_)                                                  \
    {                                                                                              \
        .name = "REEL_METRICS_PORT", .type = REEL_CONFIG_INT, .offset = offsetof(type_, field_),   \
        .default_text = "0", .min = 0, .max = 65535, .unit = "",                                   \
        .help = "port of 127.0.0.1 that answers GET /metrics; 0: none does"                        \
    }

// Fills a bool.
#define REEL_SETTINGS_MIGRATE(type_, field_)                                                       \
    {                                                                                              \
        .name = "REEL_MIGRATE", .type = REEL_CONFIG_BOOL, .offset = offsetof(type_, field_),       \
        .default_text = "false", .help = "apply the database migrations and exit"                  \
    }

enum { REEL_SETTINGS_URLS_MAX = 8 };

// The URLs of a listener, as struct reel_server_config wants them.
struct reel_settings_urls {
    char *text; // what `urls` point into
    const char *urls[REEL_SETTINGS_URLS_MAX];
    size_t n;
};

// Takes a copy of `listen`, the value of the setting `name`, apart at its commas; what is empty is
// left out. REEL_INVALID_ARGUMENT, said in the log with the setting's name, when there is no URL or
// more than REEL_SETTINGS_URLS_MAX; -ENOMEM. Then nothing needs to be freed. One thread.
int reel_settings_urls_init(struct reel_settings_urls *urls, const char *name,
                            const char *listen) REEL_MUST_CHECK;

// Frees what reel_settings_urls_init took; one of all zeros is fine. One thread.
void reel_settings_urls_fini(struct reel_settings_urls *urls);
