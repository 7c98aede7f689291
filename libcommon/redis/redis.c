// SPDX-License-Identifier: Apache-2.0
#include "libcommon/redis/redis.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/pool.h"
#include "libcommon/redis/conn.h"

enum { DEFAULT_CONNECTIONS = 8 };

struct reel_redis {
    struct reel_pool *pool;
    struct reel_redis_address address;
    int64_t timeout_us;
};

struct reel_redis_conn {
    struct reel_redis_address address;
    struct redisContext *link; // NULL until the first command and after an error
    int64_t timeout_us;        // for connecting
};

struct reel_redis_arg reel_redis_str(const char *s)
{
    return (struct reel_redis_arg){.data = s, .len = strlen(s)};
}

struct reel_redis_arg reel_redis_int(struct reel_arena *arena, int64_t value)
{
    const char *text = reel_arena_printf(arena, "%lld", (long long)value);

    return (struct reel_redis_arg){.data = text, .len = text ? strlen(text) : 0};
}

static int64_t timeout_us_of(const struct reel_redis_config *config)
{
    uint32_t ms = config->timeout_ms ? config->timeout_ms : REEL_REDIS_DEFAULT_TIMEOUT_MS;

    return ms * INT64_C(1000);
}

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

// Connects within the timeout. That the server did not answer within it is its fault, not the
// caller's deadline's.
static int open_link(const struct reel_redis_address *address, int64_t timeout_us,
                     int64_t deadline_us, struct redisContext **ret_link)
{
    int64_t own_us = reel_deadline_in_us(timeout_us);
    int rc = reel_redis_link_open(address, earlier(own_us, deadline_us), ret_link);

    if (rc < 0 || (rc == REEL_DEADLINE_EXCEEDED && own_us <= deadline_us))
        return REEL_UNAVAILABLE;
    return rc;
}

static int pool_open(void *owner, int64_t deadline_us, void **ret_item)
{
    struct reel_redis *redis = owner;
    struct redisContext *link = NULL;
    int rc = open_link(&redis->address, redis->timeout_us, deadline_us, &link);

    if (rc == REEL_OK)
        *ret_item = link;
    return rc;
}

static void pool_close(void *item)
{
    reel_redis_link_close(item);
}

static bool pool_is_alive(void *item)
{
    return reel_redis_link_is_quiet(item);
}

static const struct reel_pool_ops pool_ops = {
    .open = pool_open,
    .close = pool_close,
    .is_alive = pool_is_alive,
};

static void free_redis(struct reel_redis **redis)
{
    reel_redis_free(*redis);
}

int reel_redis_new(const struct reel_redis_config *config, struct reel_redis **ret_redis)
{
    REEL_AUTO(free_redis) struct reel_redis *redis = calloc(1, sizeof(*redis));
    unsigned max = config->max_connections ? config->max_connections : DEFAULT_CONNECTIONS;

    if (!redis)
        return -ENOMEM;
    // hiredis writes without MSG_NOSIGNAL.
    signal(SIGPIPE, SIG_IGN);
    redis->timeout_us = timeout_us_of(config);
    int rc = reel_redis_address_init(config, &redis->address);
    if (rc == REEL_OK)
        rc = reel_pool_new(&pool_ops, redis, max, &redis->pool);
    if (rc == REEL_OK)
        *ret_redis = REEL_STEAL(&redis);
    return rc;
}

void reel_redis_free(struct reel_redis *redis)
{
    if (!redis)
        return;
    reel_pool_free(redis->pool);
    reel_redis_address_fini(&redis->address);
    free(redis);
}

int reel_redis_command(struct reel_redis *redis, int64_t deadline_us, struct reel_arena *arena,
                       size_t n_args, const struct reel_redis_arg *args,
                       struct reel_redis_reply *ret_reply)
{
    int64_t until_us = earlier(deadline_us, reel_deadline_in_us(redis->timeout_us));
    bool broken = true;
    void *link = NULL;
    int rc = reel_pool_take(redis->pool, until_us, &link);

    if (rc != REEL_OK)
        return rc;
    rc = reel_redis_link_command(link, until_us, arena, n_args, args, ret_reply, &broken);
    reel_pool_give(redis->pool, link, !broken);
    return rc;
}

static int run_in_pool(void *who, int64_t deadline_us, struct reel_arena *arena, size_t n_args,
                       const struct reel_redis_arg *args, struct reel_redis_reply *ret_reply)
{
    return reel_redis_command(who, deadline_us, arena, n_args, args, ret_reply);
}

int reel_redis_eval(struct reel_redis *redis, int64_t deadline_us, struct reel_arena *arena,
                    struct reel_redis_script *script, size_t n_keys,
                    const struct reel_redis_arg *keys, size_t n_args,
                    const struct reel_redis_arg *args, struct reel_redis_reply *ret_reply)
{
    const struct reel_redis_eval_call eval = {script, n_keys, keys, n_args, args};

    return reel_redis_run_script(run_in_pool, redis, deadline_us, arena, &eval, ret_reply);
}

static void close_conn(struct reel_redis_conn **conn)
{
    reel_redis_conn_close(*conn);
}

int reel_redis_conn_open(const struct reel_redis_config *config, struct reel_redis_conn **ret_conn)
{
    REEL_AUTO(close_conn) struct reel_redis_conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        return -ENOMEM;
    signal(SIGPIPE, SIG_IGN);
    conn->timeout_us = timeout_us_of(config);
    int rc = reel_redis_address_init(config, &conn->address);
    if (rc == REEL_OK)
        *ret_conn = REEL_STEAL(&conn);
    return rc;
}

void reel_redis_conn_close(struct reel_redis_conn *conn)
{
    if (!conn)
        return;
    reel_redis_link_close(conn->link);
    reel_redis_address_fini(&conn->address);
    free(conn);
}

int reel_redis_conn_command(struct reel_redis_conn *conn, int64_t deadline_us,
                            struct reel_arena *arena, size_t n_args,
                            const struct reel_redis_arg *args, struct reel_redis_reply *ret_reply)
{
    bool broken = true;
    int rc = REEL_OK;

    if (conn->link && !reel_redis_link_is_quiet(conn->link))
        reel_redis_link_close(REEL_STEAL(&conn->link));
    if (!conn->link)
        rc = open_link(&conn->address, conn->timeout_us, deadline_us, &conn->link);
    if (rc != REEL_OK)
        return rc;
    rc = reel_redis_link_command(conn->link, deadline_us, arena, n_args, args, ret_reply, &broken);
    if (broken)
        reel_redis_link_close(REEL_STEAL(&conn->link));
    return rc;
}
