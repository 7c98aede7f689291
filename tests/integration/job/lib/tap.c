// SPDX-License-Identifier: Apache-2.0
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/buf.h"
#include "libcommon/core/id.h"
#include "tests/integration/job/lib/servers.h"
#include "tests/lib/cmocka.h"

static const char *const lists[] = {"wait", "active", "paused"};
static const char *const sets[] = {"prioritized", "delayed", "completed", "failed",
                                   "waiting-children"};

void tap_open(struct tap *tap)
{
    const char *url = getenv("REDIS_URL");
    char hex[17];
    char host[64];
    int port;

    if (strncmp(url, "unix://", 7) == 0)
        tap->redis = redisConnectUnix(url + 7);
    else if (sscanf(url, "redis://%63[^:]:%d", host, &port) == 2)
        tap->redis = redisConnect(host, port);
    assert_non_null(tap->redis);
    assert_int_equal(tap->redis->err, 0);
    reel_id_random_hex(hex, 8);
    snprintf(tap->name, sizeof(tap->name), "q%s", hex);
    snprintf(tap->prefix, sizeof(tap->prefix), "test:%s:", tap->name);
}

void tap_close(struct tap *tap)
{
    redisReply *keys = tap_run(tap, "KEYS %s*", tap->prefix);

    for (size_t i = 0; i < keys->elements; i++)
        tap_do(tap, "DEL %s", keys->element[i]->str);
    freeReplyObject(keys);
    redisFree(tap->redis);
}

static redisReply *vrun(struct tap *tap, const char *fmt, va_list args)
{
    redisReply *reply = redisvCommand(tap->redis, fmt, args);

    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", fmt, reply->str);
    return reply;
}

struct redisReply *tap_run(struct tap *tap, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    redisReply *reply = vrun(tap, fmt, args);
    va_end(args);
    return reply;
}

void tap_do(struct tap *tap, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    freeReplyObject(vrun(tap, fmt, args));
    va_end(args);
}

const char *tap_key(const struct tap *tap, const char *suffix)
{
    static char buffers[8][256];
    static unsigned turn;
    char *buffer = buffers[turn++ % 8];

    snprintf(buffer, sizeof(buffers[0]), "%s%s", tap->prefix, suffix);
    return buffer;
}

long long tap_int(struct tap *tap, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    redisReply *reply = vrun(tap, fmt, args);
    va_end(args);
    long long value = reply->type == REDIS_REPLY_STRING ? atoll(reply->str) : reply->integer;
    freeReplyObject(reply);
    return value;
}

char *tap_text(struct tap *tap, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    redisReply *reply = vrun(tap, fmt, args);
    va_end(args);
    char *text = strdup(reply->str != NULL ? reply->str : "");
    freeReplyObject(reply);
    return text;
}

char *tap_events(struct tap *tap)
{
    redisReply *all = tap_run(tap, "XRANGE %s - +", tap_key(tap, "events"));
    struct reel_buf out;

    reel_buf_init(&out, 1 << 20);
    reel_buf_adds(&out, "");
    for (size_t i = 0; i < all->elements; i++) {
        const redisReply *fields = all->element[i]->element[1];
        reel_buf_addf(&out, "%s%s", i > 0 ? "," : "", fields->element[1]->str);
    }
    freeReplyObject(all);
    return reel_buf_steal(&out);
}

static int count_states(struct tap *tap, const char *id)
{
    int n = 0;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        redisReply *r = tap_run(tap, "LPOS %s %s COUNT 0", tap_key(tap, lists[i]), id);
        n += (int)r->elements;
        freeReplyObject(r);
    }
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        redisReply *r = tap_run(tap, "ZSCORE %s %s", tap_key(tap, sets[i]), id);
        n += r->type == REDIS_REPLY_STRING;
        freeReplyObject(r);
    }
    return n;
}

static void check_lock(struct tap *tap, const char *key)
{
    char id[128];

    snprintf(id, sizeof(id), "%s", key + strlen(tap->prefix));
    id[strlen(id) - strlen(":lock")] = '\0';
    redisReply *r = tap_run(tap, "LPOS %s %s", tap_key(tap, "active"), id);
    if (r->type != REDIS_REPLY_INTEGER)
        fail_msg("the lock of %s is left over", id);
    freeReplyObject(r);
}

static void check_ids(struct tap *tap, const char *suffix, const char *command)
{
    redisReply *ids = tap_run(tap, "%s %s 0 -1", command, tap_key(tap, suffix));

    for (size_t i = 0; i < ids->elements; i++) {
        if (tap_int(tap, "EXISTS %s", tap_key(tap, ids->element[i]->str)) != 1)
            fail_msg("%s holds %s, which has no job", suffix, ids->element[i]->str);
    }
    freeReplyObject(ids);
}

void tap_check(struct tap *tap)
{
    redisReply *keys = tap_run(tap, "KEYS %s*", tap->prefix);

    for (size_t i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str;
        const char *suffix = key + strlen(tap->prefix);
        const char *colon = strchr(suffix, ':');
        if (colon != NULL && strcmp(colon, ":lock") == 0)
            check_lock(tap, key);
        if (colon != NULL || strcmp(suffix, "meta") == 0)
            continue;
        char *type = tap_text(tap, "TYPE %s", key);
        if (strcmp(type, "hash") == 0 && count_states(tap, suffix) != 1)
            fail_msg("job %s is in %d states", suffix, count_states(tap, suffix));
        free(type);
    }
    freeReplyObject(keys);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        check_ids(tap, lists[i], "LRANGE");
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        check_ids(tap, sets[i], "ZRANGE");
}
