// SPDX-License-Identifier: Apache-2.0
#include "svc-job/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/obs/metrics.h"

enum {
    SLOT_ARENA_BYTES = 16 * 1024 * 1024,
    KEEPER_ARENA_BYTES = 1024 * 1024,
    MARKER_WAIT_MS = 5000, // a token can be lost in a crash: look again by ourselves
    TICK_US = 250 * 1000,
    ERROR_PAUSE_US = 500 * 1000,
    REDIS_US = 2 * 1000 * 1000,
    PG_US = 1000 * 1000,
    RENEWALS_PER_LOCK = 3,
};

struct slot {
    struct supervisor *supervisor;
    pthread_t thread;
    struct permits handed; // a claim is waiting
    struct run run;
    struct reel_arena arenas[2]; // of the present job and of the next
    struct queue_claim claim;    // handed over by the dispatcher
    bool is_idle;                // guarded by supervisor->lock
};

struct supervisor {
    struct run_env *env;
    struct slot *slots;
    unsigned n_slots;
    unsigned n_started;
    pthread_mutex_t lock; // guards is_idle of the slots
    struct permits idle;  // one a slot that is idle
    struct permits ticks; // wakes the keeper
    pthread_t dispatcher;
    pthread_t keeper;
    bool has_dispatcher;
    bool has_keeper;
    atomic_llong hand_back_at_us; // when draining
    atomic_bool is_over;          // for the keeper: all slots are done
    struct reel_gauge *running;
};

static void set_idle(struct slot *slot, bool is_idle)
{
    pthread_mutex_lock(&slot->supervisor->lock);
    slot->is_idle = is_idle;
    pthread_mutex_unlock(&slot->supervisor->lock);
}

static struct slot *find_idle(struct supervisor *s)
{
    struct slot *found = NULL;

    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_slots && found == NULL; i++) {
        if (s->slots[i].is_idle)
            found = &s->slots[i];
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

// Runs the handed job and all that are claimed while settling.
static void run_chain(struct slot *slot)
{
    struct queue_claim claim = slot->claim;
    unsigned current = 0;

    reel_gauge_add(slot->supervisor->running, 1);
    while (claim.found) {
        struct queue_claim next;
        run_job(slot->supervisor->env, &slot->run, &slot->arenas[current], &claim,
                &slot->arenas[1 - current], &next);
        if (next.found)
            run_begin(&slot->run, &next);
        reel_arena_reset(&slot->arenas[current]);
        current = 1 - current;
        claim = next;
    }
    reel_arena_reset(&slot->arenas[0]);
    reel_arena_reset(&slot->arenas[1]);
    reel_gauge_add(slot->supervisor->running, -1);
}

static void *work(void *arg)
{
    struct slot *slot = arg;

    for (;;) {
        while (!permits_take(&slot->handed, REEL_NO_DEADLINE))
            continue;
        if (!slot->claim.found)
            return NULL;
        run_chain(slot);
        set_idle(slot, true);
        permits_give(&slot->supervisor->idle);
    }
}

static bool is_draining(struct supervisor *s)
{
    return atomic_load(&s->env->is_draining);
}

// Sleeps in short steps, so that a drain is noticed.
static void rest(struct supervisor *s, int64_t until_us)
{
    while (!is_draining(s) && !reel_deadline_passed(until_us))
        usleep((useconds_t)reel_deadline_left_ms(until_us, 50) * 1000);
}

// Gives the slot a job if there is one. Otherwise waits for work. Returns whether it did.
static bool feed_slot(struct supervisor *s, struct slot *slot)
{
    int rc = queue_claim_next(s->env->queue, reel_deadline_in_us(REDIS_US), &slot->arenas[0],
                              slot->run.token, &slot->claim);

    if (rc == REEL_OK && slot->claim.found) {
        run_begin(&slot->run, &slot->claim);
        set_idle(slot, false);
        permits_give(&slot->handed);
        return true;
    }
    if (rc == REEL_OK && slot->claim.limited_ms > 0)
        rest(s, reel_deadline_in_us(slot->claim.limited_ms * 1000));
    else if (rc == REEL_OK && !is_draining(s))
        rc = queue_wait(s->env->queue, MARKER_WAIT_MS, slot->claim.next_due_ms);
    if (rc != REEL_OK) {
        reel_log(REEL_LOG_WARN, "queue.away", REEL_FS("code", reel_code_name(rc)),
                 REEL_FI("rc", rc));
        rest(s, reel_deadline_in_us(ERROR_PAUSE_US));
    }
    reel_arena_reset(&slot->arenas[0]);
    return false;
}

static void *dispatch(void *arg)
{
    struct supervisor *s = arg;

    while (!is_draining(s)) {
        if (!permits_take(&s->idle, reel_deadline_in_us(TICK_US)))
            continue;
        struct slot *slot = find_idle(s);
        bool is_fed = false;
        while (!is_fed && !is_draining(s)) {
            int64_t not_before_us = atomic_load(&s->env->not_before_us);
            if (reel_deadline_passed(not_before_us))
                is_fed = feed_slot(s, slot);
            else
                rest(s, reel_deadline_in_us(TICK_US / 5));
        }
        if (!is_fed)
            permits_give(&s->idle);
    }
    return NULL;
}

// A running job as the keeper sees it; copied, because the slot may end it meanwhile.
struct watched {
    struct run *run;
    uint64_t serial;
    const char *queue_id;
    const char *token;
    const char *job_id; // NULL: not fenced now
    int32_t version;
};

static size_t watch(struct supervisor *s, struct reel_arena *arena, struct watched *list)
{
    size_t n = 0;

    for (unsigned i = 0; i < s->n_slots; i++) {
        struct run *run = &s->slots[i].run;
        pthread_mutex_lock(&run->lock);
        if (run->queue_id != NULL) {
            list[n] = (struct watched){
                .run = run,
                .serial = run->serial,
                .queue_id = reel_arena_strdup(arena, run->queue_id),
                .token = run->token,
                .job_id = reel_arena_strdup(arena, run->job_id),
                .version = run->version,
            };
            if (list[n].queue_id != NULL)
                n++;
        }
        pthread_mutex_unlock(&run->lock);
    }
    return n;
}

static void halt(const struct watched *w, enum run_stop why)
{
    reel_log(REEL_LOG_INFO, "job.halted", REEL_FS("queue_id", w->queue_id),
             REEL_FS("why", why == RUN_LOST ? "lock lost" : "the record moved on"));
    run_halt(w->run, w->serial, why);
}

static void check_record(struct supervisor *s, struct reel_arena *arena, const struct watched *list,
                         size_t n)
{
    struct job_fence *fences = reel_arena_array(arena, n, sizeof(*fences));
    const struct watched **of = reel_arena_array(arena, n, sizeof(struct watched *));
    size_t n_fences = 0;

    if (fences == NULL || of == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        if (list[i].job_id == NULL)
            continue;
        of[n_fences] = &list[i];
        fences[n_fences++] = (struct job_fence){list[i].job_id, list[i].version, false};
    }
    if (n_fences == 0 || store_check_fences(s->env->pg, reel_deadline_in_us(PG_US), arena, fences,
                                            n_fences) != REEL_OK)
        return;
    for (size_t i = 0; i < n_fences; i++) {
        if (fences[i].is_stale)
            halt(of[i], RUN_STALE);
    }
}

// False when Redis could not be asked.
static bool renew(struct supervisor *s, struct reel_arena *arena, const struct watched *list,
                  size_t n)
{
    struct queue_renewal *renewals = reel_arena_array(arena, n, sizeof(*renewals));

    if (renewals == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        renewals[i] = (struct queue_renewal){list[i].queue_id, list[i].token, false};
    int rc = queue_renew(s->env->queue, reel_deadline_in_us(REDIS_US), arena, renewals, n);
    for (size_t i = 0; rc == REEL_OK && i < n; i++) {
        if (renewals[i].lost)
            halt(&list[i], RUN_LOST);
    }
    return rc == REEL_OK;
}

static void hand_back_all(const struct watched *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run_halt(list[i].run, list[i].serial, RUN_HAND_BACK);
}

static void watch_zygote(struct supervisor *s, bool *is_reported)
{
    if (*is_reported || worker_zygote_is_alive(s->env->zygote))
        return;
    *is_reported = true;
    reel_log(REEL_LOG_ERROR, "worker.zygote_died", REEL_FS("action", "exit"));
    // It cannot be replaced while there are threads. Whoever keeps services running starts us anew.
    kill(getpid(), SIGTERM);
}

static void *keep(void *arg)
{
    struct supervisor *s = arg;
    struct reel_arena arena;
    int64_t renew_us = s->env->config->lock_ms * 1000 / RENEWALS_PER_LOCK;
    int64_t renew_at_us = 0;
    bool is_reported = false;

    reel_arena_init(&arena, KEEPER_ARENA_BYTES);
    while (!atomic_load(&s->is_over)) {
        struct watched *list = reel_arena_array(&arena, s->n_slots, sizeof(*list));
        size_t n = list != NULL ? watch(s, &arena, list) : 0;
        if (n > 0 && reel_deadline_passed(renew_at_us) && renew(s, &arena, list, n))
            renew_at_us = reel_deadline_in_us(renew_us);
        if (n > 0)
            check_record(s, &arena, list, n);
        if (is_draining(s) && reel_deadline_passed(atomic_load(&s->hand_back_at_us)))
            hand_back_all(list, n);
        watch_zygote(s, &is_reported);
        reel_arena_reset(&arena);
        (void)permits_take(&s->ticks, reel_deadline_in_us(TICK_US < renew_us ? TICK_US : renew_us));
    }
    reel_arena_fini(&arena);
    return NULL;
}

static int start_slot(struct supervisor *s, struct slot *slot)
{
    slot->supervisor = s;
    slot->is_idle = true;
    permits_init(&slot->handed, 0);
    run_init(&slot->run);
    reel_arena_init(&slot->arenas[0], SLOT_ARENA_BYTES);
    reel_arena_init(&slot->arenas[1], SLOT_ARENA_BYTES);
    int rc = pthread_create(&slot->thread, NULL, work, slot);
    if (rc != 0) {
        run_fini(&slot->run);
        permits_fini(&slot->handed);
    }
    return -rc;
}

static int start_threads(struct supervisor *s)
{
    for (unsigned i = 0; i < s->n_slots; i++) {
        int rc = start_slot(s, &s->slots[i]);
        if (rc != 0)
            return rc;
        s->n_started++;
    }
    int rc = pthread_create(&s->keeper, NULL, keep, s);
    s->has_keeper = rc == 0;
    if (rc == 0)
        rc = pthread_create(&s->dispatcher, NULL, dispatch, s);
    s->has_dispatcher = rc == 0;
    return -rc;
}

int supervisor_start(struct run_env *env, unsigned n_slots, struct supervisor **ret_supervisor)
{
    struct supervisor *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return -ENOMEM;
    s->env = env;
    s->n_slots = n_slots;
    s->slots = calloc(n_slots, sizeof(*s->slots));
    s->running = reel_gauge_get("reel_jobs_running", "Jobs that run in this process.", NULL);
    pthread_mutex_init(&s->lock, NULL);
    permits_init(&s->idle, n_slots);
    permits_init(&s->ticks, 0);
    int rc = s->slots != NULL ? start_threads(s) : -ENOMEM;
    if (rc != REEL_OK) {
        supervisor_stop(s);
        return rc;
    }
    *ret_supervisor = s;
    return REEL_OK;
}

void supervisor_drain(struct supervisor *s, int64_t deadline_us)
{
    atomic_store(&s->hand_back_at_us, deadline_us);
    atomic_store(&s->env->is_draining, true);
    queue_wake_waiter(s->env->queue);
}

static void join_dispatcher(struct supervisor *s)
{
    // It may have gone to sleep just after the first wake-up.
    while (s->has_dispatcher && pthread_tryjoin_np(s->dispatcher, NULL) != 0) {
        queue_wake_waiter(s->env->queue);
        usleep(20 * 1000);
    }
}

static void join_slots(struct supervisor *s)
{
    // The claim of a slot that still runs is its own; only idle ones may be told to end.
    for (unsigned i = 0; i < s->n_started; i++) {
        while (!permits_take(&s->idle, REEL_NO_DEADLINE))
            continue;
    }
    for (unsigned i = 0; i < s->n_started; i++) {
        s->slots[i].claim.found = false;
        permits_give(&s->slots[i].handed);
        pthread_join(s->slots[i].thread, NULL);
    }
}

static void join_keeper(struct supervisor *s)
{
    atomic_store(&s->is_over, true);
    permits_give(&s->ticks);
    if (s->has_keeper)
        pthread_join(s->keeper, NULL);
}

void supervisor_stop(struct supervisor *s)
{
    if (s == NULL)
        return;
    if (!is_draining(s))
        supervisor_drain(s, reel_clock_mono_us());
    join_dispatcher(s);
    join_slots(s);
    join_keeper(s);
    for (unsigned i = 0; i < s->n_started; i++) {
        run_fini(&s->slots[i].run);
        permits_fini(&s->slots[i].handed);
        reel_arena_fini(&s->slots[i].arenas[0]);
        reel_arena_fini(&s->slots[i].arenas[1]);
    }
    permits_fini(&s->idle);
    permits_fini(&s->ticks);
    pthread_mutex_destroy(&s->lock);
    free(s->slots);
    free(s);
}

void supervisor_check(struct supervisor *s)
{
    permits_give(&s->ticks);
}
