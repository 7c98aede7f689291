// SPDX-License-Identifier: Apache-2.0
#include "svc-job/inspect.h"

#include <errno.h>
#include <unistd.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"

enum {
    STEP_US = 20 * 1000,
    WALL_MS = 25 * 1000,
    STALL_MS = 10 * 1000,
    CPU_S = 60,
    MAX_CRASHES = 2,
};

static const int64_t thumbnail_max_bytes = 16LL << 20;

static void closep(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static bool take_permit(const struct inspector *inspector, struct reel_call *call)
{
    while (!reel_call_cancelled(call)) {
        if (permits_take(inspector->permits, reel_deadline_in_us(STEP_US)))
            return true;
    }
    return false;
}

static int wait_for(struct worker *worker, struct reel_call *call,
                    struct media_outcome *ret_outcome)
{
    for (;;) {
        int rc = worker_wait(worker, reel_deadline_in_us(STEP_US), ret_outcome);
        if (rc != REEL_DEADLINE_EXCEEDED)
            return rc;
        if (reel_call_cancelled(call))
            worker_cancel(worker);
    }
}

static int run_worker(const struct inspector *inspector, struct reel_call *call, int input,
                      int thumbnail, struct media_outcome *ret_outcome)
{
    const struct worker_task task = {
        .media = {.kind = MEDIA_INSPECT},
        .input_fd = input,
        .output_fd = -1,
        .thumbnail_fd = thumbnail,
        .limits = {.wall_ms = WALL_MS,
                   .stall_ms = STALL_MS,
                   .cpu_s = CPU_S,
                   .output_bytes = thumbnail_max_bytes},
    };
    struct worker *worker = NULL;

    if (!take_permit(inspector, call))
        return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                              "Too many files are being looked at; try again in a moment.");
    int rc = worker_start(inspector->zygote, &task, &worker);
    if (rc == REEL_OK)
        rc = wait_for(worker, call, ret_outcome);
    worker_free(worker);
    permits_give(inspector->permits);
    return rc;
}

// One crash says little about the file: the worker may have been killed from outside.
static int look(const struct inspector *inspector, struct reel_call *call, int input, int thumbnail,
                struct media_outcome *ret_outcome)
{
    for (int crashes = 1;; crashes++) {
        int rc = run_worker(inspector, call, input, thumbnail, ret_outcome);
        if (rc != REEL_OK || ret_outcome->code != MEDIA_CRASHED || crashes == MAX_CRASHES)
            return rc;
        if (thumbnail >= 0 && ftruncate(thumbnail, 0) != 0)
            return -errno;
    }
}

static int refuse(struct reel_call *call, const struct media_outcome *outcome)
{
    if (outcome->code == MEDIA_CANCELLED)
        return reel_call_fail(call, REEL_CANCELLED, "The call is over.");
    if (outcome->code == MEDIA_INTERNAL)
        return reel_call_fail(call, REEL_INTERNAL, "The file could not be looked at.");
    reel_call_violation(call, "inputKey", "%s", media_code_name(outcome->code));
    return reel_call_fail(call, REEL_INVALID_ARGUMENT, "%s",
                          outcome->text[0] != '\0' ? outcome->text
                                                   : "This file cannot be read as a video.");
}

static int32_t small(int64_t value)
{
    return value < 0 ? 0 : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

static int fill(struct reel_arena *arena, const struct media_outcome *outcome, bool thumbnail_made,
                Job__InspectResponse *res)
{
    const struct media_facts *facts = &outcome->facts;

    res->format = reel_arena_strdup(arena, facts->format);
    res->width = facts->width;
    res->height = facts->height;
    res->duration_ms = small(facts->duration_ms);
    res->video_codec = reel_arena_strdup(arena, facts->video_codec);
    res->audio_codec = reel_arena_strdup(arena, facts->audio_codec);
    res->rotation = facts->rotation;
    res->frame_rate = facts->frame_rate;
    res->variable_frame_rate = facts->variable_frame_rate;
    res->thumbnail_made = thumbnail_made;
    res->warnings = reel_arena_array(arena, MEDIA_WARNINGS_MAX, sizeof(char *));
    for (int i = 0; res->warnings != NULL && i < outcome->n_warnings && i < MEDIA_WARNINGS_MAX; i++)
        res->warnings[res->n_warnings++] = reel_arena_strdup(arena, outcome->warnings[i]);
    return arena->exhausted ? REEL_RESOURCE_EXHAUSTED : REEL_OK;
}

int inspect(const struct inspector *inspector, struct reel_call *call,
            const Job__InspectRequest *req, Job__InspectResponse *res)
{
    REEL_AUTO(reel_storage_discard) struct reel_storage_file *thumbnail = NULL;
    REEL_AUTO(closep) int input = -1;
    struct media_outcome outcome;

    int rc = reel_storage_read(inspector->storage, req->input_key, &input, NULL);
    if (rc == REEL_OK && req->thumbnail_key[0] != '\0')
        rc = reel_storage_create(inspector->storage, req->thumbnail_key, &thumbnail);
    if (rc == REEL_NOT_FOUND)
        return reel_call_fail(call, rc, "There is no file '%s'.", req->input_key);
    if (rc != REEL_OK)
        return reel_call_fail(call, rc, "The storage cannot be used.");
    rc = look(inspector, call, input, thumbnail != NULL ? reel_storage_file_fd(thumbnail) : -1,
              &outcome);
    if (rc != REEL_OK)
        return rc;
    if (outcome.code != MEDIA_OK)
        return refuse(call, &outcome);
    bool is_made = thumbnail != NULL && outcome.facts.thumbnail_made;
    if (is_made)
        rc = reel_storage_publish(REEL_STEAL(&thumbnail));
    return rc == REEL_OK ? fill(reel_call_arena(call), &outcome, is_made, res) : rc;
}
