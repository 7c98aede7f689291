// SPDX-License-Identifier: Apache-2.0
#include "gateway/config.h"

#include <stddef.h>

#include "libcommon/core/config.h"
#include "libcommon/svc/settings.h"

#define STRING(name_, field_, default_, help_)                                                     \
    {                                                                                              \
        .name = name_, .type = REEL_CONFIG_STRING, .default_text = default_, .unit = "",           \
        .offset = offsetof(struct gateway_config, field_), .help = help_                           \
    }
#define NUMBER(name_, field_, default_, min_, max_, unit_, help_)                                  \
    {                                                                                              \
        .name = name_, .type = REEL_CONFIG_INT, .default_text = default_, .min = min_,             \
        .max = max_, .unit = unit_, .offset = offsetof(struct gateway_config, field_),             \
        .help = help_                                                                              \
    }

static const struct reel_config_item items[] = {
    REEL_SETTINGS_LOG_LEVEL(struct gateway_config, log_level),
    STRING("REEL_GATEWAY_HOST", host, "0.0.0.0", "address to listen on"),
    NUMBER("REEL_GATEWAY_PORT", port, "3000", 0, 65535, "", "TCP port; 0 takes a free one"),
    STRING("REEL_USER_URL", user_url, "tcp://127.0.0.1:3001", "where the user service listens"),
    STRING("REEL_VIDEO_URL", video_url, "tcp://127.0.0.1:3002", "where the video service listens"),
    STRING("REEL_JOB_URL", job_url, "tcp://127.0.0.1:3003", "where the job service listens"),
    STRING("REEL_EVENTS_URL", events_url, "tcp://127.0.0.1:3103", "where job events are published"),
    STRING("REDIS_URL", redis_url, "redis://127.0.0.1:6379", "Redis, for shared rate limits"),
    STRING("REEL_STORAGE_DIR", storage_dir, "",
           "files to send directly; empty: read them through the video service"),
    {.name = "REEL_KEY_GATEWAY",
     .type = REEL_CONFIG_STRING,
     .default_text = NULL,
     .unit = "",
     .offset = offsetof(struct gateway_config, key),
     .help = "own API key, shown to the services",
     .secret = true},
    NUMBER("REEL_GATEWAY_THREADS", threads, "4", 1, 64, "", "HTTP threads"),
    NUMBER("REEL_MAX_CONNECTIONS", max_connections, "12000", 16, 100000, "",
           "client connections at once"),
    NUMBER("REEL_MAX_CONNECTIONS_PER_ADDRESS", max_connections_per_address, "1000", 1, 100000, "",
           "of them from one address (or IPv6 /64); trusted proxies are exempt"),
    NUMBER("REEL_HEADER_TIMEOUT_MS", header_timeout_ms, "10000", 100, 600000, "ms",
           "time to send a request's whole head"),
    NUMBER("REEL_IDLE_TIMEOUT_MS", idle_timeout_ms, "65000", 1000, 600000, "ms",
           "time between two requests of a connection"),
    NUMBER("REEL_REQUEST_TIMEOUT_MS", request_timeout_ms, "30000", 100, 600000, "ms",
           "deadline of a call whose method sets none"),
    NUMBER("REEL_MIN_BYTES_PER_SECOND", min_bytes_per_second, "1024", 1, 1048576, "bytes/s",
           "slowest body, either way, that is waited for"),
    NUMBER("REEL_RATE_WINDOW_MS", rate_window_ms, "10000", 100, 600000, "ms",
           "time over which that rate is measured"),
    NUMBER("REEL_MAX_JSON_BYTES", max_json_bytes, "1048576", 1024, 1048576, "bytes",
           "largest JSON body"),
    NUMBER("REEL_MAX_UPLOAD_BYTES", max_upload_bytes, "17179869184", 1, INT64_MAX, "bytes",
           "largest upload"),
    STRING("REEL_RATE_LIMITS", rate_limits,
           "auth=100/900,validate=600/60,upload=600/3600,operation=600/60,default=6000/60",
           "class=requests/seconds, by address or user; 0 requests: no limit"),
    STRING("REEL_TRUSTED_PROXIES", trusted_proxies, "",
           "addresses or networks whose X-Forwarded-For and -Proto are believed"),
    STRING("REEL_CORS_ORIGINS", cors_origins, "",
           "origins (scheme://host:port, comma-separated) that browsers may call from"),
    STRING("REEL_METRICS_ALLOW", metrics_allow, "127.0.0.0/8,::1",
           "addresses or networks that may read /metrics"),
    {.name = "REEL_SECURE_COOKIES",
     .type = REEL_CONFIG_BOOL,
     .default_text = "false",
     .unit = "",
     .offset = offsetof(struct gateway_config, secure_cookies),
     .help = "mark the cookie Secure also when the request came by http"},
    NUMBER("REEL_SSE_HEARTBEAT_MS", sse_heartbeat_ms, "15000", 100, 600000, "ms",
           "time between comments on an idle event stream"),
    NUMBER("REEL_GRACE_MS", grace_ms, "10000", 0, 600000, "ms",
           "time for requests in flight to finish after SIGTERM"),
};

int gateway_config_load(int argc, char **argv, struct gateway_config *ret_config)
{
    return reel_config_load("reel-gateway", "HTTP edge of Reelmesh: REST and JSON to RPC.", items,
                            REEL_ARRAY_SIZE(items), ret_config, argc, argv, NULL);
}
