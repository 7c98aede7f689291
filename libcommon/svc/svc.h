// SPDX-License-Identifier: Apache-2.0
// The life of a service process: signals, ready, serve, drain, exit. Every main() is the same
// story.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/server.h"

// Blocks SIGTERM, SIGINT and SIGHUP in this and all later threads, ignores SIGPIPE and gives up
// core files. Call it first in main, before any thread and before any secret is read.
void reel_svc_init(void);

struct reel_svc {
    struct reel_server *server; // started by reel_svc_serve; may be NULL (the gateway has none)
    int64_t grace_us;           // for the drain after SIGTERM
    int64_t metrics_port;       // of 127.0.0.1, where GET /metrics is answered; 0: nowhere
    // Asked every second: whether what the service needs is up. NULL: always.
    bool (*is_ready)(void *arg);
    // Called when SIGTERM has come, before the drain; NULL: nothing.
    void (*on_drain)(void *arg);
    void *arg;
};

// Starts the server, announces svc.ready in the log once is_ready holds (and to $NOTIFY_SOCKET if
// set), waits for SIGTERM or SIGINT, drains; metrics are served until then. Returns the process's
// exit status. The server stays the caller's to free, which it does first of all: its handlers may
// still be running.
int reel_svc_serve(const struct reel_svc *svc);
