// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/listener.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/transport.h"

// Dead listeners that are kept for the sake of their connections.
enum { MAX_DEAD = 256 };

struct reel_listener {
    uint32_t socket;
    nng_listener current;
    bool listening;
    char *url;
    nng_listener dead[MAX_DEAD]; // oldest first
    unsigned n_dead;
};

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

static const char *ipc_path(const char *url)
{
    return has_scheme(url, "ipc://") ? url + strlen("ipc://") : NULL;
}

static bool is_tcp(const char *url)
{
    return has_scheme(url, "tcp") || has_scheme(url, "tls+tcp");
}

static int start(struct reel_listener *listener)
{
    nng_socket socket = {.id = listener->socket};
    nng_listener fresh;
    int rv = nng_listener_create(&fresh, socket, listener->url);

    if (rv != 0)
        return reel_transport_fault(rv);
    if (is_tcp(listener->url))
        (void)nng_listener_set_bool(fresh, NNG_OPT_TCP_KEEPALIVE, true);
    rv = nng_listener_start(fresh, 0);
    if (rv != 0) {
        nng_listener_close(fresh);
        return reel_transport_fault(rv);
    }
    listener->current = fresh;
    listener->listening = true;
    return 0;
}

// Replaces a port of 0 in the URL with the one that was bound.
static int note_port(struct reel_listener *listener)
{
    char *colon = strrchr(listener->url, ':');
    char *url;
    int port;

    if (!is_tcp(listener->url) || !colon || strcmp(colon, ":0") != 0)
        return 0;
    int rv = nng_listener_get_int(listener->current, NNG_OPT_TCP_BOUND_PORT, &port);
    if (rv != 0)
        return reel_transport_fault(rv);
    *colon = '\0';
    if (asprintf(&url, "%s:%d", listener->url, port) < 0)
        return -ENOMEM;
    free(listener->url);
    listener->url = url;
    return 0;
}

int reel_listener_open(uint32_t socket, const char *url, struct reel_listener **ret_listener)
{
    struct reel_listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return -ENOMEM;
    listener->socket = socket;
    listener->url = strdup(url);
    int rc = listener->url ? start(listener) : -ENOMEM;
    if (rc == 0)
        rc = note_port(listener);
    if (rc != 0) {
        reel_listener_close(listener);
        return rc;
    }
    *ret_listener = listener;
    return 0;
}

void reel_listener_close(struct reel_listener *listener)
{
    if (!listener)
        return;
    for (unsigned i = 0; i < listener->n_dead; i++)
        nng_listener_close(listener->dead[i]);
    if (listener->listening)
        nng_listener_close(listener->current);
    free(listener->url);
    free(listener);
}

const char *reel_listener_url(const struct reel_listener *listener)
{
    return listener->url;
}

bool reel_listener_is_mortal(const struct reel_listener *listener)
{
    return !has_scheme(listener->url, "inproc");
}

// Whether `fd` is a listening socket bound where `at` says.
static bool listens_at(int fd, const nng_sockaddr *at)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    int listening = 0;
    socklen_t listening_len = sizeof(listening);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len) != 0 || !listening ||
        getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return false;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&bound;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&bound;
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&bound;
    switch (at->s_family) {
    case NNG_AF_INET:
        return bound.ss_family == AF_INET && in->sin_port == at->s_in.sa_port &&
               in->sin_addr.s_addr == at->s_in.sa_addr;
    case NNG_AF_INET6:
        return bound.ss_family == AF_INET6 && in6->sin6_port == at->s_in6.sa_port &&
               memcmp(&in6->sin6_addr, at->s_in6.sa_addr, sizeof(in6->sin6_addr)) == 0;
    case NNG_AF_IPC:
        return bound.ss_family == AF_UNIX && strcmp(un->sun_path, at->s_ipc.sa_path) == 0;
    default:
        return false;
    }
}

// The descriptor of the dead listener, which NNG does not tell; -1 when it is not found.
static int find_descriptor(const struct reel_listener *listener)
{
    DIR *descriptors = opendir("/proc/self/fd");
    struct dirent *entry;
    nng_sockaddr at;
    int found = -1;

    if (!descriptors)
        return -1;
    if (nng_listener_get_addr(listener->current, NNG_OPT_LOCADDR, &at) == 0)
        while (found < 0 && (entry = readdir(descriptors))) {
            int fd = (int)strtol(entry->d_name, NULL, 10);

            if (entry->d_name[0] != '.' && listens_at(fd, &at))
                found = fd;
        }
    closedir(descriptors);
    return found;
}

// Clients in the queue of the dead listener wait for a greeting that will not come: they are cut
// off, and dial again.
static void release_queued(int fd)
{
    int client;

    while ((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        close(client);
}

// Closing a listener unlinks its path, which is its successor's by then: the path steps aside.
static void close_at_path(nng_listener dead, const char *path)
{
    char aside[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];

    snprintf(aside, sizeof(aside), "%s.aside", path);
    bool moved = rename(path, aside) == 0;
    nng_listener_close(dead);
    if (moved && rename(aside, path) != 0)
        unlink(aside);
}

static void bury_oldest(struct reel_listener *listener)
{
    const char *path = ipc_path(listener->url);

    if (path)
        close_at_path(listener->dead[0], path);
    else
        nng_listener_close(listener->dead[0]);
    listener->n_dead--;
    memmove(&listener->dead[0], &listener->dead[1], listener->n_dead * sizeof(nng_listener));
}

// Sets the dead listener aside so that its address is free and its connections live on.
static void set_aside(struct reel_listener *listener)
{
    const char *path = ipc_path(listener->url);
    int fd = find_descriptor(listener);

    if (path)
        unlink(path);
    if (fd < 0) {
        nng_listener_close(listener->current);
        return;
    }
    if (path)
        release_queued(fd);
    else
        shutdown(fd, SHUT_RDWR); // frees the address and resets the queued
    if (listener->n_dead == MAX_DEAD)
        bury_oldest(listener);
    listener->dead[listener->n_dead++] = listener->current;
}

int reel_listener_revive(struct reel_listener *listener, bool keep)
{
    if (listener->listening && keep)
        set_aside(listener);
    else if (listener->listening)
        nng_listener_close(listener->current);
    listener->listening = false;
    reel_counter_add(reel_counter_get("reel_rpc_listener_relistens_total",
                                      "Listeners that were dead and put up again.", NULL),
                     1);
    return start(listener);
}
