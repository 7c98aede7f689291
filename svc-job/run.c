// SPDX-License-Identifier: Apache-2.0
#include "svc-job/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/obs/log.h"
#include "svc-job/attempt.h"
#include "svc-job/request.h"
#include "svc-job/view.h"

enum {
    PG_US = 5 * 1000 * 1000,
    REDIS_US = 2 * 1000 * 1000,
    RETRY_MS = 300,
    GIVE_UP_US = 1000 * 1000,
    SETTLE_TRIES = 5,
};

// What a claim turned out to be.
enum plan {
    PLAN_RUN,     // the record says active, and the version is ours
    PLAN_SETTLE,  // it is over already: tell Redis
    PLAN_GIVE_UP, // the record cannot be reached, or somebody else was faster: hand it back
};

// A claimed job on its way.
struct trip {
    struct run_env *env;
    struct run *run;
    struct reel_arena *arena;
    const struct queue_claim *claim;
    struct reel_arena *next_arena;
    struct queue_claim *ret_next;
    Job__EnqueueRequest *request;
    struct job_row row;
    const char *value; // for PLAN_SETTLE
    bool completed;    // for PLAN_SETTLE
    bool mark;         // the record says failed or cancelled and waits for Redis to know
};

void run_init(struct run *run)
{
    memset(run, 0, sizeof(*run));
    pthread_mutex_init(&run->lock, NULL);
    holder_token(run->token);
}

void run_fini(struct run *run)
{
    pthread_mutex_destroy(&run->lock);
}

void run_halt(struct run *run, uint64_t serial, enum run_stop why)
{
    pthread_mutex_lock(&run->lock);
    bool is_meant = run->queue_id != NULL && run->serial == serial && run->stop == RUN_GO;
    // While a job ends it moves the record itself; only the loss of the lock still matters.
    if (is_meant && (why != RUN_STALE || run->job_id != NULL)) {
        run->stop = why;
        if (run->worker != NULL)
            worker_cancel(run->worker);
    }
    pthread_mutex_unlock(&run->lock);
}

enum run_stop run_stopped(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    enum run_stop stop = run->stop;
    pthread_mutex_unlock(&run->lock);
    return stop;
}

void run_set_worker(struct run *run, struct worker *worker)
{
    pthread_mutex_lock(&run->lock);
    run->worker = worker;
    if (worker != NULL && run->stop != RUN_GO)
        worker_cancel(worker);
    pthread_mutex_unlock(&run->lock);
}

void run_begin(struct run *run, const struct queue_claim *claim)
{
    pthread_mutex_lock(&run->lock);
    run->serial++;
    run->queue_id = claim->job.id;
    run->job_id = NULL;
    run->stop = RUN_GO;
    pthread_mutex_unlock(&run->lock);
}

static void set_fence(struct run *run, const char *job_id, int32_t version)
{
    pthread_mutex_lock(&run->lock);
    run->job_id = job_id;
    run->version = version;
    pthread_mutex_unlock(&run->lock);
}

static void run_end(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    run->queue_id = NULL;
    run->job_id = NULL;
    pthread_mutex_unlock(&run->lock);
}

static void pause_ms(long ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

static const char *or_default(const char *text, const char *fallback)
{
    return text != NULL && text[0] != '\0' ? text : fallback;
}

static enum plan settle_with(struct trip *t, bool completed, const char *value)
{
    t->completed = completed;
    t->value = value;
    return PLAN_SETTLE;
}

// Moves the record and remembers the new row. While the database is away it tries again, unless
// the run is stopped: the lock is renewed meanwhile.
static int move(struct trip *t, const struct job_change *change)
{
    for (;;) {
        int rc =
            store_job_change(t->env->pg, reel_deadline_in_us(PG_US), t->arena, change, &t->row);
        bool is_away = rc < 0 || rc == REEL_UNAVAILABLE || rc == REEL_DEADLINE_EXCEEDED;
        if (rc == REEL_OK)
            feed_poke(t->env->feed);
        if (!is_away || t->arena->exhausted || run_stopped(t->run) != RUN_GO)
            return rc;
        reel_log(REEL_LOG_WARN, "job.record_away", REEL_FS("job_id", change->job_id),
                 REEL_FS("code", reel_code_name(rc)));
        pause_ms(RETRY_MS);
    }
}

static int adopt(struct trip *t)
{
    const struct queue_job *job = &t->claim->job;
    const struct job_new new_job = {
        .job_id = t->request->operation_id,
        .queue_id = job->id,
        .type = t->request->type,
        .video_id = t->request->video_id,
        .user_id = t->request->user_id,
        .request = view_json(t->arena, &t->request->base),
        .priority = t->request->priority,
        .max_attempts = job->attempts > 0 ? job->attempts : 1,
    };
    bool created;

    if (new_job.request == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    int rc = store_job_insert(t->env->pg, reel_deadline_in_us(PG_US), t->arena, &new_job, &t->row,
                              &created);
    if (rc == REEL_OK && created)
        reel_log(REEL_LOG_INFO, "job.adopted", REEL_FS("job_id", new_job.job_id),
                 REEL_FS("queue_id", job->id));
    return rc;
}

static int find_or_adopt(struct trip *t)
{
    int rc = store_job_get(t->env->pg, reel_deadline_in_us(PG_US), t->arena,
                           t->request->operation_id, NULL, &t->row);

    return rc == REEL_NOT_FOUND ? adopt(t) : rc;
}

// A job that ended is settled as it ended. One that Redis had been told of before, and that is here
// again with what it was told, was sent back by a person at a dashboard; without, somebody who had
// not heard of its end yet has added it again.
static enum plan plan_ended(struct trip *t)
{
    if (t->row.state == JOB_COMPLETED)
        return settle_with(t, true, or_default(t->row.result, "null"));
    if (!t->row.is_settled || !t->claim->job.was_tried) {
        t->mark = true;
        return settle_with(t, false, or_default(t->row.failed_reason, "The job was cancelled."));
    }
    const struct job_change again = {
        .job_id = t->row.job_id,
        .from_version = t->row.version,
        .to = JOB_WAITING,
        .new_generation = true,
    };
    return move(t, &again) == REEL_OK ? PLAN_RUN : PLAN_GIVE_UP;
}

static enum plan fail_unrun(struct trip *t, const char *code, const char *reason)
{
    const struct job_change change = {
        .job_id = t->row.job_id,
        .from_version = t->row.version,
        .to = JOB_FAILED,
        .failed_code = code,
        .failed_reason = reason,
    };

    if (move(t, &change) != REEL_OK)
        return PLAN_GIVE_UP;
    t->mark = true;
    return settle_with(t, false, reason);
}

static enum plan start(struct trip *t)
{
    const struct job_change change = {
        .job_id = t->row.job_id,
        .from_version = t->row.version,
        .to = JOB_ACTIVE,
        .failed_code = t->row.failed_code,
        .failed_reason = t->row.failed_reason,
    };

    if (t->claim->job.defa != NULL)
        return fail_unrun(t, "STALLED", t->claim->job.defa);
    return move(t, &change) == REEL_OK ? PLAN_RUN : PLAN_GIVE_UP;
}

static enum plan make_plan(struct trip *t)
{
    const struct queue_job *job = &t->claim->job;
    struct request_fault fault;

    int rc = request_parse(t->arena, job->data, job->data_len, &t->request, &fault);
    if (rc == REEL_INVALID_ARGUMENT) {
        const char *text =
            reel_arena_printf(t->arena, "not a job of this service: %s%s%s", fault.field,
                              fault.field[0] != '\0' ? " " : "", fault.text);
        return settle_with(t, false, or_default(text, "not a job of this service"));
    }
    if (rc == REEL_OK)
        rc = find_or_adopt(t);
    if (rc != REEL_OK)
        return PLAN_GIVE_UP;
    if (strcmp(t->row.queue_id, job->id) != 0) {
        const char *text = reel_arena_printf(t->arena, "operation %s has a job already: %s",
                                             t->row.job_id, t->row.queue_id);
        return settle_with(t, false, or_default(text, "the operation has a job already"));
    }
    if (job_state_is_terminal(t->row.state)) {
        enum plan plan = plan_ended(t);
        if (plan != PLAN_RUN)
            return plan;
    }
    return start(t);
}

// What a job without a result may have published before it was cancelled, or before a crash,
// belongs to nobody. It goes while the job is still ours in Redis, so that no later run has put its
// own in that place.
static void drop_result(struct trip *t)
{
    const char *key = t->request->output_key;

    if (reel_storage_remove(t->env->storage, key) != REEL_OK)
        reel_log(REEL_LOG_WARN, "job.orphan", REEL_FS("storage_key", key));
}

// Tells Redis, patiently: when it stays away the job comes back by itself and is settled from the
// record.
static void end_in_queue(struct trip *t, struct queue_end *end, bool is_retry)
{
    int rc = REEL_OK;

    if (t->mark)
        drop_result(t);
    end->id = t->claim->job.id;
    end->token = t->run->token;
    end->fetch_next = !atomic_load(&t->env->is_draining);
    for (int i = 0; i < SETTLE_TRIES; i++) {
        int64_t deadline_us = reel_deadline_in_us(REDIS_US);
        rc = is_retry ? queue_retry(t->env->queue, deadline_us, t->next_arena, end, t->ret_next)
                      : queue_settle(t->env->queue, deadline_us, t->next_arena, end, t->ret_next);
        if (rc != REEL_UNAVAILABLE && rc != REEL_DEADLINE_EXCEEDED)
            break;
        pause_ms(RETRY_MS);
    }
    if (rc != REEL_OK)
        reel_log(REEL_LOG_WARN, "job.not_settled", REEL_FS("queue_id", end->id),
                 REEL_FS("code", reel_code_name(rc)));
    else if (t->mark && store_job_settled(t->env->pg, reel_deadline_in_us(PG_US), t->arena,
                                          t->row.job_id, t->row.version) != REEL_OK)
        reel_log(REEL_LOG_WARN, "job.not_marked", REEL_FS("job_id", t->row.job_id));
}

static void settle(struct trip *t, bool completed, const char *value)
{
    struct queue_end end = {.completed = completed, .value = value};

    end_in_queue(t, &end, false);
}

static void put_back(struct trip *t)
{
    int rc = queue_put_back(t->env->queue, reel_deadline_in_us(REDIS_US), t->arena,
                            t->claim->job.id, t->run->token);

    if (rc != REEL_OK)
        reel_log(REEL_LOG_WARN, "job.not_put_back", REEL_FS("queue_id", t->claim->job.id),
                 REEL_FS("code", reel_code_name(rc)));
}

// The record decides: the run is over for it. A cancelled job is settled; any other goes back, if
// it is still ours to give.
static void follow_record(struct trip *t)
{
    int rc = store_job_get(t->env->pg, reel_deadline_in_us(PG_US), t->arena, t->row.job_id, NULL,
                           &t->row);

    if (rc == REEL_OK && t->row.state == JOB_COMPLETED) {
        settle(t, true, or_default(t->row.result, "null"));
    } else if (rc == REEL_OK && job_state_is_terminal(t->row.state)) {
        t->mark = true;
        settle(t, false, or_default(t->row.failed_reason, "The job was cancelled."));
    } else {
        put_back(t);
    }
}

static void hand_back(struct trip *t)
{
    const struct job_change change = {
        .job_id = t->row.job_id,
        .from_version = t->row.version,
        .to = JOB_WAITING,
        .failed_code = t->row.failed_code,
        .failed_reason = t->row.failed_reason,
    };

    if (move(t, &change) == REEL_OK)
        reel_log(REEL_LOG_INFO, "job.handed_back", REEL_FS("job_id", t->row.job_id));
    put_back(t);
}

static void complete(struct trip *t, const struct media_outcome *outcome)
{
    const struct job_change change = {
        .job_id = t->row.job_id,
        .from_version = t->row.version,
        .to = JOB_COMPLETED,
        .count_attempt = true,
        .result = or_default(view_result(t->arena, t->request->output_key, outcome), "{}"),
    };

    if (move(t, &change) == REEL_OK)
        settle(t, true, change.result);
    else
        follow_record(t);
}

static double random_fraction(void)
{
    char hex[9];

    reel_id_random_hex(hex, 4);
    return (double)strtoul(hex, NULL, 16) / 4294967296.0;
}

static void note_failure(struct trip *t, const struct media_outcome *outcome, int32_t attempt)
{
    const char *code = media_code_name(outcome->code);
    const char *row =
        reel_arena_printf(t->arena, "attempt %d: %s: %s", attempt, code, outcome->text);

    reel_log(REEL_LOG_WARN, "job.attempt_failed", REEL_FS("job_id", t->row.job_id),
             REEL_FI("attempt", attempt), REEL_FS("code", code), REEL_FS("reason", outcome->text));
    if (row != NULL && queue_log(t->env->queue, reel_deadline_in_us(REDIS_US), t->arena,
                                 t->claim->job.id, row) != REEL_OK)
        reel_log(REEL_LOG_DEBUG, "job.not_logged", REEL_FS("job_id", t->row.job_id));
}

static void fail_or_retry(struct trip *t, const struct media_outcome *outcome,
                          const struct job_tally *tally, enum job_verdict verdict)
{
    const struct job_config *config = t->env->config;
    const struct job_backoff by_default = {JOB_BACKOFF_EXPONENTIAL, config->backoff_ms, 0};
    const struct job_backoff *backoff =
        t->claim->job.has_backoff ? &t->claim->job.backoff : &by_default;
    int32_t attempt = tally->attempts_made + 1;
    int64_t delay_ms =
        verdict == JOB_RETRY ? job_backoff_ms(backoff, attempt, random_fraction()) : 0;
    enum job_state queued = delay_ms > 0 ? JOB_DELAYED : JOB_WAITING;
    const struct job_change change = {
        .job_id = t->row.job_id,
        .from_version = t->row.version,
        .to = verdict == JOB_RETRY ? queued : JOB_FAILED,
        .count_attempt = true,
        .count_crash = outcome->code == MEDIA_CRASHED,
        .delay_ms = delay_ms,
        .failed_code = media_code_name(outcome->code),
        .failed_reason = or_default(outcome->text, media_code_name(outcome->code)),
    };

    note_failure(t, outcome, attempt);
    if (move(t, &change) != REEL_OK) {
        follow_record(t);
        return;
    }
    t->mark = verdict != JOB_RETRY;
    struct queue_end end = {.value = change.failed_reason, .delay_ms = delay_ms};
    end_in_queue(t, &end, verdict == JOB_RETRY);
}

static int publish(struct trip *t, struct reel_storage_file *file, struct media_outcome *outcome)
{
    int rc = reel_storage_publish(file);

    if (rc != REEL_OK) {
        *outcome = (struct media_outcome){.code = MEDIA_INTERNAL};
        snprintf(outcome->text, sizeof(outcome->text), "The result could not be stored.");
        reel_log(REEL_LOG_ERROR, "job.not_published", REEL_FS("job_id", t->row.job_id),
                 REEL_FI("rc", rc));
    }
    return rc;
}

static void conclude(struct trip *t, struct reel_storage_file *file, struct media_outcome *outcome)
{
    // A worker in a mixed fleet may have spent attempts that the record does not know.
    int32_t in_redis = t->claim->job.attempts_made;
    const struct job_tally tally = {
        .attempts_made = t->row.attempts_made > in_redis ? t->row.attempts_made : in_redis,
        .max_attempts = t->row.max_attempts,
        .crashes = t->row.crashes,
        .max_crashes = (int32_t)t->env->config->max_crashes,
    };

    if (outcome->code == MEDIA_OK && publish(t, file, outcome) == REEL_OK) {
        complete(t, outcome);
        return;
    }
    enum job_verdict verdict = job_decide(outcome->code, &tally);
    if (verdict == JOB_DROP)
        hand_back(t);
    else
        fail_or_retry(t, outcome, &tally, verdict);
}

static void execute(struct trip *t)
{
    struct reel_storage_file *file = NULL;
    struct media_outcome outcome;
    int64_t begun_us = reel_clock_mono_us();

    if (t->claim->job.is_scheduled)
        reel_log(REEL_LOG_WARN, "job.scheduler_not_armed", REEL_FS("job_id", t->row.job_id));
    set_fence(t->run, t->row.job_id, t->row.version);
    attempt_execute(t->env, t->run, &t->row, t->request, &file, &outcome);
    set_fence(t->run, NULL, 0);
    enum run_stop stop = run_stopped(t->run);
    // Workers die with the zygote; that says nothing about their jobs.
    if (stop == RUN_GO && outcome.code != MEDIA_OK && !worker_zygote_is_alive(t->env->zygote))
        stop = RUN_HAND_BACK;
    reel_log(REEL_LOG_INFO, "job.ran", REEL_FS("job_id", t->row.job_id),
             REEL_FS("type", t->row.type), REEL_FS("code", media_code_name(outcome.code)),
             REEL_FI("stop", stop), REEL_FI("us", reel_clock_mono_us() - begun_us));
    bool is_done = outcome.code == MEDIA_OK && stop != RUN_LOST && stop != RUN_STALE;
    if (stop == RUN_GO || is_done)
        conclude(t, REEL_STEAL(&file), &outcome);
    else if (stop == RUN_HAND_BACK)
        hand_back(t);
    else if (stop == RUN_STALE)
        follow_record(t);
    reel_storage_discard(&file);
}

void run_job(struct run_env *env, struct run *run, struct reel_arena *arena,
             const struct queue_claim *claim, struct reel_arena *next_arena,
             struct queue_claim *ret_next)
{
    struct trip trip = {
        .env = env,
        .run = run,
        .arena = arena,
        .claim = claim,
        .next_arena = next_arena,
        .ret_next = ret_next,
    };

    *ret_next = (struct queue_claim){0};
    switch (make_plan(&trip)) {
    case PLAN_RUN:
        execute(&trip);
        break;
    case PLAN_SETTLE:
        settle(&trip, trip.completed, trip.value);
        break;
    case PLAN_GIVE_UP:
        put_back(&trip);
        atomic_store(&env->not_before_us, reel_deadline_in_us(GIVE_UP_US));
        break;
    }
    run_end(run);
}
