// SPDX-License-Identifier: Apache-2.0
#include "svc-job/attempt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"

enum {
    STEP_US = 50 * 1000,
    PROGRESS_MIN_US = 250 * 1000,  // between two announcements of a change
    PROGRESS_MAX_US = 1000 * 1000, // without one
    REDIS_US = 1000 * 1000,
    ARENA_BYTES = 64 * 1024,
    WORKER_NICE = 10,
};

static const int64_t output_max_bytes = 16LL << 30;

// What has been announced of a running job.
struct meter {
    double percent;
    int64_t at_us;
};

static void closep(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void end_with(struct media_outcome *ret_outcome, enum media_code code, const char *text)
{
    *ret_outcome = (struct media_outcome){.code = code};
    snprintf(ret_outcome->text, sizeof(ret_outcome->text), "%s", text);
}

static void announce(struct run_env *env, const struct job_row *row, double percent)
{
    struct reel_arena arena;

    feed_progress(env->feed, row, percent);
    reel_arena_init(&arena, ARENA_BYTES);
    // The next one says it again.
    queue_progress(env->queue, reel_deadline_in_us(REDIS_US), &arena, row->queue_id, percent);
    reel_arena_fini(&arena);
}

// At most four times a second, at least once.
static void report(struct run_env *env, const struct job_row *row, struct meter *meter,
                   double fraction)
{
    int64_t now_us = reel_clock_mono_us();
    int64_t since_us = now_us - meter->at_us;
    double percent = fraction * 100;

    if (percent < meter->percent)
        percent = meter->percent;
    bool is_due =
        since_us >= PROGRESS_MAX_US || (since_us >= PROGRESS_MIN_US && percent > meter->percent);
    if (!is_due)
        return;
    *meter = (struct meter){.percent = percent, .at_us = now_us};
    announce(env, row, percent);
}

static bool take_permit(struct run_env *env, struct run *run, const struct job_row *row)
{
    struct meter meter = {.at_us = reel_clock_mono_us()};

    while (run_stopped(run) == RUN_GO) {
        if (permits_take(env->encodes, reel_deadline_in_us(STEP_US * 2)))
            return true;
        report(env, row, &meter, 0);
    }
    return false;
}

static void wait_for(struct run_env *env, const struct job_row *row, struct worker *worker,
                     struct media_outcome *ret_outcome)
{
    struct meter meter = {.at_us = reel_clock_mono_us()};
    struct worker_progress progress;

    for (;;) {
        int rc = worker_wait(worker, reel_deadline_in_us(STEP_US), ret_outcome);
        if (rc == REEL_OK)
            return;
        if (rc != REEL_DEADLINE_EXCEEDED) {
            end_with(ret_outcome, MEDIA_INTERNAL, "The worker could not be waited for.");
            return;
        }
        worker_get_progress(worker, &progress);
        report(env, row, &meter, progress.fraction);
    }
}

static void run_worker(struct run_env *env, struct run *run, const struct job_row *row,
                       const struct worker_task *task, struct media_outcome *ret_outcome)
{
    struct worker *worker = NULL;

    int rc = worker_start(env->zygote, task, &worker);
    if (rc == REEL_INVALID_ARGUMENT) {
        end_with(ret_outcome, MEDIA_UNSUPPORTED, "The operation's parameters make no sense.");
        return;
    }
    if (rc != REEL_OK) {
        end_with(ret_outcome, MEDIA_INTERNAL, "A worker process could not be started.");
        return;
    }
    run_set_worker(run, worker);
    wait_for(env, row, worker, ret_outcome);
    run_set_worker(run, NULL);
    worker_free(worker);
}

static int64_t output_limit(struct run_env *env)
{
    int64_t half = reel_storage_free_bytes(env->storage) / 2;

    return half > 0 && half < output_max_bytes ? half : output_max_bytes;
}

static int open_files(struct run_env *env, const Job__EnqueueRequest *request, int *ret_input,
                      struct reel_storage_info *ret_info, struct reel_storage_file **ret_file,
                      struct media_outcome *ret_outcome)
{
    int rc = reel_storage_read(env->storage, request->input_key, ret_input, ret_info);

    if (rc == REEL_NOT_FOUND) {
        end_with(ret_outcome, MEDIA_INVALID_INPUT, "The video's file is gone; upload it again.");
        return rc;
    }
    if (rc == REEL_OK)
        rc = reel_storage_create(env->storage, request->output_key, ret_file);
    if (rc == REEL_RESOURCE_EXHAUSTED)
        end_with(ret_outcome, MEDIA_INTERNAL, "The storage is full; free some space.");
    else if (rc != REEL_OK)
        end_with(ret_outcome, MEDIA_INTERNAL, "The storage could not be used.");
    return rc;
}

void attempt_execute(struct run_env *env, struct run *run, const struct job_row *row,
                     const Job__EnqueueRequest *request, struct reel_storage_file **ret_file,
                     struct media_outcome *ret_outcome)
{
    REEL_AUTO(reel_storage_discard) struct reel_storage_file *file = NULL;
    REEL_AUTO(closep) int input = -1;
    struct reel_storage_info info;
    struct worker_task task = {.nice = WORKER_NICE, .thumbnail_fd = -1};

    *ret_file = NULL;
    if (!take_permit(env, run, row)) {
        end_with(ret_outcome, MEDIA_CANCELLED, "");
        return;
    }
    if (open_files(env, request, &input, &info, &file, ret_outcome) == REEL_OK) {
        request_task(request, &task.media);
        task.media.threads = (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
        task.input_fd = input;
        task.output_fd = reel_storage_file_fd(file);
        task.limits = (struct worker_limits){
            .wall_ms = job_wall_limit_ms(info.size_bytes),
            .stall_ms = env->config->worker_stall_ms,
            .memory_bytes = env->config->worker_memory,
            .output_bytes = output_limit(env),
        };
        run_worker(env, run, row, &task, ret_outcome);
        if (ret_outcome->code == MEDIA_OK)
            *ret_file = REEL_STEAL(&file);
    }
    permits_give(env->encodes);
}
