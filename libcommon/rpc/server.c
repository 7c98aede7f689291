// SPDX-License-Identifier: Apache-2.0
// The server's life: listen, receive, drain, end.
#include "libcommon/rpc/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/server_internal.h"

enum {
    DEFAULT_WORKERS = 16,
    DEFAULT_QUEUED = 1024,
    DEFAULT_STREAMS = 128,
    DEFAULT_ARENA_BYTES = 4 << 20,
    DEFAULT_TIMEOUT_MS = 30000,
    DRAIN_POLL_US = 2000,
    DRAIN_POLLS_A_PING = 25,
};

static void apply_defaults(struct reel_server_config *config)
{
    if (config->workers == 0)
        config->workers = DEFAULT_WORKERS;
    if (config->max_queued == 0)
        config->max_queued = DEFAULT_QUEUED;
    if (config->max_streams == 0)
        config->max_streams = DEFAULT_STREAMS;
    if (config->max_message_bytes == 0)
        config->max_message_bytes = REEL_WIRE_DEFAULT_MAX_MESSAGE;
    if (config->call_arena_bytes == 0)
        config->call_arena_bytes = DEFAULT_ARENA_BYTES;
    if (config->default_timeout_ms == 0)
        config->default_timeout_ms = DEFAULT_TIMEOUT_MS;
}

int reel_server_new(const struct reel_server_config *config, struct reel_server **ret_server)
{
    struct reel_server *server = calloc(1, sizeof(*server));

    if (!server)
        return -ENOMEM;
    server->config = *config;
    apply_defaults(&server->config);
    server->acceptors = calloc(config->n_urls + 1, sizeof(struct reel_acceptor *));
    if (!server->acceptors) {
        free(server);
        return -ENOMEM;
    }
    atomic_init(&server->serving, true);
    pthread_mutex_init(&server->lock, NULL);
    reel_cond_init(&server->changed);
    reel_idmap_init(&server->sessions);
    reel_health_mount(server);
    *ret_server = server;
    return 0;
}

void reel_server_add(struct reel_server *server, const struct reel_service *service,
                     const void *impl, void *svc)
{
    if (server->n_mounted < REEL_SERVER_MAX_SERVICES)
        server->mounted[server->n_mounted++] =
            (struct reel_mounted){.service = service, .impl = impl, .svc = svc};
}

void reel_server_gather(struct reel_server *server, const struct reel_method *method,
                        reel_gathered_fn serve)
{
    if (server->n_gathered < REEL_SERVER_MAX_GATHERED)
        server->gathered[server->n_gathered++] =
            (struct reel_gathered_method){.method = method, .serve = serve};
}

static void on_stream(void *arg, const char *url, struct nng_stream *stream)
{
    reel_session_open(arg, url, stream);
}

static int listen_all(struct reel_server *server)
{
    for (size_t i = 0; i < server->config.n_urls; i++) {
        int rc =
            reel_acceptor_open(server->config.urls[i], on_stream, server, &server->acceptors[i]);

        if (rc != 0) {
            reel_log(REEL_LOG_ERROR, "rpc.listen_failed", REEL_FS("url", server->config.urls[i]),
                     REEL_FS("fault", strerror(-rc)));
            return rc;
        }
    }
    return 0;
}

struct each_session {
    struct reel_session **sessions;
    size_t n;
};

static void collect_session(struct reel_idmap_node *node, void *arg)
{
    struct each_session *each = arg;
    struct reel_session *session = REEL_CONTAINER_OF(node, struct reel_session, node);

    atomic_fetch_add(&session->refs, 1);
    each->sessions[each->n++] = session;
}

void reel_session_each(struct reel_server *server,
                       void (*fn)(struct reel_session *session, void *arg), void *arg)
{
    struct each_session each = {0};

    pthread_mutex_lock(&server->lock);
    each.sessions = calloc(server->sessions.count + 1, sizeof(struct reel_session *));
    if (each.sessions)
        reel_idmap_each(&server->sessions, collect_session, &each);
    pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < each.n; i++) {
        fn(each.sessions[i], arg);
        reel_session_unref(each.sessions[i]);
    }
    free(each.sessions);
}

// After it nothing is received, so that nothing new is handed to a thread.
static void await_ends(struct reel_server *server)
{
    pthread_mutex_lock(&server->lock);
    while (server->sessions.count > 0)
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

// Ends everything that runs; what a failed start left half-done as well.
static void stop(struct reel_server *server)
{
    int code = REEL_UNAVAILABLE;

    atomic_store(&server->stopping, true);
    reel_watchdog_stop(server);
    for (size_t i = 0; i < server->config.n_urls; i++) {
        reel_acceptor_close(server->acceptors[i]);
        server->acceptors[i] = NULL;
    }
    atomic_store(&server->draining, true);
    reel_session_each(server, reel_session_cancel, &code);
    reel_session_each(server, reel_session_close, NULL);
    await_ends(server);
    reel_dispatch_stop(server);
    reel_threads_free(server->workers);
    reel_threads_free(server->streams);
    server->workers = NULL;
    server->streams = NULL;
    pthread_mutex_lock(&server->lock);
    while (server->n_sessions > 0)
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

int reel_server_start(struct reel_server *server)
{
    int rc = reel_dispatch_index(server);

    if (rc == 0)
        rc = reel_threads_new("rpc-worker", server->config.workers, server->config.max_queued,
                              &server->workers);
    if (rc == 0)
        rc = reel_threads_new("rpc-stream", server->config.max_streams, 0, &server->streams);
    if (rc == 0)
        rc = reel_dispatch_start(server);
    if (rc == 0)
        rc = listen_all(server);
    if (rc == 0)
        rc = reel_watchdog_start(server);
    if (rc != 0)
        stop(server);
    return rc;
}

const char *reel_server_url(const struct reel_server *server, size_t i)
{
    return reel_acceptor_url(server->acceptors[i]);
}

void reel_server_set_serving(struct reel_server *server, bool serving)
{
    atomic_store(&server->serving, serving);
}

static bool await_calls(struct reel_server *server, int64_t deadline_us)
{
    pthread_mutex_lock(&server->lock);
    while (server->n_calls > 0 && !reel_deadline_passed(deadline_us))
        reel_cond_wait_until(&server->changed, &server->lock, deadline_us);
    bool done = server->n_calls == 0;
    pthread_mutex_unlock(&server->lock);
    return done;
}

static void check_settled(struct reel_session *session, void *all_settled)
{
    if (!reel_session_is_settled(session))
        *(bool *)all_settled = false;
}

static bool is_settled(struct reel_server *server)
{
    bool settled = true;

    reel_session_each(server, check_settled, &settled);
    return settled;
}

static bool await_acks(struct reel_server *server, int64_t deadline_us)
{
    const struct timespec pause = {.tv_nsec = DRAIN_POLL_US * 1000};

    // A refusal may follow a ping, so that the ping's answer does not cover it: ask again.
    for (unsigned i = 0; !is_settled(server); i++) {
        if (reel_deadline_passed(deadline_us))
            return false;
        if (i % DRAIN_POLLS_A_PING == 0)
            reel_session_each(server, reel_session_ping, NULL);
        nanosleep(&pause, NULL);
    }
    return true;
}

bool reel_server_drain(struct reel_server *server, int64_t grace_us)
{
    int64_t deadline_us = reel_clock_mono_us() + grace_us;

    atomic_store(&server->draining, true);
    reel_session_each(server, reel_session_goaway, NULL);
    bool done = await_calls(server, deadline_us);
    return await_acks(server, deadline_us) && done;
}

void reel_server_free(struct reel_server *server)
{
    if (!server)
        return;
    stop(server);
    free(server->acceptors);
    free(server->entries);
    reel_call_free_all(server);
    reel_idmap_fini(&server->sessions);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    free(server);
}
