// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/balancer.h"

#include <errno.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/rpc/channel_internal.h"

enum {
    // Between two looks at the name: short after something has changed, then doubling.
    FIRST_WAIT_US = 100 * 1000,
    LAST_WAIT_US = 2000 * 1000,
};

struct reel_balancer {
    char *url;
    char *service;
    char *key;
    struct reel_channel_config config; // with the strings above
    reel_lookup_fn lookup;

    pthread_mutex_t lock;   // taken before a lane's, never after it
    pthread_cond_t changed; // monotonic
    unsigned refs;          // the owner's and the thread's
    // Only the thread changes them, with the lock held.
    struct reel_channel *lanes[REEL_RESOLVE_MAX];
    size_t n_lanes;
    unsigned next;
    bool noticed;
    bool looking; // the name is being looked up, which may take long
    bool ended;   // the thread touches no lane any more
    bool closing;
};

// Drops a reference. Called with the lock held, which is given up.
static void unref(struct reel_balancer *balancer)
{
    bool last = --balancer->refs == 0;

    pthread_mutex_unlock(&balancer->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&balancer->lock);
    pthread_cond_destroy(&balancer->changed);
    free(balancer->url);
    free(balancer->service);
    free(balancer->key);
    free(balancer);
}

static bool is_found(const struct reel_channel *lane, const struct reel_resolved *found)
{
    for (size_t i = 0; i < found->n; i++)
        if (strcmp(lane->address, found->urls[i]) == 0)
            return true;
    return false;
}

static bool is_served(const struct reel_balancer *balancer, const char *url)
{
    for (size_t i = 0; i < balancer->n_lanes; i++)
        if (strcmp(balancer->lanes[i]->address, url) == 0)
            return true;
    return false;
}

// A lane whose address is gone takes the new one, with the calls that wait on it.
static bool move_lane(struct reel_balancer *balancer, const struct reel_resolved *found,
                      const char *url)
{
    for (size_t i = 0; i < balancer->n_lanes; i++)
        if (!is_found(balancer->lanes[i], found) && reel_channel_aim(balancer->lanes[i], url))
            return true;
    return false;
}

static void add_lane(struct reel_balancer *balancer, const char *url)
{
    struct reel_channel *lane;

    // Without memory it is tried again at the next look.
    if (balancer->n_lanes == REEL_RESOLVE_MAX ||
        reel_channel_open_lane(&balancer->config, balancer, &lane) != 0)
        return;
    (void)reel_channel_aim(lane, url);
    pthread_mutex_lock(&balancer->lock);
    balancer->lanes[balancer->n_lanes++] = lane;
    pthread_mutex_unlock(&balancer->lock);
}

// Takes one lane out whose address is gone and which serves no call, or NULL. The last one stays:
// it says why there is nobody.
static struct reel_channel *take_idle(struct reel_balancer *balancer,
                                      const struct reel_resolved *found)
{
    struct reel_channel *taken = NULL;

    pthread_mutex_lock(&balancer->lock);
    for (size_t i = 0; !taken && balancer->n_lanes > 1 && i < balancer->n_lanes; i++) {
        struct reel_channel *lane = balancer->lanes[i];

        if (is_found(lane, found) || lane->state == REEL_CHANNEL_READY ||
            lane->state == REEL_CHANNEL_LEAVING || atomic_load(&lane->refs) > 1)
            continue;
        taken = lane;
        balancer->lanes[i] = balancer->lanes[--balancer->n_lanes];
    }
    pthread_mutex_unlock(&balancer->lock);
    return taken;
}

static void apply(struct reel_balancer *balancer, const struct reel_resolved *found)
{
    struct reel_channel *idle;

    for (size_t i = 0; i < found->n; i++)
        if (!is_served(balancer, found->urls[i]) && !move_lane(balancer, found, found->urls[i]))
            add_lane(balancer, found->urls[i]);
    while ((idle = take_idle(balancer, found)))
        reel_channel_close(idle);
}

// Looks the name up. Called with the lock held, which is given up meanwhile.
static void look(struct reel_balancer *balancer)
{
    struct reel_resolved found;
    const char *reason = NULL;

    balancer->looking = true;
    pthread_mutex_unlock(&balancer->lock);
    int rc = balancer->lookup(balancer->url, &found, &reason);
    pthread_mutex_lock(&balancer->lock);
    balancer->looking = false;
    if (balancer->closing)
        return;
    pthread_mutex_unlock(&balancer->lock);
    if (rc == 0)
        apply(balancer, &found);
    else if (balancer->lanes[0]->address[0] == '\0')
        reel_connection_give_up(balancer->lanes[0], reason);
    pthread_mutex_lock(&balancer->lock);
}

// Waits for the next look; the interval after it. Called with the lock held.
static int64_t rest(struct reel_balancer *balancer, int64_t wait_us)
{
    int64_t until_us = reel_clock_mono_us() + wait_us;

    while (!balancer->closing && !reel_deadline_passed(until_us)) {
        if (balancer->noticed && wait_us > FIRST_WAIT_US) {
            wait_us = FIRST_WAIT_US;
            until_us = reel_clock_mono_us() + wait_us;
        }
        balancer->noticed = false;
        reel_cond_wait_until(&balancer->changed, &balancer->lock, until_us);
    }
    return wait_us < LAST_WAIT_US / 2 ? 2 * wait_us : LAST_WAIT_US;
}

static void *keep_looking(void *arg)
{
    struct reel_balancer *balancer = arg;
    int64_t wait_us = FIRST_WAIT_US;

    pthread_setname_np(pthread_self(), "rpc-names");
    pthread_mutex_lock(&balancer->lock);
    while (!balancer->closing) {
        look(balancer);
        wait_us = rest(balancer, wait_us);
    }
    balancer->ended = true;
    pthread_cond_broadcast(&balancer->changed);
    unref(balancer);
    return NULL;
}

static int copy_config(struct reel_balancer *balancer, const struct reel_channel_config *config)
{
    balancer->url = strdup(config->url);
    balancer->service = strdup(config->service ? config->service : "");
    balancer->key = strdup(config->key ? config->key : "");
    balancer->config = *config;
    balancer->config.url = balancer->url;
    balancer->config.service = balancer->service;
    balancer->config.key = balancer->key;
    return balancer->url && balancer->service && balancer->key ? 0 : -ENOMEM;
}

// Detached: a lookup cannot be broken off, and nobody is to wait for it.
static int start_thread(struct reel_balancer *balancer)
{
    pthread_t thread;
    int rc = -pthread_create(&thread, NULL, keep_looking, balancer);

    if (rc == 0)
        pthread_detach(thread);
    return rc;
}

int reel_balancer_open(const struct reel_channel_config *config, reel_lookup_fn lookup,
                       struct reel_balancer **ret_balancer)
{
    struct reel_balancer *balancer = calloc(1, sizeof(*balancer));

    if (!balancer)
        return -ENOMEM;
    balancer->lookup = lookup;
    pthread_mutex_init(&balancer->lock, NULL);
    reel_cond_init(&balancer->changed);
    balancer->refs = 2;
    int rc = copy_config(balancer, config);
    if (rc == 0)
        rc = reel_channel_open_lane(&balancer->config, balancer, &balancer->lanes[0]);
    if (rc == 0) {
        balancer->n_lanes = 1;
        rc = start_thread(balancer);
    }
    if (rc != 0) {
        balancer->refs = 1; // there is no thread
        balancer->ended = true;
        reel_balancer_close(balancer);
        return rc;
    }
    *ret_balancer = balancer;
    return 0;
}

void reel_balancer_close(struct reel_balancer *balancer)
{
    if (!balancer)
        return;
    pthread_mutex_lock(&balancer->lock);
    balancer->closing = true;
    pthread_cond_broadcast(&balancer->changed);
    while (!balancer->ended && !balancer->looking)
        pthread_cond_wait(&balancer->changed, &balancer->lock);
    pthread_mutex_unlock(&balancer->lock);
    for (size_t i = 0; i < balancer->n_lanes; i++)
        reel_channel_close(balancer->lanes[i]);
    pthread_mutex_lock(&balancer->lock);
    unref(balancer);
}

static int rank_of(const struct reel_channel *lane)
{
    switch (atomic_load(&lane->state)) {
    case REEL_CHANNEL_READY:
        return 0;
    case REEL_CHANNEL_CONNECTING:
        return 1;
    default:
        return 2;
    }
}

struct reel_channel *reel_balancer_pick(struct reel_balancer *balancer)
{
    struct reel_channel *best[REEL_RESOLVE_MAX];
    int best_rank = INT32_MAX;
    unsigned n = 0;

    pthread_mutex_lock(&balancer->lock);
    for (size_t i = 0; i < balancer->n_lanes; i++) {
        int rank = rank_of(balancer->lanes[i]);

        if (rank < best_rank) {
            best_rank = rank;
            n = 0;
        }
        if (rank == best_rank)
            best[n++] = balancer->lanes[i];
    }
    struct reel_channel *lane = reel_channel_ref(best[balancer->next++ % n]);
    pthread_mutex_unlock(&balancer->lock);
    return lane;
}

// Called with the lock held.
static bool any_ready(const struct reel_balancer *balancer)
{
    for (size_t i = 0; i < balancer->n_lanes; i++)
        if (reel_channel_is_ready(balancer->lanes[i]))
            return true;
    return false;
}

bool reel_balancer_is_ready(struct reel_balancer *balancer)
{
    pthread_mutex_lock(&balancer->lock);
    bool ready = any_ready(balancer);
    pthread_mutex_unlock(&balancer->lock);
    return ready;
}

bool reel_balancer_wait_ready(struct reel_balancer *balancer, int64_t deadline_us)
{
    pthread_mutex_lock(&balancer->lock);
    while (!any_ready(balancer) && !reel_deadline_passed(deadline_us))
        reel_cond_wait_until(&balancer->changed, &balancer->lock, deadline_us);
    bool ready = any_ready(balancer);
    pthread_mutex_unlock(&balancer->lock);
    return ready;
}

void reel_balancer_notice(struct reel_balancer *balancer)
{
    pthread_mutex_lock(&balancer->lock);
    balancer->noticed = true;
    pthread_cond_broadcast(&balancer->changed);
    pthread_mutex_unlock(&balancer->lock);
}

size_t reel_balancer_n_lanes(struct reel_balancer *balancer)
{
    pthread_mutex_lock(&balancer->lock);
    size_t n = balancer->n_lanes;
    pthread_mutex_unlock(&balancer->lock);
    return n;
}
