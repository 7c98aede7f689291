// SPDX-License-Identifier: Apache-2.0
#include "svc-video/events.h"

#include <errno.h>
#include <stdatomic.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"
#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/bus.h"
#include "svc-video/jobs.h"
#include "svc-video/model.h"
#include "svc-video/store.h"

enum {
    ARENA_BYTES = 8 * 1024 * 1024,
    STORE_TIMEOUT_US = 5 * 1000 * 1000,
};

// Recorded events are applied in the order of their numbers, without holes: an event that is not
// the next one is only a reason to read back. So the newest number in the table is where to
// continue after a restart. Two threads may be at it at once, the subscriber's and the
// reconciler's: each goes by this rule, and an event that both apply changes the operation once.
struct events {
    struct reel_pg *pg;
    struct reel_channel *jobs;
    struct reel_subscriber *subscriber;
    struct reel_arena arena;  // of the subscriber's thread
    _Atomic int64_t last_seq; // -1: not read from the table yet
};

// What one thread needs for one piece of work.
struct pass {
    struct events *events;
    struct reel_call *call; // on whose behalf, or NULL
    struct reel_arena *arena;
};

static struct store store_of(const struct pass *pass)
{
    return (struct store){pass->events->pg, reel_deadline_in_us(STORE_TIMEOUT_US), pass->arena};
}

static void advance(struct events *events, int64_t seq)
{
    int64_t last = events->last_seq;

    while (seq > last && !atomic_compare_exchange_weak(&events->last_seq, &last, seq))
        ;
}

static int apply(const struct pass *pass, const Job__JobEvent *event)
{
    struct store db = store_of(pass);
    const char *status = event->job ? model_status_of_job(event->job->state) : NULL;
    bool applied = false;

    if (!status)
        return REEL_OK;

    struct store_change change = {
        .operation_id = event->operation_id,
        .status = status,
        .error = event->job->failed_reason,
        .result = event->job->result,
        .progress = (int32_t)event->job->progress,
        .version = event->version,
        .seq = event->seq,
    };
    int rc = store_operation_apply(&db, &change, &applied);

    if (applied)
        reel_counter_add(reel_counter_get("reel_events_applied_total",
                                          "Job events that changed an operation.", NULL),
                         1);
    // What the database refuses once it would refuse for ever: the event is passed over.
    if (rc == REEL_INVALID_ARGUMENT || rc == REEL_FAILED_PRECONDITION) {
        reel_log(REEL_LOG_ERROR, "events.refused", REEL_FI("seq", event->seq), REEL_FI("code", rc));
        return REEL_OK;
    }
    return rc;
}

static int apply_page(const struct pass *pass, const Job__ListEventsResponse *page)
{
    for (size_t i = 0; i < page->n_events; i++) {
        int rc = apply(pass, page->events[i]);

        if (rc != REEL_OK)
            return rc;
        advance(pass->events, page->events[i]->seq);
    }
    return REEL_OK;
}

// One page; *ret_more tells whether there may be another.
static int read_back_page(const struct pass *pass, bool *ret_more)
{
    int64_t after_seq = pass->events->last_seq;
    Job__ListEventsResponse *page;
    int rc;

    *ret_more = false;
    reel_arena_reset(pass->arena);
    rc = jobs_list_events(pass->events->jobs, pass->call, pass->arena, after_seq, &page);
    if (rc != REEL_OK)
        return rc;
    // A record that ends before what was applied is another one: the job service's database was
    // replaced. Versions decide then.
    if (page->last_seq < after_seq) {
        reel_log(REEL_LOG_WARN, "events.record_replaced", REEL_FI("applied", after_seq),
                 REEL_FI("last_seq", page->last_seq));
        pass->events->last_seq = 0;
        *ret_more = page->last_seq > 0;
        return REEL_OK;
    }
    rc = apply_page(pass, page);
    *ret_more = page->n_events > 0 && pass->events->last_seq < page->last_seq;
    return rc;
}

static int read_back(const struct pass *pass)
{
    struct store db = store_of(pass);
    int64_t last_seq = 0;
    bool more = true;
    int rc = REEL_OK;

    reel_arena_reset(pass->arena);
    if (pass->events->last_seq < 0) {
        rc = store_operation_last_seq(&db, &last_seq);
        if (rc == REEL_OK)
            advance(pass->events, last_seq);
    }
    while (rc == REEL_OK && more)
        rc = read_back_page(pass, &more);
    if (rc != REEL_OK)
        reel_log(REEL_LOG_DEBUG, "events.read_back_failed", REEL_FI("code", rc));
    return rc;
}

int events_catch_up(struct events *events, struct reel_call *call, struct reel_arena *arena)
{
    return read_back(&(struct pass){events, call, arena});
}

static void on_gap(void *arg)
{
    struct events *events = arg;

    (void)read_back(&(struct pass){events, NULL, &events->arena});
}

static void apply_progress(const struct pass *pass, const Job__JobEvent *event)
{
    struct store db = store_of(pass);

    if (event->job && store_operation_progress(&db, event->operation_id, event->version,
                                               (int32_t)event->job->progress) != REEL_OK)
        reel_log(REEL_LOG_DEBUG, "events.progress_lost", REEL_FS("job_id", event->job_id));
}

static void take(const struct pass *pass, const Job__JobEvent *event)
{
    int64_t last_seq = pass->events->last_seq;

    if (event->seq == 0) {
        apply_progress(pass, event);
    } else if (last_seq >= 0 && event->seq == last_seq + 1) {
        if (apply(pass, event) == REEL_OK)
            advance(pass->events, event->seq);
    } else if (event->seq > last_seq) {
        (void)read_back(pass);
    }
}

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t payload_len)
{
    struct events *events = arg;
    struct pass pass = {events, NULL, &events->arena};
    Job__JobEvent *event;

    (void)topic;
    reel_arena_reset(&events->arena);
    event = job__job_event__unpack(reel_arena_pb(&events->arena), payload_len, payload);
    if (event)
        take(&pass, event);
    else
        reel_log(REEL_LOG_WARN, "events.malformed", REEL_FI("bytes", payload_len));
}

int events_open(const char *url, struct reel_pg *pg, struct reel_channel *jobs,
                struct events **ret_events)
{
    struct events *events = malloc(sizeof(*events));

    if (!events)
        return -ENOMEM;
    *events = (struct events){.pg = pg, .jobs = jobs, .last_seq = -1};
    reel_arena_init(&events->arena, ARENA_BYTES);

    struct reel_subscriber_handler handler = {on_message, on_gap, events};
    int rc = reel_subscriber_open(url, "job.", &handler, &events->subscriber);
    if (rc != REEL_OK) {
        events_close(events);
        return rc;
    }
    *ret_events = events;
    return REEL_OK;
}

void events_close(struct events *events)
{
    if (!events)
        return;
    reel_subscriber_close(events->subscriber);
    reel_arena_fini(&events->arena);
    free(events);
}
