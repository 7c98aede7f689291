// SPDX-License-Identifier: Apache-2.0
#include "gateway/revocations.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/channel.h"
#include "proto/user.reel.h"

enum {
    SLOTS = 4096,
    STALE_US = 1000000,
    RETRY_MS = 200,
    // Longer than any access token lives; after it the token's own expiry refuses it.
    KEEP_S = 3600,
};

struct ended {
    struct ended *next;
    char session_id[REEL_ID_SIZE];
    int64_t forget_us;
};

struct revocations {
    struct reel_channel *channel;
    pthread_t thread;
    pthread_mutex_t lock; // guards the set and what `changed` announces
    pthread_cond_t changed;
    bool signalled;
    bool stop;
    atomic_int_fast64_t heard_us; // 0: not since the stream was opened
    struct reel_gauge *remembered;
    struct ended *slots[SLOTS];
};

static struct ended **slot_of(struct revocations *r, const char *session_id)
{
    uint32_t hash = 2166136261u;
    for (const char *s = session_id; *s; s++)
        hash = (hash ^ (unsigned char)*s) * 16777619u;
    return &r->slots[hash % SLOTS];
}

bool revocations_is_fresh(struct revocations *r)
{
    int64_t heard_us = atomic_load_explicit(&r->heard_us, memory_order_relaxed);
    return heard_us != 0 && reel_clock_mono_us() - heard_us <= STALE_US;
}

static void forget_old(struct revocations *r, struct ended **slot)
{
    while (*slot) {
        struct ended *ended = *slot;
        if (!reel_deadline_passed(ended->forget_us)) {
            slot = &ended->next;
            continue;
        }
        *slot = ended->next;
        free(ended);
        reel_gauge_add(r->remembered, -1);
    }
}

// The session's entry or, at the end of its slot, the place for one. The lock is held.
static struct ended **find(struct revocations *r, const char *session_id)
{
    struct ended **slot = slot_of(r, session_id);
    while (*slot && strcmp((*slot)->session_id, session_id) != 0)
        slot = &(*slot)->next;
    return slot;
}

bool revocations_holds(struct revocations *r, const char *session_id)
{
    pthread_mutex_lock(&r->lock);
    bool holds = *find(r, session_id) != NULL;
    pthread_mutex_unlock(&r->lock);
    return holds;
}

// False when memory is out. A new stream tells again what an earlier one has told.
static bool add(struct revocations *r, const char *session_id)
{
    pthread_mutex_lock(&r->lock);
    forget_old(r, slot_of(r, session_id));
    struct ended **slot = find(r, session_id);
    if (!*slot && (*slot = calloc(1, sizeof(**slot)))) {
        memcpy((*slot)->session_id, session_id, strlen(session_id) + 1);
        reel_gauge_add(r->remembered, 1);
    }
    if (*slot)
        (*slot)->forget_us = reel_deadline_in_us((int64_t)KEEP_S * 1000000);
    bool added = *slot != NULL;
    pthread_mutex_unlock(&r->lock);
    return added;
}

static void on_event(void *arg)
{
    struct revocations *r = arg;
    pthread_mutex_lock(&r->lock);
    r->signalled = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

// Waits for an event; false when it is time to stop.
static bool await_event(struct revocations *r)
{
    pthread_mutex_lock(&r->lock);
    while (!r->signalled && !r->stop)
        pthread_cond_wait(&r->changed, &r->lock);
    r->signalled = false;
    bool go_on = !r->stop;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

// Takes one item; false when it cannot be kept, and so the feed cannot be trusted any more.
static bool take(struct revocations *r, const uint8_t *payload, size_t len)
{
    User__Revocation *item = user__revocation__unpack(NULL, len, payload);
    if (!item)
        return false;
    // A new stream begins with what was missed; the first heartbeat says that this is all.
    bool taken = true;
    if (*item->session_id)
        taken = strlen(item->session_id) <= REEL_ID_LEN && add(r, item->session_id);
    else
        atomic_store(&r->heard_us, reel_clock_mono_us());
    user__revocation__free_unpacked(item, NULL);
    return taken;
}

// Reads the stream until it ends or the gateway does.
static void follow(struct revocations *r, struct reel_stream *stream)
{
    for (;;) {
        uint8_t *payload = NULL;
        size_t len = 0;
        int rc = reel_stream_try_recv(stream, &payload, &len);
        if (rc == -EAGAIN) {
            if (!await_event(r))
                return;
            continue;
        }
        if (rc != REEL_OK || !payload)
            return;
        bool taken = take(r, payload, len);
        free(payload);
        if (!taken)
            return;
    }
}

static bool pause_ms(struct revocations *r, int64_t ms)
{
    int64_t until_us = reel_deadline_in_us(ms * 1000);
    pthread_mutex_lock(&r->lock);
    while (!r->stop && !reel_deadline_passed(until_us))
        reel_cond_wait_until(&r->changed, &r->lock, until_us);
    bool go_on = !r->stop;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct revocations *r = arg;
    const struct reel_method *method = &user_service.methods[USER_SERVICE_WATCH_REVOCATIONS];
    const struct reel_call_options options = {.deadline_us = REEL_NO_DEADLINE};
    do {
        struct reel_stream *stream = NULL;
        atomic_store(&r->heard_us, 0);
        if (reel_stream_open(r->channel, method, &options, on_event, r, &stream) == REEL_OK &&
            reel_stream_send(stream, NULL, 0) == REEL_OK &&
            reel_stream_half_close(stream) == REEL_OK)
            follow(r, stream);
        reel_stream_close(stream);
    } while (pause_ms(r, RETRY_MS));
    return NULL;
}

int revocations_open(struct reel_channel *channel, struct revocations **ret_revocations)
{
    struct revocations *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->channel = channel;
    r->remembered =
        reel_gauge_get("reel_revoked_sessions", "Ended sessions whose tokens are refused", NULL);
    pthread_mutex_init(&r->lock, NULL);
    reel_cond_init(&r->changed);
    int rc = pthread_create(&r->thread, NULL, run, r);
    if (rc != 0) {
        free(r);
        return -rc;
    }
    *ret_revocations = r;
    return 0;
}

void revocations_close(struct revocations *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    for (unsigned i = 0; i < SLOTS; i++) {
        while (r->slots[i]) {
            struct ended *next = r->slots[i]->next;
            free(r->slots[i]);
            r->slots[i] = next;
        }
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
