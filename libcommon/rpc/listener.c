// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/listener.h"

#include <errno.h>
#include <nng/nng.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/transport.h"

// Dead listeners that are kept for the sake of their connections.
enum { MAX_DEAD = 8 };

struct reel_listener {
    uint32_t socket;
    nng_listener dead[MAX_DEAD]; // ipc only, oldest first
    unsigned n_dead;
    nng_listener current;
    bool listening;
    char *url;
};

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

static const char *ipc_path(const char *url)
{
    return has_scheme(url, "ipc://") ? url + strlen("ipc://") : NULL;
}

static int start(struct reel_listener *listener)
{
    nng_socket socket = {.id = listener->socket};
    nng_listener fresh;
    int rv = nng_listener_create(&fresh, socket, listener->url);

    if (rv != 0)
        return reel_transport_fault(rv);
    if (has_scheme(listener->url, "tcp"))
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

    if (!has_scheme(listener->url, "tcp") || !colon || strcmp(colon, ":0") != 0)
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

// Closing a listener unlinks its path, which is its successor's by now: the path steps aside.
static void bury_oldest(struct reel_listener *listener, const char *path)
{
    char aside[4096];

    if (snprintf(aside, sizeof(aside), "%s.aside", path) >= (int)sizeof(aside))
        return;
    bool moved = rename(path, aside) == 0;
    nng_listener_close(listener->dead[0]);
    if (moved && rename(aside, path) != 0)
        unlink(aside);
    listener->n_dead--;
    memmove(&listener->dead[0], &listener->dead[1], listener->n_dead * sizeof(nng_listener));
}

// The dead listener keeps its connections, and with them the replies in flight, when the path is
// taken from under it.
static int revive_ipc(struct reel_listener *listener, const char *path)
{
    if (listener->listening) {
        if (listener->n_dead == MAX_DEAD)
            bury_oldest(listener, path);
        listener->dead[listener->n_dead++] = listener->current;
        listener->listening = false;
    }
    if (unlink(path) != 0 && errno != ENOENT)
        return -errno;
    return start(listener);
}

static int revive_tcp(struct reel_listener *listener)
{
    if (listener->listening)
        nng_listener_close(listener->current);
    listener->listening = false;
    return start(listener);
}

int reel_listener_revive(struct reel_listener *listener)
{
    const char *path = ipc_path(listener->url);
    int rc = path ? revive_ipc(listener, path) : revive_tcp(listener);

    reel_counter_add(reel_counter_get("reel_rpc_listener_relistens_total",
                                      "Listeners that were dead and put up again.", NULL),
                     1);
    return rc;
}
