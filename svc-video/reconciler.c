// SPDX-License-Identifier: Apache-2.0
#include "svc-video/reconciler.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "libcommon/obs/log.h"
#include "libcommon/obs/metrics.h"
#include "svc-video/events.h"
#include "svc-video/jobs.h"
#include "svc-video/model.h"
#include "svc-video/store.h"

enum {
    ARENA_BYTES = 8 * 1024 * 1024,
    STORE_TIMEOUT_US = 10 * 1000 * 1000,
    STALE_MS = 30 * 1000,
    // Long enough for a worker that is being killed to be gone.
    BURIED_MS = 5 * 1000,
    FOLDERS_AT_ONCE = 100,
    // A sweep reads every folder: this many times in the life of an abandoned upload is enough.
    SWEEPS_PER_TTL = 8,
};

struct reconciler {
    struct video_svc *svc;
    pthread_t thread;
    int stop_fd;
};

// One round.
struct round {
    struct video_svc *svc;
    struct reel_arena arena;
    // Folders that may be abandoned, and how many of them there are.
    const char *folders[FOLDERS_AT_ONCE];
    size_t n_folders;
    int64_t before_us;
};

static struct store store_of(struct round *round)
{
    return (struct store){round->svc->pg, reel_deadline_in_us(STORE_TIMEOUT_US), &round->arena};
}

static void count(const char *labels)
{
    reel_counter_add(reel_counter_get("reel_reconciled_total",
                                      "Things found half done and finished, by kind.", labels),
                     1);
}

// Whether the rest has to wait, because what it needs is away. Anything else is one thing's own
// trouble, and must not hold up the others.
static bool is_away(int rc)
{
    return rc == REEL_UNAVAILABLE || rc == REEL_DEADLINE_EXCEEDED;
}

static int refuse(struct round *round, const struct store_operation *row)
{
    struct store db = store_of(round);
    const struct store_change change = {
        .operation_id = row->operation->operation_id,
        .status = "failed",
        .error = "The operation cannot be started. Ask for it again.",
    };

    count("kind=\"refused\"");
    reel_log(REEL_LOG_ERROR, "operation.refused", REEL_FS("operation_id", change.operation_id));
    return store_operation_settle(&db, row->job_version, &change);
}

static int hand_over(struct round *round, const struct store_operation *row)
{
    int rc = jobs_enqueue(round->svc->jobs, NULL, &round->arena, row->user_id, row->operation);
    struct store db = store_of(round);

    // What the job service does not take once it never takes.
    if (rc == REEL_INVALID_ARGUMENT || rc == REEL_ALREADY_EXISTS)
        return refuse(round, row);
    if (rc == REEL_OK)
        rc = store_operation_set_enqueued(&db, row->operation->operation_id, true);
    if (rc == REEL_OK)
        count("kind=\"enqueue\"");
    return rc;
}

static void hand_over_unsent(struct round *round)
{
    struct store db = store_of(round);
    struct store_operation *rows;
    size_t n = 0;
    // A request that is still at it gets the time of two rounds.
    int rc = store_operation_list_unsent(&db, 2 * round->svc->config->reconcile_ms, &rows, &n);

    for (size_t i = 0; i < n && !is_away(rc); i++)
        rc = hand_over(round, &rows[i]);
}

static int settle(struct round *round, const struct store_operation *row)
{
    struct store db = store_of(round);
    const char *id = row->operation->operation_id;
    Job__Job *job;
    int rc = jobs_get(round->svc->jobs, &round->arena, row->user_id, id, &job);

    if (rc == REEL_NOT_FOUND) {
        count("kind=\"lost\"");
        return store_operation_set_enqueued(&db, id, false);
    }
    if (rc != REEL_OK)
        return rc;

    struct store_change change = {
        .operation_id = id,
        .status = model_status_of_job(job->state),
        .error = job->failed_reason,
        .result = job->result,
        .progress = (int32_t)job->progress,
    };
    if (!change.status)
        return REEL_OK;
    count("kind=\"status\"");
    return store_operation_settle(&db, row->job_version, &change);
}

static void ask_about_stale(struct round *round)
{
    struct store db = store_of(round);
    struct store_operation *rows;
    size_t n = 0;
    int rc = store_operation_list_stale(&db, STALE_MS, &rows, &n);

    for (size_t i = 0; i < n && !is_away(rc); i++)
        rc = settle(round, &rows[i]);
}

// The last event of all may have been dropped, with none after it to show the gap.
static void catch_up_events(struct round *round)
{
    if (events_catch_up(round->svc->events, NULL, &round->arena) != REEL_OK)
        reel_log(REEL_LOG_DEBUG, "reconciler.events_postponed");
}

static int remove_folder(struct round *round, const char *video_id)
{
    int rc = reel_storage_remove(round->svc->storage, video_id);

    if (rc != REEL_OK)
        reel_log(REEL_LOG_ERROR, "storage.not_removed", REEL_FS("video_id", video_id),
                 REEL_FI("code", rc));
    return rc;
}

static int finish_deletion(struct round *round, const char *video_id)
{
    struct store db;
    int rc = jobs_cancel_for_video(round->svc->jobs, NULL, &round->arena, video_id);

    if (rc == REEL_OK)
        rc = remove_folder(round, video_id);
    if (rc != REEL_OK)
        return rc;
    count("kind=\"deletion\"");
    db = store_of(round);
    return store_video_purge(&db, video_id);
}

static void finish_deletions(struct round *round)
{
    struct store db = store_of(round);
    const char **ids;
    size_t n = 0;
    int rc = store_video_list_buried(&db, BURIED_MS, &ids, &n);

    for (size_t i = 0; i < n && !is_away(rc); i++)
        rc = finish_deletion(round, ids[i]);
}

static int remove_unknown(struct round *round)
{
    struct store db = store_of(round);
    const char **ids;
    size_t n = 0;
    int rc = store_video_list_unknown(&db, round->folders, round->n_folders, &ids, &n);

    for (size_t i = 0; i < n; i++) {
        if (remove_folder(round, ids[i]) != REEL_OK)
            continue;
        count("kind=\"upload\"");
        reel_log(REEL_LOG_INFO, "upload.abandoned_removed", REEL_FS("video_id", ids[i]));
    }
    round->n_folders = 0;
    reel_arena_reset(&round->arena);
    return rc;
}

static int visit_folder(void *arg, const char *name, int64_t mtime_us)
{
    struct round *round = arg;

    if (mtime_us >= round->before_us || !reel_id_is_valid(name))
        return REEL_OK;
    round->folders[round->n_folders] = reel_arena_strdup(&round->arena, name);
    if (!round->folders[round->n_folders])
        return REEL_RESOURCE_EXHAUSTED;
    return ++round->n_folders == FOLDERS_AT_ONCE ? remove_unknown(round) : REEL_OK;
}

static void remove_abandoned(struct round *round)
{
    int rc;

    round->before_us = reel_clock_wall_us() - round->svc->config->upload_ttl_ms * 1000;
    rc = reel_storage_each(round->svc->storage, visit_folder, round);
    if (rc == REEL_OK && round->n_folders > 0)
        rc = remove_unknown(round);
    if (rc != REEL_OK)
        reel_log(REEL_LOG_DEBUG, "reconciler.sweep_failed", REEL_FI("code", rc));
}

void reconciler_run(struct video_svc *svc, bool sweep)
{
    static void (*const parts[])(struct round *) = {
        hand_over_unsent, catch_up_events, ask_about_stale, finish_deletions, remove_abandoned,
    };

    // Each part on its own: what one cannot reach does not hold up the others.
    for (size_t i = 0; i < REEL_ARRAY_SIZE(parts); i++) {
        struct round round = {.svc = svc};

        if (parts[i] == remove_abandoned && !sweep)
            continue;
        reel_arena_init(&round.arena, ARENA_BYTES);
        parts[i](&round);
        reel_arena_fini(&round.arena);
    }
}

static void *run(void *arg)
{
    struct reconciler *reconciler = arg;
    const struct video_config *config = reconciler->svc->config;
    struct pollfd stop = {.fd = reconciler->stop_fd, .events = POLLIN};
    int64_t sweep_us = config->upload_ttl_ms * 1000 / SWEEPS_PER_TTL;
    int64_t next_sweep_us = 0;

    while (poll(&stop, 1, (int)config->reconcile_ms) <= 0) {
        bool sweep = reel_clock_mono_us() >= next_sweep_us;

        if (sweep)
            next_sweep_us = reel_clock_mono_us() + sweep_us;
        reconciler_run(reconciler->svc, sweep);
    }
    return NULL;
}

int reconciler_start(struct video_svc *svc, struct reconciler **ret_reconciler)
{
    struct reconciler *reconciler = malloc(sizeof(*reconciler));
    int rc;

    if (!reconciler)
        return -ENOMEM;
    *reconciler = (struct reconciler){.svc = svc, .stop_fd = eventfd(0, EFD_CLOEXEC)};
    rc = reconciler->stop_fd < 0 ? errno
                                 : pthread_create(&reconciler->thread, NULL, run, reconciler);
    if (rc != 0) {
        if (reconciler->stop_fd >= 0)
            close(reconciler->stop_fd);
        free(reconciler);
        return -rc;
    }
    *ret_reconciler = reconciler;
    return REEL_OK;
}

void reconciler_stop(struct reconciler *reconciler)
{
    if (!reconciler)
        return;
    (void)eventfd_write(reconciler->stop_fd, 1);
    pthread_join(reconciler->thread, NULL);
    close(reconciler->stop_fd);
    free(reconciler);
}
