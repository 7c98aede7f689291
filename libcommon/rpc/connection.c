// SPDX-License-Identifier: Apache-2.0
// The channel's connection: packets out and in, and what becomes of calls when it is lost.
#include <nng/nng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/channel_internal.h"

enum {
    ID_BYTES = 4,
};

static bool send_packet(struct reel_channel *channel)
{
    size_t len = reel_link_measure(&channel->link);
    uint8_t *room = len > 0 ? reel_pipe_room(channel->pipe, ID_BYTES + len) : NULL;

    if (!room)
        return false;
    uint32_t id = REEL_SP_REQUEST_BIT | (channel->next_header++ & ~REEL_SP_REQUEST_BIT);
    const uint8_t bytes[ID_BYTES] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                     (uint8_t)id};
    memcpy(room, bytes, sizeof(bytes));
    reel_link_take(&channel->link, room + sizeof(bytes));
    return true;
}

// More may come soon that can leave with what waits.
static bool is_gathering(const struct reel_channel *channel)
{
    return channel->corked && reel_link_waiting(&channel->link) < (size_t)REEL_LINK_PART_BYTES;
}

// Lets what waits leave. Called with the lock held.
static void flush(struct reel_channel *channel)
{
    while (channel->connected && !channel->sending && !is_gathering(channel) && !channel->closing &&
           send_packet(channel))
        channel->sending = reel_pipe_send(channel->pipe);
}

int reel_channel_put(struct reel_channel *channel, const struct reel_frame *frame, bool urgent)
{
    int rc = reel_link_put(&channel->link, frame, urgent);

    flush(channel);
    return rc;
}

void reel_channel_wake_at(struct reel_channel *channel, int64_t at_us)
{
    if (at_us >= channel->wake_us)
        return;
    channel->wake_us = at_us;
    pthread_cond_broadcast(&channel->changed);
}

// Streams that waited for the link to drain, to be told without the lock: a list of referenced
// calls, linked by a field of their own.
struct batch {
    struct reel_client_call **calls;
    size_t n;
};

static void collect(struct reel_channel *channel, struct batch *batch,
                    bool (*wanted)(const struct reel_client_call *call, const void *arg),
                    const void *arg)
{
    size_t n = 0;

    for (struct reel_client_call *call = channel->first; call; call = call->next)
        n += wanted(call, arg);
    batch->n = 0;
    batch->calls = n ? calloc(n, sizeof(struct reel_client_call *)) : NULL;
    for (struct reel_client_call *call = channel->first; batch->calls && call; call = call->next)
        if (wanted(call, arg)) {
            atomic_fetch_add(&call->refs, 1);
            batch->calls[batch->n++] = call;
        }
}

static bool is_stream(const struct reel_client_call *call, const void *arg)
{
    (void)arg;
    return call->stream != NULL;
}

// Called with the lock held.
static void collect_writable(struct reel_channel *channel, struct batch *batch)
{
    *batch = (struct batch){0};
    if (channel->n_link_waiters > 0 &&
        reel_link_waiting(&channel->link) < (size_t)REEL_LINK_SOFT_BYTES) {
        channel->n_link_waiters = 0;
        collect(channel, batch, is_stream, NULL);
    }
}

static void tell_writable(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        reel_stream_on_writable(batch->calls[i]->stream);
        reel_client_call_unref(batch->calls[i]);
    }
    free(batch->calls);
}

static void on_sent(void *arg)
{
    struct reel_channel *channel = arg;
    struct batch writable;

    pthread_mutex_lock(&channel->lock);
    channel->sending = false;
    flush(channel);
    collect_writable(channel, &writable);
    pthread_mutex_unlock(&channel->lock);
    tell_writable(&writable);
}

// Takes the wanted calls out of the list and ends them. Called without the lock.
void reel_connection_end_calls(struct reel_channel *channel,
                               bool (*wanted)(const struct reel_client_call *call, const void *arg),
                               const void *arg, int code, const char *text, bool tell_peer)
{
    struct batch batch;

    pthread_mutex_lock(&channel->lock);
    collect(channel, &batch, wanted, arg);
    for (size_t i = 0; i < batch.n; i++) {
        struct reel_client_call *call = batch.calls[i];

        reel_client_call_take(call);
        if (tell_peer && !call->waiting && channel->connected)
            (void)reel_channel_put(
                channel, &(struct reel_frame){.kind = REEL_FRAME_CANCEL, .call_id = call->node.id},
                true);
    }
    channel->n_completing++;
    pthread_mutex_unlock(&channel->lock);
    for (size_t i = 0; i < batch.n; i++) {
        reel_client_call_end(batch.calls[i], code, text);
        reel_client_call_unref(batch.calls[i]); // the list's
        reel_client_call_unref(batch.calls[i]); // the batch's
    }
    free(batch.calls);
    pthread_mutex_lock(&channel->lock);
    channel->n_completing--;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
}

static bool any_call(const struct reel_client_call *call, const void *arg)
{
    (void)call;
    (void)arg;
    return true;
}

static bool was_sent(const struct reel_client_call *call, const void *arg)
{
    (void)arg;
    return !call->waiting;
}

static bool fails_fast(const struct reel_client_call *call, const void *arg)
{
    (void)arg;
    return call->waiting && !call->wait_for_ready;
}

static void set_down(struct reel_channel *channel, const char *reason)
{
    channel->state = REEL_CHANNEL_DOWN;
    snprintf(channel->reason, sizeof(channel->reason), "%s", reason);
}

// The first connection was not made: what waits for it fails.
void reel_connection_give_up(struct reel_channel *channel, const char *reason)
{
    char text[320];

    pthread_mutex_lock(&channel->lock);
    bool first = channel->state == REEL_CHANNEL_CONNECTING;
    if (first)
        set_down(channel, reason);
    pthread_mutex_unlock(&channel->lock);
    if (!first)
        return;
    snprintf(text, sizeof(text), "%s is not reachable: %s", channel->url, reason);
    reel_connection_end_calls(channel, fails_fast, NULL, REEL_UNAVAILABLE, text, false);
}

// Called with the lock held.
static void dial_later(struct reel_channel *channel)
{
    channel->dial_at_us = reel_clock_mono_us() + reel_backoff_pause_us(&channel->backoff);
    reel_channel_wake_at(channel, channel->dial_at_us);
}

// Called with the lock held, which is given up meanwhile.
static void attempt_failed(struct reel_channel *channel, const char *fault)
{
    char reason[sizeof(channel->reason)];

    snprintf(reason, sizeof(reason), "%s", channel->late ? "it does not answer" : fault);
    if (channel->aimed) {
        // It was at an address that does not count any more.
        reel_channel_wake_at(channel, channel->dial_at_us);
        return;
    }
    pthread_mutex_unlock(&channel->lock);
    reel_connection_give_up(channel, reason);
    pthread_mutex_lock(&channel->lock);
    if (channel->state == REEL_CHANNEL_DOWN)
        set_down(channel, reason);
    dial_later(channel);
    reel_backoff_failed(&channel->backoff, channel->late);
}

static void on_open(void *arg)
{
    struct reel_channel *channel = arg;
    struct reel_frame hello = {
        .kind = REEL_FRAME_HELLO,
        .has_hello = true,
        .hello = {.service = reel_slice_of(channel->service),
                  .key = reel_slice_of(channel->key),
                  .window = REEL_WIRE_WINDOW,
                  .stream_credit = REEL_WIRE_STREAM_CREDIT,
                  .max_message_bytes = channel->max_message_bytes},
    };

    pthread_mutex_lock(&channel->lock);
    reel_link_reset(&channel->link);
    channel->connected = true;
    reel_backoff_reset(&channel->backoff);
    channel->heard_us = reel_clock_mono_us();
    reel_channel_wake_at(channel, channel->heard_us + REEL_DIAL_TICK_US);
    (void)reel_channel_put(channel, &hello, true);
    pthread_mutex_unlock(&channel->lock);
}

// What follows for the calls when a connection that stood is lost. Called without the lock.
static void end_sent(struct reel_channel *channel, const char *reason)
{
    char text[480];

    snprintf(text, sizeof(text),
             "the connection to %s was lost%s%s; whether the call was carried out is not known",
             channel->url, reason ? ": " : "", reason ? reason : "");
    reel_connection_end_calls(channel, was_sent, NULL, REEL_UNAVAILABLE, text, false);
}

static void on_closed(void *arg, const char *reason)
{
    struct reel_channel *channel = arg;

    pthread_mutex_lock(&channel->lock);
    struct reel_pipe *pipe = channel->pipe;
    bool stood = channel->connected;
    bool left = channel->state == REEL_CHANNEL_LEAVING;

    channel->connected = false;
    channel->greeted = false;
    channel->sending = false;
    channel->corked = false;
    reel_link_reset(&channel->link);
    if (stood && channel->state != REEL_CHANNEL_CONNECTING)
        set_down(channel, left ? "it is restarting" : "the connection was lost");
    channel->n_completing++;
    pthread_mutex_unlock(&channel->lock);
    if (stood)
        end_sent(channel, reason);
    if (stood && channel->owner)
        reel_balancer_notice(channel->owner);
    reel_pipe_unref(pipe);
    pthread_mutex_lock(&channel->lock);
    channel->pipe = NULL;
    if (stood && !channel->aimed)
        dial_later(channel);
    else if (!channel->closing)
        attempt_failed(channel, reason ? reason : "it has closed the connection");
    channel->n_completing--;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
}

void reel_connection_abandon(struct reel_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    if (channel->pipe)
        reel_pipe_close(channel->pipe);
    pthread_mutex_unlock(&channel->lock);
}

bool reel_channel_aim(struct reel_channel *channel, const char *address)
{
    pthread_mutex_lock(&channel->lock);
    bool free_to_go =
        channel->state != REEL_CHANNEL_READY && channel->state != REEL_CHANNEL_LEAVING;
    if (free_to_go) {
        snprintf(channel->address, sizeof(channel->address), "%s", address);
        channel->state = REEL_CHANNEL_CONNECTING;
        channel->opened_us = reel_clock_mono_us();
        channel->dial_at_us = channel->opened_us;
        reel_backoff_reset(&channel->backoff);
        channel->has_target = true;
        channel->aimed = true;
        // An attempt in progress is to the wrong address: the timer thread breaks it off.
        channel->late = true;
        channel->attempt_us = 0;
        if (channel->pipe)
            reel_pipe_close(channel->pipe);
        reel_channel_wake_at(channel, channel->dial_at_us);
    }
    pthread_mutex_unlock(&channel->lock);
    return free_to_go;
}

// Called with the lock held, when no attempt is in progress.
static void aim_connector(struct reel_channel *channel)
{
    // An address of this length is never too long.
    if (channel->aimed)
        (void)!reel_connector_aim(channel->connector, channel->address);
    channel->aimed = false;
}

void reel_connection_tick(struct reel_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    int64_t now_us = reel_clock_mono_us();
    bool trying = channel->dialing || (channel->pipe && !channel->connected);
    int64_t patience_us = reel_backoff_patience_us(channel->backoff.failures);
    bool late = trying && now_us - channel->attempt_us >= patience_us;
    bool dial = channel->has_target && !channel->dialing && !channel->pipe && !channel->closing &&
                now_us >= channel->dial_at_us;
    if (dial) {
        aim_connector(channel);
        channel->dialing = true;
        channel->attempt_us = now_us;
        channel->late = false;
    } else if (late) {
        channel->late = true;
        if (channel->pipe)
            reel_pipe_close(channel->pipe);
    }
    bool cancel = late && channel->dialing;
    pthread_mutex_unlock(&channel->lock);
    if (dial)
        reel_connector_dial(channel->connector);
    else if (cancel)
        reel_connector_cancel(channel->connector);
}

// Sends what has waited for the connection.
static void release_waiting(struct reel_channel *channel)
{
    struct batch failed = {0};
    struct batch waiting;

    pthread_mutex_lock(&channel->lock);
    collect(channel, &waiting, any_call, NULL);
    failed.calls = calloc(waiting.n + 1, sizeof(struct reel_client_call *));
    for (size_t i = 0; i < waiting.n; i++) {
        struct reel_client_call *call = waiting.calls[i];

        if (call->waiting && reel_client_call_release(call) != REEL_OK && failed.calls &&
            reel_client_call_take(call))
            failed.calls[failed.n++] = call;
    }
    pthread_mutex_unlock(&channel->lock);
    for (size_t i = 0; i < failed.n; i++) {
        reel_client_call_end(failed.calls[i], REEL_RESOURCE_EXHAUSTED,
                             "too much waits for this peer already");
        reel_client_call_unref(failed.calls[i]);
    }
    for (size_t i = 0; i < waiting.n; i++) {
        if (waiting.calls[i]->stream)
            reel_stream_on_writable(waiting.calls[i]->stream);
        reel_client_call_unref(waiting.calls[i]);
    }
    free(failed.calls);
    free(waiting.calls);
}

static void on_refused(struct reel_channel *channel, const struct reel_frame *frame)
{
    char text[320];

    pthread_mutex_lock(&channel->lock);
    channel->state = REEL_CHANNEL_REFUSED;
    channel->greeted = true;
    channel->refused_code = frame->code <= REEL_UNAUTHENTICATED ? (int)frame->code : REEL_UNKNOWN;
    snprintf(channel->reason, sizeof(channel->reason), "%.*s", (int)frame->message.len,
             frame->message.len ? (const char *)frame->message.data : "");
    int code = channel->refused_code;
    snprintf(text, sizeof(text), "%s refuses this service: %s", channel->url, channel->reason);
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
    reel_connection_end_calls(channel, fails_fast, NULL, code, text, false);
}

static void on_hello(struct reel_channel *channel, const struct reel_frame *frame)
{
    if (frame->has_status && frame->code != REEL_OK) {
        on_refused(channel, frame);
        return;
    }
    pthread_mutex_lock(&channel->lock);
    channel->state = REEL_CHANNEL_READY;
    channel->greeted = true;
    channel->swallowed = 0;
    channel->peer_max_message = channel->max_message_bytes;
    if (frame->hello.max_message_bytes > 0 &&
        frame->hello.max_message_bytes < channel->max_message_bytes)
        channel->peer_max_message = (size_t)frame->hello.max_message_bytes;
    if (frame->hello.window > 0 && frame->hello.window < channel->link.window)
        channel->link.window = frame->hello.window;
    channel->peer_stream_credit = frame->hello.stream_credit;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
    if (channel->owner)
        reel_balancer_notice(channel->owner);
    release_waiting(channel);
}

static const char *copy_slice(struct reel_arena *arena, struct reel_slice slice)
{
    const char *copy =
        slice.len ? reel_arena_strndup(arena, (const char *)slice.data, slice.len) : "";

    return copy ? copy : "";
}

// The status of a RESPONSE with C strings, which live in `arena`.
static void read_status(const struct reel_frame *frame, struct reel_arena *arena,
                        struct reel_status *status)
{
    struct reel_slice field;
    struct reel_slice description;
    size_t cursor = 0;
    size_t n = 0;

    *status = (struct reel_status){.code = REEL_OK, .message = ""};
    if (!frame->has_status)
        return;
    status->code = frame->code <= REEL_UNAUTHENTICATED ? (int)frame->code : REEL_UNKNOWN;
    status->message = copy_slice(arena, frame->message);
    status->retry_after_ms = frame->retry_after_ms;
    status->policy = copy_slice(arena, frame->policy);
    status->quota = frame->quota;
    status->window_s = frame->window_s;
    while (reel_frame_next_violation(frame, &cursor, &field, &description))
        n++;
    struct reel_violation *violations = n ? reel_arena_array(arena, n, sizeof(*violations)) : NULL;
    cursor = 0;
    while (violations && status->n_violations < n &&
           reel_frame_next_violation(frame, &cursor, &field, &description))
        violations[status->n_violations++] = (struct reel_violation){
            .field = copy_slice(arena, field),
            .description = copy_slice(arena, description),
        };
    status->violations = violations;
}

static void on_response(struct reel_channel *channel, struct reel_inbound *inbound,
                        const struct reel_frame *frame)
{
    struct reel_client_call *call = NULL;
    struct reel_reply reply = {
        .payload = frame->payload,
        .has_payload = frame->has_payload,
        .inbound = inbound,
    };
    struct reel_arena arena;

    pthread_mutex_lock(&channel->lock);
    struct reel_idmap_node *node = reel_idmap_find(&channel->calls, frame->call_id);
    if (node) {
        call = REEL_CONTAINER_OF(node, struct reel_client_call, node);
        reel_client_call_take(call);
    }
    pthread_mutex_unlock(&channel->lock);
    if (!call)
        return; // cancelled meanwhile
    reel_arena_init(&arena, REEL_WIRE_SLACK * 4);
    read_status(frame, &arena, &reply.status);
    reel_scope_leave(&call->child);
    call->complete(call, &reply);
    reel_client_call_unref(call);
    reel_arena_fini(&arena);
}

static void on_stream_frame(struct reel_channel *channel, const struct reel_frame *frame)
{
    struct reel_client_call *call = NULL;

    pthread_mutex_lock(&channel->lock);
    struct reel_idmap_node *node = reel_idmap_find(&channel->calls, frame->call_id);
    if (node) {
        call = REEL_CONTAINER_OF(node, struct reel_client_call, node);
        atomic_fetch_add(&call->refs, 1);
    }
    pthread_mutex_unlock(&channel->lock);
    if (!call)
        return;
    if (call->stream && frame->kind == REEL_FRAME_DATA)
        reel_stream_on_data(call->stream, frame->payload);
    else if (call->stream)
        reel_stream_on_credit(call->stream, frame->credit);
    reel_client_call_unref(call);
}

static void on_goaway(struct reel_channel *channel, const struct reel_frame *frame)
{
    (void)frame;
    pthread_mutex_lock(&channel->lock);
    channel->state = REEL_CHANNEL_LEAVING;
    snprintf(channel->reason, sizeof(channel->reason), "it is going away");
    pthread_mutex_unlock(&channel->lock);
}

static void on_frame(struct reel_channel *channel, struct reel_inbound *inbound,
                     const struct reel_frame *frame)
{
    switch (frame->kind) {
    case REEL_FRAME_HELLO:
        on_hello(channel, frame);
        break;
    case REEL_FRAME_RESPONSE:
        on_response(channel, inbound, frame);
        break;
    case REEL_FRAME_DATA:
    case REEL_FRAME_CREDIT:
        on_stream_frame(channel, frame);
        break;
    case REEL_FRAME_GOAWAY:
        on_goaway(channel, frame);
        break;
    case REEL_FRAME_PING:
        pthread_mutex_lock(&channel->lock);
        (void)reel_channel_put(channel, &(struct reel_frame){.kind = REEL_FRAME_PONG}, true);
        pthread_mutex_unlock(&channel->lock);
        break;
    default:
        break; // a PONG, or a later version's
    }
}

static void on_message(void *arg, struct reel_inbound *inbound, struct reel_slice message)
{
    struct reel_channel *channel = arg;
    struct reel_packet packet;
    struct reel_frame frame;
    bool sound = message.len >= ID_BYTES &&
                 reel_packet_open(message.data + ID_BYTES, message.len - ID_BYTES, &packet);

    if (sound) {
        pthread_mutex_lock(&channel->lock);
        channel->corked = true;
        channel->heard_us = reel_clock_mono_us();
        reel_link_received(&channel->link, &packet);
        pthread_mutex_unlock(&channel->lock);
    }
    while (sound) {
        int rc = reel_packet_next(&packet, &frame);

        if (rc == 0)
            return;
        if (rc > 0)
            on_frame(channel, inbound, &frame);
        sound = rc > 0;
    }
    reel_connection_abandon(channel); // calls would wait for answers that cannot be read
}

static void on_pause(void *arg)
{
    struct reel_channel *channel = arg;
    struct batch writable;

    pthread_mutex_lock(&channel->lock);
    channel->corked = false;
    flush(channel);
    collect_writable(channel, &writable);
    pthread_mutex_unlock(&channel->lock);
    tell_writable(&writable);
}

static void on_dialed(void *arg, struct nng_stream *stream, int fault, const char *reason)
{
    struct reel_channel *channel = arg;
    const struct reel_pipe_handler handler = {
        .on_open = on_open,
        .on_message = on_message,
        .on_pause = on_pause,
        .on_sent = on_sent,
        .on_closed = on_closed,
        .arg = channel,
    };
    struct reel_pipe *pipe = NULL;

    if (fault == 0 &&
        reel_pipe_new(stream, channel->url, REEL_PIPE_CLIENT,
                      channel->max_message_bytes + 2 * REEL_WIRE_SLACK, &handler, &pipe) != 0)
        reason = "memory is out";
    pthread_mutex_lock(&channel->lock);
    channel->dialing = false;
    channel->pipe = pipe;
    if (!pipe && !channel->closing)
        attempt_failed(channel, reason);
    else if (pipe && (channel->closing || channel->late))
        reel_pipe_close(pipe);
    pthread_mutex_unlock(&channel->lock);
    if (pipe)
        reel_pipe_start(pipe);
}

int reel_connection_open(struct reel_channel *channel)
{
    reel_backoff_init(&channel->backoff);
    return reel_connector_open(channel->url, on_dialed, channel, &channel->connector);
}

void reel_connection_close(struct reel_channel *channel)
{
    reel_connector_close(channel->connector);
    reel_connection_abandon(channel);
    pthread_mutex_lock(&channel->lock);
    while (channel->pipe)
        pthread_cond_wait(&channel->changed, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
}
