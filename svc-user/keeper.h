// SPDX-License-Identifier: Apache-2.0
// Keeps house in a thread: removes dead sessions, and reads the directory of keys again.
#pragma once

#include <stdint.h>

#include "libcommon/core/base.h"

struct keeper;
struct keys;
struct reel_pg;

// Starts the thread; the pool and the keys are borrowed until keeper_stop.
int keeper_start(struct reel_pg *pg, struct keys *keys, int64_t sweep_ms,
                 struct keeper **ret_keeper) REEL_MUST_CHECK;

// Stops the thread, waits for it, frees. NULL is fine.
void keeper_stop(struct keeper *keeper);
