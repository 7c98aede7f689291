// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/transport.h"

#include <errno.h>
#include <nng/nng.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/obs/metrics.h"

enum { CLOSE_US = 1000 * 1000 };

int reel_transport_fault(int nng_error)
{
    static const struct {
        int nng;
        int fault;
    } table[] = {
        {NNG_ENOMEM, ENOMEM},
        {NNG_EINVAL, EINVAL},
        {NNG_EADDRINVAL, EINVAL},
        {NNG_ENOTSUP, EINVAL},
        {NNG_EBUSY, EBUSY},
        {NNG_ETIMEDOUT, ETIMEDOUT},
        {NNG_ECONNREFUSED, ECONNREFUSED},
        {NNG_ECLOSED, EPIPE},
        {NNG_EAGAIN, EAGAIN},
        {NNG_EADDRINUSE, EADDRINUSE},
        {NNG_ENOENT, ENOENT},
        {NNG_EUNREACHABLE, EHOSTUNREACH},
        {NNG_EPERM, EACCES},
        {NNG_EMSGSIZE, EMSGSIZE},
        {NNG_ECONNABORTED, ECONNABORTED},
        {NNG_ECONNRESET, ECONNRESET},
        {NNG_ECANCELED, ECANCELED},
        {NNG_ENOFILES, EMFILE},
    };

    if (nng_error == 0)
        return 0;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(table); i++)
        if (table[i].nng == nng_error)
            return -table[i].fault;
    return nng_error & NNG_ESYSERR ? -(nng_error & ~NNG_ESYSERR) : -EIO;
}

// Shared by the caller and the thread that closes; the last one frees it.
struct closing {
    uint32_t socket;
    pthread_mutex_t lock;
    pthread_cond_t changed; // monotonic
    bool done;
    bool abandoned;
};

static void free_closing(struct closing *closing)
{
    pthread_mutex_destroy(&closing->lock);
    pthread_cond_destroy(&closing->changed);
    free(closing);
}

static void *close_socket(void *arg)
{
    struct closing *closing = arg;
    nng_socket socket = {.id = closing->socket};

    nng_close(socket);
    pthread_mutex_lock(&closing->lock);
    closing->done = true;
    bool abandoned = closing->abandoned;
    pthread_cond_signal(&closing->changed);
    pthread_mutex_unlock(&closing->lock);
    if (abandoned)
        free_closing(closing);
    return NULL;
}

static bool await_closing(struct closing *closing)
{
    int64_t until_us = reel_deadline_in_us(CLOSE_US);

    pthread_mutex_lock(&closing->lock);
    while (!closing->done && !reel_deadline_passed(until_us))
        reel_cond_wait_until(&closing->changed, &closing->lock, until_us);
    bool done = closing->done;
    closing->abandoned = !done;
    pthread_mutex_unlock(&closing->lock);
    return done;
}

bool reel_transport_close(uint32_t socket)
{
    struct closing *closing = calloc(1, sizeof(*closing));
    pthread_t thread;

    if (!closing)
        return false;
    closing->socket = socket;
    pthread_mutex_init(&closing->lock, NULL);
    reel_cond_init(&closing->changed);
    if (pthread_create(&thread, NULL, close_socket, closing) != 0) {
        free_closing(closing);
        return false;
    }
    bool done = await_closing(closing);
    if (done) {
        pthread_join(thread, NULL);
        free_closing(closing);
    } else {
        pthread_detach(thread);
    }
    return done;
}

static bool has_scheme(const char *url, const char *const schemes[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

bool reel_transport_is_local(const char *url)
{
    static const char *const schemes[] = {"ipc://", "unix://", "abstract://", "inproc://"};

    return has_scheme(url, schemes, REEL_ARRAY_SIZE(schemes));
}

static bool is_tcp(const char *url)
{
    static const char *const schemes[] = {"tcp://", "tcp4://", "tcp6://"};

    return has_scheme(url, schemes, REEL_ARRAY_SIZE(schemes));
}

bool reel_transport_has_free_port(const char *url)
{
    const char *colon = strrchr(url, ':');

    return is_tcp(url) && colon && strcmp(colon, ":0") == 0;
}

int reel_transport_set_port(char **url, int port)
{
    char *with_port;

    if (asprintf(&with_port, "%.*s:%d", (int)(strrchr(*url, ':') - *url), *url, port) < 0)
        return -ENOMEM;
    free(*url);
    *url = with_port;
    return 0;
}

void reel_transport_count_relisten(void)
{
    reel_counter_add(reel_counter_get("reel_rpc_listener_relistens_total",
                                      "Listeners that were dead and put up again.", NULL),
                     1);
}

int reel_transport_stream_url(const char *url, char ret_url[REEL_TRANSPORT_URL_MAX])
{
    static const char inproc[] = "inproc://";
    bool translate = strncmp(url, inproc, sizeof(inproc) - 1) == 0;
    int len = translate ? snprintf(ret_url, REEL_TRANSPORT_URL_MAX, "abstract://reelmesh-%ld-%s",
                                   (long)getpid(), url + sizeof(inproc) - 1)
                        : snprintf(ret_url, REEL_TRANSPORT_URL_MAX, "%s", url);

    bool known = reel_transport_is_local(url) || is_tcp(url);
    return known && len < REEL_TRANSPORT_URL_MAX ? 0 : -EINVAL;
}
