// SPDX-License-Identifier: Apache-2.0
// The half-done is found and finished: a thread that compares the record with Redis.
//
// Every pass makes the queue known to Redis (it may have come back empty), puts jobs of lost
// services back, and walks through all jobs that have not ended: one that Redis does not know is
// added again, one that another fleet's worker has ended is taken over into the record. Old rows
// are pruned now and then.
#pragma once

#include "libcommon/core/base.h"
#include "svc-job/run.h"

struct reconciler;

// Starts the thread, its first pass at once. `env` is borrowed for its life.
int reconciler_start(struct run_env *env, struct reconciler **ret_reconciler) REEL_MUST_CHECK;

// Stops and frees. NULL is fine.
void reconciler_stop(struct reconciler *reconciler);

// Adds a job of the record to Redis; harmless when it is there. An outcome of the queue.
int reconciler_add_job(struct run_env *env, int64_t deadline_us, struct reel_arena *arena,
                       const struct job_row *row) REEL_MUST_CHECK;
