// SPDX-License-Identifier: Apache-2.0
#include "svc-user/config.h"

#include <stddef.h>

#include "libcommon/svc/settings.h"

#define FIELD(name) offsetof(struct user_config, name)

static const struct reel_config_item items[] = {
    REEL_SETTINGS_LOG_LEVEL(struct user_config, log_level),
    REEL_SETTINGS_LISTEN(struct user_config, listen, "REEL_USER_LISTEN", "tcp://127.0.0.1:3001"),
    REEL_SETTINGS_DATABASE_URL(struct user_config, database_url),
    {.name = "REEL_KEYS_DIR",
     .type = REEL_CONFIG_STRING,
     .offset = FIELD(keys_dir),
     .default_text = "keys",
     .help = "directory of the keys that sign access tokens; a first one is made if it is empty"},
    REEL_SETTINGS_KEY(struct user_config, key, "REEL_KEY_USER", "own API key"),
    REEL_SETTINGS_PEER(struct user_config, peers[USER_PEER_GATEWAY], "REEL_KEY_GATEWAY",
                       "API key of the gateway", "the gateway's"),
    REEL_SETTINGS_PEER(struct user_config, peers[USER_PEER_TOOL], "REEL_KEY_TOOL",
                       "API key of internal tools", "the tools'"),
    {.name = "REEL_ACCESS_TTL_S",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(access_ttl_s),
     .default_text = "900",
     .min = 30,
     .max = 900,
     .unit = "s",
     .help = "life of an access token"},
    {.name = "REEL_SESSION_TTL_S",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(session_ttl_s),
     .default_text = "2592000",
     .min = 900,
     .max = 31536000,
     .unit = "s",
     .help = "life of a session since its last refresh"},
    {.name = "REEL_SIGNING_DELAY_S",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(signing_delay_s),
     .default_text = "60",
     .min = 0,
     .max = 86400,
     .unit = "s",
     .help = "age at which a new key starts to sign, so that all replicas and gateways know it"},
    {.name = "REEL_SWEEP_MS",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(sweep_ms),
     .default_text = "60000",
     .min = 50,
     .max = 3600000,
     .unit = "ms",
     .help = "time between two removals of dead sessions"},
    {.name = "REEL_HASH_SLOTS",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(hash_slots),
     .default_text = "0",
     .min = 0,
     .max = 16,
     .unit = "",
     .help = "passwords hashed at once; 0 is one a core, at most 16"},
    {.name = "REEL_HASH_WAITING",
     .type = REEL_CONFIG_INT,
     .offset = FIELD(hash_waiting),
     .default_text = "24",
     .min = 0,
     .max = 24,
     .unit = "",
     .help = "logins that may wait for a slot; more are refused"},
    REEL_SETTINGS_GRACE_MS(struct user_config, grace_ms, "10000",
                           "time for calls in flight to finish after SIGTERM"),
    REEL_SETTINGS_METRICS_PORT(struct user_config, metrics_port),
    REEL_SETTINGS_MIGRATE(struct user_config, migrate),
};

int user_config_load(int argc, char **argv, struct user_config *ret_config)
{
    *ret_config = (struct user_config){
        .peers = {[USER_PEER_GATEWAY] = {.service = "gateway", .may_speak_for_users = true},
                  [USER_PEER_TOOL] = {.service = "tool", .may_speak_for_users = true}},
    };
    return reel_config_load("reel-user", "Accounts, sessions and access tokens.", items,
                            REEL_ARRAY_SIZE(items), ret_config, argc, argv, NULL);
}
