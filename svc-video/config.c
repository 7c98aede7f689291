// SPDX-License-Identifier: Apache-2.0
#include "svc-video/config.h"

#include <stddef.h>

#include "libcommon/svc/settings.h"

#define FIELD(name) offsetof(struct video_config, name)

static const struct reel_config_item items[] = {
    REEL_SETTINGS_LOG_LEVEL(struct video_config, log_level),
    REEL_SETTINGS_LISTEN(struct video_config, listen, "REEL_VIDEO_LISTEN", "tcp://127.0.0.1:3002"),
    {.name = "REEL_JOB_URL",
     .type = REEL_CONFIG_STRING,
     .offset = FIELD(job_url),
     .default_text = "tcp://127.0.0.1:3003",
     .help = "where the job service is"},
    {.name = "REEL_EVENTS_URL",
     .type = REEL_CONFIG_STRING,
     .offset = FIELD(events_url),
     .default_text = "tcp://127.0.0.1:3103",
     .help = "where the job service publishes events"},
    REEL_SETTINGS_DATABASE_URL(struct video_config, database_url),
    {.name = "REEL_STORAGE_DIR",
     .type = REEL_CONFIG_STRING,
     .offset = FIELD(storage_dir),
     .default_text = "storage",
     .help = "directory of the videos' files, shared with the job service"},
    REEL_SETTINGS_KEY(struct video_config, key, "REEL_KEY_VIDEO", "own API key"),
    REEL_SETTINGS_PEER(struct video_config, peers[VIDEO_PEER_GATEWAY], "REEL_KEY_GATEWAY",
                       "API key of the gateway", "the gateway's"),
    REEL_SETTINGS_PEER(struct video_config, peers[VIDEO_PEER_TOOL], "REEL_KEY_TOOL",
                       "API key of internal tools", "the tools'"),
    {.name = "REEL_MAX_UPLOAD_BYTES",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(max_upload_bytes),
     .default_text = "10737418240",
     .min = 1,
     .max = INT64_MAX,
     .unit = "bytes",
     .help = "largest upload"},
    {.name = "REEL_STORAGE_RESERVE_BYTES",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(reserve_bytes),
     .default_text = "268435456",
     .min = 0,
     .max = INT64_MAX,
     .unit = "bytes",
     .help = "disk space that uploads leave free"},
    {.name = "REEL_UPLOAD_TTL_MS",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(upload_ttl_ms),
     .default_text = "7200000",
     .min = 1000,
     .max = INT64_MAX / 1000000,
     .unit = "ms",
     .help = "age at which files of an upload that was never finished are removed"},
    {.name = "REEL_RECONCILE_MS",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(reconcile_ms),
     .default_text = "2000",
     .min = 50,
     .max = 3600000,
     .unit = "ms",
     .help = "time between two looks for work that was left half done"},
    REEL_SETTINGS_GRACE_MS(struct video_config, grace_ms, "10000",
                           "time for calls in flight to finish after SIGTERM"),
    REEL_SETTINGS_METRICS_PORT(struct video_config, metrics_port),
    REEL_SETTINGS_MIGRATE(struct video_config, migrate),
};

int video_config_load(int argc, char **argv, struct video_config *ret_config)
{
    *ret_config = (struct video_config){
        .peers = {[VIDEO_PEER_GATEWAY] = {.service = "gateway", .may_speak_for_users = true},
                  [VIDEO_PEER_TOOL] = {.service = "tool", .may_speak_for_users = true}},
    };
    return reel_config_load("reel-video", "Videos, their files and the operations on them.", items,
                            REEL_ARRAY_SIZE(items), ret_config, argc, argv, NULL);
}
