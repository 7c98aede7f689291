// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

struct reel_pool {
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
    pthread_t threads[];
};

int reel_pool_new(const char *name, unsigned max_threads, unsigned max_queued,
                  struct reel_pool **ret_pool)
{
    struct reel_pool *pool = calloc(1, sizeof(*pool) + max_threads * sizeof(pool->threads[0]));

    if (!pool)
        return -ENOMEM;
    pool->last = &pool->first;
    pool->max_threads = max_threads;
    pool->max_queued = max_queued;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    *ret_pool = pool;
    return 0;
}

// The next task, or NULL when the pool stops. Called and returns with the lock held.
static struct reel_task *next_task(struct reel_pool *pool)
{
    while (!pool->first) {
        if (pool->stopping)
            return NULL;
        pool->n_idle++;
        pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->n_idle > 0)
            pool->n_idle--;
    }

    struct reel_task *task = pool->first;
    pool->first = task->next;
    if (!pool->first)
        pool->last = &pool->first;
    pool->n_queued--;
    return task;
}

static void *run_thread(void *arg)
{
    struct reel_pool *pool = arg;
    struct reel_task *task;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    while ((task = next_task(pool))) {
        pthread_mutex_unlock(&pool->lock);
        task->run(task);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

// Called with the lock held.
static bool start_thread(struct reel_pool *pool)
{
    if (pool->n_threads == pool->max_threads)
        return false;
    if (pthread_create(&pool->threads[pool->n_threads], NULL, run_thread, pool) != 0)
        return false;
    pool->n_threads++;
    return true;
}

bool reel_pool_submit(struct reel_pool *pool, struct reel_task *task)
{
    pthread_mutex_lock(&pool->lock);
    bool taken = pool->n_queued < pool->n_idle || start_thread(pool) ||
                 (pool->n_threads > 0 && pool->n_queued < pool->n_idle + pool->max_queued);
    if (taken) {
        task->next = NULL;
        *pool->last = task;
        pool->last = &task->next;
        pool->n_queued++;
        if (pool->n_idle > 0)
            pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void reel_pool_free(struct reel_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    free(pool);
}
