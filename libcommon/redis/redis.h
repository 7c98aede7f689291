// SPDX-License-Identifier: Apache-2.0
// Redis: a bounded pool of connections over hiredis, commands as argument vectors (never formatted
// strings), Lua scripts by EVALSHA with EVAL as fallback, every wait bounded.
//
// After any error a connection is closed and the command's outcome is not known (REEL_UNAVAILABLE).
// Nothing of hiredis leaves this module. A pool is shared by all threads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/err.h"

struct reel_redis;

struct reel_redis_config {
    const char *url;          // redis://[:password@]host:port[/db] or unix:///path[?db=n]
    const char *client_name;  // CLIENT SETNAME, or NULL
    unsigned max_connections; // 0 is 8
    uint32_t timeout_ms;      // of one command when the deadline is later; 0 is 2,000
};

enum reel_redis_type {
    REEL_REDIS_NIL,
    REEL_REDIS_STRING, // a status ("OK") as well
    REEL_REDIS_INTEGER,
    REEL_REDIS_ARRAY,
    REEL_REDIS_ERROR, // an error reply, also as an element of an array; its text is in str
};

// A reply in an arena.
struct reel_redis_reply {
    enum reel_redis_type type;
    int64_t integer;
    const char *str; // NUL-terminated, may hold NULs
    size_t len;      // of str
    struct reel_redis_reply *items;
    size_t n_items;
};

struct reel_redis_arg {
    const void *data;
    size_t len;
};

// An argument from a string.
struct reel_redis_arg reel_redis_str(const char *s);

// An argument from an integer, formatted in the arena.
struct reel_redis_arg reel_redis_int(struct reel_arena *arena, int64_t value);

// Creates a pool; connects lazily. Strings are copied. Ignores SIGPIPE for the process.
int reel_redis_new(const struct reel_redis_config *config,
                   struct reel_redis **ret_redis) REEL_MUST_CHECK;

// Closes every connection and frees. NULL is fine.
void reel_redis_free(struct reel_redis *redis);

// Runs one command. Outcomes: REEL_UNAVAILABLE (not reached, lost, LOADING, MISCONF and the like),
// REEL_DEADLINE_EXCEEDED, REEL_RESOURCE_EXHAUSTED (OOM, or the reply does not fit the arena),
// REEL_FAILED_PRECONDITION (another error reply; its text goes to ret_reply->str). `ret_reply` may
// be NULL. Not for commands that block in Redis or change the connection (SELECT, SUBSCRIBE):
// those need a reel_redis_conn.
int reel_redis_command(struct reel_redis *redis, int64_t deadline_us, struct reel_arena *arena,
                       size_t n_args, const struct reel_redis_arg *args,
                       struct reel_redis_reply *ret_reply) REEL_MUST_CHECK;

// A Lua script; static storage, one a script. `sha` is filled on first use.
struct reel_redis_script {
    const char *name;
    const char *source;
    char sha[41];
    int sha_state; // private
};

// Runs a script with keys and arguments: EVALSHA, then EVAL on NOSCRIPT.
int reel_redis_eval(struct reel_redis *redis, int64_t deadline_us, struct reel_arena *arena,
                    struct reel_redis_script *script, size_t n_keys,
                    const struct reel_redis_arg *keys, size_t n_args,
                    const struct reel_redis_arg *args,
                    struct reel_redis_reply *ret_reply) REEL_MUST_CHECK;

// A connection of one's own, outside the pool: for commands that block in Redis, and for a client
// name that others look for. One thread at a time.
struct reel_redis_conn;

// Prepares a connection; it connects at the first command, and again after an error. Strings are
// copied; max_connections is not used.
int reel_redis_conn_open(const struct reel_redis_config *config,
                         struct reel_redis_conn **ret_conn) REEL_MUST_CHECK;

// Closes and frees. NULL is fine.
void reel_redis_conn_close(struct reel_redis_conn *conn);

// As reel_redis_command, but the deadline alone bounds the wait, not timeout_ms: a blocking command
// (BZPOPMIN key 5) may wait as long as its own timeout says. Give it a deadline later than that
// timeout: an element popped after the deadline would be lost.
int reel_redis_conn_command(struct reel_redis_conn *conn, int64_t deadline_us,
                            struct reel_arena *arena, size_t n_args,
                            const struct reel_redis_arg *args,
                            struct reel_redis_reply *ret_reply) REEL_MUST_CHECK;
