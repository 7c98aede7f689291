// SPDX-License-Identifier: Apache-2.0
// Streaming calls of the client. A stream's state is under its channel's lock.
#include <errno.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/channel_internal.h"

enum { STATUS_ARENA_BYTES = 256 * 1024 };

struct reel_stream {
    struct reel_client_call call;
    struct reel_flow flow;
    pthread_cond_t event; // monotonic
    struct reel_status status;
    struct reel_arena arena; // of the status
    void (*on_event)(void *arg);
    void *arg;
    unsigned n_events; // on_event running
    bool started;      // REQUEST has left and the credit is known
    bool half_closed;
    bool finished;
    bool closed;
};

static void notify(struct reel_stream *stream)
{
    struct reel_channel *channel = stream->call.channel;

    pthread_mutex_lock(&channel->lock);
    pthread_cond_broadcast(&stream->event);
    bool call_back = stream->on_event && !stream->closed;
    if (call_back)
        stream->n_events++;
    pthread_mutex_unlock(&channel->lock);
    if (!call_back)
        return;
    stream->on_event(stream->arg);
    pthread_mutex_lock(&channel->lock);
    stream->n_events--;
    pthread_cond_broadcast(&stream->event);
    pthread_mutex_unlock(&channel->lock);
}

// The credit is the peer's to say, so it is known once the channel is.
static void note_start(struct reel_stream *stream)
{
    if (stream->started || stream->call.waiting || stream->call.node.id == 0)
        return;
    stream->started = true;
    reel_flow_grant(&stream->flow, stream->call.channel->peer_stream_credit);
    if (stream->half_closed)
        (void)reel_channel_put(
            stream->call.channel,
            &(struct reel_frame){.kind = REEL_FRAME_END, .call_id = stream->call.node.id}, true);
}

void reel_stream_on_data(struct reel_stream *stream, struct reel_slice payload)
{
    struct reel_channel *channel = stream->call.channel;

    pthread_mutex_lock(&channel->lock);
    int rc = stream->finished ? REEL_OK : reel_flow_push(&stream->flow, payload);
    pthread_mutex_unlock(&channel->lock);
    if (rc != REEL_OK)
        reel_client_call_cancel(&stream->call); // the peer does not keep to its credit
    else
        notify(stream);
}

void reel_stream_on_credit(struct reel_stream *stream, uint64_t credit)
{
    struct reel_channel *channel = stream->call.channel;

    pthread_mutex_lock(&channel->lock);
    reel_flow_grant(&stream->flow, credit);
    pthread_mutex_unlock(&channel->lock);
    notify(stream);
}

void reel_stream_on_writable(struct reel_stream *stream)
{
    struct reel_channel *channel = stream->call.channel;

    pthread_mutex_lock(&channel->lock);
    note_start(stream);
    pthread_mutex_unlock(&channel->lock);
    notify(stream);
}

static const char *keep(struct reel_arena *arena, const char *s)
{
    const char *copy = s && s[0] ? reel_arena_strdup(arena, s) : "";

    return copy ? copy : "";
}

static void keep_status(struct reel_stream *stream, const struct reel_status *from)
{
    struct reel_violation *violations =
        from->n_violations
            ? reel_arena_array(&stream->arena, from->n_violations, sizeof(*violations))
            : NULL;

    stream->status = *from;
    stream->status.message = keep(&stream->arena, from->message);
    stream->status.policy = keep(&stream->arena, from->policy);
    stream->status.violations = violations;
    stream->status.n_violations = violations ? from->n_violations : 0;
    for (size_t i = 0; i < stream->status.n_violations; i++) {
        violations[i].field = keep(&stream->arena, from->violations[i].field);
        violations[i].description = keep(&stream->arena, from->violations[i].description);
    }
}

static void complete(struct reel_client_call *call, const struct reel_reply *reply)
{
    struct reel_stream *stream = REEL_CONTAINER_OF(call, struct reel_stream, call);
    struct reel_channel *channel = call->channel;

    pthread_mutex_lock(&channel->lock);
    if (reply->has_payload && reply->status.code == REEL_OK)
        (void)reel_flow_push_last(&stream->flow, reply->payload);
    keep_status(stream, &reply->status);
    stream->finished = true;
    pthread_mutex_unlock(&channel->lock);
    notify(stream);
}

static void destroy(struct reel_client_call *call)
{
    struct reel_stream *stream = REEL_CONTAINER_OF(call, struct reel_stream, call);

    reel_flow_fini(&stream->flow);
    reel_arena_fini(&stream->arena);
    pthread_cond_destroy(&stream->event);
    free(stream);
}

int reel_stream_open(struct reel_channel *channel, const struct reel_method *method,
                     const struct reel_call_options *options, void (*on_event)(void *arg),
                     void *arg, struct reel_stream **ret_stream)
{
    struct reel_stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return -ENOMEM;
    pthread_cond_init(&stream->event, NULL);
    reel_client_call_init(&stream->call, channel, method);
    stream->call.complete = complete;
    stream->call.destroy = destroy;
    stream->call.stream = stream;
    reel_flow_init(&stream->flow, 0);
    reel_arena_init(&stream->arena, STATUS_ARENA_BYTES);
    stream->status.message = "";
    stream->on_event = on_event;
    stream->arg = arg;
    reel_client_call_start(&stream->call, options, NULL);
    pthread_mutex_lock(&stream->call.channel->lock);
    note_start(stream);
    pthread_mutex_unlock(&stream->call.channel->lock);
    *ret_stream = stream;
    return REEL_OK;
}

// What sending on a call that is over answers.
static int ended_code(const struct reel_stream *stream)
{
    return stream->status.code != REEL_OK ? stream->status.code : REEL_CANCELLED;
}

// Called with the lock held.
static int try_send(struct reel_stream *stream, struct reel_slice payload)
{
    struct reel_channel *channel = stream->call.channel;
    struct reel_frame frame = {
        .kind = REEL_FRAME_DATA,
        .call_id = stream->call.node.id,
        .payload = payload,
        .has_payload = true,
    };

    if (stream->finished)
        return ended_code(stream);
    if (stream->half_closed)
        return REEL_FAILED_PRECONDITION;
    note_start(stream);
    if (!stream->started)
        return -EAGAIN;
    if (payload.len > channel->peer_max_message)
        return REEL_RESOURCE_EXHAUSTED;
    if (reel_link_waiting(&channel->link) >= (size_t)REEL_LINK_SOFT_BYTES) {
        channel->n_link_waiters++;
        return -EAGAIN;
    }
    if (!reel_flow_may_send(&stream->flow))
        return -EAGAIN;
    int rc = reel_channel_put(channel, &frame, true);
    if (rc == REEL_OK)
        reel_flow_spend(&stream->flow, payload.len);
    return rc;
}

int reel_stream_try_send(struct reel_stream *stream, const uint8_t *payload, size_t payload_len)
{
    struct reel_channel *channel = stream->call.channel;

    pthread_mutex_lock(&channel->lock);
    int rc = try_send(stream, (struct reel_slice){.data = payload, .len = payload_len});
    pthread_mutex_unlock(&channel->lock);
    return rc;
}

int reel_stream_send(struct reel_stream *stream, const uint8_t *payload, size_t payload_len)
{
    struct reel_channel *channel = stream->call.channel;
    struct reel_slice bytes = {.data = payload, .len = payload_len};
    int rc;

    pthread_mutex_lock(&channel->lock);
    while ((rc = try_send(stream, bytes)) == -EAGAIN)
        pthread_cond_wait(&stream->event, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
    return rc;
}

int reel_stream_half_close(struct reel_stream *stream)
{
    struct reel_channel *channel = stream->call.channel;
    struct reel_frame end = {.kind = REEL_FRAME_END};
    int rc = REEL_OK;

    pthread_mutex_lock(&channel->lock);
    note_start(stream);
    if (!stream->finished && !stream->half_closed) {
        stream->half_closed = true;
        end.call_id = stream->call.node.id;
        if (stream->started)
            rc = reel_channel_put(channel, &end, true);
    }
    pthread_mutex_unlock(&channel->lock);
    return rc;
}

// Called with the lock held.
static int try_recv(struct reel_stream *stream, uint8_t **ret_payload, size_t *ret_len)
{
    struct reel_channel *channel = stream->call.channel;
    struct reel_flow_message message;
    struct reel_frame credit = {.kind = REEL_FRAME_CREDIT, .call_id = stream->call.node.id};

    if (reel_flow_pop(&stream->flow, &message, &credit.credit)) {
        if (credit.credit > 0 && !stream->finished)
            (void)reel_channel_put(channel, &credit, true);
        *ret_payload = message.data;
        *ret_len = message.len;
        return REEL_OK;
    }
    if (!stream->finished)
        return -EAGAIN;
    if (stream->status.code != REEL_OK)
        return stream->status.code;
    *ret_payload = NULL;
    *ret_len = 0;
    return REEL_OK;
}

int reel_stream_try_recv(struct reel_stream *stream, uint8_t **ret_payload, size_t *ret_len)
{
    struct reel_channel *channel = stream->call.channel;

    pthread_mutex_lock(&channel->lock);
    int rc = try_recv(stream, ret_payload, ret_len);
    pthread_mutex_unlock(&channel->lock);
    return rc;
}

int reel_stream_recv(struct reel_stream *stream, uint8_t **ret_payload, size_t *ret_len)
{
    struct reel_channel *channel = stream->call.channel;
    int rc;

    pthread_mutex_lock(&channel->lock);
    while ((rc = try_recv(stream, ret_payload, ret_len)) == -EAGAIN)
        pthread_cond_wait(&stream->event, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
    return rc;
}

const struct reel_status *reel_stream_status(struct reel_stream *stream)
{
    return &stream->status;
}

void reel_stream_close(struct reel_stream *stream)
{
    if (!stream)
        return;
    struct reel_channel *channel = stream->call.channel;
    pthread_mutex_lock(&channel->lock);
    stream->closed = true;
    pthread_mutex_unlock(&channel->lock);
    reel_client_call_cancel(&stream->call);
    pthread_mutex_lock(&channel->lock);
    while (stream->n_events > 0)
        pthread_cond_wait(&stream->event, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
    reel_client_call_unref(&stream->call);
}
