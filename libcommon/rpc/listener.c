// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/listener.h"

#include <errno.h>
#include <nng/nng.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/rpc/transport.h"

struct reel_listener {
    uint32_t socket;
    nng_listener current;
    bool listening;
    char *url;
};

static int start(struct reel_listener *listener)
{
    nng_socket socket = {.id = listener->socket};
    nng_listener fresh;
    int rv = nng_listener_create(&fresh, socket, listener->url);

    if (rv != 0)
        return reel_transport_fault(rv);
    if (!reel_transport_is_local(listener->url))
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

static int note_port(struct reel_listener *listener)
{
    int port;

    if (!reel_transport_has_free_port(listener->url))
        return 0;
    int rv = nng_listener_get_int(listener->current, NNG_OPT_TCP_BOUND_PORT, &port);
    return rv != 0 ? reel_transport_fault(rv) : reel_transport_set_port(&listener->url, port);
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

int reel_listener_revive(struct reel_listener *listener)
{
    if (listener->listening)
        nng_listener_close(listener->current);
    listener->listening = false;
    reel_transport_count_relisten();
    return start(listener);
}
