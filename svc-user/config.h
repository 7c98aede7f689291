// SPDX-License-Identifier: Apache-2.0
// The settings of the user service.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/server.h"

// The services that may call; indexes into peers.
enum { USER_PEER_GATEWAY, USER_PEER_TOOL, USER_N_PEERS };

struct user_config {
    const char *log_level;
    const char *listen; // comma-separated URLs
    const char *database_url;
    const char *keys_dir;
    const char *key; // own API key
    struct reel_peer_key peers[USER_N_PEERS];
    int64_t access_ttl_s;
    int64_t session_ttl_s;   // since the last refresh
    int64_t signing_delay_s; // before a new signing key is used
    int64_t sweep_ms;
    int64_t hash_slots;   // passwords hashed at once; 0: as hasher_new
    int64_t hash_waiting; // calls that may wait for a slot
    int64_t grace_ms;
    int64_t metrics_port; // of 127.0.0.1; 0: none
    bool migrate;
};

// Reads environment and flags. As reel_config_load.
int user_config_load(int argc, char **argv, struct user_config *ret_config) REEL_MUST_CHECK;
