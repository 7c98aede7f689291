// SPDX-License-Identifier: Apache-2.0
// From a REQUEST frame to its handler and back: everything around a handler that is the same for
// all of them.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/server_internal.h"

enum {
    // Packed answers up to this size are built in the call's arena.
    SMALL_ANSWER_BYTES = 64 * 1024,
    // Requests up to this size are copied when they have to wait.
    SMALL_REQUEST_BYTES = 4096,
};

static int compare_entries(const void *a, const void *b)
{
    const struct reel_entry *left = a;
    const struct reel_entry *right = b;

    return strcmp(left->method->path, right->method->path);
}

static void index_method(struct reel_entry *entry, const struct reel_mounted *mounted,
                         const struct reel_method *method)
{
    char labels[160];

    snprintf(labels, sizeof(labels), "method=\"%s\"", method->path);
    entry->method = method;
    entry->mounted = mounted;
    entry->latency =
        reel_histogram_get("reel_rpc_server_call_seconds", "Duration of RPCs served.", labels);
}

int reel_dispatch_index(struct reel_server *server)
{
    size_t n = 0;

    for (unsigned i = 0; i < server->n_mounted; i++)
        n += server->mounted[i].service->n_methods;
    server->entries = calloc(n + 1, sizeof(*server->entries));
    if (!server->entries)
        return -ENOMEM;
    for (unsigned i = 0; i < server->n_mounted; i++)
        for (unsigned j = 0; j < server->mounted[i].service->n_methods; j++)
            index_method(&server->entries[server->n_entries++], &server->mounted[i],
                         &server->mounted[i].service->methods[j]);
    qsort(server->entries, server->n_entries, sizeof(*server->entries), compare_entries);
    return 0;
}

static void run_gathered(void *arg, struct reel_task *first, size_t n);

int reel_dispatch_start(struct reel_server *server)
{
    int rc = 0;

    for (size_t i = 0; i < server->n_entries && rc == 0; i++) {
        struct reel_entry *entry = &server->entries[i];

        for (unsigned j = 0; j < server->n_gathered; j++)
            if (server->gathered[j].method == entry->method)
                entry->serve = server->gathered[j].serve;
        if (entry->serve)
            rc = reel_gather_new("rpc-gather", server->config.max_queued, run_gathered, entry,
                                 &entry->gather);
    }
    return rc;
}

void reel_dispatch_stop(struct reel_server *server)
{
    for (size_t i = 0; i < server->n_entries; i++) {
        reel_gather_free(server->entries[i].gather);
        server->entries[i].gather = NULL;
    }
}

static int compare_path(struct reel_slice path, const char *entry_path)
{
    size_t len = strlen(entry_path);
    int order = memcmp(path.data, entry_path, path.len < len ? path.len : len);

    if (order != 0)
        return order;
    return path.len < len ? -1 : path.len > len;
}

static struct reel_entry *find_entry(struct reel_server *server, struct reel_slice path)
{
    size_t low = 0;
    size_t high = server->n_entries;

    while (low < high && path.len > 0) {
        size_t middle = (low + high) / 2;
        int order = compare_path(path, server->entries[middle].method->path);

        if (order == 0)
            return &server->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void count(struct reel_entry *entry, int code)
{
    struct reel_counter *counter = atomic_load(&entry->counters[code]);
    char labels[192];

    if (!counter) {
        snprintf(labels, sizeof(labels), "method=\"%s\",code=\"%s\"", entry->method->path,
                 reel_code_name(code));
        counter = reel_counter_get("reel_rpc_server_calls_total", "RPCs served.", labels);
        atomic_store(&entry->counters[code], counter);
    }
    reel_counter_add(counter, 1);
}

// The one line of a call. The text of a fault goes nowhere else.
static void record(struct reel_call *call, int rc, int code)
{
    int64_t us = reel_clock_mono_us() - call->started_us;

    count(call->entry, code);
    reel_histogram_observe_us(call->entry->latency, us);
    reel_log(rc < 0 ? REEL_LOG_INFO : REEL_LOG_DEBUG, "rpc.call",
             REEL_FS("method", call->entry->method->path), REEL_FS("peer", call->peer->service),
             REEL_FS("user_id", call->user_id), REEL_FS("request_id", call->request_id),
             REEL_FS("code", reel_code_name(code)), REEL_FI("us", us),
             REEL_FS("error", rc == REEL_OK ? NULL : call->text),
             REEL_FS("fault", rc < 0 ? strerror(-rc) : NULL));
}

// What the client is told instead of a fault's text.
static const char *public_text(const struct reel_call *call, int rc, int code)
{
    if (rc > 0)
        return call->text ? call->text : reel_code_name(code);
    return code == REEL_UNAVAILABLE ? "the service cannot reach what it needs; try again later"
                                    : "internal error";
}

static void end_call(struct reel_call *call)
{
    struct reel_server *server = call->server;
    struct reel_session *session = call->session;
    struct reel_scope *scope = atomic_load(&call->scope);

    pthread_mutex_lock(&session->lock);
    reel_idmap_remove(&session->calls, call->node.id);
    pthread_mutex_unlock(&session->lock);
    if (scope)
        reel_scope_cancel(scope);
    pthread_mutex_lock(&server->lock);
    server->n_calls--;
    // Only who drains waits for it: with few calls in flight this comes often.
    if (server->n_calls == 0 && atomic_load(&server->draining))
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    reel_call_unref(call);
}

static void answer(struct reel_call *call, int rc, const struct reel_slice *payload)
{
    int code = reel_code_for_client(rc);
    struct reel_frame frame = {
        .kind = REEL_FRAME_RESPONSE,
        .call_id = call->address.call_id,
        .has_payload = payload != NULL,
    };

    if (payload)
        frame.payload = *payload;
    if (code != REEL_OK) {
        frame.has_status = true;
        frame.code = (uint32_t)code;
        frame.message = reel_slice_of(public_text(call, rc, code));
        frame.retry_after_ms = call->retry_after_ms;
        if (rc > 0) {
            frame.violations = call->violations;
            frame.n_violations = call->n_violations;
            if (call->policy) {
                frame.policy = reel_slice_of(call->policy);
                frame.quota = call->quota;
                frame.window_s = call->window_s;
            }
        }
    }
    record(call, rc, code);
    reel_session_reply(call->session, &call->address, &frame);
    end_call(call);
}

static int too_large(struct reel_call *call, size_t len)
{
    return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                          "an answer of %zu bytes is too large: at most %zu are allowed", len,
                          call->session->peer_max_message);
}

static void answer_message(struct reel_call *call, const ProtobufCMessage *message)
{
    struct reel_slice payload = {.len = protobuf_c_message_get_packed_size(message)};
    REEL_AUTO(reel_freep) uint8_t *large = NULL;
    uint8_t *packed = NULL;

    if (payload.len > call->session->peer_max_message) {
        answer(call, too_large(call, payload.len), NULL);
        return;
    }
    if (payload.len <= SMALL_ANSWER_BYTES)
        packed = reel_arena_alloc(&call->arena, payload.len);
    if (!packed)
        packed = large = malloc(payload.len + 1);
    if (!packed) {
        answer(call, -ENOMEM, NULL);
        return;
    }
    protobuf_c_message_pack(message, packed);
    payload.data = packed;
    answer(call, REEL_OK, &payload);
}

// How the call was ended before its handler could start, or 0.
static int ended_early(struct reel_call *call)
{
    int code = atomic_load(&call->ended);

    if (code != 0)
        return reel_call_fail(call, code, "cancelled");
    if (reel_deadline_passed(call->deadline_us))
        return reel_call_fail(call, REEL_DEADLINE_EXCEEDED,
                              "the deadline passed before the call was started");
    return REEL_OK;
}

// A handler that saw the call end forwards the bare code; the sentence is the same for all.
static int explain_end(struct reel_call *call, int rc)
{
    if (rc == REEL_CANCELLED && atomic_load(&call->ended) == REEL_UNAVAILABLE)
        return reel_call_fail(call, REEL_UNAVAILABLE,
                              "the service went away; whether the call was carried out is not "
                              "known");
    if (rc == REEL_CANCELLED && reel_deadline_passed(call->deadline_us))
        return reel_call_fail(call, REEL_DEADLINE_EXCEEDED, "the deadline has passed");
    if (rc == REEL_CANCELLED && !call->text)
        return reel_call_fail(call, rc, "the caller has cancelled");
    if (rc == REEL_DEADLINE_EXCEEDED && !call->text)
        return reel_call_fail(call, rc, "the deadline has passed");
    return rc;
}

static int unpack_request(struct reel_call *call, ProtobufCMessage **ret_request)
{
    const struct reel_method *method = call->entry->method;

    if (method->client_streaming)
        return REEL_OK;
    if (!method->server_streaming || call->has_payload)
        return reel_call_unpack(call, &call->arena, method->request, call->payload, ret_request);
    int rc = reel_call_recv(call, &call->arena, ret_request);
    if (rc == REEL_OK && !*ret_request)
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "the request message is missing");
    return rc;
}

// Makes what the handler is given. REEL_OK, or a code with which to answer.
static int prepare(struct reel_call *call, ProtobufCMessage **ret_request,
                   ProtobufCMessage **ret_response)
{
    const struct reel_method *method = call->entry->method;
    int rc = ended_early(call);

    if (rc == REEL_OK)
        rc = unpack_request(call, ret_request);
    if (rc != REEL_OK || method->server_streaming)
        return rc;
    *ret_response = reel_arena_alloc(&call->arena, method->response->sizeof_message);
    if (!*ret_response)
        return -ENOMEM;
    protobuf_c_message_init(method->response, *ret_response);
    return REEL_OK;
}

static void finish(struct reel_call *call, int rc, const ProtobufCMessage *response)
{
    if (rc != REEL_OK)
        answer(call, explain_end(call, rc), NULL);
    else if (response)
        answer_message(call, response);
    else
        answer(call, REEL_OK, NULL);
}

static void run(struct reel_call *call)
{
    const struct reel_mounted *mounted = call->entry->mounted;
    ProtobufCMessage *request = NULL;
    ProtobufCMessage *response = NULL;
    int rc = prepare(call, &request, &response);

    if (rc == REEL_OK)
        rc = call->entry->method->invoke(mounted->impl, mounted->svc, call, request, response);
    finish(call, rc, response);
}

static void run_gathered(void *arg, struct reel_task *first, size_t n)
{
    struct reel_entry *entry = arg;
    struct reel_gathered calls[REEL_GATHER_MOST];
    struct reel_session *sessions[REEL_GATHER_MOST];
    size_t n_calls = 0;

    for (size_t i = 0; i < n; i++) {
        struct reel_call *call = REEL_CONTAINER_OF(first, struct reel_call, task);
        ProtobufCMessage *request = NULL;
        ProtobufCMessage *response = NULL;

        first = first->next;
        int rc = prepare(call, &request, &response);
        if (rc == REEL_OK)
            calls[n_calls++] =
                (struct reel_gathered){.call = call, .req = request, .res = response};
        else
            finish(call, rc, NULL);
    }
    if (n_calls > 0)
        entry->serve(entry->mounted->svc, calls, n_calls);
    for (size_t i = 0; i < n_calls; i++) {
        sessions[i] = calls[i].call->session;
        reel_session_hold(sessions[i]);
    }
    for (size_t i = 0; i < n_calls; i++)
        finish(calls[i].call, calls[i].rc, calls[i].res);
    for (size_t i = 0; i < n_calls; i++)
        reel_session_release(sessions[i]);
}

static void run_task(struct reel_task *task)
{
    run(REEL_CONTAINER_OF(task, struct reel_call, task));
}

static int unimplemented(struct reel_call *call, struct reel_slice path)
{
    const char *text = (const char *)path.data;
    const char *slash = path.len > 1 ? memrchr(text + 1, '/', path.len - 1) : NULL;
    size_t service_len = slash ? (size_t)(slash - text - 1) : 0;

    for (unsigned i = 0; i < call->server->n_mounted; i++) {
        const char *name = call->server->mounted[i].service->name;

        if (strlen(name) == service_len && memcmp(name, text + 1, service_len) == 0)
            return reel_call_fail(call, REEL_UNIMPLEMENTED, "the service '%s' has no method '%.*s'",
                                  name, (int)(path.len - service_len - 2), slash + 1);
    }
    return reel_call_fail(call, REEL_UNIMPLEMENTED, "this server has no service for '%.*s'",
                          (int)(path.len < 128 ? path.len : 128), path.len ? text : "");
}

static int64_t deadline_of(const struct reel_server *server, const struct reel_method *method,
                           uint64_t timeout_us)
{
    if (timeout_us > 0 && timeout_us < (uint64_t)INT64_MAX / 2)
        return reel_deadline_in_us((int64_t)timeout_us);
    if (method->timeout_ms > 0)
        return reel_deadline_in_us((int64_t)method->timeout_ms * 1000);
    // A stream may be meant to last.
    if (method->client_streaming || method->server_streaming)
        return REEL_NO_DEADLINE;
    return reel_deadline_in_us((int64_t)server->config.default_timeout_ms * 1000);
}

// Everything that can refuse a call before it is queued.
static int admit(struct reel_call *call, const struct reel_frame *frame)
{
    struct reel_server *server = call->server;
    const struct reel_method *method = call->entry ? call->entry->method : NULL;

    if (frame->call_id == 0)
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "a request needs a call_id");
    if (atomic_load(&server->draining)) {
        reel_call_retry_after_ms(call, REEL_RETRY_DRAIN_MS);
        return reel_call_fail(call, REEL_UNAVAILABLE, "the service is going away; try again");
    }
    if (!method)
        return unimplemented(call, frame->method);
    if (frame->payload.len > server->config.max_message_bytes)
        return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                              "a message of %zu bytes is too large: at most %zu are allowed",
                              frame->payload.len, server->config.max_message_bytes);
    if (call->address.cooked && (method->client_streaming || method->server_streaming))
        return reel_call_fail(call, REEL_INVALID_ARGUMENT,
                              "'%s' streams: say HELLO first and keep the connection",
                              method->path);
    int rc = reel_call_set_metadata(call, frame);
    if (rc != REEL_OK)
        return rc;
    if (method->access == REEL_ACCESS_AUTHENTICATED && !call->user_id)
        return reel_call_fail(call, REEL_UNAUTHENTICATED,
                              "'%s' is for a signed-in user: sign in first", method->path);
    return REEL_OK;
}

// Adds the call to its session's table; from here on CANCEL reaches it.
static int enlist(struct reel_call *call)
{
    struct reel_session *session = call->session;
    int rc = REEL_OK;

    pthread_mutex_lock(&session->lock);
    call->node.id = call->address.cooked ? ++session->next_cooked_id : call->address.call_id;
    if (session->closed)
        rc = REEL_CANCELLED;
    else if (reel_idmap_find(&session->calls, call->node.id))
        rc = reel_call_fail(call, REEL_INVALID_ARGUMENT,
                            "the call_id is that of a call in progress");
    else
        rc = reel_idmap_add(&session->calls, &call->node);
    pthread_mutex_unlock(&session->lock);
    if (rc != REEL_OK)
        return rc;
    pthread_mutex_lock(&call->server->lock);
    call->server->n_calls++;
    pthread_mutex_unlock(&call->server->lock);
    return REEL_OK;
}

static void refuse(struct reel_call *call, int rc)
{
    int code = reel_code_for_client(rc);
    struct reel_frame frame = {
        .kind = REEL_FRAME_RESPONSE,
        .call_id = call->address.call_id,
        .has_status = true,
        .code = (uint32_t)code,
        .message = reel_slice_of(public_text(call, rc, code)),
        .retry_after_ms = call->retry_after_ms,
    };

    if (call->entry)
        record(call, rc, code);
    reel_session_reply(call->session, &call->address, &frame);
    reel_call_unref(call);
}

static bool enqueue(struct reel_call *call, bool streaming)
{
    struct reel_server *server = call->server;

    if (call->entry->gather)
        return reel_gather_add(call->entry->gather, &call->task);
    call->task.run = run_task;
    return reel_threads_submit(streaming ? server->streams : server->workers, &call->task);
}

static void start(struct reel_call *call)
{
    struct reel_server *server = call->server;
    const struct reel_method *method = call->entry->method;
    bool streaming = method->client_streaming || method->server_streaming;

    if (method->nonblocking && !streaming) {
        run(call);
        return;
    }
    if (enqueue(call, streaming))
        return;
    reel_call_retry_after_ms(call, REEL_RETRY_BUSY_MS);
    int rc = streaming ? reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                                        "%u streams are open already: try again later",
                                        server->config.max_streams)
                       : reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                                        "%u calls wait already: try again later",
                                        server->config.max_queued);
    answer(call, rc, NULL);
}

// What waits for a worker holds the memory that its packet lies in, unless it is small.
static void keep_payload(struct reel_call *call, struct reel_inbound *inbound,
                         const struct reel_frame *frame)
{
    uint8_t *copy = NULL;

    call->payload = frame->payload;
    call->has_payload = frame->has_payload;
    if (call->entry->method->nonblocking || frame->payload.len == 0)
        return;
    if (frame->payload.len <= SMALL_REQUEST_BYTES)
        copy = reel_arena_alloc(&call->arena, frame->payload.len);
    if (!copy) {
        call->inbound = reel_inbound_ref(inbound);
        return;
    }
    memcpy(copy, frame->payload.data, frame->payload.len);
    call->payload.data = copy;
}

void reel_dispatch_request(struct reel_session *session, struct reel_inbound *inbound,
                           const struct reel_peer_key *peer, const struct reel_frame *frame,
                           const struct reel_return_address *address)
{
    struct reel_call *call = reel_call_take(session);

    if (!call)
        return;
    call->address = *address;
    call->peer = peer;
    call->started_us = reel_clock_mono_us();
    call->deadline_us = REEL_NO_DEADLINE;
    call->entry = find_entry(session->server, frame->method);
    reel_flow_init(&call->flow, session->peer_stream_credit);
    int rc = admit(call, frame);
    if (rc == REEL_OK) {
        call->deadline_us = deadline_of(session->server, call->entry->method, frame->timeout_us);
        keep_payload(call, inbound, frame);
        rc = enlist(call);
    }
    if (rc == REEL_OK)
        start(call);
    else
        refuse(call, rc);
}
