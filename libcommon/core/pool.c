// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/core/err.h"

enum {
    OPENING_AT_ONCE = 2,
    PAUSE_FIRST_US = 50 * 1000,
    PAUSE_LONGEST_US = 1000 * 1000,
};

struct reel_pool {
    const struct reel_pool_ops *ops;
    void *owner;
    unsigned max_items;
    pthread_mutex_t lock; // guards all below
    pthread_cond_t changed;
    unsigned n_out;
    unsigned n_idle;
    unsigned n_opening;
    int64_t pause_us; // length of the present pause; 0 after a success
    int64_t retry_at_us;
    void *idle[];
};

int reel_pool_new(const struct reel_pool_ops *ops, void *owner, unsigned max_items,
                  struct reel_pool **ret_pool)
{
    struct reel_pool *pool = calloc(1, sizeof(*pool) + max_items * sizeof(void *));

    if (!pool)
        return -ENOMEM;
    pool->ops = ops;
    pool->owner = owner;
    pool->max_items = max_items;
    pthread_mutex_init(&pool->lock, NULL);
    reel_cond_init(&pool->changed);
    *ret_pool = pool;
    return REEL_OK;
}

void reel_pool_free(struct reel_pool *pool)
{
    if (!pool)
        return;
    for (unsigned i = 0; i < pool->n_idle; i++)
        pool->ops->close(pool->idle[i]);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

// The pause is drawn from its upper half, so that many processes do not come back together.
static void start_pause(struct reel_pool *pool)
{
    uint32_t random = 0;

    pool->pause_us = pool->pause_us ? pool->pause_us * 2 : PAUSE_FIRST_US;
    if (pool->pause_us > PAUSE_LONGEST_US)
        pool->pause_us = PAUSE_LONGEST_US;
    if (getrandom(&random, sizeof(random), 0) < 0)
        random = (uint32_t)reel_clock_mono_us();
    pool->retry_at_us = reel_clock_mono_us() + pool->pause_us / 2 + random % (pool->pause_us / 2);
}

// Called and returns with the lock held; opens without it.
static int open_one(struct reel_pool *pool, int64_t deadline_us, void **ret_item)
{
    pool->n_opening++;
    pthread_mutex_unlock(&pool->lock);
    int rc = pool->ops->open(pool->owner, deadline_us, ret_item);
    pthread_mutex_lock(&pool->lock);
    pool->n_opening--;

    if (rc == REEL_OK) {
        pool->n_out++;
        pool->pause_us = 0;
        pool->retry_at_us = 0;
    } else if (rc != REEL_DEADLINE_EXCEEDED) {
        start_pause(pool);
    }
    pthread_cond_broadcast(&pool->changed);
    return rc;
}

static bool take_idle(struct reel_pool *pool, void **ret_item)
{
    while (pool->n_idle > 0) {
        void *item = pool->idle[--pool->n_idle];

        if (pool->ops->is_alive(item)) {
            pool->n_out++;
            *ret_item = item;
            return true;
        }
        pool->ops->close(item);
    }
    return false;
}

static bool may_open(const struct reel_pool *pool)
{
    return pool->n_out + pool->n_opening < pool->max_items && pool->n_opening < OPENING_AT_ONCE;
}

static int take_locked(struct reel_pool *pool, int64_t deadline_us, void **ret_item)
{
    for (;;) {
        if (take_idle(pool, ret_item))
            return REEL_OK;

        int64_t now_us = reel_clock_mono_us();
        bool pausing = now_us < pool->retry_at_us;
        if (pausing && pool->n_out == 0)
            return REEL_UNAVAILABLE;
        if (now_us >= deadline_us)
            return REEL_DEADLINE_EXCEEDED;
        if (!pausing && may_open(pool))
            return open_one(pool, deadline_us, ret_item);
        reel_cond_wait_until(&pool->changed, &pool->lock,
                             pausing && pool->retry_at_us < deadline_us ? pool->retry_at_us
                                                                        : deadline_us);
    }
}

int reel_pool_take(struct reel_pool *pool, int64_t deadline_us, void **ret_item)
{
    pthread_mutex_lock(&pool->lock);
    int rc = take_locked(pool, deadline_us, ret_item);
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void reel_pool_give(struct reel_pool *pool, void *item, bool reusable)
{
    if (!reusable)
        pool->ops->close(item);
    pthread_mutex_lock(&pool->lock);
    pool->n_out--;
    if (reusable)
        pool->idle[pool->n_idle++] = item;
    // Everybody must look again when nothing is out any more: the pause may now tell them to leave.
    if (reusable && pool->n_out > 0)
        pthread_cond_signal(&pool->changed);
    else
        pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}
