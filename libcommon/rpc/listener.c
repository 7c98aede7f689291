// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/listener.h"

#include <errno.h>
#include <nng/nng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/transport.h"

struct reel_listener {
    uint32_t socket;
    nng_listener current;
    bool listening;
    char *url;
};

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
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

int reel_listener_revive(struct reel_listener *listener)
{
    if (listener->listening)
        nng_listener_close(listener->current);
    listener->listening = false;
    reel_counter_add(reel_counter_get("reel_rpc_listener_relistens_total",
                                      "Listeners that were dead and put up again.", NULL),
                     1);
    return start(listener);
}
