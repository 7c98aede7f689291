// SPDX-License-Identifier: Apache-2.0
#include "svc-video/events.h"

#include <errno.h>

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

// Everything below runs on the subscriber's thread, so nothing needs a lock.
//
// Recorded events are applied in the order of their numbers, without holes: an event that is not
// the next one is only a reason to read back. So the newest number in the table is where to
// continue after a restart.
struct events {
    struct reel_pg *pg;
    struct reel_channel *jobs;
    struct reel_subscriber *subscriber;
    struct reel_arena arena;
    int64_t last_seq; // -1: not read from the table yet
};

static struct store store_of(struct events *events)
{
    return (struct store){events->pg, reel_deadline_in_us(STORE_TIMEOUT_US), &events->arena};
}

static int apply(struct events *events, const Job__JobEvent *event)
{
    struct store db = store_of(events);
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

static int apply_page(struct events *events, const Job__ListEventsResponse *page)
{
    for (size_t i = 0; i < page->n_events; i++) {
        int rc = apply(events, page->events[i]);

        if (rc != REEL_OK)
            return rc;
        events->last_seq = page->events[i]->seq;
    }
    return REEL_OK;
}

// One page; *ret_more tells whether there may be another.
static int read_back_page(struct events *events, bool *ret_more)
{
    Job__ListEventsResponse *page;
    int rc;

    *ret_more = false;
    reel_arena_reset(&events->arena);
    rc = jobs_list_events(events->jobs, &events->arena, events->last_seq, &page);
    if (rc != REEL_OK)
        return rc;
    // A record that ends before what was applied is another one: the job service's database was
    // replaced. Versions decide then.
    if (page->last_seq < events->last_seq) {
        reel_log(REEL_LOG_WARN, "events.record_replaced", REEL_FI("applied", events->last_seq),
                 REEL_FI("last_seq", page->last_seq));
        events->last_seq = 0;
        *ret_more = page->last_seq > 0;
        return REEL_OK;
    }
    rc = apply_page(events, page);
    *ret_more = page->n_events > 0 && events->last_seq < page->last_seq;
    return rc;
}

static void read_back(void *arg)
{
    struct events *events = arg;
    struct store db = store_of(events);
    bool more = true;
    int rc = REEL_OK;

    reel_arena_reset(&events->arena);
    if (events->last_seq < 0)
        rc = store_operation_last_seq(&db, &events->last_seq);
    while (rc == REEL_OK && more)
        rc = read_back_page(events, &more);
    if (rc != REEL_OK)
        reel_log(REEL_LOG_DEBUG, "events.read_back_failed", REEL_FI("code", rc));
}

static void apply_progress(struct events *events, const Job__JobEvent *event)
{
    struct store db = store_of(events);

    if (event->job && store_operation_progress(&db, event->operation_id,
                                               (int32_t)event->job->progress) != REEL_OK)
        reel_log(REEL_LOG_DEBUG, "events.progress_lost", REEL_FS("job_id", event->job_id));
}

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t payload_len)
{
    struct events *events = arg;
    Job__JobEvent *event;

    (void)topic;
    reel_arena_reset(&events->arena);
    event = job__job_event__unpack(reel_arena_pb(&events->arena), payload_len, payload);
    if (!event) {
        reel_log(REEL_LOG_WARN, "events.malformed", REEL_FI("bytes", payload_len));
        return;
    }
    if (event->seq == 0)
        apply_progress(events, event);
    else if (events->last_seq >= 0 && event->seq == events->last_seq + 1) {
        if (apply(events, event) == REEL_OK)
            events->last_seq = event->seq;
    } else if (event->seq > events->last_seq)
        read_back(events);
}

int events_open(const char *url, struct reel_pg *pg, struct reel_channel *jobs,
                struct events **ret_events)
{
    struct events *events = malloc(sizeof(*events));

    if (!events)
        return -ENOMEM;
    *events = (struct events){.pg = pg, .jobs = jobs, .last_seq = -1};
    reel_arena_init(&events->arena, ARENA_BYTES);

    struct reel_subscriber_handler handler = {on_message, read_back, events};
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
