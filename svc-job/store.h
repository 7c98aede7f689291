// SPDX-License-Identifier: Apache-2.0
// The record in PostgreSQL: job_history and job_events.
//
// Every change of state is one transaction that checks the move against the table in model.c,
// raises the row's version and records the numbered event. Functions may be called from any
// thread; results live in the arena. Outcomes are those of libcommon/pg beside the ones named.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/pg/pg.h"
#include "svc-job/model.h"

// A row of job_history. Strings are NULL where the column is.
struct job_row {
    const char *job_id;
    const char *queue_id;
    const char *type;
    const char *video_id;
    const char *user_id;
    enum job_state state;
    int32_t version;
    int32_t generation;
    const char *request; // JSON of job.EnqueueRequest
    int32_t priority;
    int32_t attempts_made;
    int32_t max_attempts;
    int32_t crashes;
    const char *result; // JSON of job.JobResult
    const char *failed_code;
    const char *failed_reason;
    bool is_settled;
    int64_t delay_ms; // until a delayed job is due; else 0
    int64_t created_us;
    int64_t started_us;
    int64_t finished_us;
};

// A row of job_events.
struct event_row {
    int64_t seq;
    const char *type;
    const char *job_id;
    const char *video_id;
    const char *user_id;
    int32_t version;
    const char *job; // JSON of job.Job
    int64_t at_us;
};

struct job_new {
    const char *job_id;
    const char *queue_id;
    const char *type;
    const char *video_id;
    const char *user_id;
    const char *request;
    int32_t priority;
    int32_t max_attempts;
    int64_t delay_ms;
};

// A move of one job.
struct job_change {
    const char *job_id;
    const char *user_id;  // NULL: whoever owns it
    int32_t from_version; // the fencing token; 0: whatever it is now
    enum job_state to;
    bool count_attempt;
    bool count_crash;
    bool new_generation; // attempts and crashes start at 0 again
    int64_t delay_ms;    // with JOB_DELAYED
    const char *result;
    const char *failed_code;
    const char *failed_reason;
    const char *queue_id; // NULL: as it is
};

struct job_filter {
    const char *user_id;  // NULL: all
    const char *state;    // NULL: all
    const char *video_id; // NULL: all
    const char *before;   // job id; NULL: from the newest
    int32_t limit;
};

struct job_list {
    struct job_row *rows;
    size_t n;
};

struct event_list {
    struct event_row *rows;
    size_t n;
    int64_t last_seq;
    int64_t oldest_seq;
};

// A run that is going on and the version its job had when it began.
struct job_fence {
    const char *job_id;
    int32_t version;
    bool is_stale; // out: the job has moved on without it
};

// Records a new job and job.created. When its id is there already *ret_created is false and
// *ret_row the row as it is.
int store_job_insert(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                     const struct job_new *job, struct job_row *ret_row,
                     bool *ret_created) REEL_MUST_CHECK;

// Reads a job. REEL_NOT_FOUND also when `user_id` is not NULL and not the owner.
int store_job_get(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                  const char *job_id, const char *user_id, struct job_row *ret_row) REEL_MUST_CHECK;

// Moves a job. REEL_NOT_FOUND; REEL_ABORTED when from_version is no longer its version;
// REEL_FAILED_PRECONDITION when the table has no such move: *ret_row is then the row as it is.
// Repeating an end that has been recorded is REEL_OK, so a commit of unknown outcome can be
// repeated.
int store_job_change(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                     const struct job_change *change, struct job_row *ret_row) REEL_MUST_CHECK;

// Remembers that Redis knows how the job ended.
int store_job_settled(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                      const char *job_id, int32_t version) REEL_MUST_CHECK;

// Jobs, newest first.
int store_job_list(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                   const struct job_filter *filter, struct job_list *ret_list) REEL_MUST_CHECK;

// Jobs that have not ended and have not changed for two seconds, in the order of their ids, after
// `after` (NULL: from the first), at most `limit`.
int store_job_list_open(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                        const char *after, int32_t limit,
                        struct job_list *ret_list) REEL_MUST_CHECK;

// All jobs of a video that have not ended.
int store_job_list_of_video(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                            const char *video_id, struct job_list *ret_list) REEL_MUST_CHECK;

// Tells which of the runs are over for the record: cancelled, ended, or begun again elsewhere.
int store_check_fences(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                       struct job_fence *fences, size_t n) REEL_MUST_CHECK;

// How many jobs are in each state, by enum job_state.
int store_count(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                int32_t ret_counts[JOB_N_STATES]) REEL_MUST_CHECK;

// Events after a number, in order, of one user or (NULL) of all.
int store_events_after(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                       int64_t after_seq, const char *user_id, int32_t limit,
                       struct event_list *ret_list) REEL_MUST_CHECK;

// The newest number given; 0: none yet.
int store_events_last(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                      int64_t *ret_seq) REEL_MUST_CHECK;

// Deletes events and finished jobs older than the given ages in seconds, a bounded number of each.
// *ret_n: how many rows went.
int store_prune(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                int64_t events_age_s, int64_t history_age_s, int64_t *ret_n) REEL_MUST_CHECK;
