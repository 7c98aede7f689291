// SPDX-License-Identifier: Apache-2.0
#include <hiredis/hiredis.h>
#include <string.h>

#include "libcommon/redis/conn.h"

// As hiredis 0.14 has it; later ones take any depth.
enum { MAX_NESTING = 7 };

struct error_row {
    const char *prefix;
    int rc;
};

static const struct error_row errors[] = {
    {"OOM ", REEL_RESOURCE_EXHAUSTED}, {"LOADING ", REEL_UNAVAILABLE},
    {"MISCONF ", REEL_UNAVAILABLE},    {"BUSY ", REEL_UNAVAILABLE},
    {"READONLY ", REEL_UNAVAILABLE},   {"MASTERDOWN ", REEL_UNAVAILABLE},
    {"NOREPLICAS ", REEL_UNAVAILABLE}, {"CLUSTERDOWN ", REEL_UNAVAILABLE},
    {"TRYAGAIN ", REEL_UNAVAILABLE},   {"UNBLOCKED ", REEL_UNAVAILABLE},
};

int reel_redis_outcome_of(const char *error)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(errors); i++) {
        if (strncmp(error, errors[i].prefix, strlen(errors[i].prefix)) == 0)
            return errors[i].rc;
    }
    return REEL_FAILED_PRECONDITION;
}

static int copy_reply(struct reel_arena *arena, const redisReply *from,
                      struct reel_redis_reply *ret_reply);

static int copy_text(struct reel_arena *arena, const redisReply *from, enum reel_redis_type type,
                     struct reel_redis_reply *ret_reply)
{
    const char *str = reel_arena_strndup(arena, from->str, from->len);

    if (!str)
        return REEL_RESOURCE_EXHAUSTED;
    *ret_reply = (struct reel_redis_reply){.type = type, .str = str, .len = from->len};
    return REEL_OK;
}

static int copy_array(struct reel_arena *arena, const redisReply *from,
                      struct reel_redis_reply *ret_reply)
{
    struct reel_redis_reply *items = reel_arena_array(arena, from->elements, sizeof(*items));

    if (!items)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < from->elements; i++) {
        int rc = copy_reply(arena, from->element[i], &items[i]);

        if (rc != REEL_OK)
            return rc;
    }
    *ret_reply = (struct reel_redis_reply){
        .type = REEL_REDIS_ARRAY, .items = items, .n_items = from->elements};
    return REEL_OK;
}

// The depth that is_nested_beyond lets through bounds the recursion.
static int copy_reply(struct reel_arena *arena, const redisReply *from,
                      struct reel_redis_reply *ret_reply)
{
    switch (from->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return copy_text(arena, from, REEL_REDIS_STRING, ret_reply);
    case REDIS_REPLY_ERROR:
        return copy_text(arena, from, REEL_REDIS_ERROR, ret_reply);
    case REDIS_REPLY_ARRAY:
        return copy_array(arena, from, ret_reply);
    case REDIS_REPLY_INTEGER:
        *ret_reply =
            (struct reel_redis_reply){.type = REEL_REDIS_INTEGER, .integer = from->integer};
        return REEL_OK;
    default:
        *ret_reply = (struct reel_redis_reply){.type = REEL_REDIS_NIL};
        return REEL_OK;
    }
}

static bool is_nested_beyond(const redisReply *reply, unsigned depth)
{
    for (size_t i = 0; i < reply->elements; i++)
        if (depth == 0 || is_nested_beyond(reply->element[i], depth - 1))
            return true;
    return false;
}

static void free_reply(redisReply **reply)
{
    freeReplyObject(*reply);
}

int reel_redis_link_command(struct redisContext *link, int64_t deadline_us,
                            struct reel_arena *arena, size_t n_args,
                            const struct reel_redis_arg *args, struct reel_redis_reply *ret_reply,
                            bool *ret_broken)
{
    REEL_AUTO(free_reply) redisReply *reply = NULL;
    int rc = reel_redis_link_roundtrip(link, deadline_us, n_args, args, &reply);

    *ret_broken = rc != REEL_OK;
    if (rc != REEL_OK)
        return rc < 0 ? REEL_UNAVAILABLE : rc;
    if (is_nested_beyond(reply, MAX_NESTING)) {
        *ret_broken = true;
        return REEL_UNAVAILABLE;
    }
    if (ret_reply)
        rc = copy_reply(arena, reply, ret_reply);
    if (rc == REEL_OK && reply->type == REDIS_REPLY_ERROR)
        rc = reel_redis_outcome_of(reply->str);
    return rc;
}
