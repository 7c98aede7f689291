// SPDX-License-Identifier: Apache-2.0
// Threads that run tasks: started when needed, kept, bounded in number and in what waits.
#pragma once

#include <stdbool.h>

#include "libcommon/core/base.h"

struct reel_threads;

// One piece of work; embed it. `run` is called once on one of the threads.
struct reel_task {
    struct reel_task *next;
    void (*run)(struct reel_task *task);
};

// A group of at most `max_threads` threads; at most `max_queued` tasks wait beside those that run.
// `name` (at most 15 characters) is shown by the system's tools.
int reel_threads_new(const char *name, unsigned max_threads, unsigned max_queued,
                     struct reel_threads **ret_threads) REEL_MUST_CHECK;

// Hands a task over; false when no thread is free and too many wait. Any thread.
bool reel_threads_submit(struct reel_threads *threads, struct reel_task *task);

// Runs what waits, joins the threads, frees. No task may be submitted any more. NULL is fine.
void reel_threads_free(struct reel_threads *threads);
