// SPDX-License-Identifier: Apache-2.0
// The settings of the video service.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/server.h"

// The services that may call; indexes into peers.
enum { VIDEO_PEER_GATEWAY, VIDEO_PEER_TOOL, VIDEO_N_PEERS };

struct video_config {
    const char *log_level;
    const char *listen; // comma-separated URLs
    const char *job_url;
    const char *events_url;
    const char *database_url;
    const char *storage_dir;
    const char *key; // own API key
    struct reel_peer_key peers[VIDEO_N_PEERS];
    int64_t max_upload_bytes;
    int64_t reserve_bytes; // that uploads leave free on the disk
    int64_t upload_ttl_ms; // after which files without a row are removed
    int64_t reconcile_ms;  // between two rounds of the reconciler
    int64_t grace_ms;
    int64_t metrics_port; // of 127.0.0.1; 0: none
    bool migrate;
};

// Reads environment and flags. As reel_config_load.
int video_config_load(int argc, char **argv, struct video_config *ret_config) REEL_MUST_CHECK;
