// SPDX-License-Identifier: Apache-2.0
// A whole gateway in the test's process: real HTTP, real RPC, a real Redis.
#pragma once

#include "gateway/gateway.h"
#include "tests/integration/gateway/services.h"

struct fixture {
    struct gateway *gw;
    struct services services;
    struct gateway_config config; // change it between fixture_prepare and fixture_start
    int port;
    int redis_pid;
    char dir[64];
    char url[128];
    char events_url[128];
    char redis_url[128];
    char token[1025];
    char bearer[1100]; // a whole header line
};

// Sets the defaults: everything generous, nothing started.
void fixture_prepare(struct fixture *fixture);

// Starts Redis, services and gateway and waits until they are ready; fails the test otherwise.
void fixture_start(struct fixture *fixture);

// Ends the gateway and starts another on the same services.
void fixture_restart(struct fixture *fixture);

// Stops the Redis alone.
void fixture_stop_redis(struct fixture *fixture);

// Stops everything and removes the directory.
void fixture_stop(struct fixture *fixture);

// Waits up to 10 s until `ready(arg)` holds; fails the test otherwise.
void fixture_wait(bool (*ready)(void *arg), void *arg);
