// SPDX-License-Identifier: Apache-2.0
// Tasks that come while earlier ones are worked on are worked on together.
//
// A round takes all that wait. A task alone waits for nobody, one round at a time gathers best, and
// a round that is slow does not hold up the tasks that came after it began: others run beside it.
// Nobody joins a round that has begun.
#pragma once

#include <stddef.h>

#include "libcommon/rpc/threads.h"

enum {
    REEL_GATHER_MOST = 64,  // tasks of one round
    REEL_GATHER_ROUNDS = 4, // at the same time
};

struct reel_gather;

// Works on a round: `n` tasks, a list that ends with NULL; they may be gone when it returns. Called
// on a thread of the gatherer, with no lock held; rounds may run at the same time.
typedef void (*reel_gather_fn)(void *arg, struct reel_task *first, size_t n);

// `name` (at most 15 characters) is shown by the system's tools; at most `max_waiting` tasks wait.
int reel_gather_new(const char *name, unsigned max_waiting, reel_gather_fn fn, void *arg,
                    struct reel_gather **ret_gather) REEL_MUST_CHECK;

// Adds a task, whose `run` is not used; false when too many wait. Any thread.
bool reel_gather_add(struct reel_gather *gather, struct reel_task *task);

// Works on what waits, joins the threads, frees. Nothing may be added any more. NULL is fine.
void reel_gather_free(struct reel_gather *gather);
