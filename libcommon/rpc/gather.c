// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/gather.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"

enum { SLOW_US = 20 * 1000 };

struct reel_gather {
    reel_gather_fn fn;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t work; // for a thread that may sleep as long as nothing comes
    pthread_cond_t slow; // monotonic; for the one that watches the running round
    struct reel_task *first;
    struct reel_task **last;
    unsigned n_waiting;
    unsigned max_waiting;
    unsigned n_running;
    unsigned n_idle;
    unsigned n_threads;
    int64_t started_us; // of the round begun last
    bool called;        // a thread is on its way to look
    bool watched;       // one waits for `slow`
    bool stopping;
    char name[16];
    pthread_t threads[REEL_GATHER_ROUNDS];
};

static bool may_run(const struct reel_gather *gather)
{
    return gather->first &&
           (gather->n_running == 0 || (gather->n_running < REEL_GATHER_ROUNDS &&
                                       reel_deadline_passed(gather->started_us + SLOW_US)));
}

// Whether somebody should look when the running round becomes slow.
static bool wants_watch(const struct reel_gather *gather)
{
    return gather->n_running > 0 && gather->n_running < REEL_GATHER_ROUNDS && !gather->watched &&
           !reel_deadline_passed(gather->started_us + SLOW_US);
}

// Waits until the running round is slow. It goes on when that round ends: a thread that is woken
// for each round of a busy time costs more than one that looks every SLOW_US.
static void watch(struct reel_gather *gather)
{
    gather->watched = true;
    reel_cond_wait_until(&gather->slow, &gather->lock, gather->started_us + SLOW_US);
    gather->watched = false;
}

// Waits for a round; false when there will be none. Called with the lock held.
static bool await_turn(struct reel_gather *gather)
{
    gather->n_idle++;
    while (!may_run(gather) && (gather->first || !gather->stopping)) {
        gather->called = false;
        if (wants_watch(gather))
            watch(gather);
        else
            pthread_cond_wait(&gather->work, &gather->lock);
    }
    gather->called = false;
    gather->n_idle--;
    return gather->first != NULL;
}

static struct reel_task *take(struct reel_gather *gather, size_t *ret_n)
{
    struct reel_task *batch = gather->first;
    struct reel_task **end = &gather->first;
    size_t n = 0;

    for (; *end && n < REEL_GATHER_MOST; n++)
        end = &(*end)->next;
    gather->first = *end;
    if (!gather->first)
        gather->last = &gather->first;
    *end = NULL;
    gather->n_waiting -= (unsigned)n;
    *ret_n = n;
    return batch;
}

static void *run_thread(void *arg);

// Brings a thread to run what waits, or to watch the round that runs. Called with the lock held.
static void call_thread(struct reel_gather *gather)
{
    if (gather->called || (!may_run(gather) && !wants_watch(gather)))
        return;
    if (gather->n_idle > gather->watched) {
        gather->called = true;
        pthread_cond_signal(&gather->work);
    } else if (!gather->watched && gather->n_threads < REEL_GATHER_ROUNDS && !gather->stopping &&
               pthread_create(&gather->threads[gather->n_threads], NULL, run_thread, gather) == 0) {
        gather->called = true;
        gather->n_threads++;
    }
}

static void *run_thread(void *arg)
{
    struct reel_gather *gather = arg;

    pthread_setname_np(pthread_self(), gather->name);
    pthread_mutex_lock(&gather->lock);
    while (await_turn(gather)) {
        size_t n;
        struct reel_task *batch = take(gather, &n);

        gather->n_running++;
        gather->started_us = reel_clock_mono_us();
        if (gather->first)
            call_thread(gather);
        pthread_mutex_unlock(&gather->lock);
        gather->fn(gather->arg, batch, n);
        pthread_mutex_lock(&gather->lock);
        gather->n_running--;
    }
    // The others see that there is nothing left.
    pthread_cond_broadcast(&gather->work);
    pthread_mutex_unlock(&gather->lock);
    return NULL;
}

int reel_gather_new(const char *name, unsigned max_waiting, reel_gather_fn fn, void *arg,
                    struct reel_gather **ret_gather)
{
    struct reel_gather *gather = calloc(1, sizeof(*gather));

    if (!gather)
        return -ENOMEM;
    gather->fn = fn;
    gather->arg = arg;
    gather->last = &gather->first;
    gather->max_waiting = max_waiting;
    snprintf(gather->name, sizeof(gather->name), "%s", name);
    pthread_mutex_init(&gather->lock, NULL);
    pthread_cond_init(&gather->work, NULL);
    reel_cond_init(&gather->slow);
    int rc = pthread_create(&gather->threads[0], NULL, run_thread, gather);
    if (rc != 0) {
        reel_gather_free(gather);
        return -rc;
    }
    gather->n_threads = 1;
    *ret_gather = gather;
    return 0;
}

bool reel_gather_add(struct reel_gather *gather, struct reel_task *task)
{
    pthread_mutex_lock(&gather->lock);
    bool taken = gather->n_waiting < gather->max_waiting;
    if (taken) {
        task->next = NULL;
        *gather->last = task;
        gather->last = &task->next;
        gather->n_waiting++;
    }
    if (taken)
        call_thread(gather);
    pthread_mutex_unlock(&gather->lock);
    return taken;
}

void reel_gather_free(struct reel_gather *gather)
{
    if (!gather)
        return;
    pthread_mutex_lock(&gather->lock);
    gather->stopping = true;
    pthread_cond_broadcast(&gather->work);
    pthread_cond_broadcast(&gather->slow);
    pthread_mutex_unlock(&gather->lock);
    // None is started once it is stopping.
    for (unsigned i = 0; i < gather->n_threads; i++)
        pthread_join(gather->threads[i], NULL);
    pthread_mutex_destroy(&gather->lock);
    pthread_cond_destroy(&gather->work);
    pthread_cond_destroy(&gather->slow);
    free(gather);
}
