// SPDX-License-Identifier: Apache-2.0
#include "svc-user/hasher.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "svc-user/password.h"

struct hasher {
    pthread_mutex_t lock; // guards the counts
    pthread_cond_t left;
    unsigned n_free;
    unsigned n_waiting;
    unsigned max_waiting;
    char dummy[PASSWORD_HASH_SIZE]; // of a password nobody knows
};

static unsigned slots_for_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (cores < 1)
        return 1;
    return cores < HASHER_MOST_SLOTS ? (unsigned)cores : HASHER_MOST_SLOTS;
}

int hasher_new(unsigned slots, unsigned max_waiting, struct hasher **ret_hasher)
{
    struct hasher *hasher = calloc(1, sizeof(*hasher));
    char unknown[2 * 32 + 1];

    if (!hasher)
        return -ENOMEM;
    reel_id_random_hex(unknown, 32);
    int rc = password_hash(unknown, hasher->dummy);
    if (rc != REEL_OK) {
        free(hasher);
        return rc;
    }
    hasher->n_free = slots ? slots : slots_for_cores();
    hasher->max_waiting = max_waiting;
    pthread_mutex_init(&hasher->lock, NULL);
    reel_cond_init(&hasher->left);
    *ret_hasher = hasher;
    return REEL_OK;
}

void hasher_free(struct hasher *hasher)
{
    if (!hasher)
        return;
    pthread_cond_destroy(&hasher->left);
    pthread_mutex_destroy(&hasher->lock);
    free(hasher);
}

static int wait_for_slot(struct hasher *hasher, int64_t deadline_us)
{
    if (hasher->n_waiting >= hasher->max_waiting)
        return REEL_RESOURCE_EXHAUSTED;
    hasher->n_waiting++;
    while (hasher->n_free == 0 && !reel_deadline_passed(deadline_us))
        reel_cond_wait_until(&hasher->left, &hasher->lock, deadline_us);
    hasher->n_waiting--;
    return hasher->n_free > 0 ? REEL_OK : REEL_DEADLINE_EXCEEDED;
}

static int enter(struct hasher *hasher, int64_t deadline_us)
{
    int rc = REEL_OK;

    pthread_mutex_lock(&hasher->lock);
    if (hasher->n_free == 0)
        rc = wait_for_slot(hasher, deadline_us);
    if (rc == REEL_OK)
        hasher->n_free--;
    pthread_mutex_unlock(&hasher->lock);
    return rc;
}

static void leave(struct hasher *hasher)
{
    pthread_mutex_lock(&hasher->lock);
    hasher->n_free++;
    pthread_cond_signal(&hasher->left);
    pthread_mutex_unlock(&hasher->lock);
}

int hasher_hash(struct hasher *hasher, int64_t deadline_us, const char *password, char *ret_hash)
{
    int rc = enter(hasher, deadline_us);

    if (rc != REEL_OK)
        return rc;
    rc = password_hash(password, ret_hash);
    leave(hasher);
    return rc;
}

int hasher_check(struct hasher *hasher, int64_t deadline_us, const char *password, const char *hash)
{
    int rc = enter(hasher, deadline_us);

    if (rc != REEL_OK)
        return rc;
    bool matches = password_matches(password, hash ? hash : hasher->dummy);
    leave(hasher);
    return matches && hash ? REEL_OK : REEL_UNAUTHENTICATED;
}
