// SPDX-License-Identifier: Apache-2.0
// The RPC server: listeners, worker pool, dispatch, health, drain. Wire: docs/protocol.md.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/gather.h"
#include "libcommon/rpc/method.h"

struct reel_server;

// A service that may call, with the API keys it may show; two, so that one can be rotated.
struct reel_peer_key {
    const char *service; // "gateway"
    const char *key;
    const char *previous_key; // still valid, or NULL
    bool may_speak_for_users; // its reel-user-id metadata is believed
};

struct reel_server_config {
    const char *service;     // own name, for logs and health
    const char *const *urls; // "tcp://127.0.0.1:3001", "ipc:///...", "inproc://..."
    size_t n_urls;
    const struct reel_peer_key *peers;
    size_t n_peers;
    unsigned workers;         // handler threads; 0 is 16
    unsigned max_queued;      // calls waiting for a worker; beyond it RESOURCE_EXHAUSTED; 0 is 1024
    unsigned max_streams;     // streaming calls at once, each on a thread of its own; 0 is 128
    size_t max_message_bytes; // 0 is 4 MiB
    size_t call_arena_bytes;  // 0 is 4 MiB
    uint32_t default_timeout_ms; // 0 is 30,000
};

// Creates a server that listens nowhere yet. Strings are borrowed for its life.
int reel_server_new(const struct reel_server_config *config,
                    struct reel_server **ret_server) REEL_MUST_CHECK;

// Adds a service before the start. `impl` is its generated vtable, `svc` its state; both borrowed.
void reel_server_add(struct reel_server *server, const struct reel_service *service,
                     const void *impl, void *svc);

// One of the calls that a gathering handler serves together.
struct reel_gathered {
    struct reel_call *call;
    const void *req;
    void *res;
    int rc; // the outcome, as a handler returns it
};

// Serves calls of one method together, at most REEL_GATHER_MOST: fills `res` and `rc` of each.
// Their ends and deadlines differ. `svc` is the state given to reel_server_add.
typedef void (*reel_gathered_fn)(void *svc, struct reel_gathered *calls, size_t n);

// Has the calls of a unary method served together, those that came while earlier ones were served
// (libcommon/rpc/gather.h), in place of the vtable's handler. Before the start.
void reel_server_gather(struct reel_server *server, const struct reel_method *method,
                        reel_gathered_fn serve);

// Listens on every URL and starts the workers, the listener watchdog and the health service. On
// failure nothing is left running; -EADDRINUSE names the URL in the log.
int reel_server_start(struct reel_server *server) REEL_MUST_CHECK;

// The URL of the listener `i` with the port in use, once started. Borrowed for the server's life.
const char *reel_server_url(const struct reel_server *server, size_t i);

// Sets what health Check and Watch answer for the whole server. Any thread.
void reel_server_set_serving(struct reel_server *server, bool serving);

// Graceful drain: tells peers to go away (GOAWAY), refuses new calls with UNAVAILABLE, lets calls
// in flight finish and their replies be acknowledged, for at most `grace_us`. True when all did.
bool reel_server_drain(struct reel_server *server, int64_t grace_us);

// Stops at once and frees everything; calls still running are cancelled and awaited. NULL is fine.
void reel_server_free(struct reel_server *server);
