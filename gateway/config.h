// SPDX-License-Identifier: Apache-2.0
// The gateway's settings.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"

struct gateway_config {
    const char *log_level;
    const char *host;
    int64_t port;
    const char *user_url;
    const char *video_url;
    const char *job_url;
    const char *events_url;
    const char *redis_url;
    const char *storage_dir; // empty: assets come over RPC
    const char *key;
    int64_t threads;
    int64_t max_connections;
    int64_t max_connections_per_address;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t request_timeout_ms;
    int64_t min_bytes_per_second;
    int64_t rate_window_ms;
    int64_t max_json_bytes;
    int64_t max_upload_bytes;
    const char *rate_limits;
    const char *trusted_proxies;
    const char *cors_origins;
    const char *metrics_allow;
    bool secure_cookies;
    int64_t sse_heartbeat_ms;
    int64_t grace_ms;
};

// Fills the settings from defaults, environment and argv; see reel_config_load.
int gateway_config_load(int argc, char **argv, struct gateway_config *ret_config) REEL_MUST_CHECK;
