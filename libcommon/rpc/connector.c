// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/connector.h"

#include <errno.h>
#include <nng/nng.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/rpc/transport.h"

struct reel_connector {
    char url[REEL_TRANSPORT_URL_MAX]; // NNG's
    bool local;
    // A new one for each attempt: NNG 1.5.2's may take the end of one attempt for that of the next.
    nng_stream_dialer *dialer;
    nng_aio *aio;
    void (*on_done)(void *arg, struct nng_stream *stream, int fault, const char *reason);
    void *arg;
};

static void on_dialed(void *arg)
{
    struct reel_connector *connector = arg;
    int rv = nng_aio_result(connector->aio);
    nng_stream *stream = rv == 0 ? nng_aio_get_output(connector->aio, 0) : NULL;

    connector->on_done(connector->arg, stream, reel_transport_fault(rv),
                       rv == 0 ? NULL : nng_strerror(rv));
}

static int make_dialer(struct reel_connector *connector)
{
    nng_stream_dialer_free(connector->dialer);
    connector->dialer = NULL;
    int rv = nng_stream_dialer_alloc(&connector->dialer, connector->url);
    if (rv == 0 && !connector->local) {
        (void)nng_stream_dialer_set_bool(connector->dialer, NNG_OPT_TCP_KEEPALIVE, true);
        (void)nng_stream_dialer_set_bool(connector->dialer, NNG_OPT_TCP_NODELAY, true);
    }
    return rv;
}

int reel_connector_aim(struct reel_connector *connector, const char *url)
{
    return reel_transport_stream_url(url, connector->url);
}

// Also makes the first dialer, so that a URL that none can be made of fails here.
static int prepare(struct reel_connector *connector, const char *url)
{
    int rc = reel_connector_aim(connector, url);

    if (rc != 0)
        return rc;
    connector->local = reel_transport_is_local(url);
    int rv = nng_aio_alloc(&connector->aio, on_dialed, connector);
    if (rv == 0)
        rv = make_dialer(connector);
    return reel_transport_fault(rv);
}

int reel_connector_open(const char *url,
                        void (*on_done)(void *arg, struct nng_stream *stream, int fault,
                                        const char *reason),
                        void *arg, struct reel_connector **ret_connector)
{
    struct reel_connector *connector = calloc(1, sizeof(*connector));

    if (!connector)
        return -ENOMEM;
    connector->on_done = on_done;
    connector->arg = arg;
    int rc = prepare(connector, url);
    if (rc != 0) {
        reel_connector_close(connector);
        return rc;
    }
    *ret_connector = connector;
    return 0;
}

void reel_connector_dial(struct reel_connector *connector)
{
    int rv = make_dialer(connector);

    if (rv == 0)
        nng_stream_dialer_dial(connector->dialer, connector->aio);
    else
        connector->on_done(connector->arg, NULL, reel_transport_fault(rv), nng_strerror(rv));
}

void reel_connector_cancel(struct reel_connector *connector)
{
    nng_aio_cancel(connector->aio);
}

void reel_connector_close(struct reel_connector *connector)
{
    if (!connector)
        return;
    if (connector->dialer)
        nng_stream_dialer_close(connector->dialer);
    if (connector->aio) {
        nng_aio_wait(connector->aio);
        nng_aio_free(connector->aio);
    }
    nng_stream_dialer_free(connector->dialer);
    free(connector);
}
