// SPDX-License-Identifier: Apache-2.0
// The channel's connection: packets out and in, and what becomes of calls when it is lost.
#include <nng/nng.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/channel_internal.h"

enum { SOFT_BYTES = 1 << 20 };

#define REQUEST_BIT 0x80000000u

static struct nng_msg *next_packet(struct reel_channel *channel)
{
    uint32_t id = REQUEST_BIT | (channel->next_header++ & ~REQUEST_BIT);
    const uint8_t header[4] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                               (uint8_t)id};

    return reel_transport_take(&channel->link, header, sizeof(header));
}

// Lets what waits leave. Called with the lock held; NNG runs callbacks on threads of its own.
static void flush(struct reel_channel *channel)
{
    nng_socket socket = {.id = channel->socket};

    if (channel->sending || channel->corked || channel->closing || channel->pipe == 0)
        return;
    struct nng_msg *msg = next_packet(channel);
    if (!msg)
        return;
    channel->sending = true;
    nng_aio_set_msg(channel->send_aio, msg);
    nng_send_aio(socket, channel->send_aio);
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
    if (channel->n_link_waiters > 0 && reel_link_waiting(&channel->link) < (size_t)SOFT_BYTES) {
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

    if (nng_aio_result(channel->send_aio) != 0) {
        nng_msg_free(nng_aio_get_msg(channel->send_aio));
        nng_aio_set_msg(channel->send_aio, NULL);
    }
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
        if (tell_peer && !call->waiting && channel->pipe != 0)
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

static void on_dial_failed(void *arg, const char *reason)
{
    struct reel_channel *channel = arg;

    reel_connection_give_up(channel, reason);
    pthread_mutex_lock(&channel->lock);
    if (channel->state == REEL_CHANNEL_DOWN)
        set_down(channel, reason);
    pthread_mutex_unlock(&channel->lock);
}

static void on_connected(struct reel_channel *channel, uint32_t pipe)
{
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
    channel->pipe = pipe;
    channel->heard_us = reel_clock_mono_us();
    reel_channel_wake_at(channel, channel->heard_us + REEL_DIAL_TICK_US);
    (void)reel_channel_put(channel, &hello, true);
    pthread_mutex_unlock(&channel->lock);
}

static void on_lost(struct reel_channel *channel, uint32_t pipe)
{
    char text[320];

    pthread_mutex_lock(&channel->lock);
    bool ours = channel->pipe == pipe && pipe != 0;
    if (ours) {
        bool left = channel->state == REEL_CHANNEL_LEAVING;

        channel->pipe = 0;
        channel->greeted = false;
        pthread_cond_broadcast(&channel->changed);
        reel_link_reset(&channel->link);
        if (channel->state != REEL_CHANNEL_CONNECTING)
            set_down(channel, left ? "it is restarting" : "the connection was lost");
        // Else it would leave with the next connection.
        nng_aio_cancel(channel->send_aio);
        if (!channel->closing)
            reel_dialer_lost(channel->dialer);
    }
    pthread_mutex_unlock(&channel->lock);
    if (!ours)
        return;
    snprintf(text, sizeof(text),
             "the connection to %s was lost; whether the call was carried out is not known",
             channel->url);
    reel_connection_end_calls(channel, was_sent, NULL, REEL_UNAVAILABLE, text, false);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    uint32_t id = (uint32_t)nng_pipe_id(pipe);

    if (event == NNG_PIPE_EV_ADD_POST) {
        on_connected(arg, id);
    } else if (event == NNG_PIPE_EV_REM_POST) {
        reel_dialer_retire(id);
        on_lost(arg, id);
    }
}

static void close_pipe(struct reel_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    nng_pipe pipe = {.id = channel->pipe};
    pthread_mutex_unlock(&channel->lock);
    if (pipe.id != 0)
        nng_pipe_close(pipe);
}

// As close_pipe, without waiting for NNG to say that the connection is gone: it may be unable to.
void reel_connection_abandon(struct reel_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    uint32_t pipe = channel->pipe;
    pthread_mutex_unlock(&channel->lock);
    close_pipe(channel);
    on_lost(channel, pipe);
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
    pthread_mutex_lock(&channel->lock);
    channel->left = channel->leaving && frame->call_id == REEL_LEAVE_ID;
    pthread_cond_broadcast(&channel->changed);
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

static void receive(struct reel_channel *channel, nng_msg *msg)
{
    uint32_t pipe = nng_msg_get_pipe(msg).id;
    struct reel_inbound *inbound = reel_inbound_new(msg);
    struct reel_packet packet;
    struct reel_frame frame;
    struct batch writable;

    if (!inbound)
        return;
    bool sound = reel_packet_open(nng_msg_body(msg), nng_msg_len(msg), &packet);
    pthread_mutex_lock(&channel->lock);
    bool current = pipe == channel->pipe;
    if (current && sound) {
        channel->corked = true;
        channel->heard_us = reel_clock_mono_us();
        reel_link_received(&channel->link, &packet);
    }
    pthread_mutex_unlock(&channel->lock);

    while (current && sound) {
        int rc = reel_packet_next(&packet, &frame);

        if (rc == 0)
            break;
        if (rc > 0)
            on_frame(channel, inbound, &frame);
        sound = rc > 0;
    }
    reel_inbound_unref(inbound);
    if (current && !sound)
        close_pipe(channel); // calls would wait for answers that cannot be read
    pthread_mutex_lock(&channel->lock);
    channel->corked = false;
    flush(channel);
    collect_writable(channel, &writable);
    pthread_mutex_unlock(&channel->lock);
    tell_writable(&writable);
}

static void on_received(void *arg)
{
    struct reel_channel *channel = arg;
    nng_socket socket = {.id = channel->socket};

    if (nng_aio_result(channel->recv_aio) != 0)
        return; // closed
    nng_msg *msg = nng_aio_get_msg(channel->recv_aio);
    nng_aio_set_msg(channel->recv_aio, NULL);
    receive(channel, msg);
    nng_recv_aio(socket, channel->recv_aio);
}

int reel_connection_open(struct reel_channel *channel)
{
    int rc =
        reel_transport_open(REEL_TRANSPORT_CLIENT, channel->max_message_bytes, &channel->socket);

    if (rc != 0)
        return rc;
    nng_socket socket = {.id = channel->socket};
    int rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, channel);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, channel);
    if (rv == 0)
        rv = nng_aio_alloc(&channel->send_aio, on_sent, channel);
    if (rv == 0)
        rv = nng_aio_alloc(&channel->recv_aio, on_received, channel);
    if (rv != 0)
        return reel_transport_fault(rv);
    nng_recv_aio(socket, channel->recv_aio);
    // Under the lock: the connection may be there, and gone, before the return.
    pthread_mutex_lock(&channel->lock);
    rc = reel_dialer_open(channel->socket, channel->url, on_dial_failed, channel, &channel->dialer);
    pthread_mutex_unlock(&channel->lock);
    return rc;
}

void reel_connection_close(struct reel_channel *channel)
{
    reel_dialer_close(channel->dialer);
    // Before the socket: an operation begun while it closes would be left on a queue that is freed.
    if (channel->recv_aio)
        nng_aio_stop(channel->recv_aio);
    if (channel->send_aio)
        nng_aio_stop(channel->send_aio);
    if (channel->socket != 0)
        (void)reel_transport_close(channel->socket);
}

void reel_connection_free(struct reel_channel *channel)
{
    if (channel->recv_aio)
        nng_aio_free(channel->recv_aio);
    if (channel->send_aio)
        nng_aio_free(channel->send_aio);
}
