// SPDX-License-Identifier: Apache-2.0
#include "gateway/exchange.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"
#include "gateway/guard.h"
#include "gateway/problem.h"
#include "gateway/rpc.h"
#include "gateway/uri.h"

enum {
    // A refused body up to this size is read and dropped, so that the connection can live on.
    DRAIN_BYTES = 64 * 1024,
    // How much of a longer one is read after an early answer, for the client to notice.
    LINGER_BYTES = 256 * 1024 * 1024,
};

struct header_list {
    struct guard_header items[GUARD_MAX_HEADERS + 1];
    size_t n;
};

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    struct header_list *list = cls;
    (void)kind;
    if (list->n > GUARD_MAX_HEADERS)
        return MHD_NO;
    list->items[list->n++] = (struct guard_header){name, name_len, value ? value : "", value_len};
    return MHD_YES;
}

static enum step guard_step(struct request *req, const char *version)
{
    struct header_list headers = {.n = 0};
    struct guard_verdict verdict;
    MHD_get_connection_values_n(req->mhd, MHD_HEADER_KIND, collect_header, &headers);
    const struct guard_request facts = {req->method, req->target, version, headers.items,
                                        headers.n};
    if (guard_check(&facts, &verdict) == 0)
        return STEP_NEXT;
    req->reply.close = true;
    return problem_answer(req, verdict.status, "%s", verdict.reason);
}

// Splits the target, which the guard has passed, into decoded path and raw query.
static bool split_target(struct request *req)
{
    const char *origin = guard_origin_form(req->target);
    size_t path_len = strcspn(origin, "?");
    req->path = reel_arena_alloc(&req->arena, path_len + 1);
    req->query = origin[path_len] == '?' ? origin + path_len + 1 : "";
    return req->path && uri_decode(origin, path_len, false, req->path, NULL) &&
           uri_is_printable_utf8(req->path, strlen(req->path));
}

static void note_framing(struct request *req)
{
    const char *length = request_header(req, "Content-Length");
    req->body_length = length ? strtoll(length, NULL, 10) : 0;
    if (request_header(req, "Transfer-Encoding"))
        req->body_length = -1;
    req->body_expected = req->body_length != 0;
    req->expects_continue = request_header(req, "Expect") != NULL;
}

static enum step check_json_length(struct request *req)
{
    if (req->body_length <= req->gw->config.max_json_bytes)
        return STEP_NEXT;
    return problem_answer(req, 413, "The body has %lld bytes; at most %lld are accepted here.",
                          (long long)req->body_length, (long long)req->gw->config.max_json_bytes);
}

static enum step open_request(struct request *req, const char *method, const char *version)
{
    req->is_guarded = true;
    req->method = method;
    req->query = "";
    note_framing(req);
    conn_enter(req->conn, CONN_BUSY);
    // Before the guard, so that what it refuses can be asked about too.
    request_id_set(req);
    enum step step = guard_step(req, version);
    if (step == STEP_NEXT && !split_target(req)) {
        req->reply.close = true;
        step = problem_answer(req, 400, "The path is not UTF-8.");
    }
    return step;
}

static enum step run_head(struct request *req)
{
    enum step step = chain_run(req);
    if (step != STEP_NEXT)
        return step;
    const struct endpoint_ops *ops = req->endpoint->ops;
    if (!ops->body)
        step = check_json_length(req);
    if (step == STEP_NEXT && ops->begin)
        step = ops->begin(req);
    return step;
}

static struct MHD_Response *make_response(struct request *req)
{
    struct reply *reply = &req->reply;
    struct MHD_Response *response = reply->stream;
    if (response) {
        reply->stream = NULL;
        req->bytes_sent = reply->stream_bytes;
    } else {
        // The body lives as long as the request, which ends after the reply has been sent.
        response = MHD_create_response_from_buffer_static(reply->body_len, reply->body);
        req->bytes_sent = (int64_t)reply->body_len;
    }
    if (strcmp(req->method, "HEAD") == 0)
        req->bytes_sent = 0;
    for (unsigned i = 0; response && i < reply->n_headers; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    return response;
}

static bool send_reply(struct request *req)
{
    finish_headers(req);
    struct MHD_Response *response = make_response(req);
    if (!response)
        return false;
    conn_enter(req->conn, req->reply.is_endless ? CONN_BUSY : CONN_REPLY);
    bool sent = MHD_queue_response(req->mhd, req->reply.status, response) == MHD_YES;
    MHD_destroy_response(response);
    return sent;
}

// Writes the reply on the socket past the library, which takes none while a body is coming. No byte
// of an earlier reply can be pending: the library reads a request only after the last was sent.
static void send_early(struct request *req)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf text;
    reel_buf_init(&text, 1024 * 1024);
    req->reply.close = true;
    finish_headers(req);
    reel_buf_addf(&text, "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n", req->reply.status,
                  problem_title(req->reply.status), req->reply.body_len);
    for (unsigned i = 0; i < req->reply.n_headers; i++)
        reel_buf_addf(&text, "%s: %s\r\n", req->reply.headers[i].name, req->reply.headers[i].value);
    reel_buf_adds(&text, "\r\n");
    if (strcmp(req->method, "HEAD") != 0)
        reel_buf_add(&text, req->reply.body, req->reply.body_len);
    if (!text.failed)
        req->bytes_sent =
            send(conn_fd(req->conn), text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(conn_fd(req->conn), SHUT_WR);
    // What the endpoint was doing ends here, not when the client has stopped sending.
    request_end_state(req);
    req->early_sent = true;
    conn_enter(req->conn, CONN_LINGER);
}

// Answers in the head of a request whose body is still to come. A client that waits for leave to
// send it, or whose framing cannot be trusted, is answered by the library, which then closes. A
// short body is dropped and the connection lives on. Else the reply goes out at once and the rest
// is read for a while: closing on a client that still sends would take the reply from under its
// eyes.
static bool answer_before_body(struct request *req)
{
    if (req->reply.close || req->expects_continue)
        return send_reply(req);
    if (req->body_length < 0 || req->body_length > DRAIN_BYTES)
        send_early(req);
    else
        conn_enter(req->conn, CONN_BODY);
    return true;
}

// What was broken off because the grace is over was not the client's doing.
static enum step settled(struct request *req, enum step step)
{
    enum { CLIENT_WENT_AWAY = 499 };
    if (step != STEP_ANSWER || req->reply.status != CLIENT_WENT_AWAY ||
        !atomic_load(&req->gw->grace_is_over))
        return step;
    reply_reset(req);
    return drain_refuse(req);
}

static bool head(struct request *req, const char *method, const char *version)
{
    enum step step = STEP_NEXT;
    if (!req->is_guarded)
        step = open_request(req, method, version);
    if (step == STEP_NEXT)
        step = settled(req, run_head(req));
    if (step == STEP_WAIT)
        return true;
    req->head_done = true;
    if (!req->body_expected)
        return true;
    if (step == STEP_ANSWER)
        return answer_before_body(req);
    conn_enter(req->conn, CONN_BODY);
    return true;
}

bool exchange_head_or_end(struct request *req, const char *method, const char *version)
{
    if (!req->head_done)
        return head(req, method, version);
    if (req->early_sent)
        return false;
    if (req->reply.status == 0) {
        conn_enter(req->conn, CONN_BUSY);
        if (settled(req, req->endpoint->ops->finish(req)) == STEP_WAIT)
            return true;
    }
    return send_reply(req);
}

static enum step collect(struct request *req, const char *data, size_t *len)
{
    reel_buf_add(&req->body, data, *len);
    if (req->body.len > (size_t)req->gw->config.max_json_bytes || req->body.failed)
        return problem_answer(req, 413, "The body has more than the %lld bytes accepted here.",
                              (long long)req->gw->config.max_json_bytes);
    *len = 0;
    return STEP_NEXT;
}

bool exchange_body(struct request *req, const char *data, size_t *len)
{
    size_t before = *len;
    // Answered in the head already, or early: what still comes is dropped, within bounds.
    if (req->reply.status != 0) {
        req->body_received += (int64_t)*len;
        *len = 0;
        return req->body_received < (req->early_sent ? LINGER_BYTES : 2 * DRAIN_BYTES);
    }
    const struct endpoint_ops *ops = req->endpoint->ops;
    if (req->body_held)
        conn_enter(req->conn, CONN_BODY);
    enum step step = STEP_ANSWER;
    if (atomic_load_explicit(&req->gw->grace_is_over, memory_order_relaxed))
        drain_refuse(req);
    else
        step = settled(req, ops->body ? ops->body(req, data, len) : collect(req, data, len));
    req->body_received += (int64_t)(before - *len);
    conn_progress(req->conn, before - *len);
    // While the body waits for us the client is held to nothing.
    req->body_held = step == STEP_WAIT;
    if (req->body_held)
        conn_enter(req->conn, CONN_BUSY);
    if (step == STEP_ANSWER) {
        send_early(req);
        *len = 0;
    }
    return true;
}

void exchange_done(struct request *req, bool complete)
{
    access_log(req, complete || req->early_sent);
    conn_request_done(req->conn);
    rpc_release(req);
    drain_leave(req);
    request_free(req);
}
