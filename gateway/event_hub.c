// SPDX-License-Identifier: Apache-2.0
#include "gateway/event_hub.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "gateway/revocations.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/core/err.h"
#include "libcommon/json/pbjson.h"
#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/bus.h"

enum { TICK_MS = 250, PAGE = 500, ARENA_BYTES = 8 * 1024 * 1024, TEXT_MAX = 64 * 1024 };

struct event_hub {
    struct event_hub_config config;
    struct reel_subscriber *subscriber;
    pthread_t ticker;
    pthread_mutex_t lock; // guards the clients, stop and ending
    pthread_cond_t stopped;
    struct event_client *clients;
    bool stop;
    bool ending;
    int64_t last_seq;        // the subscriber's thread alone; -1: not known yet
    struct reel_arena arena; // likewise
    struct reel_counter *dropped;
    struct reel_gauge *listening;
};

struct event_text *event_text_new(const Job__JobEvent *event)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;
    reel_buf_init(&buf, TEXT_MAX);
    if (event->seq > 0)
        reel_buf_addf(&buf, "id: %" PRId64 "\n", event->seq);
    reel_buf_addf(&buf, "event: %.64s\ndata: ", event->type);
    if (reel_pbjson_write(&event->base, &buf) != REEL_OK)
        return NULL;
    reel_buf_adds(&buf, "\n\n");
    struct event_text *text = buf.failed ? NULL : malloc(sizeof(*text) + buf.len);
    if (!text)
        return NULL;
    atomic_init(&text->refs, 1);
    text->seq = event->seq;
    text->len = buf.len;
    memcpy(text->data, buf.data, buf.len);
    return text;
}

void event_text_unref(struct event_text *text)
{
    if (text && atomic_fetch_sub(&text->refs, 1) == 1)
        free(text);
}

static void wake(struct event_client *client)
{
    if (!client->hushed)
        client->wake(client->arg);
}

// Queues an event, or ends the client when there is no room or no memory (NULL) for it: it comes
// back with its Last-Event-ID and reads back what it missed, which a later event would hide.
static void queue_text(struct event_hub *hub, struct event_client *client, struct event_text *text)
{
    if (client->over)
        return;
    if (!text || client->n == EVENT_QUEUE_MAX) {
        client->over = true;
        reel_counter_add(hub->dropped, 1);
    } else {
        atomic_fetch_add(&text->refs, 1);
        client->queue[(client->head + client->n++) % EVENT_QUEUE_MAX] = text;
    }
    wake(client);
}

static void dispatch(struct event_hub *hub, const Job__JobEvent *event)
{
    struct event_text *text = NULL;
    pthread_mutex_lock(&hub->lock);
    for (struct event_client *client = hub->clients; client; client = client->next) {
        if (strcmp(client->user_id, event->user_id) != 0)
            continue;
        if (!text)
            text = event_text_new(event);
        queue_text(hub, client, text);
    }
    pthread_mutex_unlock(&hub->lock);
    event_text_unref(text);
}

// One page of the record after `after`; false when the job service cannot be asked.
static bool fetch(struct event_hub *hub, int64_t after, Job__ListEventsResponse **ret_page)
{
    Job__ListEventsRequest request = JOB__LIST_EVENTS_REQUEST__INIT;
    const struct reel_call_options options = {.deadline_us = reel_deadline_in_us(5000000)};
    request.after_seq = after;
    request.limit = PAGE;
    reel_arena_reset(&hub->arena);
    return job_service_list_events(hub->config.jobs, &options, &request, &hub->arena, ret_page,
                                   NULL) == REEL_OK;
}

// Events count from here on. Whoever joined before may miss some that were recorded since.
static void begin_after(struct event_hub *hub, int64_t last_seq)
{
    hub->last_seq = last_seq;
    pthread_mutex_lock(&hub->lock);
    for (struct event_client *client = hub->clients; client && last_seq > 0;
         client = client->next) {
        client->gap = true;
        client->gap_seq = last_seq;
        wake(client);
    }
    pthread_mutex_unlock(&hub->lock);
}

// Dispatches what the record holds after the last event; false when it cannot be read to its end.
static bool read_back(struct event_hub *hub)
{
    Job__ListEventsResponse *page;
    size_t n;
    do {
        if (!fetch(hub, hub->last_seq < 0 ? INT64_MAX : hub->last_seq, &page))
            return false;
        if (hub->last_seq < 0)
            begin_after(hub, page->last_seq);
        n = page->n_events;
        for (size_t i = 0; i < n; i++) {
            if (page->events[i]->seq <= hub->last_seq)
                continue;
            hub->last_seq = page->events[i]->seq;
            dispatch(hub, page->events[i]);
        }
    } while (n == PAGE);
    return true;
}

// An event after a gap that cannot be read back is left to the record as well: it would hide the
// gap. The next event, or the silence after this one, asks again.
static void take_event(struct event_hub *hub, const Job__JobEvent *event)
{
    bool gap = hub->last_seq < 0 || event->seq > hub->last_seq + 1;
    if (gap && !read_back(hub))
        return;
    if (event->seq == 0) {
        dispatch(hub, event);
    } else if (event->seq > hub->last_seq) {
        hub->last_seq = event->seq;
        dispatch(hub, event);
    }
}

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t len)
{
    struct event_hub *hub = arg;
    (void)topic;
    Job__JobEvent *event = job__job_event__unpack(NULL, len, payload);
    if (!event)
        return;
    take_event(hub, event);
    job__job_event__free_unpacked(event, NULL);
}

static void on_gap(void *arg)
{
    read_back(arg);
}

static void tick_client(struct event_hub *hub, struct event_client *client, int64_t now_us)
{
    bool ended = reel_clock_wall_us() / 1000000 >= client->expires_s ||
                 revocations_holds(hub->config.revocations, client->session_id);
    bool beat = now_us - client->quiet_since_us >= hub->config.heartbeat_us;
    if (!ended && !beat)
        return;
    client->over = client->over || ended;
    client->beat = client->beat || beat;
    client->quiet_since_us = now_us;
    wake(client);
}

static void *tick(void *arg)
{
    struct event_hub *hub = arg;
    pthread_mutex_lock(&hub->lock);
    while (!hub->stop) {
        reel_cond_wait_until(&hub->stopped, &hub->lock, reel_deadline_in_us(TICK_MS * 1000));
        int64_t now_us = reel_clock_mono_us();
        for (struct event_client *client = hub->clients; client; client = client->next)
            tick_client(hub, client, now_us);
    }
    pthread_mutex_unlock(&hub->lock);
    return NULL;
}

static int start(struct event_hub *hub)
{
    const struct reel_subscriber_handler handler = {on_message, on_gap, hub};
    int rc = -pthread_create(&hub->ticker, NULL, tick, hub);
    if (rc != 0)
        return rc;
    rc = reel_subscriber_open(hub->config.url, "job.", &handler, &hub->subscriber);
    if (rc != 0) {
        pthread_mutex_lock(&hub->lock);
        hub->stop = true;
        pthread_cond_signal(&hub->stopped);
        pthread_mutex_unlock(&hub->lock);
        pthread_join(hub->ticker, NULL);
    }
    return rc;
}

int event_hub_open(const struct event_hub_config *config, struct event_hub **ret_hub)
{
    struct event_hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        return -ENOMEM;
    hub->config = *config;
    hub->last_seq = -1;
    hub->dropped =
        reel_counter_get("reel_sse_dropped_total", "Event streams cut as too slow", NULL);
    hub->listening = reel_gauge_get("reel_sse_clients", "Open event streams", NULL);
    reel_arena_init(&hub->arena, ARENA_BYTES);
    pthread_mutex_init(&hub->lock, NULL);
    reel_cond_init(&hub->stopped);
    int rc = start(hub);
    if (rc != 0) {
        free(hub);
        return rc;
    }
    *ret_hub = hub;
    return 0;
}

void event_hub_end_clients(struct event_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->ending = true;
    for (struct event_client *client = hub->clients; client; client = client->next) {
        client->over = true;
        wake(client);
    }
    pthread_mutex_unlock(&hub->lock);
}

void event_hub_close(struct event_hub *hub)
{
    if (!hub)
        return;
    reel_subscriber_close(hub->subscriber);
    pthread_mutex_lock(&hub->lock);
    hub->stop = true;
    pthread_cond_signal(&hub->stopped);
    pthread_mutex_unlock(&hub->lock);
    pthread_join(hub->ticker, NULL);
    pthread_cond_destroy(&hub->stopped);
    pthread_mutex_destroy(&hub->lock);
    reel_arena_fini(&hub->arena);
    free(hub);
}

void event_hub_join(struct event_hub *hub, struct event_client *client)
{
    client->quiet_since_us = reel_clock_mono_us();
    pthread_mutex_lock(&hub->lock);
    client->over = hub->ending;
    client->next = hub->clients;
    hub->clients = client;
    pthread_mutex_unlock(&hub->lock);
    reel_gauge_add(hub->listening, 1);
}

void event_hub_leave(struct event_hub *hub, struct event_client *client)
{
    pthread_mutex_lock(&hub->lock);
    struct event_client **slot = &hub->clients;
    while (*slot && *slot != client)
        slot = &(*slot)->next;
    if (*slot)
        *slot = client->next;
    pthread_mutex_unlock(&hub->lock);
    for (; client->n > 0; client->n--)
        event_text_unref(client->queue[client->head++ % EVENT_QUEUE_MAX]);
    reel_gauge_add(hub->listening, -1);
}

void event_hub_hush(struct event_hub *hub, struct event_client *client, bool hushed)
{
    pthread_mutex_lock(&hub->lock);
    client->hushed = hushed;
    pthread_mutex_unlock(&hub->lock);
}

enum event_next event_hub_next(struct event_hub *hub, struct event_client *client,
                               struct event_text **ret_text)
{
    enum event_next next = EVENT_NONE;
    pthread_mutex_lock(&hub->lock);
    if (client->gap) {
        client->gap = false;
        next = EVENT_GAP;
    } else if (client->n > 0) {
        *ret_text = client->queue[client->head];
        client->head = (client->head + 1) % EVENT_QUEUE_MAX;
        client->n--;
        next = EVENT_TEXT;
    } else if (client->over) {
        next = EVENT_OVER;
    } else if (client->beat) {
        next = EVENT_BEAT;
    }
    client->beat = false;
    if (next != EVENT_NONE)
        client->quiet_since_us = reel_clock_mono_us();
    pthread_mutex_unlock(&hub->lock);
    return next;
}
