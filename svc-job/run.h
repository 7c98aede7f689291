// SPDX-License-Identifier: Apache-2.0
// One claimed job, from claim to settle.
//
// The order of its end is fixed, so that a crash at any point can be repaired: the result file is
// published, then the record says how the job ended, then Redis does. A job that comes back after a
// crash in between is settled from the record without being run again.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/pg/pg.h"
#include "libcommon/storage/storage.h"
#include "svc-job/config.h"
#include "svc-job/feed.h"
#include "svc-job/holder.h"
#include "svc-job/permits.h"
#include "svc-job/queue.h"
#include "svc-job/store.h"
#include "svc-job/worker/worker.h"

// What runs share. All borrowed.
struct run_env {
    const struct job_config *config;
    struct reel_pg *pg;
    struct queue *queue;
    struct reel_storage *storage;
    struct worker_zygote *zygote;
    struct feed *feed;
    struct permits *encodes;
    atomic_bool is_draining;    // claim no more
    atomic_llong not_before_us; // claim nothing earlier: the record or the queue is not ready
};

enum run_stop {
    RUN_GO,
    RUN_STALE,     // the record has moved on: cancelled, or begun again elsewhere
    RUN_LOST,      // the lock is gone: another worker may run the job
    RUN_HAND_BACK, // the service stops
};

// A slot's present job. The slot's thread writes it, the keeper's thread reads it and may stop it;
// `lock` guards all fields.
struct run {
    pthread_mutex_t lock;
    char token[HOLDER_TOKEN_SIZE]; // of the locks, the same for life
    uint64_t serial;      // grows with every job: a stop meant for an earlier one is ignored
    const char *queue_id; // NULL: no job
    const char *job_id;   // with the version that fences it; NULL: not running yet, or ending
    int32_t version;
    struct worker *worker; // NULL: none
    enum run_stop stop;
};

// Prepares an idle run.
void run_init(struct run *run);

// Frees; the run must be idle.
void run_fini(struct run *run);

// Stops the job numbered `serial` if it still runs; its worker is killed. Any thread.
void run_halt(struct run *run, uint64_t serial, enum run_stop why);

// Whether and why the present job is to stop. Any thread.
enum run_stop run_stopped(struct run *run);

// Makes the worker known to run_halt, or (NULL) takes it back. When the job is to stop already, the
// worker is cancelled at once.
void run_set_worker(struct run *run, struct worker *worker);

// Says that the slot works on a claim, from now until run_job returns: its lock is renewed.
void run_begin(struct run *run, const struct queue_claim *claim);

// Runs a claimed job and gives it away. The next job, if one was claimed in the same step, is in
// *ret_next and in `next_arena`.
void run_job(struct run_env *env, struct run *run, struct reel_arena *arena,
             const struct queue_claim *claim, struct reel_arena *next_arena,
             struct queue_claim *ret_next);
