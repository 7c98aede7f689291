// SPDX-License-Identifier: Apache-2.0
// The queue in Redis, in BullMQ 6's data layout, so that npm producers, workers and dashboards can
// share it (docs/bullmq.md). Every operation is one Lua script: lua/*.lua.
//
// All functions may be called from any thread. Results live in the arena given. Each returns
// REEL_OK, an outcome of libcommon/redis or -EPROTO, when the keys are not what they should be;
// those that give a claimed job away also return REEL_ABORTED: the job is no longer ours (lock
// lost, job removed), discard what was done.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/base.h"
#include "svc-job/model.h"

struct queue;

struct queue_config {
    const char *redis_url;
    const char *prefix; // "bull"
    const char *name;   // "reelmesh"; without ':'
    const char *worker; // shown as processedBy
    unsigned max_connections;
    uint32_t lock_ms;           // how long a lock lasts without renewal
    uint32_t timeout_ms;        // of one command
    const char *keep_completed; // JSON rule {"age","count"} where the job has none
    const char *keep_failed;
};

// What goes into the queue.
struct queue_entry {
    const char *id;
    const char *name;
    const char *data;   // JSON
    int64_t created_ms; // 0: now
    int64_t delay_ms;
    int32_t priority; // 0: none, else lower first
    bool lifo;
    int32_t attempts;
    struct job_backoff backoff;
    int32_t generation; // a finished job of that id gives way to a later one
};

// A job as its claimer sees it.
struct queue_job {
    const char *id;
    const char *name;
    const char *data;
    size_t data_len;
    const char *defa; // not NULL: fail it with this reason instead of running it
    int32_t attempts_made;
    int32_t attempts; // of its options; 0: not given
    bool has_backoff;
    struct job_backoff backoff; // of its options
    bool was_tried;             // an attempt of it has ended before
    bool is_scheduled;          // made by a job scheduler, which we do not re-arm
};

struct queue_claim {
    bool found;
    struct queue_job job;
    int64_t next_due_ms; // from now until the next delayed job is due; 0: none known
    int64_t limited_ms;  // the rate limit forbids claiming for so long
};

// How a claimed job is given away; the next one is claimed in the same step.
struct queue_end {
    const char *id;
    const char *token;
    const char *value; // completed: JSON; else the reason, plain text
    bool completed;    // else failed
    bool fetch_next;
    int64_t delay_ms; // of queue_retry
};

struct queue_renewal {
    const char *id;
    const char *token;
    bool lost; // out
};

struct queue_lock {
    const char *id;
    const char *token;
};

enum queue_where { QUEUE_MISSING, QUEUE_QUEUED, QUEUE_COMPLETED, QUEUE_FAILED };

struct queue_probe {
    const char *id;
    enum queue_where where; // out
    int32_t generation;     // out; 1 where the job names none
    const char *value;      // out: result (JSON) or reason
};

struct queue_counts {
    int32_t waiting;
    int32_t active;
    int32_t completed;
    int32_t failed;
    int32_t delayed;
};

// Prepares the queue; connects lazily. Strings are copied.
int queue_open(const struct queue_config *config, struct queue **ret_queue) REEL_MUST_CHECK;

// Closes the connections and frees. NULL is fine.
void queue_close(struct queue *q);

// Writes what is missing of the queue's description and the global bound on active jobs.
// REEL_FAILED_PRECONDITION when an older BullMQ major rules the queue: sharing it would lose jobs.
int queue_init(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
               int32_t concurrency) REEL_MUST_CHECK;

// Whether Redis answers; *ret_is_noeviction tells whether it may never drop keys.
int queue_ping(struct queue *q, int64_t deadline_us, bool *ret_is_noeviction) REEL_MUST_CHECK;

// Adds a job. Idempotent by id: adding one that is there changes nothing, unless it has finished
// and the entry is of a later generation.
int queue_add(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
              const struct queue_entry *entry) REEL_MUST_CHECK;

// Claims the next job under `token`.
int queue_claim_next(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                     const char *token, struct queue_claim *ret_claim) REEL_MUST_CHECK;

// Ends a claimed job.
int queue_settle(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                 const struct queue_end *end, struct queue_claim *ret_next) REEL_MUST_CHECK;

// Gives a failed attempt another try after end->delay_ms.
int queue_retry(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                const struct queue_end *end, struct queue_claim *ret_next) REEL_MUST_CHECK;

// Hands a claimed job back, in front of the others, without counting an attempt.
int queue_put_back(struct queue *q, int64_t deadline_us, struct reel_arena *arena, const char *id,
                   const char *token) REEL_MUST_CHECK;

// Renews locks and tells which are lost.
int queue_renew(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                struct queue_renewal *renewals, size_t n) REEL_MUST_CHECK;

// Stores and announces progress, 0 to 100. A job that is gone is REEL_OK.
int queue_progress(struct queue *q, int64_t deadline_us, struct reel_arena *arena, const char *id,
                   double percent);

// The progress stored for a job, 0 to 100; 0 when there is none or Redis is away.
double queue_get_progress(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                          const char *id);

// Adds a row to a job's log. A job that is gone is REEL_OK.
int queue_log(struct queue *q, int64_t deadline_us, struct reel_arena *arena, const char *id,
              const char *row) REEL_MUST_CHECK;

// Puts jobs of lost workers back, at most once per interval in the whole fleet.
int queue_sweep(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                uint32_t interval_ms, int32_t max_stalled, size_t *ret_n) REEL_MUST_CHECK;

// The locks of all active jobs.
int queue_list_locks(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                     struct queue_lock **ret_locks, size_t *ret_n) REEL_MUST_CHECK;

// Puts back those jobs that are still under these locks, whose workers must be gone for certain.
// As a sweep does, without waiting for the locks to expire. *ret_n: how many.
int queue_reclaim(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                  const struct queue_lock *locks, size_t n, int32_t max_stalled,
                  size_t *ret_n) REEL_MUST_CHECK;

// Removes a job that nobody runs. REEL_NOT_FOUND: there is none; REEL_FAILED_PRECONDITION: it is
// active.
int queue_remove(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                 const char *id) REEL_MUST_CHECK;

// Fills in what Redis knows of the jobs.
int queue_probe_many(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                     struct queue_probe *probes, size_t n) REEL_MUST_CHECK;

// How many jobs are in each state.
int queue_count(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                struct queue_counts *ret_counts) REEL_MUST_CHECK;

// Sleeps until there may be something to claim, at most `timeout_ms`; the due time of a delayed job
// (next_due_ms of the last claim, 0: none) ends it too. One thread at a time: it has a connection
// of its own, with the client name by which npm tools find the workers of a queue.
int queue_wait(struct queue *q, uint32_t timeout_ms, int64_t next_due_ms) REEL_MUST_CHECK;

// Ends queue_wait early, from another thread.
void queue_wake_waiter(struct queue *q);

// The queue's name. Borrowed.
const char *queue_name(const struct queue *q);
