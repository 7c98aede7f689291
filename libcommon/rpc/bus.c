// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/bus.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/dialer.h"
#include "libcommon/rpc/listener.h"
#include "libcommon/rpc/transport.h"

enum {
    BUFFERED_MESSAGES = 8192, // NNG's largest
    MAX_EVENT_BYTES = 1 << 20,
    WATCH_INTERVAL_MS = 300,
    FIRST_PROBE_MS = 300,
    SECOND_PROBE_MS = 600,
    SILENCE_US = 1000 * 1000,
    DIAL_TICK_US = 200 * 1000,
};

struct reel_publisher {
    uint32_t socket;
    struct reel_listener *listener;
    pthread_t watchdog;
    bool watching;
    pthread_mutex_t lock;
    pthread_cond_t changed; // monotonic
    unsigned n_connections; // ever made
    bool probe_connected;   // the watchdog's side of its own
    bool stopping;
};

struct reel_subscriber {
    struct reel_subscriber_handler handler;
    char *url;
    uint32_t socket;
    struct reel_dialer *dialer;
    struct nng_aio *recv_aio;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed; // monotonic
    bool received;          // the aio has a result
    bool connected;         // since the handler was last told of a gap
    bool up;                // there is a connection
    bool outage_told;       // in the log
    int64_t down_us;        // since when there is no connection
    bool stopping;
};

static void on_publisher_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct reel_publisher *publisher = arg;

    (void)pipe;
    (void)event;
    pthread_mutex_lock(&publisher->lock);
    publisher->n_connections++;
    pthread_cond_broadcast(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

static void on_probe_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct reel_publisher *publisher = arg;

    (void)pipe;
    (void)event;
    pthread_mutex_lock(&publisher->lock);
    publisher->probe_connected = true;
    pthread_cond_broadcast(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

// Whether the listener takes a new connection. Any connection proves it, ours or another's; but the
// probe waits for its own, because closing amid the handshake is what listeners die of.
static bool probe_with(struct reel_publisher *publisher, nng_socket socket, int timeout_ms)
{
    int64_t until_us = reel_deadline_in_us((int64_t)timeout_ms * 1000);

    pthread_mutex_lock(&publisher->lock);
    unsigned before = publisher->n_connections;
    publisher->probe_connected = false;
    pthread_mutex_unlock(&publisher->lock);
    int rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_probe_pipe, publisher);
    if (rv == 0)
        rv = nng_dial(socket, reel_listener_url(publisher->listener), NULL, NNG_FLAG_NONBLOCK);
    pthread_mutex_lock(&publisher->lock);
    while (rv == 0 && (publisher->n_connections == before || !publisher->probe_connected) &&
           !reel_deadline_passed(until_us))
        reel_cond_wait_until(&publisher->changed, &publisher->lock, until_us);
    bool alive = publisher->n_connections != before || publisher->stopping;
    pthread_mutex_unlock(&publisher->lock);
    return alive;
}

static bool probe(struct reel_publisher *publisher, int timeout_ms, bool *ret_sound)
{
    nng_socket socket;

    *ret_sound = true;
    if (nng_sub0_open(&socket) != 0)
        return true; // out of descriptors: no verdict on the listener
    bool alive = probe_with(publisher, socket, timeout_ms);
    *ret_sound = reel_transport_close(socket.id);
    return alive;
}

static void *watch(void *arg)
{
    struct reel_publisher *publisher = arg;
    bool sound = true; // else NNG can no longer close, and probing would block

    pthread_setname_np(pthread_self(), "bus-watchdog");
    pthread_mutex_lock(&publisher->lock);
    while (!publisher->stopping && sound) {
        int64_t until_us = reel_deadline_in_us(WATCH_INTERVAL_MS * 1000);

        while (!publisher->stopping && !reel_deadline_passed(until_us))
            reel_cond_wait_until(&publisher->changed, &publisher->lock, until_us);
        pthread_mutex_unlock(&publisher->lock);
        if (!probe(publisher, FIRST_PROBE_MS, &sound) && sound &&
            !probe(publisher, SECOND_PROBE_MS, &sound) && sound) {
            int rc = reel_listener_revive(publisher->listener);

            reel_log(REEL_LOG_WARN, "bus.listener_revived",
                     REEL_FS("url", reel_listener_url(publisher->listener)),
                     REEL_FS("fault", rc == 0 ? NULL : strerror(-rc)));
        }
        pthread_mutex_lock(&publisher->lock);
    }
    pthread_mutex_unlock(&publisher->lock);
    return NULL;
}

static int open_publisher(struct reel_publisher *publisher, const char *url)
{
    nng_socket socket;
    int rv = nng_pub0_open(&socket);

    if (rv != 0)
        return reel_transport_fault(rv);
    publisher->socket = socket.id;
    rv = nng_socket_set_int(socket, NNG_OPT_SENDBUF, BUFFERED_MESSAGES);
    if (rv == 0)
        rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 4096);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_publisher_pipe, publisher);
    if (rv != 0)
        return reel_transport_fault(rv);
    int rc = reel_listener_open(socket.id, url, &publisher->listener);
    if (rc != 0)
        return rc;
    rc = -pthread_create(&publisher->watchdog, NULL, watch, publisher);
    publisher->watching = rc == 0;
    return rc;
}

int reel_publisher_open(const char *url, struct reel_publisher **ret_publisher)
{
    struct reel_publisher *publisher = calloc(1, sizeof(*publisher));

    if (!publisher)
        return -ENOMEM;
    pthread_mutex_init(&publisher->lock, NULL);
    reel_cond_init(&publisher->changed);
    int rc = open_publisher(publisher, url);
    if (rc != 0) {
        reel_publisher_close(publisher);
        return rc;
    }
    *ret_publisher = publisher;
    return 0;
}

void reel_publisher_close(struct reel_publisher *publisher)
{
    if (!publisher)
        return;
    pthread_mutex_lock(&publisher->lock);
    publisher->stopping = true;
    pthread_cond_broadcast(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
    if (publisher->watching)
        pthread_join(publisher->watchdog, NULL);
    if (publisher->socket != 0)
        (void)reel_transport_close(publisher->socket);
    reel_listener_close(publisher->listener);
    pthread_mutex_destroy(&publisher->lock);
    pthread_cond_destroy(&publisher->changed);
    free(publisher);
}

const char *reel_publisher_url(const struct reel_publisher *publisher)
{
    return reel_listener_url(publisher->listener);
}

int reel_publisher_send(struct reel_publisher *publisher, const char *topic, const uint8_t *payload,
                        size_t payload_len)
{
    nng_socket socket = {.id = publisher->socket};
    size_t topic_len = strlen(topic) + 1;
    nng_msg *msg;

    if (topic_len + payload_len > MAX_EVENT_BYTES)
        return REEL_RESOURCE_EXHAUSTED;
    int rv = nng_msg_alloc(&msg, topic_len + payload_len);
    if (rv != 0)
        return reel_transport_fault(rv);
    uint8_t *body = nng_msg_body(msg);
    memcpy(body, topic, topic_len);
    if (payload_len > 0)
        memcpy(body + topic_len, payload, payload_len);
    rv = nng_sendmsg(socket, msg, NNG_FLAG_NONBLOCK);
    if (rv != 0)
        nng_msg_free(msg);
    return reel_transport_fault(rv);
}

// An outage is told once, when it has lasted: a publisher that restarts is no news.
static void on_unreachable(void *arg, const char *reason)
{
    struct reel_subscriber *subscriber = arg;

    pthread_mutex_lock(&subscriber->lock);
    bool lasts = !subscriber->up && reel_clock_mono_us() - subscriber->down_us >= SILENCE_US;
    bool tell = lasts && !subscriber->outage_told;
    subscriber->outage_told |= tell;
    pthread_mutex_unlock(&subscriber->lock);
    if (tell)
        reel_log(REEL_LOG_WARN, "bus.unreachable", REEL_FS("url", subscriber->url),
                 REEL_FS("reason", reason));
}

static void on_subscriber_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct reel_subscriber *subscriber = arg;

    if (event == NNG_PIPE_EV_REM_POST)
        reel_dialer_retire((uint32_t)nng_pipe_id(pipe));
    pthread_mutex_lock(&subscriber->lock);
    subscriber->up = event == NNG_PIPE_EV_ADD_POST;
    bool over = subscriber->up && subscriber->outage_told;
    if (subscriber->up) {
        subscriber->connected = true;
        subscriber->outage_told = false;
    } else {
        subscriber->down_us = reel_clock_mono_us();
        if (!subscriber->stopping)
            reel_dialer_lost(subscriber->dialer);
    }
    pthread_cond_broadcast(&subscriber->changed);
    pthread_mutex_unlock(&subscriber->lock);
    if (over)
        reel_log(REEL_LOG_INFO, "bus.reached", REEL_FS("url", subscriber->url));
}

static void on_received(void *arg)
{
    struct reel_subscriber *subscriber = arg;

    pthread_mutex_lock(&subscriber->lock);
    subscriber->received = true;
    pthread_cond_broadcast(&subscriber->changed);
    pthread_mutex_unlock(&subscriber->lock);
}

static void deliver(struct reel_subscriber *subscriber, nng_msg *msg)
{
    const struct reel_subscriber_handler *handler = &subscriber->handler;
    const uint8_t *body = nng_msg_body(msg);
    size_t len = nng_msg_len(msg);
    const uint8_t *nul = len > 0 ? memchr(body, '\0', len) : NULL;

    if (nul)
        handler->on_message(handler->arg, (const char *)body, nul + 1,
                            len - (size_t)(nul + 1 - body));
    nng_msg_free(msg);
}

// Takes the received message, if there is one, and asks for the next. NNG keeps a queue behind it,
// so a handler may be slow for a while.
static void take_message(struct reel_subscriber *subscriber)
{
    nng_socket socket = {.id = subscriber->socket};

    if (nng_aio_result(subscriber->recv_aio) != 0)
        return; // closed
    nng_msg *msg = nng_aio_get_msg(subscriber->recv_aio);
    nng_aio_set_msg(subscriber->recv_aio, NULL);
    deliver(subscriber, msg);
    nng_recv_aio(socket, subscriber->recv_aio);
}

// Called and returns with the lock held.
static void await_event(struct reel_subscriber *subscriber, int64_t until_us)
{
    int64_t tick_us = reel_deadline_in_us(DIAL_TICK_US);

    if (subscriber->up || until_us < tick_us) {
        reel_cond_wait_until(&subscriber->changed, &subscriber->lock, until_us);
        return;
    }
    reel_cond_wait_until(&subscriber->changed, &subscriber->lock, tick_us);
    pthread_mutex_unlock(&subscriber->lock);
    reel_dialer_tick(subscriber->dialer);
    pthread_mutex_lock(&subscriber->lock);
}

static void *subscribe(void *arg)
{
    struct reel_subscriber *subscriber = arg;
    int64_t silence_us = reel_deadline_in_us(SILENCE_US);

    pthread_setname_np(pthread_self(), "bus-subscriber");
    pthread_mutex_lock(&subscriber->lock);
    while (!subscriber->stopping) {
        bool received = subscriber->received;
        // A gap before the messages that follow it.
        bool gap = subscriber->connected || reel_deadline_passed(silence_us);

        if (!received && !gap) {
            await_event(subscriber, silence_us);
            continue;
        }
        subscriber->connected = false;
        subscriber->received = false;
        pthread_mutex_unlock(&subscriber->lock);
        if (gap && subscriber->handler.on_gap)
            subscriber->handler.on_gap(subscriber->handler.arg);
        if (received)
            take_message(subscriber);
        silence_us = reel_deadline_in_us(SILENCE_US);
        pthread_mutex_lock(&subscriber->lock);
    }
    pthread_mutex_unlock(&subscriber->lock);
    return NULL;
}

static int configure_subscriber(nng_socket socket, const char *topic_prefix)
{
    int rv = nng_socket_set_int(socket, NNG_OPT_RECVBUF, BUFFERED_MESSAGES);

    if (rv == 0)
        rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 2 * MAX_EVENT_BYTES);
    if (rv == 0)
        rv = nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, topic_prefix, strlen(topic_prefix));
    return rv;
}

static int open_subscriber(struct reel_subscriber *subscriber, const char *topic_prefix)
{
    nng_socket socket;
    int rv = nng_sub0_open(&socket);

    if (rv != 0)
        return reel_transport_fault(rv);
    subscriber->socket = socket.id;
    rv = configure_subscriber(socket, topic_prefix);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_subscriber_pipe, subscriber);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_subscriber_pipe, subscriber);
    if (rv == 0)
        rv = nng_aio_alloc(&subscriber->recv_aio, on_received, subscriber);
    if (rv != 0)
        return reel_transport_fault(rv);
    nng_recv_aio(socket, subscriber->recv_aio);
    // Under the lock: the connection may be there, and gone, before the return.
    pthread_mutex_lock(&subscriber->lock);
    int rc = reel_dialer_open(socket.id, subscriber->url, on_unreachable, subscriber,
                              &subscriber->dialer);
    pthread_mutex_unlock(&subscriber->lock);
    if (rc != 0)
        return rc;
    rc = -pthread_create(&subscriber->thread, NULL, subscribe, subscriber);
    subscriber->running = rc == 0;
    return rc;
}

int reel_subscriber_open(const char *url, const char *topic_prefix,
                         const struct reel_subscriber_handler *handler,
                         struct reel_subscriber **ret_subscriber)
{
    struct reel_subscriber *subscriber = calloc(1, sizeof(*subscriber));

    if (!subscriber)
        return -ENOMEM;
    subscriber->handler = *handler;
    subscriber->url = strdup(url);
    subscriber->down_us = reel_clock_mono_us();
    pthread_mutex_init(&subscriber->lock, NULL);
    reel_cond_init(&subscriber->changed);
    int rc = subscriber->url ? open_subscriber(subscriber, topic_prefix) : -ENOMEM;
    if (rc != 0) {
        reel_subscriber_close(subscriber);
        return rc;
    }
    *ret_subscriber = subscriber;
    return 0;
}

void reel_subscriber_close(struct reel_subscriber *subscriber)
{
    if (!subscriber)
        return;
    pthread_mutex_lock(&subscriber->lock);
    subscriber->stopping = true;
    pthread_cond_broadcast(&subscriber->changed);
    pthread_mutex_unlock(&subscriber->lock);
    if (subscriber->running)
        pthread_join(subscriber->thread, NULL);
    reel_dialer_close(subscriber->dialer);
    if (subscriber->recv_aio) {
        nng_aio_stop(subscriber->recv_aio);
        if (nng_aio_result(subscriber->recv_aio) == 0 && nng_aio_get_msg(subscriber->recv_aio))
            nng_msg_free(nng_aio_get_msg(subscriber->recv_aio));
        nng_aio_free(subscriber->recv_aio);
    }
    if (subscriber->socket != 0)
        (void)reel_transport_close(subscriber->socket);
    pthread_mutex_destroy(&subscriber->lock);
    pthread_cond_destroy(&subscriber->changed);
    free(subscriber->url);
    free(subscriber);
}
