// SPDX-License-Identifier: Apache-2.0
// The job slots of this process.
//
// Threads: one dispatcher, the only one that waits for work, hands claims to idle slots; one thread
// a slot runs jobs one after the other (each settle claims the next); one keeper renews locks,
// watches the record for runs that are over, and the zygote. The keeper does no work of a slot, so
// a long encode never costs its lock.
#pragma once

#include "libcommon/core/base.h"
#include "svc-job/run.h"

struct supervisor;

// Starts `n_slots` slots. `env` is borrowed for its life.
int supervisor_start(struct run_env *env, unsigned n_slots,
                     struct supervisor **ret_supervisor) REEL_MUST_CHECK;

// Claims no more; jobs that run may go on until `deadline_us`, then they are handed back. Returns
// at once. Any thread.
void supervisor_drain(struct supervisor *supervisor, int64_t deadline_us);

// Drains (at once, if nobody has before), waits for the threads and frees. NULL is fine.
void supervisor_stop(struct supervisor *supervisor);

// Has the keeper look at the record now: a job was cancelled. Any thread.
void supervisor_check(struct supervisor *supervisor);
