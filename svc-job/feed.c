// SPDX-License-Identifier: Apache-2.0
#include "svc-job/feed.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "svc-job/permits.h"
#include "svc-job/view.h"

enum {
    BATCH = 100,
    ARENA_BYTES = 8 * 1024 * 1024,
    PROGRESS_ARENA_BYTES = 64 * 1024,
    POLL_US = 400 * 1000, // for what other replicas wrote
    QUERY_US = 5 * 1000 * 1000,
};

struct feed {
    struct reel_pg *pg;
    struct reel_publisher *publisher;
    struct permits pokes;
    pthread_t thread;
    int64_t last_seq;        // sent; -1: not known yet
    atomic_bool is_stopping; // set before the last poke
};

static void publish(struct feed *feed, struct reel_arena *arena, const Job__JobEvent *event)
{
    size_t size = job__job_event__get_packed_size(event);
    uint8_t *packed = reel_arena_alloc(arena, size);

    if (packed == NULL)
        return;
    job__job_event__pack(event, packed);
    // An event is a hint: whoever misses it reads it back.
    (void)reel_publisher_send(feed->publisher, event->type, packed, size);
}

// Sends what is new; returns how many events there were, or -1 when the database is away.
static int send_batch(struct feed *feed, struct reel_arena *arena)
{
    struct event_list list;
    int64_t deadline_us = reel_deadline_in_us(QUERY_US);

    if (feed->last_seq < 0)
        return store_events_last(feed->pg, deadline_us, arena, &feed->last_seq) == REEL_OK ? 0 : -1;
    int rc = store_events_after(feed->pg, deadline_us, arena, feed->last_seq, NULL, BATCH, &list);
    if (rc != REEL_OK)
        return -1;
    for (size_t i = 0; i < list.n; i++) {
        Job__JobEvent event = JOB__JOB_EVENT__INIT;
        if (view_event(arena, &list.rows[i], &event) == REEL_OK)
            publish(feed, arena, &event);
        feed->last_seq = list.rows[i].seq;
    }
    return (int)list.n;
}

static void *follow(void *arg)
{
    struct feed *feed = arg;
    struct reel_arena arena;

    reel_arena_init(&arena, ARENA_BYTES);
    while (!atomic_load(&feed->is_stopping)) {
        int n = send_batch(feed, &arena);
        reel_arena_reset(&arena);
        if (n < BATCH)
            (void)permits_take(&feed->pokes, reel_deadline_in_us(POLL_US));
    }
    // The last changes of a service that stops are its own: hand-backs.
    (void)send_batch(feed, &arena);
    reel_arena_fini(&arena);
    return NULL;
}

int feed_open(struct reel_pg *pg, struct reel_publisher *publisher, struct feed **ret_feed)
{
    struct feed *feed = calloc(1, sizeof(*feed));

    if (feed == NULL)
        return -ENOMEM;
    feed->pg = pg;
    feed->publisher = publisher;
    feed->last_seq = -1;
    permits_init(&feed->pokes, 0);
    int rc = pthread_create(&feed->thread, NULL, follow, feed);
    if (rc != 0) {
        permits_fini(&feed->pokes);
        free(feed);
        return -rc;
    }
    *ret_feed = feed;
    return REEL_OK;
}

void feed_close(struct feed *feed)
{
    if (feed == NULL)
        return;
    atomic_store(&feed->is_stopping, true);
    permits_give(&feed->pokes);
    pthread_join(feed->thread, NULL);
    permits_fini(&feed->pokes);
    free(feed);
}

void feed_poke(struct feed *feed)
{
    permits_give(&feed->pokes);
}

void feed_progress(struct feed *feed, const struct job_row *row, double percent)
{
    Job__JobEvent event = JOB__JOB_EVENT__INIT;
    struct reel_arena arena;

    reel_arena_init(&arena, PROGRESS_ARENA_BYTES);
    if (view_progress(&arena, row, percent, &event) == REEL_OK)
        publish(feed, &arena, &event);
    reel_arena_fini(&arena);
}
