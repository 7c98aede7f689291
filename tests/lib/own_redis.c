// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/own_redis.h"

#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/must.h"

enum { START_TRIES = 400, TRY_US = 25 * 1000 };

struct own_redis {
    char dir[40];
    struct sockaddr_un address;
    char url[128];
    pid_t pid;
};

static bool answers(const struct own_redis *redis)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char bytes[8] = "";
    bool ok = connect(fd, (const struct sockaddr *)&redis->address, sizeof(redis->address)) == 0 &&
              write(fd, "PING\r\n", 6) == 6 && read(fd, bytes, 7) == 7 &&
              strcmp(bytes, "+PONG\r\n") == 0;

    close(fd);
    return ok;
}

static void launch(struct own_redis *redis)
{
    extern char **environ;
    const char *const argv[] = {
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        redis->address.sun_path,
        "--dir",
        redis->dir,
        "--save",
        "",
        "--loglevel",
        "warning",
        "--logfile",
        "/dev/null",
        NULL,
    };

    must(posix_spawnp(&redis->pid, argv[0], NULL, NULL, (char **)argv, environ) == 0,
         "redis-server");
    for (int i = 0; i < START_TRIES && !answers(redis); i++)
        usleep(TRY_US);
    must(answers(redis), "redis-server does not answer");
}

struct own_redis *own_redis_start(void)
{
    struct own_redis *redis = calloc(1, sizeof(*redis));

    must(redis != NULL, "calloc");
    snprintf(redis->dir, sizeof(redis->dir), "/tmp/reel-redis-XXXXXX");
    must(mkdtemp(redis->dir) != NULL, "mkdtemp");
    redis->address.sun_family = AF_UNIX;
    snprintf(redis->address.sun_path, sizeof(redis->address.sun_path), "%s/redis.sock", redis->dir);
    snprintf(redis->url, sizeof(redis->url), "unix://%s", redis->address.sun_path);
    launch(redis);
    return redis;
}

const char *own_redis_url(const struct own_redis *redis)
{
    return redis->url;
}

void own_redis_kill(struct own_redis *redis)
{
    kill(redis->pid, SIGKILL);
    must(waitpid(redis->pid, NULL, 0) == redis->pid, "waitpid");
    unlink(redis->address.sun_path);
    redis->pid = 0;
}

void own_redis_restart(struct own_redis *redis)
{
    launch(redis);
}

void own_redis_stop(struct own_redis *redis)
{
    if (redis->pid)
        own_redis_kill(redis);
    rmdir(redis->dir);
    free(redis);
}
