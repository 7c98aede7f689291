// SPDX-License-Identifier: Apache-2.0
// A queue on a real Redis and short ways to move its jobs. All fail the test when the queue answers
// with an error.
#pragma once

#include "svc-job/queue.h"
#include "tests/integration/job/lib/servers.h"

enum { BENCH_LOCK_MS = 30000 };

struct bench {
    struct tap tap;
    struct queue *q;
    struct reel_arena arena;
};

// cmocka's set-up and tear-down: *state is a struct bench with an empty queue.
int bench_set_up(void **state);

// Deletes the queue and frees.
int bench_tear_down(void **state);

// A deadline five seconds from now.
int64_t soon(void);

// Adds a job; name and (when it has none) data are filled in.
void add(struct bench *fx, struct queue_entry entry);

// Adds a job without options but three attempts.
void add_plain(struct bench *fx, const char *id);

// Claims, with or without success.
struct queue_claim claim(struct bench *fx, const char *token);

// A claim of the next job, waiting for one that is delayed.
struct queue_claim claim_when_due(struct bench *fx);

// Claims as "t" and fails the test unless it gets that job.
void assert_claims(struct bench *fx, const char *id);

// Settles as "t", fetching the next job. The queue's answer.
int settle(struct bench *fx, const char *id, bool completed, const char *value,
           struct queue_claim *ret_next);

// Fails the test unless a field of the job's hash has that value.
void assert_field(struct bench *fx, const char *id, const char *field, const char *value);

// Fails the test unless the queue's events so far are these, joined by commas.
void assert_events(struct bench *fx, const char *names);
