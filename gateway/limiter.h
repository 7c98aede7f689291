// SPDX-License-Identifier: Apache-2.0
// Rate limits shared by all gateways, in Redis; of this gateway alone while Redis is away.
//
// One thread asks for everybody: the questions that gather while Redis answers go out together in
// one script call. So a limit costs one round trip, shared, and no HTTP thread ever waits for it.
// For clients that ask often it takes permits ahead (gateway/lease.h), which cost no round trip.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/gcra.h"
#include "libcommon/core/base.h"

struct limiter;
struct reel_redis;

// One question; the caller's memory until `done` is called.
struct limit_ticket {
    const struct rate_policy *policy; // quota above 0
    char key[96];                     // who: "u:<user>" or an address
    void (*done)(void *arg);          // called once, from the limiter's thread; must not block
    void *arg;
    bool allowed; // the answer
    struct gcra_verdict verdict;
    bool finished; // set before `done`

    struct limit_ticket *next; // private
};

// Starts the limiter. `redis` is borrowed.
int limiter_open(struct reel_redis *redis, struct limiter **ret_limiter) REEL_MUST_CHECK;

// Answers what is still asked, stops and frees. NULL is fine.
void limiter_close(struct limiter *limiter);

// Answers at once, when a permit was taken ahead for the client; `done` is not called. Any thread.
bool limiter_try(struct limiter *limiter, struct limit_ticket *ticket);

// Asks. Any thread.
void limiter_ask(struct limiter *limiter, struct limit_ticket *ticket);

// Whether the last answer came from Redis: limits are shared now.
bool limiter_is_shared(struct limiter *limiter);
