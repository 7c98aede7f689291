// SPDX-License-Identifier: Apache-2.0
// The server watches its own listeners from outside, as a client would see them.
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <string.h>
#include <time.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/server_internal.h"

enum {
    INTERVAL_MS = 250,
    PROBE_MS = 250,
    // Revived listeners that die at once, by a client that leaves during its handshake with them,
    // are believed dead this often; then the machine is held for too busy, and probes take longer.
    QUICK_REVIVALS = 2,
    SLOWEST = 4, // the patience doubles this often
};

static int configure(nng_socket socket, const char *url, int timeout_ms)
{
    int rv = nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, timeout_ms);

    if (rv == 0)
        rv = nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, timeout_ms);
    if (rv == 0)
        rv = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (rv == 0)
        rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 4096);
    return rv == 0 ? nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK) : rv;
}

static bool exchange(nng_socket socket)
{
    struct reel_frame ping = {.kind = REEL_FRAME_PING, .call_id = 1};
    nng_msg *msg = reel_transport_single(&ping, NULL, 0);

    if (!msg)
        return false;
    if (nng_sendmsg(socket, msg, 0) != 0) {
        nng_msg_free(msg);
        return false;
    }
    if (nng_recvmsg(socket, &msg, 0) != 0)
        return false;
    nng_msg_free(msg);
    return true;
}

bool reel_watchdog_probe(const char *url, int timeout_ms, bool *ret_sound)
{
    nng_socket socket;

    *ret_sound = true;
    if (nng_req0_open(&socket) != 0)
        return true; // out of descriptors: no verdict on the listener
    bool alive = configure(socket, url, timeout_ms) == 0 && exchange(socket);
    *ret_sound = reel_transport_close(socket.id);
    return alive;
}

// Waits on the server's condition; called with its lock held. False when it stops.
static bool sleep_ms(struct reel_server *server, int ms)
{
    int64_t until_us = reel_deadline_in_us((int64_t)ms * 1000);
    struct timespec at = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};

    while (!atomic_load(&server->stopping) && !reel_deadline_passed(until_us))
        pthread_cond_timedwait(&server->changed, &server->lock, &at);
    return !atomic_load(&server->stopping);
}

// Revives the listener if it is dead; checked again at once, because whoever waited for it comes
// and goes in these moments. `patience` is the times that probes are doubled.
static bool revived(struct reel_server *server, struct reel_listener *listener, unsigned patience)
{
    const char *url = reel_listener_url(listener);

    bool sound;

    // On a busy machine the verdict may be wrong, which costs nothing: connections are kept.
    if (reel_watchdog_probe(url, PROBE_MS << patience, &sound) || !sound ||
        atomic_load(&server->stopping)) {
        server->blind = !sound;
        return false;
    }
    int rc = reel_listener_revive(listener, true);
    reel_log(REEL_LOG_WARN, "rpc.listener_revived", REEL_FS("url", url),
             REEL_FS("fault", rc == 0 ? NULL : strerror(-rc)));
    return true;
}

static void check(struct reel_server *server, struct reel_listener *listener)
{
    unsigned patience = 0;

    if (!reel_listener_is_mortal(listener))
        return;
    for (unsigned n = 1; revived(server, listener, patience); n++)
        if (n >= QUICK_REVIVALS && patience < SLOWEST)
            patience++;
}

static void *watch(void *arg)
{
    struct reel_server *server = arg;
    bool going = true;

    pthread_setname_np(pthread_self(), "rpc-watchdog");
    while (going) {
        for (size_t i = 0;
             i < server->config.n_urls && !atomic_load(&server->stopping) && !server->blind; i++)
            check(server, server->listeners[i]);
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
