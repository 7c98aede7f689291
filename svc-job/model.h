// SPDX-License-Identifier: Apache-2.0
// The rules of a job's life: states and allowed moves, retries, backoff, time limits. Pure
// functions: no clock, no I/O, no randomness of their own. Any thread.
//
//   waiting <-> delayed        both may end cancelled, or failed when they stalled too often
//      \         /
//       v       v
//        active  ------------> completed | failed | cancelled
//          |                                  |        |
//          +-> waiting, delayed (again)  <----+--------+ (a person's retry)
//          +-> active (claimed again after its worker was lost)
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/media.h"

enum job_state {
    JOB_WAITING,
    JOB_DELAYED,
    JOB_ACTIVE,
    JOB_COMPLETED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_N_STATES,
};

// The state's word ("waiting"), as in the database and on the wire. Static.
const char *job_state_name(enum job_state state);

// Reads a state's word; false for any other text, NULL included.
bool job_state_parse(const char *text, enum job_state *ret_state);

// Whether the job has ended.
bool job_state_is_terminal(enum job_state state);

// Whether a job may go from one state to another. The same table guards the SQL update.
bool job_state_may_move(enum job_state from, enum job_state to);

// The type of the event that announces a move: "job.started" and so on. A job that is queued again
// is "job.requeued". Static.
const char *job_event_type(enum job_state to);

enum job_verdict { JOB_COMPLETE, JOB_RETRY, JOB_FAIL, JOB_DROP };

// What the record says about a job that has just run.
struct job_tally {
    int32_t attempts_made; // before this one
    int32_t max_attempts;
    int32_t crashes; // before this one
    int32_t max_crashes;
};

// What becomes of a job whose worker ended so. What cannot succeed is not tried again; a job that
// has crashed `max_crashes` workers fails whatever attempts are left. JOB_DROP: cancelled.
enum job_verdict job_decide(enum media_code code, const struct job_tally *tally);

enum job_backoff_type { JOB_BACKOFF_FIXED, JOB_BACKOFF_EXPONENTIAL };

struct job_backoff {
    enum job_backoff_type type;
    int64_t delay_ms;
    double jitter; // 0 to 1: the delay is uniform in [(1 - jitter) * x, x]
};

// Milliseconds to wait before the next attempt; `attempt` counts ended attempts from 1. `random`
// is uniform in [0, 1). At most a day.
int64_t job_backoff_ms(const struct job_backoff *backoff, int32_t attempt, double random);

// The wall-clock limit of one attempt on an input of that size: ten minutes and a second more for
// each 128 KiB, at most twelve hours.
int64_t job_wall_limit_ms(int64_t input_bytes);
