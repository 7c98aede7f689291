// SPDX-License-Identifier: Apache-2.0
// A body of any size into a client-streaming call, in constant memory: one message is gathered at a
// time, and while the service gives no credit the connection is parked, which stops the client.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "gateway/endpoints.h"
#include "gateway/gateway.h"
#include "gateway/multipart.h"
#include "gateway/problem.h"
#include "gateway/transcode.h"
#include "gateway/uri.h"
#include "libcommon/core/err.h"
#include "libcommon/core/utf8.h"
#include "proto/video.reel.h"

enum {
    CHUNK_BYTES = 256 * 1024,
    CHUNK_OVERHEAD = 16,
    EVENT_ROOM = 128, // what the parser may hand out besides its input: a boundary's beginning
    FILENAME_MAX_BYTES = 255,
};

enum upload_state { UPLOAD_BODY, UPLOAD_LAST_CHUNK, UPLOAD_HALF_CLOSE, UPLOAD_ANSWER };

struct upload {
    struct request *req;
    struct reel_stream *stream;
    enum upload_state state;
    struct multipart *form; // NULL: the body is the file
    bool in_file;
    bool had_file;
    bool form_ended;
    const char *filename;
    size_t gathered;
    uint8_t *packed;        // room for one packed message: the chunk begins at CHUNK_OVERHEAD
    const uint8_t *pending; // a packed message that waits for credit, in `packed` or `start`
    size_t pending_len;
    uint8_t start[FILENAME_MAX_BYTES + 64];
};

static void on_stream_event(void *arg)
{
    struct upload *up = arg;
    waker_wake(&up->req->waker);
}

static void on_gone(void *arg)
{
    struct upload *up = arg;
    waker_wake(&up->req->waker);
}

static void upload_fini(void *arg)
{
    struct upload *up = arg;
    conn_on_gone(up->req->conn, NULL, NULL);
    reel_stream_close(up->stream);
    free(up->packed);
    free(up->form);
}

// The call has ended before all was sent: what a receive then tells is how and why.
static enum step answer_failure(struct upload *up, int rc)
{
    struct reel_status status = {.code = rc, .message = ""};
    uint8_t *payload = NULL;
    size_t len;
    if (up->stream && reel_stream_try_recv(up->stream, &payload, &len) != -EAGAIN &&
        reel_stream_status(up->stream)->code != REEL_OK)
        status = *reel_stream_status(up->stream);
    free(payload);
    return problem_from_status(up->req, &status);
}

// Sends what is pending. STEP_WAIT: parked until there is credit.
static enum step flush(struct upload *up)
{
    while (up->pending) {
        waker_arm(&up->req->waker);
        if (conn_is_gone(up->req->conn))
            return problem_answer(up->req, 499, "The client went away.");
        int rc = reel_stream_try_send(up->stream, up->pending, up->pending_len);
        if (rc == REEL_OK)
            up->pending = NULL;
        else if (rc != -EAGAIN)
            return answer_failure(up, rc);
        else if (waker_park(&up->req->waker))
            return STEP_WAIT;
    }
    return STEP_NEXT;
}

static size_t put_varint(uint8_t *out, size_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

// Turns the gathered bytes into an UploadRequest in place: its tag and length go right before them,
// so that no byte of a video is copied once more.
static void pack_chunk(struct upload *up)
{
    enum { CHUNK_TAG = 2 << 3 | 2 };
    uint8_t head[CHUNK_OVERHEAD] = {CHUNK_TAG};
    size_t head_len = 1 + put_varint(head + 1, up->gathered);
    uint8_t *start = up->packed + CHUNK_OVERHEAD - head_len;
    memcpy(start, head, head_len);
    up->pending = start;
    up->pending_len = head_len + up->gathered;
    up->gathered = 0;
}

static enum step open_stream(struct upload *up, const char *filename, int64_t size)
{
    struct request *req = up->req;
    const struct reel_method *method = req->endpoint->route->method;
    struct reel_metadata metadata[CALL_METADATA_MAX];
    const struct reel_call_options options = {
        .deadline_us = transcode_deadline_us(req, method),
        .metadata = metadata,
        .n_metadata = transcode_metadata(req, metadata),
    };
    Video__UploadStart start = VIDEO__UPLOAD_START__INIT;
    Video__UploadRequest message = VIDEO__UPLOAD_REQUEST__INIT;
    up->packed = malloc(CHUNK_OVERHEAD + CHUNK_BYTES);
    if (!up->packed)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    int rc = reel_stream_open(gateway_channel(req->gw, method), method, &options, on_stream_event,
                              up, &up->stream);
    if (rc != REEL_OK)
        return answer_failure(up, rc);
    start.filename = (char *)filename;
    start.size_bytes = size;
    message.part_case = VIDEO__UPLOAD_REQUEST__PART_START;
    message.start = &start;
    up->pending_len = video__upload_request__pack(&message, up->start);
    up->pending = up->start;
    up->had_file = true;
    conn_on_gone(req->conn, on_gone, up);
    return STEP_NEXT;
}

// `where` is what the client has to mend, at the beginning of a sentence.
static enum step check_filename(struct request *req, const char *where, const char *filename,
                                size_t len)
{
    if (len == 0)
        return problem_answer(req, 400,
                              "The file has no name: send it in the `filename` header or "
                              "with the form's file part.");
    if (len > FILENAME_MAX_BYTES)
        return problem_answer(req, 400, "%s has %zu bytes; at most %d are accepted.", where, len,
                              FILENAME_MAX_BYTES);
    if (!uri_is_printable_utf8(filename, len))
        return problem_answer(
            req, 400, "%s must be (percent-encoded) UTF-8 without control characters.", where);
    if (reel_utf8_is_blank(filename, len))
        return problem_answer(req, 400, "%s must have at least one visible character.", where);
    return STEP_NEXT;
}

static enum step too_large(struct request *req, int64_t bytes)
{
    return problem_answer(
        req, 413, "The upload has %s%" PRId64 " bytes; at most %" PRId64 " are accepted.",
        bytes < 0 ? "more than " : "", bytes < 0 ? req->gw->config.max_upload_bytes : bytes,
        req->gw->config.max_upload_bytes);
}

// Gathers file bytes and sends full chunks; lowers *len by what was taken.
static enum step take_file_bytes(struct upload *up, const char *data, size_t *len)
{
    while (*len > 0) {
        enum step step = flush(up);
        if (step != STEP_NEXT)
            return step;
        size_t n = CHUNK_BYTES - up->gathered < *len ? CHUNK_BYTES - up->gathered : *len;
        memcpy(up->packed + CHUNK_OVERHEAD + up->gathered, data, n);
        up->gathered += n;
        data += n;
        *len -= n;
        if (up->gathered == CHUNK_BYTES)
            pack_chunk(up);
    }
    return STEP_NEXT;
}

static enum step begin_part(struct upload *up)
{
    const struct multipart *form = up->form;
    up->in_file = form->has_filename;
    if (!up->in_file)
        return STEP_NEXT;
    if (up->had_file)
        return problem_answer(up->req, 400, "The form has more than one file; send one a request.");
    enum step step = check_filename(up->req, "The name of the form's file", form->filename,
                                    strlen(form->filename));
    return step == STEP_NEXT ? open_stream(up, form->filename, -1) : step;
}

// Sees to it that one event's data fits into the chunk being gathered, so that an event, once taken
// from the parser, never has to wait.
static enum step make_room(struct upload *up)
{
    enum step step = flush(up);
    if (step == STEP_NEXT && CHUNK_BYTES - up->gathered < EVENT_ROOM) {
        pack_chunk(up);
        step = flush(up);
    }
    return step;
}

static enum step take_form_event(struct upload *up, const char *data, size_t len, size_t *ret_used)
{
    enum step step = make_room(up);
    if (step != STEP_NEXT)
        return step;
    size_t room = CHUNK_BYTES - up->gathered;
    enum multipart_event event = multipart_next(up->form, data, len < room ? len : room, ret_used);
    if (event == MULTIPART_ERROR)
        return problem_answer(up->req, 400, "The form cannot be read: %s", up->form->error);
    if (event == MULTIPART_PART)
        return begin_part(up);
    if (event == MULTIPART_END)
        up->form_ended = true;
    if (event != MULTIPART_DATA || !up->in_file)
        return STEP_NEXT;
    size_t left = up->form->data_len;
    return take_file_bytes(up, up->form->data, &left);
}

static enum step upload_body(struct request *req, const char *data, size_t *len)
{
    struct upload *up = req->state;
    // All of the body counts: a form may be endless without any file.
    if (req->body_received + (int64_t)*len > req->gw->config.max_upload_bytes)
        return too_large(req, -1);
    if (!up->form)
        return take_file_bytes(up, data, len);
    while (*len > 0) {
        size_t used = 0;
        enum step step = take_form_event(up, data, *len, &used);
        data += used;
        *len -= used;
        if (step != STEP_NEXT)
            return step;
    }
    return STEP_NEXT;
}

static enum step check_end(struct upload *up)
{
    if (up->form && !up->form_ended)
        return problem_answer(up->req, 400, "The form ends before its closing boundary.");
    if (!up->had_file)
        return problem_answer(up->req, 400, "The form has no file part.");
    return STEP_NEXT;
}

static enum step await_answer(struct upload *up)
{
    for (;;) {
        uint8_t *payload = NULL;
        size_t len = 0;
        waker_arm(&up->req->waker);
        if (conn_is_gone(up->req->conn))
            return problem_answer(up->req, 499, "The client went away.");
        int rc = reel_stream_try_recv(up->stream, &payload, &len);
        if (rc == REEL_OK && payload) {
            enum step step = transcode_payload(up->req, payload, len);
            free(payload);
            return step;
        }
        if (rc != -EAGAIN)
            return answer_failure(up, rc == REEL_OK ? REEL_INTERNAL : rc);
        if (waker_park(&up->req->waker))
            return STEP_WAIT;
    }
}

static enum step upload_finish(struct request *req)
{
    struct upload *up = req->state;
    enum step step = STEP_NEXT;
    if (up->state == UPLOAD_BODY) {
        step = check_end(up);
        up->state = UPLOAD_LAST_CHUNK;
    }
    if (step == STEP_NEXT && up->state == UPLOAD_LAST_CHUNK) {
        step = flush(up);
        if (step == STEP_NEXT && up->gathered > 0) {
            pack_chunk(up);
            step = flush(up);
        }
        if (step == STEP_NEXT)
            up->state = UPLOAD_HALF_CLOSE;
    }
    if (step == STEP_NEXT && up->state == UPLOAD_HALF_CLOSE) {
        int rc = reel_stream_half_close(up->stream);
        if (rc != REEL_OK)
            return answer_failure(up, rc);
        up->state = UPLOAD_ANSWER;
    }
    return step == STEP_NEXT ? await_answer(up) : step;
}

static bool is_raw_type(const char *type)
{
    static const char *const accepted[] = {"video/", "audio/", "application/octet-stream",
                                           "application/x-www-form-urlencoded"};
    for (size_t i = 0; type && i < REEL_ARRAY_SIZE(accepted); i++)
        if (strncasecmp(type, accepted[i], strlen(accepted[i])) == 0)
            return true;
    return !type;
}

static enum step begin_raw(struct upload *up)
{
    struct request *req = up->req;
    const char *header = request_header(req, "filename");
    size_t len = header ? strlen(header) : 0;
    char *filename = reel_arena_alloc(&req->arena, len + 1);
    if (!is_raw_type(request_header(req, "Content-Type")))
        return problem_answer(req, 415,
                              "Send the video as it is (video/*, application/octet-stream) "
                              "or as multipart/form-data.");
    if (!filename)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    // Clients of the Node system send names as they are: what cannot be decoded is taken literally,
    // unless a control character is meant.
    if (!uri_decode(header ? header : "", len, false, filename, &len)) {
        if (uri_encodes_control(header))
            return problem_answer(req, 400,
                                  "The `filename` header must be (percent-encoded) UTF-8 without "
                                  "control characters.");
        memcpy(filename, header, strlen(header) + 1);
    }
    enum step step = check_filename(req, "The `filename` header", filename, len);
    return step == STEP_NEXT ? open_stream(up, filename, req->body_length) : step;
}

static enum step begin_form(struct upload *up, const char *type)
{
    up->form = malloc(sizeof(*up->form));
    if (!up->form)
        return problem_retry(up->req, 503, 1, "The gateway is out of memory. Try again shortly.");
    if (!multipart_init(up->form, type))
        return problem_answer(up->req, 400, "The multipart Content-Type has no usable boundary.");
    return STEP_NEXT;
}

static enum step upload_begin(struct request *req)
{
    struct upload *up = reel_arena_zalloc(&req->arena, sizeof(*up));
    const char *type = request_header(req, "Content-Type");
    if (!up)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    if (!req->body_expected && !request_header(req, "Content-Length"))
        return problem_answer(req, 411,
                              "Say how long the file is (Content-Length) or send it "
                              "chunked.");
    if (!req->body_expected)
        return problem_answer(req, 400, "The file is empty.");
    if (req->body_length > req->gw->config.max_upload_bytes)
        return too_large(req, req->body_length);
    up->req = req;
    req->state = up;
    req->state_fini = upload_fini;
    if (type && strncasecmp(type, "multipart/", 10) == 0)
        return begin_form(up, type);
    return begin_raw(up);
}

const struct endpoint_ops upload_ops = {
    .begin = upload_begin, .body = upload_body, .finish = upload_finish};
