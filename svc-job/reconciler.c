// SPDX-License-Identifier: Apache-2.0
#include "svc-job/reconciler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/obs/metrics.h"

enum {
    PASS_US = 2 * 1000 * 1000,
    PAGE = 200,
    ARENA_BYTES = 32 * 1024 * 1024,
    PG_US = 10 * 1000 * 1000,
    REDIS_US = 5 * 1000 * 1000,
    PRUNE_US = 600 * 1000 * 1000,
};

struct reconciler {
    struct run_env *env;
    struct permits stops;
    pthread_t thread;
    int64_t prune_at_us;
    int64_t sweep_at_us;
    bool is_refused; // by an older BullMQ; said once
    struct reel_counter *added;
    struct reel_counter *imported;
    struct reel_counter *stalled;
};

int reconciler_add_job(struct run_env *env, int64_t deadline_us, struct reel_arena *arena,
                       const struct job_row *row)
{
    return queue_add(env->queue, deadline_us, arena,
                     &(struct queue_entry){
                         .id = row->queue_id,
                         .name = row->type,
                         .data = row->request,
                         .created_ms = row->created_us / 1000,
                         .delay_ms = row->delay_ms,
                         .priority = row->priority,
                         .attempts = row->max_attempts,
                         .backoff = {JOB_BACKOFF_EXPONENTIAL, env->config->backoff_ms, 0},
                         .generation = row->generation,
                     });
}

// Redis has lost the job. What ran is over for the record, and a job that came with a number for
// an id gets its own: Redis counts from 1 again.
static void add_again(struct reconciler *r, struct reel_arena *arena, const struct job_row *row)
{
    struct job_row now = *row;
    bool renamed = strcmp(row->queue_id, row->job_id) != 0;
    int rc = REEL_OK;

    if (row->state == JOB_ACTIVE || renamed) {
        const struct job_change change = {
            .job_id = row->job_id,
            .from_version = row->version,
            .to = row->state == JOB_DELAYED ? JOB_DELAYED : JOB_WAITING,
            .delay_ms = row->delay_ms,
            .failed_code = row->failed_code,
            .failed_reason = row->failed_reason,
            .queue_id = row->job_id,
        };
        rc = store_job_change(r->env->pg, reel_deadline_in_us(PG_US), arena, &change, &now);
        feed_poke(r->env->feed);
    }
    if (rc == REEL_OK)
        rc = reconciler_add_job(r->env, reel_deadline_in_us(REDIS_US), arena, &now);
    if (rc == REEL_OK)
        reel_counter_add(r->added, 1);
    reel_log(REEL_LOG_WARN, "job.added_again", REEL_FS("job_id", row->job_id),
             REEL_FS("code", reel_code_name(rc)));
}

// A worker of another fleet has ended the job.
static void import(struct reconciler *r, struct reel_arena *arena, const struct job_row *row,
                   const struct queue_probe *probe)
{
    bool completed = probe->where == QUEUE_COMPLETED;
    const struct job_change change = {
        .job_id = row->job_id,
        .from_version = row->version,
        .to = completed ? JOB_COMPLETED : JOB_FAILED,
        .count_attempt = true,
        .result = completed ? probe->value : NULL,
        .failed_code = completed ? NULL : "INTERNAL",
        .failed_reason = completed ? NULL : probe->value,
    };
    struct job_row now;

    int rc = store_job_change(r->env->pg, reel_deadline_in_us(PG_US), arena, &change, &now);
    feed_poke(r->env->feed);
    if (rc == REEL_OK)
        rc = store_job_settled(r->env->pg, reel_deadline_in_us(PG_US), arena, now.job_id,
                               now.version);
    if (rc == REEL_OK)
        reel_counter_add(r->imported, 1);
    reel_log(REEL_LOG_INFO, "job.imported", REEL_FS("job_id", row->job_id),
             REEL_FS("state", job_state_name(change.to)), REEL_FS("code", reel_code_name(rc)));
}

static void repair(struct reconciler *r, struct reel_arena *arena, const struct job_row *row,
                   const struct queue_probe *probe)
{
    if (probe->where == QUEUE_QUEUED)
        return;
    if (probe->where == QUEUE_MISSING || probe->generation < row->generation)
        add_again(r, arena, row);
    else
        import(r, arena, row, probe);
}

// Compares one page; *ret_n is its size, and `last` the id to go on from.
static int compare_page(struct reconciler *r, struct reel_arena *arena, char last[], size_t *ret_n)
{
    struct job_list list;

    int rc = store_job_list_open(r->env->pg, reel_deadline_in_us(PG_US), arena,
                                 last[0] != '\0' ? last : NULL, PAGE, &list);
    if (rc != REEL_OK || list.n == 0) {
        *ret_n = 0;
        return rc;
    }
    struct queue_probe *probes = reel_arena_array(arena, list.n, sizeof(*probes));
    if (probes == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < list.n; i++)
        probes[i].id = list.rows[i].queue_id;
    rc = queue_probe_many(r->env->queue, reel_deadline_in_us(REDIS_US), arena, probes, list.n);
    for (size_t i = 0; rc == REEL_OK && i < list.n; i++)
        repair(r, arena, &list.rows[i], &probes[i]);
    snprintf(last, 64, "%s", list.rows[list.n - 1].job_id);
    *ret_n = list.n;
    return rc;
}

static bool is_stopping(struct reconciler *r)
{
    return atomic_load(&r->env->is_draining);
}

static int compare_all(struct reconciler *r, struct reel_arena *arena)
{
    char last[64] = "";
    size_t n = PAGE;
    int rc = REEL_OK;

    while (rc == REEL_OK && n == PAGE && !is_stopping(r)) {
        rc = compare_page(r, arena, last, &n);
        reel_arena_reset(arena);
    }
    return rc;
}

static int init_queue(struct reconciler *r, struct reel_arena *arena)
{
    int rc = queue_init(r->env->queue, reel_deadline_in_us(REDIS_US), arena,
                        (int32_t)r->env->config->workers);

    if (rc == REEL_FAILED_PRECONDITION && !r->is_refused)
        reel_log(REEL_LOG_ERROR, "queue.too_old",
                 REEL_FS("what", "producers of BullMQ 5 or older use this queue; sharing it loses "
                                 "jobs: move them to BullMQ 6 or to a queue of their own"));
    r->is_refused = rc == REEL_FAILED_PRECONDITION;
    // Nothing is claimed before the global bound is in place.
    if (r->is_refused)
        atomic_store(&r->env->not_before_us, REEL_NO_DEADLINE);
    else if (rc == REEL_OK && atomic_load(&r->env->not_before_us) == REEL_NO_DEADLINE)
        atomic_store(&r->env->not_before_us, 0);
    return rc;
}

static int sweep(struct reconciler *r, struct reel_arena *arena)
{
    const struct job_config *config = r->env->config;
    size_t n = 0;

    if (!reel_deadline_passed(r->sweep_at_us))
        return REEL_OK;
    r->sweep_at_us = reel_deadline_in_us(config->sweep_ms * 1000);
    int rc = queue_sweep(r->env->queue, reel_deadline_in_us(REDIS_US), arena,
                         (uint32_t)config->sweep_ms, (int32_t)config->max_stalled, &n);
    if (n > 0) {
        reel_counter_add(r->stalled, n);
        reel_log(REEL_LOG_WARN, "queue.stalled", REEL_FI("jobs", n));
    }
    return rc;
}

// The jobs of a service that died on this machine, be it this one's predecessor, need not wait
// until their locks expire.
static int reclaim(struct reconciler *r, struct reel_arena *arena)
{
    struct queue_lock *locks;
    size_t n_gone = 0;
    size_t n;

    int rc = queue_list_locks(r->env->queue, reel_deadline_in_us(REDIS_US), arena, &locks, &n);
    if (rc != REEL_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (holder_is_gone(locks[i].token))
            locks[n_gone++] = locks[i];
    }
    if (n_gone == 0)
        return REEL_OK;
    rc = queue_reclaim(r->env->queue, reel_deadline_in_us(REDIS_US), arena, locks, n_gone,
                       (int32_t)r->env->config->max_stalled, &n);
    if (rc == REEL_OK && n > 0) {
        reel_counter_add(r->stalled, n);
        reel_log(REEL_LOG_WARN, "queue.reclaimed", REEL_FI("jobs", n));
    }
    return rc;
}

static void prune(struct reconciler *r, struct reel_arena *arena)
{
    const struct job_config *config = r->env->config;
    int64_t n = 0;

    if (!reel_deadline_passed(r->prune_at_us))
        return;
    r->prune_at_us = reel_deadline_in_us(PRUNE_US);
    int rc = store_prune(r->env->pg, reel_deadline_in_us(PG_US), arena, config->events_age_s,
                         config->history_age_s, &n);
    if (rc == REEL_OK && n > 0)
        reel_log(REEL_LOG_INFO, "store.pruned", REEL_FI("rows", n));
}

static void pass(struct reconciler *r, struct reel_arena *arena)
{
    int rc = init_queue(r, arena);

    if (rc == REEL_OK)
        rc = sweep(r, arena);
    if (rc == REEL_OK)
        rc = reclaim(r, arena);
    if (rc == REEL_OK)
        rc = compare_all(r, arena);
    if (rc != REEL_OK)
        reel_log(REEL_LOG_WARN, "reconciler.pass_failed", REEL_FS("code", reel_code_name(rc)),
                 REEL_FI("rc", rc));
    prune(r, arena);
    reel_arena_reset(arena);
}

static void *reconcile(void *arg)
{
    struct reconciler *r = arg;
    struct reel_arena arena;
    int64_t sweep_us = r->env->config->sweep_ms * 1000;
    int64_t pause_us = sweep_us < PASS_US ? sweep_us : PASS_US;

    reel_arena_init(&arena, ARENA_BYTES);
    do
        pass(r, &arena);
    while (!permits_take(&r->stops, reel_deadline_in_us(pause_us)));
    reel_arena_fini(&arena);
    return NULL;
}

int reconciler_start(struct run_env *env, struct reconciler **ret_reconciler)
{
    struct reconciler *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return -ENOMEM;
    r->env = env;
    r->added = reel_counter_get("reel_jobs_added_again_total", "Jobs that Redis had lost.", NULL);
    r->imported = reel_counter_get("reel_jobs_imported_total",
                                   "Jobs that workers of another fleet have ended.", NULL);
    r->stalled = reel_counter_get("reel_jobs_stalled_total", "Jobs whose service was lost.", NULL);
    permits_init(&r->stops, 0);
    int rc = pthread_create(&r->thread, NULL, reconcile, r);
    if (rc != 0) {
        permits_fini(&r->stops);
        free(r);
        return -rc;
    }
    *ret_reconciler = r;
    return REEL_OK;
}

void reconciler_stop(struct reconciler *r)
{
    if (r == NULL)
        return;
    permits_give(&r->stops);
    pthread_join(r->thread, NULL);
    permits_fini(&r->stops);
    free(r);
}
