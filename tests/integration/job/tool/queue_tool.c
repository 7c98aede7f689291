// SPDX-License-Identifier: Apache-2.0
// The service's queue code as a program, for tests against npm's: a producer, and a worker whose
// jobs do nothing.
//
//   job_queue_tool <redis url> <prefix> <queue> add <id> <name> <data> <delay ms> <priority> <lifo>
//       <attempts> <fixed|exponential> <backoff ms>
//   job_queue_tool <redis url> <prefix> <queue> work <threads> <lock ms>
//
// What a job does follows from its name: "ok" answers its data; "fail" always fails; "flaky" fails
// the first time; "slow" takes 200 ms; "hold" takes a minute.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "svc-job/queue.h"

enum { ARENA_BYTES = 64 << 20, CALL_US = 5 * 1000 * 1000, HOLD_MS = 60 * 1000, STEP_MS = 50 };

struct tool {
    struct queue *queue;
    uint32_t lock_ms;
};

static int64_t soon(void)
{
    return reel_deadline_in_us(CALL_US);
}

static void pause_ms(long ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

// Keeps the lock for `ms`; false when it was lost.
static bool hold(struct tool *tool, struct reel_arena *arena, const char *id, const char *token,
                 long ms)
{
    int64_t end_us = reel_deadline_in_us(ms * 1000);
    int64_t renew_us = tool->lock_ms * 1000 / 3;
    int64_t renew_at_us = reel_deadline_in_us(renew_us);
    struct queue_renewal renewal = {id, token, false};

    while (!reel_deadline_passed(end_us) && !renewal.lost) {
        pause_ms(STEP_MS);
        if (!reel_deadline_passed(renew_at_us))
            continue;
        if (queue_renew(tool->queue, soon(), arena, &renewal, 1) == REEL_OK)
            renew_at_us = reel_deadline_in_us(renew_us);
    }
    return !renewal.lost;
}

static bool must_fail(const struct queue_job *job)
{
    return job->defa != NULL || strcmp(job->name, "fail") == 0 ||
           (strcmp(job->name, "flaky") == 0 && job->attempts_made == 0);
}

static int end(struct tool *tool, struct reel_arena *arena, const struct queue_job *job,
               const char *token, struct queue_claim *ret_next)
{
    bool failed = must_fail(job);
    struct queue_end how = {
        .id = job->id,
        .token = token,
        .completed = !failed,
        .value = job->defa != NULL ? job->defa
                 : failed          ? "failed on purpose"
                                   : job->data,
        .fetch_next = true,
    };

    if (failed && job->defa == NULL && job->attempts_made + 1 < job->attempts) {
        how.delay_ms = job_backoff_ms(&job->backoff, job->attempts_made + 1, 0.5);
        return queue_retry(tool->queue, soon(), arena, &how, ret_next);
    }
    return queue_settle(tool->queue, soon(), arena, &how, ret_next);
}

static void *work(void *arg)
{
    struct tool *tool = arg;
    struct reel_arena arenas[2];
    unsigned current = 0;
    char token[33];
    struct queue_claim claim = {0};

    reel_id_random_hex(token, 16);
    reel_arena_init(&arenas[0], ARENA_BYTES);
    reel_arena_init(&arenas[1], ARENA_BYTES);
    for (;;) {
        if (!claim.found) {
            reel_arena_reset(&arenas[current]);
            if (queue_claim_next(tool->queue, soon(), &arenas[current], token, &claim) != REEL_OK ||
                !claim.found) {
                pause_ms(STEP_MS);
                continue;
            }
        }
        struct queue_claim next = {0};
        long ms = strcmp(claim.job.name, "slow") == 0   ? 200
                  : strcmp(claim.job.name, "hold") == 0 ? HOLD_MS
                                                        : 0;
        bool is_ours = ms == 0 || claim.job.defa != NULL ||
                       hold(tool, &arenas[current], claim.job.id, token, ms);
        reel_arena_reset(&arenas[1 - current]);
        if (is_ours && end(tool, &arenas[1 - current], &claim.job, token, &next) != REEL_OK)
            next.found = false;
        claim = next;
        current = 1 - current;
    }
    return NULL;
}

static int run_worker(struct tool *tool, int n_threads)
{
    struct reel_arena arena;
    pthread_t thread;
    size_t n;

    for (int i = 0; i < n_threads; i++) {
        if (pthread_create(&thread, NULL, work, tool) != 0)
            return 1;
    }
    puts("working");
    fflush(stdout);
    reel_arena_init(&arena, ARENA_BYTES);
    for (;;) {
        (void)!queue_sweep(tool->queue, soon(), &arena, 300, 1, &n);
        reel_arena_reset(&arena);
        pause_ms(100);
    }
    return 0;
}

static int add(struct tool *tool, char **argv)
{
    struct reel_arena arena;
    const struct queue_entry entry = {
        .id = argv[0],
        .name = argv[1],
        .data = argv[2],
        .delay_ms = atoll(argv[3]),
        .priority = atoi(argv[4]),
        .lifo = atoi(argv[5]) != 0,
        .attempts = atoi(argv[6]),
        .backoff = {strcmp(argv[7], "fixed") == 0 ? JOB_BACKOFF_FIXED : JOB_BACKOFF_EXPONENTIAL,
                    atoll(argv[8]), 0},
    };

    reel_arena_init(&arena, ARENA_BYTES);
    int rc = queue_add(tool->queue, soon(), &arena, &entry);
    reel_arena_fini(&arena);
    return rc == REEL_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct tool tool = {.lock_ms = 30000};

    if (argc < 7)
        return 2;
    bool is_worker = strcmp(argv[4], "work") == 0;
    if (is_worker)
        tool.lock_ms = (uint32_t)atoi(argv[6]);
    const struct queue_config config = {
        .redis_url = argv[1],
        .prefix = argv[2],
        .name = argv[3],
        .worker = "tool",
        .max_connections = 32,
        .lock_ms = tool.lock_ms,
    };
    if (queue_open(&config, &tool.queue) != REEL_OK)
        return 1;
    int status = is_worker    ? run_worker(&tool, atoi(argv[5]))
                 : argc >= 14 ? add(&tool, argv + 5)
                              : 2;
    queue_close(tool.queue);
    return status;
}
