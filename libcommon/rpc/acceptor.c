// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/acceptor.h"

#include <errno.h>
#include <nng/nng.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/rpc/transport.h"

// After an error other than the end: descriptors or memory are out, and will come back.
enum { PAUSE_MS = 20 };

struct reel_acceptor {
    char *url;
    void (*on_stream)(void *arg, const char *url, struct nng_stream *stream);
    void *arg;
    nng_stream_listener *listener;
    nng_aio *accept_aio;
    nng_aio *pause_aio;
    atomic_bool stopping;
};

static void accept_next(struct reel_acceptor *acceptor)
{
    nng_stream_listener_accept(acceptor->listener, acceptor->accept_aio);
}

static void on_accepted(void *arg)
{
    struct reel_acceptor *acceptor = arg;
    int rv = nng_aio_result(acceptor->accept_aio);

    if (rv == 0)
        acceptor->on_stream(acceptor->arg, acceptor->url,
                            nng_aio_get_output(acceptor->accept_aio, 0));
    if (atomic_load(&acceptor->stopping) || rv == NNG_ECLOSED || rv == NNG_ECANCELED)
        return;
    if (rv == 0)
        accept_next(acceptor);
    else
        nng_sleep_aio(PAUSE_MS, acceptor->pause_aio);
}

static void on_pause(void *arg)
{
    struct reel_acceptor *acceptor = arg;

    if (nng_aio_result(acceptor->pause_aio) == 0 && !atomic_load(&acceptor->stopping))
        accept_next(acceptor);
}

static int start(struct reel_acceptor *acceptor)
{
    char stream_url[REEL_TRANSPORT_URL_MAX];
    int rc = reel_transport_stream_url(acceptor->url, stream_url);
    nng_stream_listener *fresh;

    if (rc != 0)
        return rc;
    int rv = nng_stream_listener_alloc(&fresh, stream_url);
    if (rv != 0)
        return reel_transport_fault(rv);
    if (!reel_transport_is_local(acceptor->url)) {
        (void)nng_stream_listener_set_bool(fresh, NNG_OPT_TCP_KEEPALIVE, true);
        (void)nng_stream_listener_set_bool(fresh, NNG_OPT_TCP_NODELAY, true);
    }
    rv = nng_stream_listener_listen(fresh);
    if (rv != 0) {
        nng_stream_listener_free(fresh);
        return reel_transport_fault(rv);
    }
    acceptor->listener = fresh;
    atomic_store(&acceptor->stopping, false);
    return 0;
}

// After it no callback runs and none is to come.
static void stop(struct reel_acceptor *acceptor)
{
    if (!acceptor->listener)
        return;
    atomic_store(&acceptor->stopping, true);
    nng_stream_listener_close(acceptor->listener);
    // Either may have been about to begin the other.
    for (int i = 0; i < 2; i++) {
        nng_aio_cancel(acceptor->accept_aio);
        nng_aio_wait(acceptor->accept_aio);
        nng_aio_cancel(acceptor->pause_aio);
        nng_aio_wait(acceptor->pause_aio);
    }
    nng_stream_listener_free(acceptor->listener);
    acceptor->listener = NULL;
}

static int note_port(struct reel_acceptor *acceptor)
{
    int port;

    if (!reel_transport_has_free_port(acceptor->url))
        return 0;
    int rv = nng_stream_listener_get_int(acceptor->listener, NNG_OPT_TCP_BOUND_PORT, &port);
    return rv != 0 ? reel_transport_fault(rv) : reel_transport_set_port(&acceptor->url, port);
}

int reel_acceptor_open(const char *url,
                       void (*on_stream)(void *arg, const char *url, struct nng_stream *stream),
                       void *arg, struct reel_acceptor **ret_acceptor)
{
    struct reel_acceptor *acceptor = calloc(1, sizeof(*acceptor));

    if (!acceptor)
        return -ENOMEM;
    acceptor->on_stream = on_stream;
    acceptor->arg = arg;
    acceptor->url = strdup(url);
    int rc = acceptor->url ? 0 : -ENOMEM;
    if (rc == 0)
        rc = reel_transport_fault(nng_aio_alloc(&acceptor->accept_aio, on_accepted, acceptor));
    if (rc == 0)
        rc = reel_transport_fault(nng_aio_alloc(&acceptor->pause_aio, on_pause, acceptor));
    if (rc == 0)
        rc = start(acceptor);
    if (rc == 0)
        rc = note_port(acceptor);
    if (rc != 0) {
        reel_acceptor_close(acceptor);
        return rc;
    }
    accept_next(acceptor);
    *ret_acceptor = acceptor;
    return 0;
}

void reel_acceptor_close(struct reel_acceptor *acceptor)
{
    if (!acceptor)
        return;
    stop(acceptor);
    if (acceptor->accept_aio)
        nng_aio_free(acceptor->accept_aio);
    if (acceptor->pause_aio)
        nng_aio_free(acceptor->pause_aio);
    free(acceptor->url);
    free(acceptor);
}

const char *reel_acceptor_url(const struct reel_acceptor *acceptor)
{
    return acceptor->url;
}

int reel_acceptor_revive(struct reel_acceptor *acceptor)
{
    stop(acceptor);
    reel_transport_count_relisten();
    int rc = start(acceptor);
    if (rc == 0)
        accept_next(acceptor);
    return rc;
}
