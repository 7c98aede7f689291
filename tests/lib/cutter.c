// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/cutter.h"

#include <libpq-fe.h>
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

struct cutter {
    char dir[32];
    char conninfo[1024];
    struct sockaddr_un server;
    const char *marker;
    enum cut cut;
    int listener;
    int stop_pipe[2];
    pthread_t thread;
};

// Lets bytes pass until the marker, the end of either side, or the stop. False: stop.
static bool pump(struct cutter *c, int client, int server)
{
    bool silent = false;

    for (;;) {
        struct pollfd fds[] = {
            {.fd = c->stop_pipe[0], .events = POLLIN},
            {.fd = silent ? -1 : client, .events = POLLIN},
            {.fd = silent ? -1 : server, .events = POLLIN},
        };
        char bytes[65536];

        poll(fds, 3, -1);
        if (fds[0].revents)
            return false;
        int from = fds[1].revents ? client : server;
        ssize_t n = read(from, bytes, sizeof(bytes));
        if (n <= 0)
            return true;
        bool marked = from == client && memmem(bytes, (size_t)n, c->marker, strlen(c->marker));
        if (marked && c->cut == CUT_REQUEST)
            return true;
        silent = marked && c->cut == CUT_SILENCE;
        if (!silent)
            must(write(from == client ? server : client, bytes, (size_t)n) == n, "write");
        if (marked && c->cut == CUT_ANSWER) {
            // The server must have got to the answer before it finds the connection gone.
            must(read(server, bytes, sizeof(bytes)) > 0, "read");
            return true;
        }
    }
}

static void *run(void *arg)
{
    struct cutter *c = arg;
    bool go_on = true;

    while (go_on) {
        struct pollfd fds[] = {
            {.fd = c->stop_pipe[0], .events = POLLIN},
            {.fd = c->listener, .events = POLLIN},
        };

        poll(fds, 2, -1);
        if (fds[0].revents)
            break;
        int client = accept(c->listener, NULL, NULL);
        int server = socket(AF_UNIX, SOCK_STREAM, 0);
        must(client >= 0 && server >= 0, "socket");
        must(connect(server, (struct sockaddr *)&c->server, sizeof(c->server)) == 0, "connect");
        go_on = pump(c, client, server);
        close(client);
        close(server);
    }
    return NULL;
}

// Only servers on a Unix socket are supported: that is what the test services are.
static void read_url(struct cutter *c, const char *url)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    const char *host = "";
    const char *port = "5432";
    const char *user = "postgres";
    const char *db = "postgres";

    must(options != NULL, "DATABASE_URL");
    for (PQconninfoOption *o = options; o->keyword; o++) {
        if (!o->val)
            continue;
        if (strcmp(o->keyword, "host") == 0)
            host = o->val;
        else if (strcmp(o->keyword, "port") == 0)
            port = o->val;
        else if (strcmp(o->keyword, "user") == 0)
            user = o->val;
        else if (strcmp(o->keyword, "dbname") == 0)
            db = o->val;
    }
    c->server.sun_family = AF_UNIX;
    must((size_t)snprintf(c->server.sun_path, sizeof(c->server.sun_path), "%s/.s.PGSQL.%s", host,
                          port) < sizeof(c->server.sun_path),
         "socket path");
    snprintf(c->conninfo, sizeof(c->conninfo), "host=%s user=%s dbname=%s port=5432", c->dir, user,
             db);
    PQconninfoFree(options);
}

struct cutter *cutter_start(const char *url, const char *marker, enum cut cut)
{
    struct cutter *c = calloc(1, sizeof(*c));
    struct sockaddr_un own = {.sun_family = AF_UNIX};

    must(c != NULL, "calloc");
    c->marker = marker;
    c->cut = cut;
    snprintf(c->dir, sizeof(c->dir), "/tmp/reel-cutter-XXXXXX");
    must(mkdtemp(c->dir) != NULL, "mkdtemp");
    read_url(c, url);
    snprintf(own.sun_path, sizeof(own.sun_path), "%s/.s.PGSQL.5432", c->dir);
    c->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    must(bind(c->listener, (struct sockaddr *)&own, sizeof(own)) == 0, "bind");
    must(listen(c->listener, 8) == 0, "listen");
    must(pipe(c->stop_pipe) == 0, "pipe");
    must(pthread_create(&c->thread, NULL, run, c) == 0, "pthread_create");
    return c;
}

const char *cutter_conninfo(const struct cutter *cutter)
{
    return cutter->conninfo;
}

void cutter_stop(struct cutter *cutter)
{
    char path[64];

    must(write(cutter->stop_pipe[1], "x", 1) == 1, "write");
    pthread_join(cutter->thread, NULL);
    close(cutter->listener);
    close(cutter->stop_pipe[0]);
    close(cutter->stop_pipe[1]);
    snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", cutter->dir);
    unlink(path);
    rmdir(cutter->dir);
    free(cutter);
}
