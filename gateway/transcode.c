// SPDX-License-Identifier: Apache-2.0
#include "gateway/transcode.h"

#include <string.h>
#include <strings.h>

#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "gateway/uri.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/pb.h"
#include "libcommon/core/utf8.h"
#include "libcommon/json/pbjson.h"

enum { USER_AGENT_MAX = 256 };

static bool is_json_type(const char *type)
{
    size_t len = type ? strcspn(type, "; \t") : 0;
    if (len == 16 && strncasecmp(type, "application/json", 16) == 0)
        return true;
    return len > 17 && strncasecmp(type, "application/", 12) == 0 &&
           strncasecmp(type + len - 5, "+json", 5) == 0;
}

static enum step out_of_memory(struct request *req)
{
    return problem_retry(req, 503, 1, "The request is too large to handle right now.");
}

static enum step parse_body(struct request *req, ProtobufCMessage **ret_message)
{
    const ProtobufCMessageDescriptor *type = req->endpoint->route->method->request;
    struct reel_pbjson_error error;
    if (req->body.len == 0)
        return problem_answer(req, 400, "The body must be a JSON object; it is empty.");
    if (!is_json_type(request_header(req, "Content-Type")))
        return problem_answer(req, 415, "The Content-Type must be application/json.");
    int rc =
        reel_pbjson_parse(req->body.data, req->body.len, type, &req->arena, ret_message, &error);
    if (rc == REEL_INVALID_ARGUMENT)
        return problem_malformed(req, "pointer", error.path, &error);
    return rc == REEL_OK ? STEP_NEXT : out_of_memory(req);
}

static enum step set_field(struct request *req, ProtobufCMessage *message, const char *name,
                           const char *value)
{
    struct reel_pbjson_error error;
    int rc = reel_pbjson_set_field(message, &req->arena, name, value, &error);
    if (rc == REEL_INVALID_ARGUMENT)
        return problem_malformed(req, "parameter", name, &error);
    return rc == REEL_OK ? STEP_NEXT : out_of_memory(req);
}

static enum step set_path_fields(struct request *req, ProtobufCMessage *message)
{
    for (unsigned i = 0; i < req->match.n_params; i++) {
        const struct router_param *param = &req->match.params[i];
        char *name = reel_arena_strndup(&req->arena, param->name.s, param->name.len);
        char *value = reel_arena_strndup(&req->arena, param->value.s, param->value.len);
        if (!name || !value)
            return out_of_memory(req);
        enum step step = set_field(req, message, name, value);
        if (step != STEP_NEXT)
            return step;
    }
    return STEP_NEXT;
}

// Whether a query name, in either spelling, means a field that the path has decided already.
static bool is_path_param(const struct request *req, const char *name)
{
    const ProtobufCMessageDescriptor *type = req->endpoint->route->method->request;
    const ProtobufCFieldDescriptor *field = reel_pb_find_field(type, name, strlen(name));
    for (unsigned i = 0; field && i < req->match.n_params; i++) {
        const struct router_slice *param = &req->match.params[i].name;
        if (reel_pb_find_field(type, param->s, param->len) == field)
            return true;
    }
    return false;
}

// Notes in `seen`, a bit a field, that the query has named a field that takes one value; false when
// it had done so before, in either spelling.
static bool is_first_mention(const struct request *req, const char *name, uint64_t *seen)
{
    const ProtobufCMessageDescriptor *type = req->endpoint->route->method->request;
    const ProtobufCFieldDescriptor *field = reel_pb_find_field(type, name, strlen(name));
    if (!field || field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    uint64_t bit = UINT64_C(1) << ((size_t)(field - type->fields) % 64);
    bool first = (*seen & bit) == 0;
    *seen |= bit;
    return first;
}

static enum step set_query_field(struct request *req, ProtobufCMessage *message,
                                 const struct uri_pair *pair, uint64_t *seen)
{
    size_t name_len, value_len;
    char *name = reel_arena_alloc(&req->arena, pair->name_len + 1);
    char *value = reel_arena_alloc(&req->arena, pair->value_len + 1);
    if (!name || !value)
        return out_of_memory(req);
    if (!uri_decode(pair->name, pair->name_len, true, name, &name_len) ||
        !uri_decode(pair->value, pair->value_len, true, value, &value_len) ||
        !reel_utf8_is_text(name, name_len) || !reel_utf8_is_text(value, value_len))
        return problem_answer(req, 400, "The query is not percent-encoded UTF-8.");
    if (name_len == 0)
        return problem_answer(req, 400, "The query has a value without a name.");
    if (!is_first_mention(req, name, seen))
        return problem_answer(req, 400, "The query gives %s twice; give it once.", name);
    if (is_path_param(req, name))
        return problem_answer(req, 400, "The parameter %s belongs into the path.", name);
    return set_field(req, message, name, value);
}

static enum step set_query_fields(struct request *req, ProtobufCMessage *message)
{
    const char *cursor = req->query;
    struct uri_pair pair;
    uint64_t seen = 0;
    while (uri_query_next(&cursor, &pair)) {
        if (req->endpoint->route->body)
            return problem_answer(req, 400,
                                  "This route takes its fields in the body, not in the "
                                  "query.");
        enum step step = set_query_field(req, message, &pair, &seen);
        if (step != STEP_NEXT)
            return step;
    }
    return STEP_NEXT;
}

enum step transcode_request(struct request *req, ProtobufCMessage **ret_message)
{
    const struct reel_route *route = req->endpoint->route;
    ProtobufCMessage *message = NULL;
    enum step step = STEP_NEXT;
    if (route->body) {
        step = parse_body(req, &message);
    } else {
        message = reel_pbjson_new(route->method->request, &req->arena);
        if (!message)
            return out_of_memory(req);
    }
    if (step == STEP_NEXT)
        step = set_query_fields(req, message);
    if (step == STEP_NEXT)
        step = set_path_fields(req, message);
    *ret_message = message;
    return step;
}

// The text of a string field of the answer, or "".
static const char *string_field(const ProtobufCMessage *message, const char *name, size_t len)
{
    const ProtobufCFieldDescriptor *field = reel_pb_find_field(message->descriptor, name, len);
    if (!field || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED)
        return "";
    const char *text = *(char *const *)reel_pb_value(message, field);
    return text ? text : "";
}

static void set_location(struct request *req, const ProtobufCMessage *message)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf location;
    reel_buf_init(&location, 1024);
    for (const char *s = req->endpoint->route->location; *s;) {
        size_t len = strcspn(s, "{");
        reel_buf_add(&location, s, len);
        s += len;
        if (*s == '\0')
            break;
        len = strcspn(s, "}");
        reel_buf_adds(&location, string_field(message, s + 1, len - 1));
        s += len + (s[len] == '}');
    }
    if (!location.failed)
        reply_header(req, "Location", reel_arena_strndup(&req->arena, location.data, location.len));
}

static void set_cookie(struct request *req, const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        reel_pb_find_field(message->descriptor, "expires_in", 10);
    int64_t max_age = field ? reel_pb_get_int(field->type, reel_pb_value(message, field)) : 0;
    bool clear = req->endpoint->route->cookie == REEL_COOKIE_CLEAR;
    reply_headerf(req, "Set-Cookie", "token=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s",
                  clear ? "" : string_field(message, "access_token", 12),
                  clear ? 0LL : (long long)max_age,
                  req->is_secure || req->gw->config.secure_cookies ? "; Secure" : "");
}

static enum step answer(struct request *req, const ProtobufCMessage *message)
{
    const struct reel_route *route = req->endpoint->route;
    reel_buf_reset(&req->out);
    int rc = reel_pbjson_write(message, &req->out);
    if (rc != REEL_OK)
        return problem_answer(req, 500, "The answer cannot be written as JSON.");
    if (route->location)
        set_location(req, message);
    if (route->cookie != REEL_COOKIE_KEEP)
        set_cookie(req, message);
    return reply_text(req, route->success_status ? route->success_status : 200, "application/json",
                      req->out.data, req->out.len);
}

enum step transcode_payload(struct request *req, const uint8_t *payload, size_t len)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(req->endpoint->route->method->response,
                                                          reel_arena_pb(&req->arena), len, payload);
    if (!message)
        return problem_answer(req, 500, "The service's answer cannot be read.");
    return answer(req, message);
}

// What the client calls itself, as far as metadata can carry it, or NULL.
static const char *user_agent(struct request *req)
{
    const char *shown = request_header(req, "User-Agent");
    char *text = shown ? reel_arena_alloc(&req->arena, USER_AGENT_MAX + 1) : NULL;
    size_t n = 0;
    if (!text)
        return NULL;
    for (; *shown && n < USER_AGENT_MAX; shown++)
        if (*shown >= ' ' && *shown <= '~')
            text[n++] = *shown;
    text[n] = '\0';
    return text;
}

size_t transcode_metadata(struct request *req, struct reel_metadata metadata[CALL_METADATA_MAX])
{
    size_t n = 0;
    metadata[n++] = (struct reel_metadata){"reel-request-id", req->id};
    metadata[n++] = (struct reel_metadata){"traceparent", req->traceparent};
    if (req->user_id)
        metadata[n++] = (struct reel_metadata){"reel-user-id", req->user_id};
    if (req->session_id)
        metadata[n++] = (struct reel_metadata){"reel-session-id", req->session_id};
    // Not by the route, which the endpoints of the gateway itself have none of.
    if (req->endpoint->access != REEL_ACCESS_PUBLIC)
        return n;
    metadata[n++] = (struct reel_metadata){"reel-client-address", req->client};
    const char *agent = user_agent(req);
    if (agent)
        metadata[n++] = (struct reel_metadata){"reel-user-agent", agent};
    return n;
}

int64_t transcode_deadline_us(const struct request *req, const struct reel_method *method)
{
    int64_t ms = method->timeout_ms ? method->timeout_ms : req->gw->config.request_timeout_ms;
    return reel_deadline_in_us(ms * 1000);
}
