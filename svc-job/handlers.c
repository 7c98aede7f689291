// SPDX-License-Identifier: Apache-2.0
#include "svc-job/handlers.h"

#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/call.h"
#include "svc-job/reconciler.h"
#include "svc-job/request.h"
#include "svc-job/store.h"
#include "svc-job/supervisor.h"
#include "svc-job/svc.h"
#include "svc-job/view.h"

enum {
    HISTORY_DEFAULT = 50,
    EVENTS_DEFAULT = 500,
    // Redis is an index: a call does not fail, nor wait long, because it is away.
    REDIS_US = 700 * 1000,
};

static int64_t redis_deadline(const struct reel_call *call)
{
    int64_t own_us = reel_deadline_in_us(REDIS_US);
    int64_t call_us = reel_call_deadline_us(call);

    return own_us < call_us ? own_us : call_us;
}

// Whose jobs the caller may see. The dispatcher has asked for a user; without one nobody's.
static const char *owner_of(const struct reel_call *call)
{
    const char *user_id = reel_call_user_id(call);

    return user_id != NULL ? user_id : "00000000-0000-0000-0000-000000000000";
}

static int fail_job(struct reel_call *call, int rc, const char *job_id)
{
    if (rc == REEL_NOT_FOUND)
        return reel_call_fail(call, rc, "There is no job '%s'.", job_id);
    return reel_call_fail(call, rc, "The job's record cannot be reached; try again.");
}

static int show_job(struct job_svc *svc, struct reel_call *call, const struct job_row *row,
                    Job__Job *res)
{
    int rc = view_job(reel_call_arena(call), row, res);

    if (rc == REEL_OK && row->state == JOB_ACTIVE)
        res->progress = queue_get_progress(svc->env.queue, redis_deadline(call),
                                           reel_call_arena(call), row->queue_id);
    return rc;
}

static void index_job(struct job_svc *svc, struct reel_call *call, const struct job_row *row)
{
    int rc = reconciler_add_job(&svc->env, redis_deadline(call), reel_call_arena(call), row);

    if (rc != REEL_OK)
        reel_log(REEL_LOG_WARN, "job.not_queued", REEL_FS("job_id", row->job_id),
                 REEL_FS("code", reel_code_name(rc)), REEL_FS("next", "the reconciler adds it"));
}

static int insert_job(struct job_svc *svc, struct reel_call *call, const Job__EnqueueRequest *req,
                      struct job_row *ret_row, bool *ret_created)
{
    const struct job_new job = {
        .job_id = req->operation_id,
        .queue_id = req->operation_id,
        .type = req->type,
        .video_id = req->video_id,
        .user_id = req->user_id,
        .request = view_json(reel_call_arena(call), &req->base),
        .priority = req->priority,
        .max_attempts = req->attempts > 0 ? req->attempts : (int32_t)svc->config->attempts,
        .delay_ms = req->delay_ms,
    };

    if (job.request == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    return store_job_insert(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call), &job,
                            ret_row, ret_created);
}

static int handle_enqueue(struct job_svc *svc, struct reel_call *call,
                          const Job__EnqueueRequest *req, Job__EnqueueResponse *res)
{
    struct request_fault fault;
    struct job_row row;
    bool created;

    if (request_check(req, &fault) != REEL_OK) {
        reel_call_violation(call, fault.field, "%s", fault.text);
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "%s %s.", fault.field, fault.text);
    }
    int rc = insert_job(svc, call, req, &row, &created);
    if (rc != REEL_OK)
        return fail_job(call, rc, req->operation_id);
    if (!created && (strcmp(row.user_id, req->user_id) != 0 ||
                     strcmp(row.video_id, req->video_id) != 0 || strcmp(row.type, req->type) != 0))
        return reel_call_fail(call, REEL_ALREADY_EXISTS,
                              "Operation '%s' is another job; use a new id.", req->operation_id);
    if (created)
        feed_poke(svc->env.feed);
    if (!job_state_is_terminal(row.state))
        index_job(svc, call, &row);
    res->job_id = (char *)row.job_id;
    res->state = (char *)job_state_name(row.state);
    return REEL_OK;
}

static int handle_get_status(struct job_svc *svc, struct reel_call *call,
                             const Job__GetStatusRequest *req, Job__Job *res)
{
    struct job_row row;

    int rc = store_job_get(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call),
                           req->job_id, owner_of(call), &row);
    return rc == REEL_OK ? show_job(svc, call, &row, res) : fail_job(call, rc, req->job_id);
}

// The record's own counts, while Redis is away.
static int count_record(struct job_svc *svc, struct reel_call *call, Job__QueueStats *stats)
{
    int32_t n[JOB_N_STATES];

    int rc = store_count(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call), n);
    if (rc != REEL_OK)
        return reel_call_fail(call, rc, "The queue cannot be reached; try again.");
    stats->waiting = n[JOB_WAITING];
    stats->active = n[JOB_ACTIVE];
    stats->completed = n[JOB_COMPLETED];
    stats->failed = n[JOB_FAILED];
    stats->delayed = n[JOB_DELAYED];
    return REEL_OK;
}

static int handle_get_queue_stats(struct job_svc *svc, struct reel_call *call,
                                  const Job__GetQueueStatsRequest *req,
                                  Job__GetQueueStatsResponse *res)
{
    Job__QueueStats *stats = reel_arena_alloc(reel_call_arena(call), sizeof(*stats));
    struct queue_counts n;

    (void)req;
    if (stats == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    job__queue_stats__init(stats);
    int rc = queue_count(svc->env.queue, redis_deadline(call), reel_call_arena(call), &n);
    if (rc == REEL_OK) {
        stats->waiting = n.waiting;
        stats->active = n.active;
        stats->completed = n.completed;
        stats->failed = n.failed;
        stats->delayed = n.delayed;
    } else {
        rc = count_record(svc, call, stats);
    }
    stats->total =
        stats->waiting + stats->active + stats->completed + stats->failed + stats->delayed;
    res->queue = (char *)queue_name(svc->env.queue);
    res->stats = stats;
    res->concurrency = (int32_t)svc->config->workers;
    return rc;
}

static int make_filter(struct reel_call *call, const Job__ListHistoryRequest *req,
                       struct job_filter *ret_filter)
{
    enum job_state state;
    int32_t limit = req->limit > 0 ? req->limit : HISTORY_DEFAULT;

    *ret_filter = (struct job_filter){.limit = limit + 1};
    if (req->state[0] != '\0' && !job_state_parse(req->state, &state)) {
        reel_call_violation(call, "state", "is none of a job's states");
        return reel_call_fail(call, REEL_INVALID_ARGUMENT,
                              "state must be waiting, delayed, active, completed, failed or "
                              "cancelled.");
    }
    if (req->cursor[0] != '\0' && !reel_id_is_valid(req->cursor)) {
        reel_call_violation(call, "cursor", "must be the nextCursor of an earlier answer");
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "The cursor is not one of this list.");
    }
    if (req->video_id[0] != '\0' && !reel_id_is_valid(req->video_id)) {
        reel_call_violation(call, "videoId", "must be the id of a video");
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "videoId must be the id of a video.");
    }
    ret_filter->state = req->state[0] != '\0' ? req->state : NULL;
    ret_filter->before = req->cursor[0] != '\0' ? req->cursor : NULL;
    ret_filter->video_id = req->video_id[0] != '\0' ? req->video_id : NULL;
    ret_filter->user_id = owner_of(call);
    return REEL_OK;
}

// One row more than asked for was read: it tells whether there is a next page.
static int show_list(struct reel_arena *arena, const struct job_list *list, size_t limit,
                     Job__ListHistoryResponse *res)
{
    size_t n = list->n < limit ? list->n : limit;

    res->jobs = reel_arena_array(arena, n, sizeof(*res->jobs));
    Job__Job *jobs = reel_arena_array(arena, n, sizeof(*jobs));
    if (res->jobs == NULL || jobs == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < n; i++) {
        job__job__init(&jobs[i]);
        int rc = view_job(arena, &list->rows[i], &jobs[i]);
        if (rc != REEL_OK)
            return rc;
        res->jobs[i] = &jobs[i];
    }
    res->n_jobs = n;
    if (list->n > limit)
        res->next_cursor = (char *)list->rows[n - 1].job_id;
    return REEL_OK;
}

static int handle_list_history(struct job_svc *svc, struct reel_call *call,
                               const Job__ListHistoryRequest *req, Job__ListHistoryResponse *res)
{
    struct job_filter filter;
    struct job_list list;

    int rc = make_filter(call, req, &filter);
    if (rc != REEL_OK)
        return rc;
    rc = store_job_list(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call), &filter,
                        &list);
    if (rc != REEL_OK)
        return reel_call_fail(call, rc, "The history cannot be reached; try again.");
    return show_list(reel_call_arena(call), &list, (size_t)filter.limit - 1, res);
}

// Takes a cancelled job out of Redis, if nobody runs it. Who runs it sees the record change, kills
// the worker and settles.
static void unqueue_job(struct job_svc *svc, struct reel_call *call, const struct job_row *row)
{
    struct reel_arena *arena = reel_call_arena(call);

    feed_poke(svc->env.feed);
    supervisor_check(svc->supervisor);
    int rc = queue_remove(svc->env.queue, redis_deadline(call), arena, row->queue_id);
    if (rc == REEL_OK || rc == REEL_NOT_FOUND)
        rc = store_job_settled(svc->env.pg, reel_call_deadline_us(call), arena, row->job_id,
                               row->version);
    if (rc != REEL_OK && rc != REEL_FAILED_PRECONDITION)
        reel_log(REEL_LOG_WARN, "job.not_unqueued", REEL_FS("job_id", row->job_id),
                 REEL_FS("code", reel_code_name(rc)));
}

static int cancel_job(struct job_svc *svc, struct reel_call *call, const char *job_id,
                      const char *user_id, struct job_row *ret_row)
{
    const struct job_change change = {
        .job_id = job_id,
        .user_id = user_id,
        .to = JOB_CANCELLED,
        .failed_code = "CANCELLED",
        .failed_reason = "The job was cancelled.",
    };

    int rc = store_job_change(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call),
                              &change, ret_row);
    if (rc == REEL_OK)
        unqueue_job(svc, call, ret_row);
    return rc;
}

static int handle_cancel(struct job_svc *svc, struct reel_call *call, const Job__CancelRequest *req,
                         Job__Job *res)
{
    struct job_row row;

    int rc = cancel_job(svc, call, req->job_id, owner_of(call), &row);
    if (rc == REEL_FAILED_PRECONDITION && row.state != JOB_CANCELLED)
        return reel_call_fail(call, rc, "The job has ended already: it is %s.",
                              job_state_name(row.state));
    if (rc != REEL_OK && rc != REEL_FAILED_PRECONDITION)
        return fail_job(call, rc, req->job_id);
    return show_job(svc, call, &row, res);
}

static int requeue_job(struct job_svc *svc, struct reel_call *call, struct job_row *row)
{
    const struct job_change change = {
        .job_id = row->job_id,
        .from_version = row->version,
        .to = JOB_WAITING,
        .new_generation = true,
    };

    int rc = store_job_change(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call),
                              &change, row);
    if (rc == REEL_OK) {
        feed_poke(svc->env.feed);
        index_job(svc, call, row);
    }
    return rc;
}

static int handle_retry(struct job_svc *svc, struct reel_call *call, const Job__RetryRequest *req,
                        Job__Job *res)
{
    struct job_row row;

    int rc = store_job_get(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call),
                           req->job_id, owner_of(call), &row);
    if (rc != REEL_OK)
        return fail_job(call, rc, req->job_id);
    bool is_queued_again =
        row.generation > 1 && (row.state == JOB_WAITING || row.state == JOB_DELAYED);
    if (row.state == JOB_FAILED || row.state == JOB_CANCELLED)
        rc = requeue_job(svc, call, &row);
    else if (!is_queued_again)
        return reel_call_fail(call, REEL_FAILED_PRECONDITION,
                              "Only a failed or cancelled job can be run again; this one is %s.",
                              job_state_name(row.state));
    return rc == REEL_OK ? show_job(svc, call, &row, res) : fail_job(call, rc, req->job_id);
}

static int handle_cancel_for_video(struct job_svc *svc, struct reel_call *call,
                                   const Job__CancelForVideoRequest *req,
                                   Job__CancelForVideoResponse *res)
{
    struct job_list list;

    int rc = store_job_list_of_video(svc->env.pg, reel_call_deadline_us(call),
                                     reel_call_arena(call), req->video_id, &list);
    for (size_t i = 0; rc == REEL_OK && i < list.n; i++) {
        struct job_row row;
        rc = cancel_job(svc, call, list.rows[i].job_id, NULL, &row);
        if (rc == REEL_OK)
            res->cancelled++;
        else if (rc == REEL_FAILED_PRECONDITION)
            rc = REEL_OK;
    }
    return rc == REEL_OK ? rc : reel_call_fail(call, rc, "The jobs cannot be reached; try again.");
}

static int handle_inspect(struct job_svc *svc, struct reel_call *call,
                          const Job__InspectRequest *req, Job__InspectResponse *res)
{
    return inspect(&svc->inspector, call, req, res);
}

static int show_events(struct reel_arena *arena, const struct event_list *list,
                       Job__ListEventsResponse *res)
{
    res->events = reel_arena_array(arena, list->n, sizeof(*res->events));
    Job__JobEvent *events = reel_arena_array(arena, list->n, sizeof(*events));
    if (res->events == NULL || events == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < list->n; i++) {
        job__job_event__init(&events[i]);
        int rc = view_event(arena, &list->rows[i], &events[i]);
        if (rc != REEL_OK)
            return rc;
        res->events[i] = &events[i];
    }
    res->n_events = list->n;
    res->last_seq = list->last_seq;
    res->oldest_seq = list->oldest_seq;
    return REEL_OK;
}

static int handle_list_events(struct job_svc *svc, struct reel_call *call,
                              const Job__ListEventsRequest *req, Job__ListEventsResponse *res)
{
    const char *user_id = req->user_id[0] != '\0' ? req->user_id : NULL;
    int32_t limit = req->limit > 0 ? req->limit : EVENTS_DEFAULT;
    struct event_list list;

    if (user_id != NULL && !reel_id_is_valid(user_id))
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "userId must be a user's id.");
    int rc = store_events_after(svc->env.pg, reel_call_deadline_us(call), reel_call_arena(call),
                                req->after_seq, user_id, limit, &list);
    if (rc != REEL_OK)
        return reel_call_fail(call, rc, "The events cannot be reached; try again.");
    return show_events(reel_call_arena(call), &list, res);
}

const struct job_service_impl job_handlers = {
    .enqueue = handle_enqueue,
    .get_status = handle_get_status,
    .get_queue_stats = handle_get_queue_stats,
    .list_history = handle_list_history,
    .cancel = handle_cancel,
    .retry = handle_retry,
    .cancel_for_video = handle_cancel_for_video,
    .inspect = handle_inspect,
    .list_events = handle_list_events,
};
