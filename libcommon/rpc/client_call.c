// SPDX-License-Identifier: Apache-2.0
// A call on the client: how it starts and how it ends, whatever kind it is.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/channel_internal.h"

static void hold(struct reel_scope_child *child)
{
    struct reel_client_call *call = REEL_CONTAINER_OF(child, struct reel_client_call, child);

    atomic_fetch_add(&call->refs, 1);
}

static void cancel_child(struct reel_scope_child *child)
{
    struct reel_client_call *call = REEL_CONTAINER_OF(child, struct reel_client_call, child);

    reel_client_call_cancel(call);
    reel_client_call_unref(call);
}

void reel_client_call_init(struct reel_client_call *call, struct reel_channel *channel,
                           const struct reel_method *method)
{
    *call = (struct reel_client_call){
        .channel =
            channel->balancer ? reel_balancer_pick(channel->balancer) : reel_channel_ref(channel),
        .method = method,
        .deadline_us = REEL_NO_DEADLINE,
        .child = {.hold = hold, .cancel = cancel_child},
    };
    atomic_init(&call->refs, 1);
    reel_buf_init(&call->tail, SIZE_MAX / 4);
}

void reel_client_call_unref(struct reel_client_call *call)
{
    if (!call || atomic_fetch_sub(&call->refs, 1) > 1)
        return;
    struct reel_channel *channel = call->channel;
    reel_buf_fini(&call->tail);
    call->destroy(call);
    reel_channel_unref(channel);
}

static void list_call(struct reel_client_call *call)
{
    struct reel_channel *channel = call->channel;

    atomic_fetch_add(&call->refs, 1);
    call->next = channel->first;
    call->back = &channel->first;
    if (call->next)
        call->next->back = &call->next;
    channel->first = call;
}

bool reel_client_call_take(struct reel_client_call *call)
{
    if (!call->back)
        return false;
    *call->back = call->next;
    if (call->next)
        call->next->back = call->back;
    call->back = NULL;
    if (call->node.id != 0)
        reel_idmap_remove(&call->channel->calls, call->node.id);
    return true;
}

void reel_client_call_end(struct reel_client_call *call, int code, const char *text)
{
    struct reel_reply reply = {.status = {.code = code, .message = text}};

    reel_scope_leave(&call->child);
    call->complete(call, &reply);
}

static int put_request(struct reel_client_call *call, const struct reel_frame *rest)
{
    struct reel_channel *channel = call->channel;
    struct reel_frame frame = *rest;
    int64_t left_us = reel_deadline_left_us(call->deadline_us);

    frame.kind = REEL_FRAME_REQUEST;
    frame.call_id = ++channel->next_id;
    frame.timeout_us =
        call->deadline_us == REEL_NO_DEADLINE ? 0 : (uint64_t)(left_us ? left_us : 1);
    call->node.id = frame.call_id;
    if (reel_idmap_add(&channel->calls, &call->node) != 0) {
        call->node.id = 0;
        return REEL_RESOURCE_EXHAUSTED;
    }
    return reel_channel_put(channel, &frame, false);
}

int reel_client_call_release(struct reel_client_call *call)
{
    struct reel_frame rest = {
        .tail = {.data = (const uint8_t *)call->tail.data, .len = call->tail.len},
    };

    call->waiting = false;
    int rc = put_request(call, &rest);
    reel_buf_fini(&call->tail);
    return rc;
}

// What a call says of itself when it starts.
struct start {
    struct reel_metadata metadata[REEL_METADATA_MAX_ENTRIES];
    size_t n_metadata;
    char text[256]; // of a failure
};

static int fail(struct start *start, int code, const char *fmt, ...) REEL_PRINTF(3, 4);
static int fail(struct start *start, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(start->text, sizeof(start->text), fmt, args);
    va_end(args);
    return code;
}

static bool has_key(const struct start *start, const char *key)
{
    for (size_t i = 0; i < start->n_metadata; i++)
        if (strcmp(start->metadata[i].key, key) == 0)
            return true;
    return false;
}

// What follows a request through every service, unless the caller says otherwise.
static void inherit_metadata(struct start *start, const struct reel_call *parent)
{
    static const char *const keys[] = {REEL_META_REQUEST_ID, REEL_META_TRACE, REEL_META_USER_ID,
                                       REEL_META_SESSION_ID};

    for (size_t i = 0; i < REEL_ARRAY_SIZE(keys); i++) {
        const char *value = reel_call_metadata(parent, keys[i]);

        if (value && !has_key(start, keys[i]) && start->n_metadata < REEL_METADATA_MAX_ENTRIES)
            start->metadata[start->n_metadata++] =
                (struct reel_metadata){.key = keys[i], .value = value};
    }
}

static int gather_metadata(struct start *start, const struct reel_call_options *options)
{
    if (options->n_metadata > REEL_METADATA_MAX_ENTRIES)
        return reel_metadata_check(options->metadata, options->n_metadata, start->text,
                                   sizeof(start->text));
    for (size_t i = 0; i < options->n_metadata; i++)
        start->metadata[start->n_metadata++] = options->metadata[i];
    if (options->parent)
        inherit_metadata(start, options->parent);
    return reel_metadata_check(start->metadata, start->n_metadata, start->text,
                               sizeof(start->text));
}

static int64_t deadline_of(const struct reel_client_call *call,
                           const struct reel_call_options *options)
{
    const struct reel_method *method = call->method;
    int64_t deadline_us = options->deadline_us;

    if (deadline_us == 0 && method->timeout_ms > 0)
        deadline_us = reel_deadline_in_us((int64_t)method->timeout_ms * 1000);
    else if (deadline_us == 0 && (method->client_streaming || method->server_streaming))
        deadline_us = REEL_NO_DEADLINE;
    else if (deadline_us == 0)
        deadline_us = reel_deadline_in_us((int64_t)call->channel->default_timeout_ms * 1000);
    if (options->parent && reel_call_deadline_us(options->parent) < deadline_us)
        deadline_us = reel_call_deadline_us(options->parent);
    return deadline_us;
}

static int join_parent(struct reel_client_call *call, struct reel_call *parent, struct start *start)
{
    struct reel_scope *scope = reel_call_scope(parent);

    if (!scope)
        return fail(start, REEL_RESOURCE_EXHAUSTED, "out of memory");
    if (!reel_scope_join(scope, &call->child))
        return fail(start, REEL_CANCELLED, "the call that this one serves is over");
    return REEL_OK;
}

static int unreachable(const struct reel_channel *channel, struct start *start)
{
    if (channel->leaving)
        return fail(start, REEL_CANCELLED, "the channel is closed");
    if (channel->state == REEL_CHANNEL_REFUSED)
        return fail(start, channel->refused_code, "%s refuses this service: %s", channel->url,
                    channel->reason);
    return fail(start, REEL_UNAVAILABLE, "%s is not reachable: %s", channel->url, channel->reason);
}

// Called with the lock held.
static int send_or_wait(struct reel_client_call *call, const struct reel_frame *frame,
                        struct start *start)
{
    struct reel_channel *channel = call->channel;
    int rc = REEL_OK;

    if (channel->leaving)
        return unreachable(channel, start);
    if (call->cancelled)
        return fail(start, REEL_CANCELLED, "the call was cancelled");
    if (channel->state == REEL_CHANNEL_READY) {
        if (frame->payload.len > channel->peer_max_message)
            return fail(start, REEL_RESOURCE_EXHAUSTED,
                        "a message of %zu bytes is too large for the peer: at most %zu are allowed",
                        frame->payload.len, channel->peer_max_message);
        list_call(call);
        rc = put_request(call, frame);
        if (rc != REEL_OK)
            return fail(start, REEL_RESOURCE_EXHAUSTED,
                        "%zu bytes wait for %s already: it takes them too slowly",
                        reel_link_waiting(&channel->link), channel->url);
    } else if (channel->state == REEL_CHANNEL_CONNECTING || call->wait_for_ready) {
        reel_frame_write_tail(&call->tail, frame);
        if (call->tail.failed)
            return fail(start, REEL_RESOURCE_EXHAUSTED, "out of memory");
        call->waiting = true;
        list_call(call);
    } else {
        return unreachable(channel, start);
    }
    reel_channel_wake_at(channel, call->deadline_us);
    return REEL_OK;
}

static int prepare(struct reel_client_call *call, const struct reel_call_options *options,
                   const struct reel_slice *payload, struct start *start)
{
    size_t limit = call->channel->max_message_bytes;

    if (payload && payload->len > limit)
        return fail(start, REEL_RESOURCE_EXHAUSTED,
                    "a message of %zu bytes is too large: at most %zu are allowed", payload->len,
                    limit);
    int rc = gather_metadata(start, options);
    if (rc != REEL_OK)
        return rc;
    call->deadline_us = deadline_of(call, options);
    call->wait_for_ready = options->wait_for_ready;
    if (reel_deadline_passed(call->deadline_us))
        return fail(start, REEL_DEADLINE_EXCEEDED, "the deadline passed before the call was sent");
    return options->parent ? join_parent(call, options->parent, start) : REEL_OK;
}

void reel_client_call_start(struct reel_client_call *call, const struct reel_call_options *options,
                            const struct reel_slice *payload)
{
    static const struct reel_call_options none;
    struct reel_channel *channel = call->channel;
    struct start start;

    start.n_metadata = 0;
    start.text[0] = '\0';
    int rc = prepare(call, options ? options : &none, payload, &start);
    struct reel_frame frame = {
        .method = reel_slice_of(call->method->path),
        .metadata = start.metadata,
        .n_metadata = start.n_metadata,
        .has_payload = payload != NULL,
    };
    if (payload)
        frame.payload = *payload;
    bool listed = false;
    if (rc == REEL_OK) {
        pthread_mutex_lock(&channel->lock);
        rc = send_or_wait(call, &frame, &start);
        listed = rc != REEL_OK && reel_client_call_take(call);
        pthread_mutex_unlock(&channel->lock);
    }
    if (rc == REEL_OK)
        return;
    reel_client_call_end(call, rc, start.text);
    if (listed)
        reel_client_call_unref(call);
}

void reel_client_call_cancel(struct reel_client_call *call)
{
    struct reel_channel *channel = call->channel;
    struct reel_frame cancel = {.kind = REEL_FRAME_CANCEL, .call_id = call->node.id};

    pthread_mutex_lock(&channel->lock);
    bool taken = reel_client_call_take(call);
    call->cancelled = true;
    if (taken && !call->waiting && channel->connected)
        (void)reel_channel_put(channel, &cancel, true);
    if (taken)
        channel->n_completing++;
    pthread_mutex_unlock(&channel->lock);
    if (!taken)
        return;
    reel_client_call_end(call, REEL_CANCELLED, "the call was cancelled");
    reel_client_call_unref(call);
    pthread_mutex_lock(&channel->lock);
    channel->n_completing--;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
}

struct async_call {
    struct reel_client_call base;
    reel_reply_fn done;
    void *arg;
};

static void complete_async(struct reel_client_call *call, const struct reel_reply *reply)
{
    struct async_call *async = REEL_CONTAINER_OF(call, struct async_call, base);

    async->done(async->arg, &reply->status, reply->payload.data, reply->payload.len);
}

static void destroy_async(struct reel_client_call *call)
{
    free(REEL_CONTAINER_OF(call, struct async_call, base));
}

void reel_channel_start(struct reel_channel *channel, const struct reel_method *method,
                        const struct reel_call_options *options, const uint8_t *payload,
                        size_t payload_len, reel_reply_fn done, void *arg,
                        struct reel_client_call **ret_call)
{
    struct async_call *async = malloc(sizeof(*async));
    struct reel_slice bytes = {.data = payload, .len = payload_len};

    if (ret_call)
        *ret_call = NULL;
    if (!async) {
        struct reel_status status = {.code = REEL_RESOURCE_EXHAUSTED, .message = "out of memory"};

        done(arg, &status, NULL, 0);
        return;
    }
    reel_client_call_init(&async->base, channel, method);
    async->base.complete = complete_async;
    async->base.destroy = destroy_async;
    async->done = done;
    async->arg = arg;
    if (ret_call) {
        atomic_fetch_add(&async->base.refs, 1);
        *ret_call = &async->base;
    }
    reel_client_call_start(&async->base, options, &bytes);
    reel_client_call_unref(&async->base);
}

struct sync_call {
    struct reel_client_call base;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
    struct reel_arena *arena;
    struct reel_status status;
    struct reel_inbound *inbound;
    struct reel_slice payload;
    uint8_t small[512];
};

static const char *keep(struct reel_arena *arena, const char *s)
{
    const char *copy = s && s[0] ? reel_arena_strdup(arena, s) : "";

    return copy ? copy : "";
}

static void keep_status(struct reel_arena *arena, const struct reel_status *from,
                        struct reel_status *to)
{
    struct reel_violation *violations =
        from->n_violations ? reel_arena_array(arena, from->n_violations, sizeof(*violations))
                           : NULL;

    *to = *from;
    to->message = keep(arena, from->message);
    to->policy = keep(arena, from->policy);
    to->violations = violations;
    to->n_violations = violations ? from->n_violations : 0;
    for (size_t i = 0; i < to->n_violations; i++) {
        violations[i].field = keep(arena, from->violations[i].field);
        violations[i].description = keep(arena, from->violations[i].description);
    }
}

// The memory that the answer lies in is the connection's again soon, unless the answer is large.
static void keep_payload(struct sync_call *sync, const struct reel_reply *reply)
{
    sync->payload = reply->payload;
    if (!reply->inbound || reply->payload.len == 0)
        return;
    if (reply->payload.len > sizeof(sync->small)) {
        sync->inbound = reel_inbound_ref(reply->inbound);
        return;
    }
    memcpy(sync->small, reply->payload.data, reply->payload.len);
    sync->payload.data = sync->small;
}

// The caller sleeps meanwhile, so its arena is ours.
static void complete_sync(struct reel_client_call *call, const struct reel_reply *reply)
{
    struct sync_call *sync = REEL_CONTAINER_OF(call, struct sync_call, base);

    keep_status(sync->arena, &reply->status, &sync->status);
    keep_payload(sync, reply);
    pthread_mutex_lock(&sync->lock);
    sync->done = true;
    pthread_cond_signal(&sync->done_cond);
    pthread_mutex_unlock(&sync->lock);
}

static void destroy_sync(struct reel_client_call *call)
{
    struct sync_call *sync = REEL_CONTAINER_OF(call, struct sync_call, base);

    pthread_mutex_destroy(&sync->lock);
    pthread_cond_destroy(&sync->done_cond);
    reel_inbound_unref(sync->inbound);
    free(sync);
}

static void await(struct sync_call *sync)
{
    pthread_mutex_lock(&sync->lock);
    while (!sync->done)
        pthread_cond_wait(&sync->done_cond, &sync->lock);
    pthread_mutex_unlock(&sync->lock);
}

static int unpack_answer(struct sync_call *sync, ProtobufCMessage **ret_response)
{
    ProtobufCMessage *message =
        protobuf_c_message_unpack(sync->base.method->response, reel_arena_pb(sync->arena),
                                  sync->payload.len, sync->payload.data);

    if (!message) {
        bool full = sync->arena->exhausted;

        sync->status.code = full ? REEL_RESOURCE_EXHAUSTED : REEL_INTERNAL;
        sync->status.message =
            full ? "the answer is larger than the memory meant for it" : "the answer is malformed";
        return sync->status.code;
    }
    *ret_response = message;
    return REEL_OK;
}

int reel_channel_call(struct reel_channel *channel, const struct reel_method *method,
                      const struct reel_call_options *options, const ProtobufCMessage *request,
                      struct reel_arena *arena, ProtobufCMessage **ret_response,
                      struct reel_status *ret_status)
{
    struct sync_call *sync = calloc(1, sizeof(*sync));
    struct reel_slice payload = {.len = protobuf_c_message_get_packed_size(request)};
    REEL_AUTO(reel_freep) uint8_t *packed = malloc(payload.len + 1);

    if (!sync || !packed) {
        free(sync);
        return -ENOMEM;
    }
    protobuf_c_message_pack(request, packed);
    payload.data = packed;
    reel_client_call_init(&sync->base, channel, method);
    sync->base.complete = complete_sync;
    sync->base.destroy = destroy_sync;
    sync->arena = arena;
    pthread_mutex_init(&sync->lock, NULL);
    pthread_cond_init(&sync->done_cond, NULL);
    reel_client_call_start(&sync->base, options, &payload);
    await(sync);
    int rc = sync->status.code;
    if (rc == REEL_OK)
        rc = unpack_answer(sync, ret_response);
    if (ret_status)
        *ret_status = sync->status;
    reel_client_call_unref(&sync->base);
    return rc;
}
