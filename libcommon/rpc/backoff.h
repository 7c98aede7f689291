// SPDX-License-Identifier: Apache-2.0
// How often a peer is dialed that cannot be reached, and how long each attempt may take.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Embed it; `failures` may be read. No lock: the owner has one.
struct reel_backoff {
    unsigned failures; // attempts since the peer was reached last
    int64_t pause_us;
    unsigned seed;
};

// A peer that has not been dialed yet.
void reel_backoff_init(struct reel_backoff *backoff);

// The peer has been reached.
void reel_backoff_reset(struct reel_backoff *backoff);

// An attempt has failed; the pauses grow, unless it was given up, for then it has `waited` already.
void reel_backoff_failed(struct reel_backoff *backoff, bool waited);

// The time until the next attempt, in µs: between half of the pause and all of it, so that many
// clients do not come back together. 400 ms at most.
int64_t reel_backoff_pause_us(struct reel_backoff *backoff);

// How long to wait, in µs, for a peer that has not answered `failures` times before: short at
// first, because the peer may be a dead listener about to be revived; longer when that does not
// help, because it may be far away or busy.
int64_t reel_backoff_patience_us(unsigned failures);
