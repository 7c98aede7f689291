// SPDX-License-Identifier: Apache-2.0
#include "gateway/limiter.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/lease.h"
#include "gateway/rate.gen.h"
#include "libcommon/core/arena.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/metrics.h"
#include "libcommon/redis/redis.h"

enum {
    BATCH_MAX = 128,
    LOCAL_SETS = 4096,
    LOCAL_WAYS = 4,
    ARENA_BYTES = 1024 * 1024,
    REDIS_TIMEOUT_US = 250000,
    REDIS_RETRY_US = 1000000,
};

// The clients counted here while Redis is away.
struct local_entry {
    uint64_t hash;
    int64_t tat_us;
};

struct limiter {
    struct reel_redis *redis;
    struct reel_redis_script script;
    struct reel_arena arena;
    pthread_t thread;
    pthread_mutex_t lock; // guards the queue and stop
    pthread_cond_t asked;
    struct limit_ticket *first;
    struct limit_ticket **last;
    bool stop;
    atomic_bool shared;
    int64_t redis_retry_us;
    struct local_entry local[LOCAL_SETS][LOCAL_WAYS];
    struct lease_table *leases;
    struct reel_counter *local_total;
    struct reel_counter *leased_total;
};

static uint64_t key_hash(const struct limit_ticket *ticket)
{
    uint64_t hash = 14695981039346656037u;
    for (const char *s = ticket->policy->name; *s; s++)
        hash = (hash ^ (unsigned char)*s) * 1099511628211u;
    for (const char *s = ticket->key; *s; s++)
        hash = (hash ^ (unsigned char)*s) * 1099511628211u;
    return hash ? hash : 1;
}

// The client's entry; a full set gives up the one that is least ahead of its rate.
static struct local_entry *local_entry(struct limiter *limiter, uint64_t hash)
{
    struct local_entry *set = limiter->local[hash % LOCAL_SETS];
    struct local_entry *least = set;
    for (unsigned i = 0; i < LOCAL_WAYS; i++) {
        if (set[i].hash == hash)
            return &set[i];
        if (set[i].tat_us < least->tat_us)
            least = &set[i];
    }
    *least = (struct local_entry){.hash = hash};
    return least;
}

static void answer(struct limit_ticket *ticket, bool allowed, int64_t ahead_us)
{
    ticket->allowed = allowed;
    ticket->verdict = gcra_verdict_of(ticket->policy, allowed, ahead_us);
}

static void answer_locally(struct limiter *limiter, struct limit_ticket **batch, size_t n)
{
    int64_t now_us = reel_clock_mono_us();
    reel_counter_add(limiter->local_total, n);
    for (size_t i = 0; i < n; i++) {
        int64_t ahead_us;
        struct local_entry *entry = local_entry(limiter, key_hash(batch[i]));
        bool allowed = gcra_take(batch[i]->policy, now_us, &entry->tat_us, &ahead_us);
        answer(batch[i], allowed, ahead_us);
    }
}

static int ask_redis(struct limiter *limiter, struct limit_ticket **batch, size_t n,
                     struct reel_redis_reply *ret_reply)
{
    struct reel_redis_arg keys[BATCH_MAX];
    struct reel_redis_arg args[3 * BATCH_MAX];
    int64_t now_us = reel_clock_mono_us();
    for (size_t i = 0; i < n; i++) {
        const struct rate_policy *policy = batch[i]->policy;
        // The braces keep all keys on one node of a Redis cluster.
        char *key =
            reel_arena_printf(&limiter->arena, "{reel:rate}:%s:%s", policy->name, batch[i]->key);
        if (!key)
            return -ENOMEM;
        keys[i] = reel_redis_str(key);
        const struct lease_client client = {policy, batch[i]->key};
        args[3 * i] = reel_redis_int(&limiter->arena, (int64_t)policy->window_s * 1000000);
        args[3 * i + 1] = reel_redis_int(&limiter->arena, gcra_interval_us(policy));
        args[3 * i + 2] =
            reel_redis_int(&limiter->arena, lease_wish(limiter->leases, &client, now_us));
    }
    return reel_redis_eval(limiter->redis, reel_deadline_in_us(REDIS_TIMEOUT_US), &limiter->arena,
                           &limiter->script, n, keys, 3 * n, args, ret_reply);
}

static void take_answer(struct limiter *limiter, struct limit_ticket *ticket, int64_t granted,
                        int64_t ahead_us)
{
    const struct lease_client client = {ticket->policy, ticket->key};
    if (granted > 0)
        ahead_us =
            lease_put(limiter->leases, &client, reel_clock_mono_us(), (uint32_t)granted, ahead_us);
    answer(ticket, granted > 0, ahead_us);
}

static bool answer_by_redis(struct limiter *limiter, struct limit_ticket **batch, size_t n)
{
    struct reel_redis_reply reply = {0};
    reel_arena_reset(&limiter->arena);
    if (!reel_deadline_passed(limiter->redis_retry_us))
        return false;
    int rc = ask_redis(limiter, batch, n, &reply);
    bool good = rc == REEL_OK && reply.type == REEL_REDIS_ARRAY && reply.n_items == 2 * n;
    atomic_store_explicit(&limiter->shared, good, memory_order_relaxed);
    if (!good) {
        // No request waits twice for a Redis that is away.
        limiter->redis_retry_us = reel_deadline_in_us(REDIS_RETRY_US);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        take_answer(limiter, batch[i], reply.items[2 * i].integer, reply.items[2 * i + 1].integer);
    return true;
}

static size_t take_batch(struct limiter *limiter, struct limit_ticket **ret_batch)
{
    size_t n = 0;
    pthread_mutex_lock(&limiter->lock);
    while (!limiter->first && !limiter->stop)
        pthread_cond_wait(&limiter->asked, &limiter->lock);
    while (limiter->first && n < BATCH_MAX) {
        ret_batch[n++] = limiter->first;
        limiter->first = limiter->first->next;
    }
    if (!limiter->first)
        limiter->last = &limiter->first;
    pthread_mutex_unlock(&limiter->lock);
    return n;
}

static void *run(void *arg)
{
    struct limiter *limiter = arg;
    struct limit_ticket *batch[BATCH_MAX];
    size_t n;
    while ((n = take_batch(limiter, batch)) > 0) {
        if (!answer_by_redis(limiter, batch, n))
            answer_locally(limiter, batch, n);
        for (size_t i = 0; i < n; i++) {
            void (*done)(void *) = batch[i]->done;
            void *done_arg = batch[i]->arg;
            batch[i]->finished = true;
            done(done_arg);
        }
    }
    return NULL;
}

int limiter_open(struct reel_redis *redis, struct limiter **ret_limiter)
{
    struct limiter *limiter = calloc(1, sizeof(*limiter));
    if (!limiter)
        return -ENOMEM;
    limiter->redis = redis;
    limiter->script = (struct reel_redis_script){.name = "rate", .source = embedded_rate};
    limiter->last = &limiter->first;
    limiter->local_total =
        reel_counter_get("reel_rate_local_total", "Requests limited without Redis", NULL);
    limiter->leased_total = reel_counter_get(
        "reel_rate_leased_total", "Requests limited by permits taken ahead from Redis", NULL);
    reel_arena_init(&limiter->arena, ARENA_BYTES);
    pthread_mutex_init(&limiter->lock, NULL);
    pthread_cond_init(&limiter->asked, NULL);
    int rc = lease_table_new(&limiter->leases);
    if (rc == 0)
        rc = -pthread_create(&limiter->thread, NULL, run, limiter);
    if (rc != 0) {
        lease_table_free(limiter->leases);
        free(limiter);
        return rc;
    }
    *ret_limiter = limiter;
    return 0;
}

void limiter_close(struct limiter *limiter)
{
    if (!limiter)
        return;
    pthread_mutex_lock(&limiter->lock);
    limiter->stop = true;
    pthread_cond_signal(&limiter->asked);
    pthread_mutex_unlock(&limiter->lock);
    pthread_join(limiter->thread, NULL);
    pthread_cond_destroy(&limiter->asked);
    pthread_mutex_destroy(&limiter->lock);
    reel_arena_fini(&limiter->arena);
    lease_table_free(limiter->leases);
    free(limiter);
}

bool limiter_try(struct limiter *limiter, struct limit_ticket *ticket)
{
    const struct lease_client client = {ticket->policy, ticket->key};
    int64_t ahead_us;
    if (!lease_spend(limiter->leases, &client, reel_clock_mono_us(), &ahead_us))
        return false;
    reel_counter_add(limiter->leased_total, 1);
    answer(ticket, true, ahead_us);
    return true;
}

void limiter_ask(struct limiter *limiter, struct limit_ticket *ticket)
{
    ticket->next = NULL;
    ticket->finished = false;
    pthread_mutex_lock(&limiter->lock);
    bool was_empty = !limiter->first;
    *limiter->last = ticket;
    limiter->last = &ticket->next;
    if (was_empty)
        pthread_cond_signal(&limiter->asked);
    pthread_mutex_unlock(&limiter->lock);
}

bool limiter_is_shared(struct limiter *limiter)
{
    return atomic_load_explicit(&limiter->shared, memory_order_relaxed);
}
