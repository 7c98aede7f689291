// SPDX-License-Identifier: Apache-2.0
// The server watches its own listeners from outside, as a client would see them, and ends
// connections that do not greet.
#include <errno.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/connector.h"
#include "libcommon/rpc/server_internal.h"

enum {
    INTERVAL_MS = 500,
    PROBE_MS = 250,
    SLOWEST = 4, // the patience with a busy machine doubles this often
    MAX_ANSWER_BYTES = 4096,
};

struct probe {
    const char *url;
    struct reel_pipe *pipe;
    pthread_mutex_t lock;
    pthread_cond_t changed; // monotonic
    bool alive;             // it has answered, or the verdict is not ours to give
    bool done;
    bool closed; // the pipe's last callback has come
};

static void say(struct probe *probe, bool *what)
{
    pthread_mutex_lock(&probe->lock);
    *what = true;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static void on_open(void *arg)
{
    static const uint8_t id[] = {0x80, 0, 0, 1};
    struct probe *probe = arg;
    struct reel_buf buf;
    uint8_t head[REEL_PACKET_HEAD_MAX];

    reel_buf_init(&buf, MAX_ANSWER_BYTES);
    reel_buf_add(&buf, id, sizeof(id));
    reel_buf_add(&buf, head, reel_packet_head(head, 0));
    reel_frame_write(&buf, &(struct reel_frame){.kind = REEL_FRAME_PING, .call_id = 1});
    uint8_t *room = buf.failed ? NULL : reel_pipe_room(probe->pipe, buf.len);
    if (room) {
        memcpy(room, buf.data, buf.len);
        (void)reel_pipe_send(probe->pipe);
    }
    reel_buf_fini(&buf);
}

static void on_message(void *arg, struct reel_inbound *inbound, struct reel_slice message)
{
    struct probe *probe = arg;

    (void)inbound;
    (void)message;
    say(probe, &probe->alive);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, const char *reason)
{
    struct probe *probe = arg;

    (void)reason;
    pthread_mutex_lock(&probe->lock);
    probe->closed = true;
    probe->done = true;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static void on_dialed(void *arg, struct nng_stream *stream, int fault, const char *reason)
{
    struct probe *probe = arg;
    const struct reel_pipe_handler handler = {
        .on_open = on_open,
        .on_message = on_message,
        .on_pause = on_nothing,
        .on_sent = on_nothing,
        .on_closed = on_closed,
        .arg = probe,
    };

    (void)reason;
    // Out of descriptors or memory: no verdict on the listener.
    bool ours = fault == -EMFILE || fault == -ENFILE || fault == -ENOMEM;
    if (fault == 0 && reel_pipe_new(stream, probe->url, REEL_PIPE_CLIENT, MAX_ANSWER_BYTES,
                                    &handler, &probe->pipe) == 0)
        reel_pipe_start(probe->pipe);
    else if (fault == 0 || ours)
        say(probe, &probe->alive);
    else
        say(probe, &probe->done);
}

static void await(struct probe *probe, const bool *either, const bool *other, int64_t until_us)
{
    pthread_mutex_lock(&probe->lock);
    while (!*either && !*other && !reel_deadline_passed(until_us))
        reel_cond_wait_until(&probe->changed, &probe->lock, until_us);
    pthread_mutex_unlock(&probe->lock);
}

static bool probe_url(const char *url, int timeout_ms)
{
    struct probe probe = {.url = url};
    struct reel_connector *connector;

    if (reel_connector_open(url, on_dialed, &probe, &connector) != 0)
        return true; // no verdict
    pthread_mutex_init(&probe.lock, NULL);
    reel_cond_init(&probe.changed);
    reel_connector_dial(connector);
    await(&probe, &probe.alive, &probe.done, reel_deadline_in_us((int64_t)timeout_ms * 1000));
    reel_connector_close(connector);
    if (probe.pipe) {
        reel_pipe_close(probe.pipe);
        await(&probe, &probe.closed, &probe.closed, REEL_NO_DEADLINE);
        reel_pipe_unref(probe.pipe);
    }
    pthread_mutex_destroy(&probe.lock);
    pthread_cond_destroy(&probe.changed);
    return probe.alive;
}

// Waits on the server's condition; called with its lock held. False when it stops.
static bool sleep_ms(struct reel_server *server, int ms)
{
    int64_t until_us = reel_deadline_in_us((int64_t)ms * 1000);

    while (!atomic_load(&server->stopping) && !reel_deadline_passed(until_us))
        reel_cond_wait_until(&server->changed, &server->lock, until_us);
    return !atomic_load(&server->stopping);
}

// On a busy machine the verdict may be wrong. That costs nothing, since connections live on; but
// the next one is given more time.
static void check(struct reel_server *server, struct reel_acceptor *acceptor, unsigned *patience)
{
    const char *url = reel_acceptor_url(acceptor);

    if (probe_url(url, PROBE_MS << *patience)) {
        *patience = 0;
        return;
    }
    if (atomic_load(&server->stopping))
        return;
    int rc = reel_acceptor_revive(acceptor);
    reel_log(REEL_LOG_WARN, "rpc.listener_revived", REEL_FS("url", url),
             REEL_FS("fault", rc == 0 ? NULL : strerror(-rc)));
    if (*patience < SLOWEST)
        ++*patience;
}

static void *watch(void *arg)
{
    struct reel_server *server = arg;
    unsigned patience = 0;
    bool going = true;

    pthread_setname_np(pthread_self(), "rpc-watchdog");
    while (going) {
        for (size_t i = 0; i < server->config.n_urls && !atomic_load(&server->stopping); i++)
            check(server, server->acceptors[i], &patience);
        reel_session_each(server, reel_session_expire, NULL);
        pthread_mutex_lock(&server->lock);
        going = sleep_ms(server, INTERVAL_MS);
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

int reel_watchdog_start(struct reel_server *server)
{
    int rc = pthread_create(&server->watchdog, NULL, watch, server);

    server->watching = rc == 0;
    return -rc;
}

void reel_watchdog_stop(struct reel_server *server)
{
    if (!server->watching)
        return;
    pthread_mutex_lock(&server->lock);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    pthread_join(server->watchdog, NULL);
    server->watching = false;
}
