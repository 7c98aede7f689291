// SPDX-License-Identifier: Apache-2.0
// A bounded pool of connections of any kind: waits by deadline, opens lazily, and keeps a crowd
// from storming a server that is away or just back.
//
// At most two connections are being opened at once; after a failure nobody tries again before a
// jittered pause (50 ms to 1 s, growing), and whoever comes meanwhile is told REEL_UNAVAILABLE at
// once. Idle items are reused last in, first out. Any thread; an item belongs to who took it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"

struct reel_pool;

struct reel_pool_ops {
    // Opens a connection by the deadline. REEL_DEADLINE_EXCEEDED is the taker's own bad luck; any
    // other failure starts the pause.
    int (*open)(void *owner, int64_t deadline_us, void **ret_item);
    // Closes one; must not block.
    void (*close)(void *item);
    // Whether an idle one may be handed out again; cheap, must not block.
    bool (*is_alive)(void *item);
};

// Creates an empty pool of at most `max_items`. `ops` is borrowed for ever, `owner` for the pool's
// life.
int reel_pool_new(const struct reel_pool_ops *ops, void *owner, unsigned max_items,
                  struct reel_pool **ret_pool) REEL_MUST_CHECK;

// Closes the idle items and frees. Nothing may be out. NULL is fine.
void reel_pool_free(struct reel_pool *pool);

// Takes an idle item or opens one. REEL_UNAVAILABLE when opening fails or failed a moment ago and
// none is out that could come back; REEL_DEADLINE_EXCEEDED when none came free in time.
int reel_pool_take(struct reel_pool *pool, int64_t deadline_us, void **ret_item) REEL_MUST_CHECK;

// Gives an item back; one that is not `reusable` is closed and its place is free.
void reel_pool_give(struct reel_pool *pool, void *item, bool reusable);
