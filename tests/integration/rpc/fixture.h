// SPDX-License-Identifier: Apache-2.0
// An echo server on a free port and channels to it.
#pragma once

#include <stdatomic.h>

#include "libcommon/rpc/call.h"
#include "libcommon/rpc/channel.h"
#include "libcommon/rpc/server.h"
#include "tests/rpc/echo.reel.h"

// The state of the echo service.
struct echo_svc {
    struct reel_channel *next; // where Relay calls; NULL: nowhere
    atomic_uint started;       // Work handlers that began, and calls of Together
    atomic_uint finished;
    atomic_bool hold;      // rounds of Together wait
    atomic_uint cancelled; // Work handlers that saw their call cancelled
    _Atomic int64_t cancelled_at_us;
};

struct fixture {
    struct echo_svc svc;
    struct reel_server *server;
    char url[160];
};

#define FIXTURE_KEY          "key-of-the-gateway"
#define FIXTURE_PREVIOUS_KEY "previous-key-of-the-gateway"
#define FIXTURE_JOB_KEY      "key-of-the-job-service"

// Starts an echo server. `config` may be NULL; its urls and peers are set here ("gateway", which
// may speak for users, and "job", which may not). `url` NULL is a free TCP port.
void fixture_start(struct fixture *fixture, const struct reel_server_config *config,
                   const char *url);

// Frees the server.
void fixture_stop(struct fixture *fixture);

// A channel to the fixture as "gateway", connected.
struct reel_channel *fixture_connect(const struct fixture *fixture);

// A channel to `url` with another identity; not yet connected.
struct reel_channel *fixture_open(const char *url, const char *service, const char *key);

// Calls Echo with `len` bytes and checks the answer; the code.
int fixture_echo(struct reel_channel *channel, size_t len);

// Calls Work; the code, with the status and the answer in `arena`.
int fixture_work(struct reel_channel *channel, const struct reel_call_options *options,
                 const Echo__WorkRequest *request, struct reel_arena *arena,
                 Echo__WorkResponse **ret_response, struct reel_status *ret_status);

// Dials with an NNG socket that does not dial again by itself when the connection ends, as every
// client of ours: NNG 1.5.2 does so in half of all cases at once, and leaks a connection that is
// negotiated while its socket closes. 0 or an nng_errno.
int fixture_dial(uint32_t socket, const char *url);

// A path for a Unix socket in a new directory, as a URL.
void fixture_ipc_url(char *ret_url, size_t size);

// Waits until *counter reaches `value`, at most `ms`; whether it did.
bool fixture_wait(atomic_uint *counter, unsigned value, unsigned ms);

// The process's resident memory.
size_t fixture_rss_bytes(void);

// How an asynchronous call ended; `done` counts how often its callback came.
struct fixture_outcome {
    atomic_uint done;
    int code;
    char message[256];
    uint32_t retry_after_ms;
};

// Starts a call of the echo service, by its index. The outcome must live until it is done; the
// caller drops the reference.
struct reel_client_call *fixture_start_call(struct reel_channel *channel, unsigned method,
                                            const struct reel_call_options *options,
                                            const ProtobufCMessage *request,
                                            struct fixture_outcome *outcome);

// Starts Work, which sleeps for so long; 0: until it is cancelled.
struct reel_client_call *fixture_start_work(struct reel_channel *channel, uint32_t sleep_ms,
                                            struct fixture_outcome *outcome);
