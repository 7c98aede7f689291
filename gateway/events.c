// SPDX-License-Identifier: Apache-2.0
// GET /api/events: the user's job events as server-sent events. A client that comes back with
// Last-Event-ID is first sent what the record holds since then, page by page.
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/endpoints.h"
#include "gateway/event_hub.h"
#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "gateway/rpc.h"
#include "libcommon/core/err.h"

enum { PAGE = 200, REPLAY_MAX = 5000, BLOCK_BYTES = 16 * 1024, PAGE_BYTES = 8 * 1024 * 1024 };

static const char prelude[] = "retry: 2000\n\n";
static const char beat[] = ": \n\n";

struct event_stream {
    struct request *req;
    struct event_client client;
    bool returns; // with a Last-Event-ID
    bool replaying;
    bool failed;             // the past cannot be read: what is new would hide it
    struct reel_arena arena; // of one page
    struct rpc_wait *page_wait;
    Job__ListEventsResponse *page;
    size_t page_next;
    int64_t last_seq;        // sent already
    struct event_text *text; // being sent, when it is an event
    char reset[64];          // being sent, when what was missed cannot be read back
    const char *out;         // being sent
    size_t out_len;
};

static void on_wake(void *arg)
{
    struct event_stream *es = arg;
    waker_wake(&es->req->waker);
}

static void stream_fini(void *arg)
{
    struct event_stream *es = arg;
    conn_on_gone(es->req->conn, NULL, NULL);
    event_hub_leave(es->req->gw->events, &es->client);
    event_text_unref(es->text);
    reel_arena_fini(&es->arena);
}

static void put(struct event_stream *es, const char *text, size_t len)
{
    es->out = text;
    es->out_len = len;
}

static void put_text(struct event_stream *es, struct event_text *text)
{
    event_text_unref(es->text);
    es->text = text;
    put(es, text->data, text->len);
    if (text->seq > es->last_seq)
        es->last_seq = text->seq;
}

// The stream goes on after this id, and so does a client that loses the connection next.
static void put_reset(struct event_stream *es, int64_t last_seq)
{
    es->last_seq = last_seq;
    int len = snprintf(es->reset, sizeof(es->reset), "id: %" PRId64 "\nevent: reset\ndata: {}\n\n",
                       last_seq);
    put(es, es->reset, (size_t)len);
}

static void begin_replay(struct event_stream *es)
{
    reel_arena_init(&es->arena, PAGE_BYTES);
    es->replaying = true;
}

// Keeps no page for the hours that the stream may go on.
static void end_replay(struct event_stream *es)
{
    es->replaying = false;
    es->page = NULL;
    rpc_release(es->req);
    reel_arena_fini(&es->arena);
}

// Ends the stream at once: the client comes back and asks again from where it is.
static void fail(struct event_stream *es)
{
    es->failed = true;
    end_replay(es);
}

// While the call is under way it alone wakes the connection: whoever else did would have its
// answer taken before it is there, or the request freed under it.
static bool ask_page(struct event_stream *es)
{
    Job__ListEventsRequest request = JOB__LIST_EVENTS_REQUEST__INIT;
    request.after_seq = es->last_seq;
    request.limit = PAGE;
    request.user_id = es->client.user_id;
    event_hub_hush(es->req->gw->events, &es->client, true);
    conn_on_gone(es->req->conn, NULL, NULL);
    rpc_release(es->req);
    es->page = NULL;
    reel_arena_reset(&es->arena);
    es->page_wait = rpc_start_in(es->req, &es->arena, &job_service.methods[JOB_SERVICE_LIST_EVENTS],
                                 &request.base);
    return es->page_wait != NULL;
}

// Whether the record no longer, or not at all, joins on to what the client has seen.
static bool is_broken(const struct event_stream *es, const Job__ListEventsResponse *page)
{
    return es->last_seq > page->last_seq || page->last_seq - es->last_seq > REPLAY_MAX ||
           (page->oldest_seq > 0 && es->last_seq < page->oldest_seq - 1);
}

static void take_page(struct event_stream *es)
{
    const struct rpc_wait *wait = es->page_wait;
    es->page_wait = NULL;
    es->page_next = 0;
    es->page = wait->status.code == REEL_OK
                   ? job__list_events_response__unpack(reel_arena_pb(&es->arena), wait->payload_len,
                                                       wait->payload)
                   : NULL;
    conn_on_gone(es->req->conn, on_wake, es);
    event_hub_hush(es->req->gw->events, &es->client, false);
    if (!es->page) {
        fail(es);
    } else if (is_broken(es, es->page)) {
        put_reset(es, es->page->last_seq);
        end_replay(es);
    }
}

// Moves the replay on. STEP_WAIT: parked; STEP_NEXT: something is put, or the replay is over.
static enum step replay(struct event_stream *es)
{
    while (es->replaying) {
        if (es->page && es->page_next < es->page->n_events) {
            struct event_text *text = event_text_new(es->page->events[es->page_next++]);
            if (!text) {
                fail(es);
                break;
            }
            put_text(es, text);
            return STEP_NEXT;
        }
        if (es->page && es->page->n_events < PAGE) {
            end_replay(es);
            break;
        }
        if (!es->page_wait && !ask_page(es)) {
            fail(es);
            break;
        }
        if (rpc_wait_step(es->page_wait) == STEP_WAIT)
            return STEP_WAIT;
        take_page(es);
        if (es->out)
            break;
    }
    return STEP_NEXT;
}

// What may be missing is in the record, after what a returning client has seen; a new client has
// only the promise of what comes.
static void close_gap(struct event_stream *es)
{
    if (es->returns)
        begin_replay(es);
    else
        put_reset(es, es->client.gap_seq);
}

// Finds the next thing to send, or to replay. STEP_WAIT: parked; STEP_ANSWER: the stream is over.
static enum step find_next(struct event_stream *es)
{
    struct event_hub *hub = es->req->gw->events;
    for (;;) {
        struct event_text *text = NULL;
        waker_arm(&es->req->waker);
        if (es->failed || conn_is_gone(es->req->conn))
            return STEP_ANSWER;
        switch (event_hub_next(hub, &es->client, &text)) {
        case EVENT_OVER:
            return STEP_ANSWER;
        case EVENT_GAP:
            close_gap(es);
            return STEP_NEXT;
        case EVENT_BEAT:
            put(es, beat, sizeof(beat) - 1);
            return STEP_NEXT;
        case EVENT_TEXT:
            // Replayed already.
            if (text->seq > 0 && text->seq <= es->last_seq) {
                event_text_unref(text);
                continue;
            }
            put_text(es, text);
            return STEP_NEXT;
        default:
            if (waker_park(&es->req->waker))
                return STEP_WAIT;
        }
    }
}

static ssize_t read_events(void *cls, uint64_t position, char *out, size_t size)
{
    struct event_stream *es = cls;
    (void)position;
    while (!es->out) {
        enum step step = replay(es);
        if (step == STEP_NEXT && !es->out)
            step = find_next(es);
        if (step == STEP_WAIT)
            return 0;
        if (step == STEP_ANSWER) {
            waker_ending(&es->req->waker);
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
    }
    size_t n = es->out_len < size ? es->out_len : size;
    memcpy(out, es->out, n);
    es->out += n;
    es->out_len -= n;
    if (es->out_len == 0)
        es->out = NULL;
    es->req->bytes_sent += (int64_t)n;
    return (ssize_t)n;
}

// Reads Last-Event-ID; false when it is not one of ours.
static bool parse_last_id(const char *text, int64_t *ret_seq)
{
    char *end;
    errno = 0;
    *ret_seq = strtoll(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static enum step events_finish(struct request *req)
{
    struct event_stream *es = reel_arena_zalloc(&req->arena, sizeof(*es));
    const char *last_id = request_header(req, "Last-Event-ID");
    if (!es || strlen(req->user_id) > REEL_ID_LEN || strlen(req->session_id) > REEL_ID_LEN)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    if (last_id && !parse_last_id(last_id, &es->last_seq))
        return problem_answer(req, 400, "Last-Event-ID must be the id of an event.");
    es->req = req;
    es->returns = last_id != NULL;
    if (es->returns)
        begin_replay(es);
    memcpy(es->client.user_id, req->user_id, strlen(req->user_id) + 1);
    memcpy(es->client.session_id, req->session_id, strlen(req->session_id) + 1);
    es->client.expires_s = req->expires_s;
    es->client.wake = on_wake;
    es->client.arg = es;
    put(es, prelude, sizeof(prelude) - 1);
    req->reply.stream =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_events, es, NULL);
    if (!req->reply.stream)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    event_hub_join(req->gw->events, &es->client);
    conn_on_gone(req->conn, on_wake, es);
    req->state = es;
    req->state_fini = stream_fini;
    req->reply.is_endless = true;
    req->reply.close = true;
    reply_header(req, "Content-Type", "text/event-stream");
    reply_header(req, "Cache-Control", "no-store");
    // nginx would gather the events otherwise.
    reply_header(req, "X-Accel-Buffering", "no");
    return reply_set(req, 200);
}

const struct endpoint_ops events_ops = {.finish = events_finish};
