// SPDX-License-Identifier: Apache-2.0
// A call on the server: what its handler sees of it.
#include "libcommon/rpc/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/core/validate.h"
#include "libcommon/rpc/server_internal.h"

enum {
    MAX_VIOLATIONS = 32,
    // An arena that grew beyond this is not worth keeping for the next call.
    KEEP_ARENA_BYTES = 256 * 1024,
};

static struct reel_call *new_call(struct reel_server *server)
{
    struct reel_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    reel_cond_init(&call->event);
    call->server = server;
    reel_arena_init(&call->arena, server->config.call_arena_bytes);
    return call;
}

static void free_call(struct reel_call *call)
{
    pthread_cond_destroy(&call->event);
    reel_arena_fini(&call->arena);
    free(call);
}

struct reel_call *reel_call_take(struct reel_session *session)
{
    struct reel_server *server = session->server;

    pthread_mutex_lock(&server->lock);
    struct reel_call *call = server->free_calls;
    if (call) {
        server->free_calls = call->next_free;
        server->n_free_calls--;
    }
    pthread_mutex_unlock(&server->lock);
    if (!call)
        call = new_call(server);
    if (!call)
        return NULL;
    atomic_store(&call->refs, 1);
    atomic_store(&call->ended, 0);
    atomic_fetch_add(&session->refs, 1);
    call->session = session;
    return call;
}

static void forget(struct reel_call *call)
{
    reel_inbound_unref(call->inbound);
    reel_flow_fini(&call->flow);
    reel_scope_unref(atomic_exchange(&call->scope, NULL));
    if (call->arena.used_bytes > KEEP_ARENA_BYTES) {
        reel_arena_fini(&call->arena);
        reel_arena_init(&call->arena, call->server->config.call_arena_bytes);
    } else {
        reel_arena_reset(&call->arena);
    }
    call->inbound = NULL;
    call->has_payload = false;
    call->payload = (struct reel_slice){0};
    call->metadata = NULL;
    call->n_metadata = 0;
    call->user_id = NULL;
    call->session_id = NULL;
    call->request_id = NULL;
    call->text = NULL;
    call->violations = NULL;
    call->n_violations = 0;
    call->retry_after_ms = 0;
    call->policy = NULL;
}

void reel_call_unref(struct reel_call *call)
{
    struct reel_server *server = call->server;
    struct reel_session *session = call->session;

    if (atomic_fetch_sub(&call->refs, 1) > 1)
        return;
    forget(call);
    call->session = NULL;
    pthread_mutex_lock(&server->lock);
    bool keep = server->n_free_calls < REEL_SERVER_KEEP_CALLS;
    if (keep) {
        call->next_free = server->free_calls;
        server->free_calls = call;
        server->n_free_calls++;
    }
    pthread_mutex_unlock(&server->lock);
    if (!keep)
        free_call(call);
    reel_session_unref(session);
}

void reel_call_free_all(struct reel_server *server)
{
    while (server->free_calls) {
        struct reel_call *call = server->free_calls;

        server->free_calls = call->next_free;
        free_call(call);
    }
}

void reel_call_cancel(struct reel_call *call, int code)
{
    int expected = 0;

    atomic_compare_exchange_strong(&call->ended, &expected, code);
    pthread_mutex_lock(&call->session->lock);
    pthread_cond_broadcast(&call->event);
    pthread_mutex_unlock(&call->session->lock);
    struct reel_scope *scope = atomic_load(&call->scope);
    if (scope)
        reel_scope_cancel(scope);
}

struct reel_scope *reel_call_scope(struct reel_call *call)
{
    struct reel_scope *scope = atomic_load(&call->scope);

    if (scope)
        return scope;
    scope = reel_scope_new();
    if (!scope)
        return NULL;
    atomic_store(&call->scope, scope);
    // Whoever cancelled before the store did not see the scope.
    if (atomic_load(&call->ended) != 0)
        reel_scope_cancel(scope);
    return scope;
}

struct reel_arena *reel_call_arena(struct reel_call *call)
{
    return &call->arena;
}

int64_t reel_call_deadline_us(const struct reel_call *call)
{
    return call->deadline_us;
}

bool reel_call_cancelled(const struct reel_call *call)
{
    return atomic_load(&call->ended) != 0 || reel_deadline_passed(call->deadline_us);
}

bool reel_call_draining(const struct reel_call *call)
{
    return atomic_load(&call->server->draining);
}

const char *reel_call_metadata(const struct reel_call *call, const char *key)
{
    for (size_t i = 0; i < call->n_metadata; i++)
        if (strcmp(call->metadata[i].key, key) == 0)
            return call->metadata[i].value;
    return NULL;
}

const char *reel_call_peer(const struct reel_call *call)
{
    return call->peer->service;
}

const char *reel_call_user_id(const struct reel_call *call)
{
    return call->user_id;
}

const char *reel_call_session_id(const struct reel_call *call)
{
    return call->session_id;
}

const char *reel_call_request_id(const struct reel_call *call)
{
    return call->request_id ? call->request_id : "";
}

// What a peer shows of itself is not for handlers, and who may not speak for users is not heard.
static bool is_kept(const struct reel_call *call, struct reel_slice key)
{
    if (reel_slice_is(key, REEL_META_SERVICE) || reel_slice_is(key, REEL_META_KEY))
        return false;
    if (reel_slice_is(key, REEL_META_USER_ID) || reel_slice_is(key, REEL_META_SESSION_ID))
        return call->peer->may_speak_for_users;
    return true;
}

static int add_metadata(struct reel_call *call, struct reel_slice key, struct reel_slice value)
{
    struct reel_metadata *entry = &call->metadata[call->n_metadata];

    if (!reel_metadata_key_is_valid(key))
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "a metadata key is malformed");
    if (!reel_metadata_value_is_valid(key, value))
        return reel_call_fail(call, REEL_INVALID_ARGUMENT,
                              "the value of metadata '%.*s' is malformed", (int)key.len,
                              (const char *)key.data);
    entry->key = reel_arena_strndup(&call->arena, (const char *)key.data, key.len);
    entry->value = reel_arena_strndup(&call->arena, (const char *)value.data, value.len);
    if (!entry->key || !entry->value)
        return -ENOMEM;
    call->n_metadata++;
    return REEL_OK;
}

int reel_call_set_metadata(struct reel_call *call, const struct reel_frame *frame)
{
    struct reel_slice key;
    struct reel_slice value;
    size_t cursor = 0;
    size_t total = 0;
    size_t n = 0;

    while (reel_frame_next_metadata(frame, &cursor, &key, &value)) {
        total += key.len + value.len;
        n++;
    }
    if (n == 0)
        return REEL_OK;
    if (total > REEL_METADATA_MAX_BYTES || n > REEL_METADATA_MAX_ENTRIES)
        return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                              "metadata of %zu bytes in %zu entries is too large: at most %d "
                              "bytes in %d entries are allowed",
                              total, n, REEL_METADATA_MAX_BYTES, REEL_METADATA_MAX_ENTRIES);
    call->metadata = reel_arena_array(&call->arena, n, sizeof(*call->metadata));
    if (!call->metadata)
        return -ENOMEM;
    cursor = 0;
    while (reel_frame_next_metadata(frame, &cursor, &key, &value)) {
        int rc = is_kept(call, key) ? add_metadata(call, key, value) : REEL_OK;

        if (rc != REEL_OK)
            return rc;
    }
    call->user_id = reel_call_metadata(call, REEL_META_USER_ID);
    call->session_id = reel_call_metadata(call, REEL_META_SESSION_ID);
    call->request_id = reel_call_metadata(call, REEL_META_REQUEST_ID);
    return REEL_OK;
}

int reel_call_fail(struct reel_call *call, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    call->text = reel_arena_vprintf(&call->arena, fmt, args);
    va_end(args);
    return code;
}

void reel_call_violation(struct reel_call *call, const char *field, const char *fmt, ...)
{
    va_list args;

    if (!call->violations)
        call->violations =
            reel_arena_array(&call->arena, MAX_VIOLATIONS, sizeof(*call->violations));
    if (!call->violations || call->n_violations == MAX_VIOLATIONS)
        return;
    va_start(args, fmt);
    char *description = reel_arena_vprintf(&call->arena, fmt, args);
    va_end(args);
    char *path = reel_arena_strdup(&call->arena, field);
    if (description && path)
        call->violations[call->n_violations++] =
            (struct reel_violation){.field = path, .description = description};
}

void reel_call_retry_after_ms(struct reel_call *call, uint32_t ms)
{
    call->retry_after_ms = ms;
}

void reel_call_quota(struct reel_call *call, const char *policy, uint32_t quota, uint32_t window_s)
{
    call->policy = reel_arena_strdup(&call->arena, policy);
    call->quota = quota;
    call->window_s = window_s;
}

static void report_violation(void *arg, const char *field, const char *description)
{
    reel_call_violation(arg, field, "%s", description);
}

static int invalid(struct reel_call *call)
{
    if (call->n_violations == 0)
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "the request is not valid");
    if (call->violations[0].field[0] == '\0')
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "the request %s",
                              call->violations[0].description);
    return reel_call_fail(call, REEL_INVALID_ARGUMENT, "%s %s", call->violations[0].field,
                          call->violations[0].description);
}

int reel_call_unpack(struct reel_call *call, struct reel_arena *arena,
                     const ProtobufCMessageDescriptor *descriptor, struct reel_slice payload,
                     ProtobufCMessage **ret_message)
{
    const struct reel_service *service = call->entry->mounted->service;

    if (reel_validate_packed(descriptor, payload.data, payload.len, report_violation, call) !=
        REEL_OK)
        return invalid(call);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, reel_arena_pb(arena), payload.len, payload.data);
    if (!message && arena->exhausted)
        return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                              "the request needs more than the %zu bytes of memory that a call "
                              "has: send less at once",
                              arena->cap_bytes);
    if (!message)
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "the request is not a valid %s",
                              descriptor->name);
    if (reel_validate(service->rules, service->n_rules, message, report_violation, call) != REEL_OK)
        return invalid(call);
    *ret_message = message;
    return REEL_OK;
}

// How the call ended from outside, or 0.
static int ended(const struct reel_call *call)
{
    int code = atomic_load(&call->ended);

    if (code == REEL_UNAVAILABLE)
        return REEL_CANCELLED; // to the handler it is the same, to the caller not
    if (code == 0 && reel_deadline_passed(call->deadline_us))
        code = REEL_DEADLINE_EXCEEDED;
    return code;
}

// Waits for an event, at most until `until_us`. Called with the session's lock held.
static void wait_event(struct reel_call *call, int64_t until_us)
{
    reel_cond_wait_until(&call->event, &call->session->lock, until_us);
}

bool reel_call_wait(struct reel_call *call, int64_t timeout_us)
{
    int64_t until_us = reel_deadline_in_us(timeout_us);

    if (until_us > call->deadline_us)
        until_us = call->deadline_us;
    pthread_mutex_lock(&call->session->lock);
    if (ended(call) == 0)
        wait_event(call, until_us);
    pthread_mutex_unlock(&call->session->lock);
    return ended(call) == 0;
}

static bool link_is_full(const struct reel_session *session)
{
    return reel_link_waiting(&session->link) >= (size_t)REEL_LINK_SOFT_BYTES;
}

// Waits for credit and for room in the link. Called with the session's lock held.
static int await_credit(struct reel_call *call)
{
    struct reel_session *session = call->session;
    int code = ended(call);

    while (code == 0 && (!reel_flow_may_send(&call->flow) || link_is_full(session))) {
        session->n_link_waiters++;
        wait_event(call, call->deadline_us);
        session->n_link_waiters--;
        code = ended(call);
    }
    return code;
}

static int send_packed(struct reel_call *call, struct reel_slice payload)
{
    struct reel_frame frame = {
        .kind = REEL_FRAME_DATA,
        .call_id = call->address.call_id,
        .payload = payload,
        .has_payload = true,
    };

    pthread_mutex_lock(&call->session->lock);
    int code = await_credit(call);
    if (code == REEL_OK && call->session->muted) {
        code = REEL_CANCELLED;
    } else if (code == REEL_OK) {
        reel_flow_spend(&call->flow, payload.len);
        code = reel_session_put(call->session, &frame, true);
    }
    pthread_mutex_unlock(&call->session->lock);
    return code;
}

int reel_call_send(struct reel_call *call, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    size_t limit = call->session->peer_max_message;

    if (len > limit)
        return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                              "a message of %zu bytes is too large: at most %zu are allowed", len,
                              limit);
    REEL_AUTO(reel_freep) uint8_t *packed = malloc(len + 1);
    if (!packed)
        return -ENOMEM;
    protobuf_c_message_pack(message, packed);
    return send_packed(call, (struct reel_slice){.data = packed, .len = len});
}

// Waits for the next message; its data is NULL at the end.
static int next_message(struct reel_call *call, struct reel_flow_message *ret_message)
{
    struct reel_frame credit = {.kind = REEL_FRAME_CREDIT, .call_id = call->address.call_id};
    int code;

    pthread_mutex_lock(&call->session->lock);
    while ((code = ended(call)) == 0 && call->flow.count == 0 && !call->flow.ended)
        wait_event(call, call->deadline_us);
    if (code == 0 && reel_flow_pop(&call->flow, ret_message, &credit.credit) && credit.credit > 0 &&
        !call->flow.ended)
        code = reel_session_put(call->session, &credit, true);
    pthread_mutex_unlock(&call->session->lock);
    return code;
}

int reel_call_recv(struct reel_call *call, struct reel_arena *arena, ProtobufCMessage **ret_message)
{
    struct reel_flow_message next = {0};
    int rc = next_message(call, &next);

    if (rc == REEL_OK && !next.data)
        *ret_message = NULL;
    else if (rc == REEL_OK)
        rc = reel_call_unpack(call, arena, call->entry->method->request,
                              (struct reel_slice){.data = next.data, .len = next.len}, ret_message);
    free(next.data);
    return rc;
}
