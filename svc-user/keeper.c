// SPDX-License-Identifier: Apache-2.0
#include "svc-user/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/obs/log.h"
#include "svc-user/keys.h"
#include "svc-user/store.h"
#include "svc-user/throttle.h"

enum {
    RELOAD_US = 5 * 1000 * 1000,
    SWEEP_TIMEOUT_US = 10 * 1000 * 1000,
    SWEEP_ROWS = 1000,
    // Revoked sessions are still told of while an access token of theirs may live.
    KEEP_S = 3600,
};

struct keeper {
    struct reel_pg *pg;
    struct keys *keys;
    int64_t sweep_us;
    pthread_t thread;
    pthread_mutex_t lock; // guards `stop`
    pthread_cond_t stopped;
    bool stop;
};

// False when the keeper is to stop.
static bool wait_until(struct keeper *keeper, int64_t when_us)
{
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->stop && !reel_deadline_passed(when_us))
        reel_cond_wait_until(&keeper->stopped, &keeper->lock, when_us);
    bool go_on = !keeper->stop;
    pthread_mutex_unlock(&keeper->lock);
    return go_on;
}

static int sweep_sessions(const struct store *db, int64_t limit, int64_t *ret_n)
{
    return store_session_sweep(db, KEEP_S, limit, ret_n);
}

// In small portions, so that no transaction is long; the rest waits for the next round when the
// database is away.
static void sweep(struct keeper *keeper, const char *what,
                  int (*remove)(const struct store *db, int64_t limit, int64_t *ret_n))
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    int64_t n = SWEEP_ROWS;

    reel_arena_init(&arena, 16 * 1024);
    while (n == SWEEP_ROWS && wait_until(keeper, 0)) {
        const struct store db = {keeper->pg, reel_deadline_in_us(SWEEP_TIMEOUT_US), &arena};
        int rc = remove(&db, SWEEP_ROWS, &n);

        reel_arena_reset(&arena);
        if (rc != REEL_OK) {
            reel_log(REEL_LOG_WARN, "keeper.sweep_failed", REEL_FS("what", what),
                     REEL_FI("code", rc));
            return;
        }
        if (n > 0)
            reel_log(REEL_LOG_INFO, "keeper.swept", REEL_FS("what", what), REEL_FI("rows", n));
    }
}

static void *run(void *arg)
{
    struct keeper *keeper = arg;
    int64_t sweep_at_us = reel_clock_mono_us() + keeper->sweep_us;
    int64_t reload_at_us = reel_clock_mono_us() + RELOAD_US;

    while (wait_until(keeper, sweep_at_us < reload_at_us ? sweep_at_us : reload_at_us)) {
        if (reel_deadline_passed(reload_at_us)) {
            if (keys_reload(keeper->keys) != REEL_OK)
                reel_log(REEL_LOG_ERROR, "keys.reload_failed");
            reload_at_us = reel_clock_mono_us() + RELOAD_US;
        }
        if (reel_deadline_passed(sweep_at_us)) {
            sweep(keeper, "sessions", sweep_sessions);
            sweep(keeper, "login_failures", throttle_sweep);
            sweep_at_us = reel_clock_mono_us() + keeper->sweep_us;
        }
    }
    return NULL;
}

int keeper_start(struct reel_pg *pg, struct keys *keys, int64_t sweep_ms,
                 struct keeper **ret_keeper)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));

    if (!keeper)
        return -ENOMEM;
    keeper->pg = pg;
    keeper->keys = keys;
    keeper->sweep_us = sweep_ms * 1000;
    pthread_mutex_init(&keeper->lock, NULL);
    reel_cond_init(&keeper->stopped);
    int rc = pthread_create(&keeper->thread, NULL, run, keeper);
    if (rc != 0) {
        free(keeper);
        return -rc;
    }
    *ret_keeper = keeper;
    return 0;
}

void keeper_stop(struct keeper *keeper)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stop = true;
    pthread_cond_signal(&keeper->stopped);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->stopped);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}
