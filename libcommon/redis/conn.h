// SPDX-License-Identifier: Apache-2.0
// Private to libcommon/redis: where a server is, one link to it, and its replies.
#pragma once

#include "libcommon/redis/redis.h"

struct redisContext; // hiredis
struct redisReply;

enum { REEL_REDIS_DEFAULT_TIMEOUT_MS = 2000 };

// A parsed URL; the strings are parts of `storage`.
struct reel_redis_address {
    char *storage;
    const char *unix_path; // or NULL
    const char *host;
    int port;
    const char *user; // or NULL
    const char *password;
    const char *db; // "0" unless the URL names one
    char *client_name;
};

// Parses config->url and copies the client's name. REEL_INVALID_ARGUMENT when it has neither form;
// `ret_address` is to be freed in any case.
int reel_redis_address_init(const struct reel_redis_config *config,
                            struct reel_redis_address *ret_address) REEL_MUST_CHECK;

// Frees. Safe on a zeroed struct.
void reel_redis_address_fini(struct reel_redis_address *address);

// Connects, authenticates, selects the database and sets the name. REEL_UNAVAILABLE or
// REEL_DEADLINE_EXCEEDED.
int reel_redis_link_open(const struct reel_redis_address *address, int64_t deadline_us,
                         struct redisContext **ret_link) REEL_MUST_CHECK;

// Closes at once. NULL is fine.
void reel_redis_link_close(struct redisContext *link);

// Whether an idle link has heard nothing: what would be waiting is the end of the stream. Never
// blocks.
bool reel_redis_link_is_quiet(const struct redisContext *link);

// Sends a command and takes its reply. On any other return than REEL_OK the link is of no further
// use. *ret_reply goes to freeReplyObject.
int reel_redis_link_roundtrip(struct redisContext *link, int64_t deadline_us, size_t n_args,
                              const struct reel_redis_arg *args,
                              struct redisReply **ret_reply) REEL_MUST_CHECK;

// Sends a command, copies its reply into the arena and tells what it means, as reel_redis_command.
// *ret_broken says whether the link is of no further use. `ret_reply` may be NULL.
int reel_redis_link_command(struct redisContext *link, int64_t deadline_us,
                            struct reel_arena *arena, size_t n_args,
                            const struct reel_redis_arg *args, struct reel_redis_reply *ret_reply,
                            bool *ret_broken) REEL_MUST_CHECK;

// The outcome an error reply stands for.
int reel_redis_outcome_of(const char *error);

// A command runner.
typedef int (*reel_redis_run_fn)(void *who, int64_t deadline_us, struct reel_arena *arena,
                                 size_t n_args, const struct reel_redis_arg *args,
                                 struct reel_redis_reply *ret_reply);

struct reel_redis_eval_call {
    struct reel_redis_script *script;
    size_t n_keys;
    const struct reel_redis_arg *keys;
    size_t n_args;
    const struct reel_redis_arg *args;
};

// Runs a script through `run`: EVALSHA, and EVAL when the server does not know it.
int reel_redis_run_script(reel_redis_run_fn run, void *who, int64_t deadline_us,
                          struct reel_arena *arena, const struct reel_redis_eval_call *eval,
                          struct reel_redis_reply *ret_reply) REEL_MUST_CHECK;
