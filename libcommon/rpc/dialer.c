// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/dialer.h"

#include <errno.h>
#include <nng/nng.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/rpc/backoff.h"
#include "libcommon/rpc/transport.h"

struct reel_dialer {
    uint32_t socket;
    char *url;
    void (*on_failure)(void *arg, const char *reason);
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; // monotonic
    nng_dialer current;
    bool dialing; // an attempt is in progress, since started_us
    bool open;    // `current` is to be closed
    int64_t started_us;
    struct reel_backoff backoff;
    unsigned losses; // told by reel_dialer_lost
    bool stopping;
};

// Closes the current dialer if it is open. Called with the lock held, which is given up meanwhile.
static void close_current(struct reel_dialer *dialer)
{
    nng_dialer current = dialer->current;
    bool open = dialer->open;

    dialer->open = false;
    pthread_mutex_unlock(&dialer->lock);
    if (open)
        nng_dialer_close(current);
    pthread_mutex_lock(&dialer->lock);
}

static int create(struct reel_dialer *dialer, nng_dialer *ret_fresh)
{
    nng_socket socket = {.id = dialer->socket};
    int rv = nng_dialer_create(ret_fresh, socket, dialer->url);

    if (rv != 0)
        return rv;
    if (!reel_transport_is_local(dialer->url))
        (void)nng_dialer_set_bool(*ret_fresh, NNG_OPT_TCP_KEEPALIVE, true);
    return 0;
}

// One attempt. Called and returns with the lock held.
static int attempt(struct reel_dialer *dialer)
{
    nng_dialer fresh;

    pthread_mutex_unlock(&dialer->lock);
    int rv = create(dialer, &fresh);
    pthread_mutex_lock(&dialer->lock);
    if (rv != 0)
        return rv;
    dialer->current = fresh;
    dialer->open = true;
    dialer->dialing = true;
    dialer->started_us = reel_clock_mono_us();
    pthread_mutex_unlock(&dialer->lock);
    rv = nng_dialer_start(fresh, 0);
    pthread_mutex_lock(&dialer->lock);
    dialer->dialing = false;
    return rv;
}

// Whether it was us who ended the attempt (reel_dialer_tick).
static bool gave_up(int rv)
{
    return rv == NNG_ECLOSED || rv == NNG_ECANCELED;
}

static void report(struct reel_dialer *dialer, int rv)
{
    pthread_mutex_unlock(&dialer->lock);
    dialer->on_failure(dialer->arg, gave_up(rv) ? "it does not answer" : nng_strerror(rv));
    pthread_mutex_lock(&dialer->lock);
}

static void *keep_connected(void *arg)
{
    struct reel_dialer *dialer = arg;

    pthread_setname_np(pthread_self(), "rpc-dialer");
    pthread_mutex_lock(&dialer->lock);
    while (!dialer->stopping) {
        unsigned losses = dialer->losses;
        int rv = attempt(dialer);

        if (rv == 0) {
            reel_backoff_reset(&dialer->backoff);
            while (!dialer->stopping && dialer->losses == losses)
                pthread_cond_wait(&dialer->changed, &dialer->lock);
        }
        close_current(dialer);
        if (rv != 0 && !dialer->stopping)
            report(dialer, rv);

        int64_t until_us = reel_clock_mono_us() + reel_backoff_pause_us(&dialer->backoff);
        if (rv != 0)
            reel_backoff_failed(&dialer->backoff, gave_up(rv));
        while (!dialer->stopping && !reel_deadline_passed(until_us))
            reel_cond_wait_until(&dialer->changed, &dialer->lock, until_us);
    }
    pthread_mutex_unlock(&dialer->lock);
    return NULL;
}

int reel_dialer_open(uint32_t socket, const char *url,
                     void (*on_failure)(void *arg, const char *reason), void *arg,
                     struct reel_dialer **ret_dialer)
{
    struct reel_dialer *dialer = calloc(1, sizeof(*dialer));
    nng_dialer fresh;

    if (!dialer)
        return -ENOMEM;
    dialer->socket = socket;
    dialer->on_failure = on_failure;
    dialer->arg = arg;
    reel_backoff_init(&dialer->backoff);
    dialer->url = strdup(url);
    pthread_mutex_init(&dialer->lock, NULL);
    reel_cond_init(&dialer->changed);
    // A URL that no dialer can be made of fails here, not in the thread for ever.
    int rc = dialer->url ? reel_transport_fault(create(dialer, &fresh)) : -ENOMEM;
    if (rc == 0) {
        nng_dialer_close(fresh);
        rc = -pthread_create(&dialer->thread, NULL, keep_connected, dialer);
    }
    if (rc != 0) {
        pthread_mutex_destroy(&dialer->lock);
        pthread_cond_destroy(&dialer->changed);
        free(dialer->url);
        free(dialer);
        return rc;
    }
    *ret_dialer = dialer;
    return 0;
}

void reel_dialer_retire(uint32_t pipe)
{
    nng_dialer_close(nng_pipe_dialer((nng_pipe){.id = pipe}));
}

void reel_dialer_lost(struct reel_dialer *dialer)
{
    pthread_mutex_lock(&dialer->lock);
    dialer->losses++;
    pthread_cond_broadcast(&dialer->changed);
    pthread_mutex_unlock(&dialer->lock);
}

void reel_dialer_tick(struct reel_dialer *dialer)
{
    pthread_mutex_lock(&dialer->lock);
    int64_t patience_us = reel_backoff_patience_us(dialer->backoff.failures);
    if (dialer->dialing && reel_clock_mono_us() - dialer->started_us >= patience_us)
        close_current(dialer);
    pthread_mutex_unlock(&dialer->lock);
}

void reel_dialer_close(struct reel_dialer *dialer)
{
    if (!dialer)
        return;
    pthread_mutex_lock(&dialer->lock);
    dialer->stopping = true;
    pthread_cond_broadcast(&dialer->changed);
    if (dialer->dialing)
        close_current(dialer);
    pthread_mutex_unlock(&dialer->lock);
    pthread_join(dialer->thread, NULL);
    pthread_mutex_destroy(&dialer->lock);
    pthread_cond_destroy(&dialer->changed);
    free(dialer->url);
    free(dialer);
}
