// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include "libcommon/core/clock.h"
#include "libcommon/redis/conn.h"

enum { LONGEST_POLL_MS = 60 * 1000, FEW_ARGS = 32 };

static int wait_link(const redisContext *link, short events, int64_t deadline_us)
{
    for (;;) {
        struct pollfd fd = {.fd = link->fd, .events = events};
        int n = poll(&fd, 1, reel_deadline_left_ms(deadline_us, LONGEST_POLL_MS));

        if (n > 0)
            return REEL_OK;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && reel_deadline_passed(deadline_us))
            return REEL_DEADLINE_EXCEEDED;
    }
}

static int append(redisContext *link, size_t n_args, const struct reel_redis_arg *args)
{
    const char *few[FEW_ARGS];
    size_t few_len[FEW_ARGS];
    REEL_AUTO(reel_freep) void *many = NULL;
    const char **argv = few;
    size_t *lens = few_len;

    if (n_args > FEW_ARGS) {
        many = calloc(n_args, sizeof(*argv) + sizeof(*lens));
        if (!many)
            return -ENOMEM;
        argv = many;
        lens = (size_t *)(void *)(argv + n_args);
    }
    for (size_t i = 0; i < n_args; i++) {
        argv[i] = args[i].data;
        lens[i] = args[i].len;
    }
    return redisAppendCommandArgv(link, (int)n_args, argv, lens) == REDIS_OK ? REEL_OK : -ENOMEM;
}

static int send_all(redisContext *link, int64_t deadline_us)
{
    for (;;) {
        int done = 0;

        if (redisBufferWrite(link, &done) != REDIS_OK)
            return REEL_UNAVAILABLE;
        if (done)
            return REEL_OK;
        int rc = wait_link(link, POLLOUT, deadline_us);
        if (rc != REEL_OK)
            return rc;
    }
}

static int receive(redisContext *link, int64_t deadline_us, redisReply **ret_reply)
{
    for (;;) {
        void *reply = NULL;

        if (redisGetReplyFromReader(link, &reply) != REDIS_OK)
            return REEL_UNAVAILABLE;
        if (reply) {
            *ret_reply = reply;
            return REEL_OK;
        }
        int rc = wait_link(link, POLLIN, deadline_us);
        if (rc != REEL_OK)
            return rc;
        if (redisBufferRead(link) != REDIS_OK)
            return REEL_UNAVAILABLE;
    }
}

int reel_redis_link_roundtrip(struct redisContext *link, int64_t deadline_us, size_t n_args,
                              const struct reel_redis_arg *args, struct redisReply **ret_reply)
{
    int rc = append(link, n_args, args);

    if (rc == REEL_OK)
        rc = send_all(link, deadline_us);
    if (rc == REEL_OK)
        rc = receive(link, deadline_us, ret_reply);
    return rc;
}

static int await_connected(const redisContext *link, int64_t deadline_us)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (link->err)
        return REEL_UNAVAILABLE;
    int rc = wait_link(link, POLLOUT, deadline_us);
    if (rc != REEL_OK)
        return rc;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        return REEL_UNAVAILABLE;
    return REEL_OK;
}

// One of the commands that make a fresh connection ours; LOADING or a wrong password end it.
static int greet(redisContext *link, int64_t deadline_us, size_t n_words, const char *const *words)
{
    struct reel_redis_arg args[3];
    redisReply *reply = NULL;

    for (size_t i = 0; i < n_words; i++)
        args[i] = reel_redis_str(words[i]);
    int rc = reel_redis_link_roundtrip(link, deadline_us, n_words, args, &reply);
    if (rc != REEL_OK)
        return rc;
    rc = reply->type == REDIS_REPLY_ERROR ? REEL_UNAVAILABLE : REEL_OK;
    freeReplyObject(reply);
    return rc;
}

static int greet_all(redisContext *link, const struct reel_redis_address *address,
                     int64_t deadline_us)
{
    const char *as_user[] = {"AUTH", address->user, address->password};
    const char *as_default[] = {"AUTH", address->password};
    const char *select[] = {"SELECT", address->db};
    const char *name[] = {"CLIENT", "SETNAME", address->client_name};
    int rc = REEL_OK;

    if (address->user)
        rc = greet(link, deadline_us, REEL_ARRAY_SIZE(as_user), as_user);
    else if (address->password)
        rc = greet(link, deadline_us, REEL_ARRAY_SIZE(as_default), as_default);
    // Also with database 0: it tells a server that is still loading from one that is ready.
    if (rc == REEL_OK)
        rc = greet(link, deadline_us, REEL_ARRAY_SIZE(select), select);
    if (rc == REEL_OK && address->client_name)
        rc = greet(link, deadline_us, REEL_ARRAY_SIZE(name), name);
    return rc;
}

static void close_link(redisContext **link)
{
    reel_redis_link_close(*link);
}

int reel_redis_link_open(const struct reel_redis_address *address, int64_t deadline_us,
                         struct redisContext **ret_link)
{
    REEL_AUTO(close_link)
    redisContext *link = address->unix_path ? redisConnectUnixNonBlock(address->unix_path)
                                            : redisConnectNonBlock(address->host, address->port);

    if (!link)
        return -ENOMEM;
    int rc = await_connected(link, deadline_us);
    if (rc == REEL_OK && !address->unix_path && redisEnableKeepAlive(link) != REDIS_OK)
        rc = REEL_UNAVAILABLE;
    if (rc == REEL_OK)
        rc = greet_all(link, address, deadline_us);
    if (rc == REEL_OK)
        *ret_link = REEL_STEAL(&link);
    return rc;
}

void reel_redis_link_close(struct redisContext *link)
{
    redisFree(link);
}

bool reel_redis_link_is_quiet(const struct redisContext *link)
{
    struct pollfd fd = {.fd = link->fd, .events = POLLIN};

    return poll(&fd, 1, 0) == 0;
}
