// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

struct reel_threads {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct reel_task *first;
    struct reel_task **last;
    unsigned n_queued;
    unsigned n_idle; // threads that wait and have not been promised a task
    unsigned n_threads;
    unsigned max_threads;
    unsigned max_queued;
    bool stopping;
    char name[16];
    pthread_t ids[];
};

int reel_threads_new(const char *name, unsigned max_threads, unsigned max_queued,
                     struct reel_threads **ret_threads)
{
    struct reel_threads *threads =
        calloc(1, sizeof(*threads) + max_threads * sizeof(threads->ids[0]));

    if (!threads)
        return -ENOMEM;
    threads->last = &threads->first;
    threads->max_threads = max_threads;
    threads->max_queued = max_queued;
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->work, NULL);
    snprintf(threads->name, sizeof(threads->name), "%s", name);
    *ret_threads = threads;
    return 0;
}

// The next task, or NULL when they stop. Called and returns with the lock held.
static struct reel_task *next_task(struct reel_threads *threads)
{
    while (!threads->first) {
        if (threads->stopping)
            return NULL;
        threads->n_idle++;
        pthread_cond_wait(&threads->work, &threads->lock);
        if (threads->n_idle > 0)
            threads->n_idle--;
    }

    struct reel_task *task = threads->first;
    threads->first = task->next;
    if (!threads->first)
        threads->last = &threads->first;
    threads->n_queued--;
    return task;
}

static void *run_thread(void *arg)
{
    struct reel_threads *threads = arg;
    struct reel_task *task;

    pthread_setname_np(pthread_self(), threads->name);
    pthread_mutex_lock(&threads->lock);
    while ((task = next_task(threads))) {
        pthread_mutex_unlock(&threads->lock);
        task->run(task);
        pthread_mutex_lock(&threads->lock);
    }
    pthread_mutex_unlock(&threads->lock);
    return NULL;
}

// Called with the lock held.
static bool start_thread(struct reel_threads *threads)
{
    if (threads->n_threads == threads->max_threads)
        return false;
    if (pthread_create(&threads->ids[threads->n_threads], NULL, run_thread, threads) != 0)
        return false;
    threads->n_threads++;
    return true;
}

bool reel_threads_submit(struct reel_threads *threads, struct reel_task *task)
{
    pthread_mutex_lock(&threads->lock);
    bool taken =
        threads->n_queued < threads->n_idle || start_thread(threads) ||
        (threads->n_threads > 0 && threads->n_queued < threads->n_idle + threads->max_queued);
    if (taken) {
        task->next = NULL;
        *threads->last = task;
        threads->last = &task->next;
        threads->n_queued++;
        if (threads->n_idle > 0)
            pthread_cond_signal(&threads->work);
    }
    pthread_mutex_unlock(&threads->lock);
    return taken;
}

void reel_threads_free(struct reel_threads *threads)
{
    if (!threads)
        return;
    pthread_mutex_lock(&threads->lock);
    threads->stopping = true;
    pthread_cond_broadcast(&threads->work);
    pthread_mutex_unlock(&threads->lock);
    for (unsigned i = 0; i < threads->n_threads; i++)
        pthread_join(threads->ids[i], NULL);
    pthread_mutex_destroy(&threads->lock);
    pthread_cond_destroy(&threads->work);
    free(threads);
}
