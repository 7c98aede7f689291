// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/scripted.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/must.h"

struct scripted {
    char dir[40];
    struct sockaddr_un address;
    char url[128];
    const char *marker;
    const char *says;
    int listener;
    int stop_pipe[2];
    pthread_t thread;
};

// Waits until `fd` is readable; false when the server is to stop.
static bool await(const struct scripted *s, int fd)
{
    struct pollfd fds[] = {
        {.fd = s->stop_pipe[0], .events = POLLIN},
        {.fd = fd, .events = POLLIN},
    };

    poll(fds, 2, -1);
    return fds[0].revents == 0;
}

static void talk(const struct scripted *s, int client)
{
    while (await(s, client)) {
        char bytes[4096];
        ssize_t n = read(client, bytes, sizeof(bytes));

        if (n <= 0)
            return;
        bool marked = memmem(bytes, (size_t)n, s->marker, strlen(s->marker));
        const char *answer = marked ? s->says : "+OK\r\n";
        if (!answer)
            return;
        must(write(client, answer, strlen(answer)) == (ssize_t)strlen(answer), "write");
    }
}

static void *run(void *arg)
{
    struct scripted *s = arg;

    while (await(s, s->listener)) {
        int client = accept(s->listener, NULL, NULL);

        must(client >= 0, "accept");
        talk(s, client);
        close(client);
    }
    return NULL;
}

struct scripted *scripted_start(const char *marker, const char *says)
{
    struct scripted *s = calloc(1, sizeof(*s));

    must(s != NULL, "calloc");
    s->marker = marker;
    s->says = says;
    snprintf(s->dir, sizeof(s->dir), "/tmp/reel-scripted-XXXXXX");
    must(mkdtemp(s->dir) != NULL, "mkdtemp");
    s->address.sun_family = AF_UNIX;
    snprintf(s->address.sun_path, sizeof(s->address.sun_path), "%s/redis.sock", s->dir);
    snprintf(s->url, sizeof(s->url), "unix://%s", s->address.sun_path);
    s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    must(bind(s->listener, (struct sockaddr *)&s->address, sizeof(s->address)) == 0, "bind");
    must(listen(s->listener, 8) == 0, "listen");
    must(pipe(s->stop_pipe) == 0, "pipe");
    must(pthread_create(&s->thread, NULL, run, s) == 0, "pthread_create");
    return s;
}

const char *scripted_url(const struct scripted *server)
{
    return server->url;
}

void scripted_stop(struct scripted *server)
{
    must(write(server->stop_pipe[1], "x", 1) == 1, "write");
    pthread_join(server->thread, NULL);
    close(server->listener);
    close(server->stop_pipe[0]);
    close(server->stop_pipe[1]);
    unlink(server->address.sun_path);
    rmdir(server->dir);
    free(server);
}
