// SPDX-License-Identifier: Apache-2.0
#include "svc-user/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/clock.h"
#include "svc-user/store.h"

enum {
    MOST_RUNNING = 4,
    SLOW_US = 20 * 1000,
    MOST_TOGETHER = 64,
    ARENA_BYTES = 256 * 1024,
};

enum state {
    WAITING,  // in the list; may leave it
    GATHERED, // a leader asks for it, and may touch its arena
    LEADING,
    DONE,
};

// A caller; lives on its stack.
struct caller {
    struct caller *next;
    const char *id;
    int64_t deadline_us;
    struct reel_arena *arena;
    User__User *user;
    int rc;
    enum state state;
    pthread_cond_t changed;
};

struct lookup {
    struct reel_pg *pg;
    pthread_mutex_t lock; // guards the list and the callers' states
    struct caller *first;
    struct caller **last;
    unsigned n_running;
    int64_t started_us; // of the statement begun last
};

int lookup_new(struct reel_pg *pg, struct lookup **ret_lookup)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    if (!lookup)
        return -ENOMEM;
    lookup->pg = pg;
    lookup->last = &lookup->first;
    pthread_mutex_init(&lookup->lock, NULL);
    *ret_lookup = lookup;
    return REEL_OK;
}

void lookup_free(struct lookup *lookup)
{
    if (!lookup)
        return;
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

// Takes those who wait, at most MOST_TOGETHER with the leader.
static struct caller *gather(struct lookup *lookup)
{
    struct caller *batch = lookup->first;
    struct caller **end = &lookup->first;

    for (int n = 1; *end && n < MOST_TOGETHER; n++) {
        (*end)->state = GATHERED;
        end = &(*end)->next;
    }
    if (end == &lookup->first)
        return NULL;
    lookup->first = *end;
    if (!lookup->first)
        lookup->last = &lookup->first;
    *end = NULL;
    return batch;
}

static void leave_list(struct lookup *lookup, struct caller *caller)
{
    struct caller **link = &lookup->first;

    while (*link != caller)
        link = &(*link)->next;
    *link = caller->next;
    if (!*link)
        lookup->last = link;
    caller->next = NULL;
}

static void ask(struct lookup *lookup, struct caller *leader)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    struct store db = {lookup->pg, REEL_NO_DEADLINE, &arena};
    const char *ids[MOST_TOGETHER];
    User__User *users[MOST_TOGETHER] = {0};
    size_t n = 0;

    for (struct caller *c = leader; c; c = c->next) {
        ids[n++] = c->id;
        if (c->deadline_us < db.deadline_us)
            db.deadline_us = c->deadline_us;
    }
    reel_arena_init(&arena, ARENA_BYTES);
    int rc = store_user_get_many(&db, ids, n, users);
    n = 0;
    for (struct caller *c = leader; c; c = c->next) {
        c->rc = rc;
        if (rc == REEL_OK)
            c->rc = users[n] ? store_user_copy(c->arena, users[n], &c->user) : REEL_NOT_FOUND;
        n++;
    }
}

// Wakes those who were served and makes the next caller, if there is one, a leader.
static void hand_over(struct lookup *lookup, struct caller *leader)
{
    pthread_mutex_lock(&lookup->lock);
    for (struct caller *c = leader->next, *next; c; c = next) {
        next = c->next;
        c->state = DONE;
        pthread_cond_signal(&c->changed);
    }
    struct caller *heir = lookup->first;
    if (heir) {
        leave_list(lookup, heir);
        heir->state = LEADING;
        lookup->started_us = reel_clock_mono_us();
        pthread_cond_signal(&heir->changed);
    } else {
        lookup->n_running--;
    }
    pthread_mutex_unlock(&lookup->lock);
}

// One statement at a time gathers best. But one that is slow, on a connection that was cut off,
// say, must not hold up everybody: then others run beside it.
static bool may_lead(struct lookup *lookup)
{
    int64_t now_us = reel_clock_mono_us();

    if (lookup->n_running > 0 &&
        (lookup->n_running >= MOST_RUNNING || now_us - lookup->started_us < SLOW_US))
        return false;
    lookup->n_running++;
    lookup->started_us = now_us;
    return true;
}

static void wait_until(struct lookup *lookup, struct caller *caller, int64_t when_us)
{
    struct timespec ts = {.tv_sec = when_us / 1000000, .tv_nsec = when_us % 1000000 * 1000};

    pthread_cond_clockwait(&caller->changed, &lookup->lock, CLOCK_MONOTONIC, &ts);
}

// Waits in the list until a leader has asked, or until it is time to lead or to give up.
static void wait_in_list(struct lookup *lookup, struct caller *caller)
{
    *lookup->last = caller;
    lookup->last = &caller->next;
    while (caller->state == WAITING) {
        int64_t slow_us = lookup->started_us + SLOW_US;

        if (reel_deadline_passed(caller->deadline_us)) {
            leave_list(lookup, caller);
            caller->rc = REEL_DEADLINE_EXCEEDED;
            caller->state = DONE;
        } else if (may_lead(lookup)) {
            leave_list(lookup, caller);
            caller->state = LEADING;
        } else if (lookup->n_running < MOST_RUNNING && slow_us < caller->deadline_us) {
            wait_until(lookup, caller, slow_us);
        } else {
            wait_until(lookup, caller, caller->deadline_us);
        }
    }
    while (caller->state == GATHERED)
        pthread_cond_wait(&caller->changed, &lookup->lock);
}

static void take_part(struct lookup *lookup, struct caller *caller)
{
    pthread_mutex_lock(&lookup->lock);
    if (may_lead(lookup))
        caller->state = LEADING;
    else
        wait_in_list(lookup, caller);
    if (caller->state == LEADING)
        caller->next = gather(lookup);
    pthread_mutex_unlock(&lookup->lock);

    if (caller->state == LEADING) {
        ask(lookup, caller);
        hand_over(lookup, caller);
    }
}

int lookup_user(struct lookup *lookup, int64_t deadline_us, struct reel_arena *arena,
                const char *id, User__User **ret_user)
{
    struct caller caller;

    // A statement has the earliest deadline of those it serves: who can wait longer asks again.
    do {
        caller = (struct caller){.id = id,
                                 .deadline_us = deadline_us,
                                 .arena = arena,
                                 .changed = PTHREAD_COND_INITIALIZER};
        take_part(lookup, &caller);
        pthread_cond_destroy(&caller.changed);
    } while (caller.rc == REEL_DEADLINE_EXCEEDED && !reel_deadline_passed(deadline_us));
    if (caller.rc == REEL_OK)
        *ret_user = caller.user;
    return caller.rc;
}
