// SPDX-License-Identifier: Apache-2.0
#include "gateway/problem.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/pb.h"
#include "libcommon/json/json.h"
#include "libcommon/json/pbjson.h"
#include "libcommon/rpc/channel.h"

#define QUOTA_TYPE "https://iana.org/assignments/http-problem-types#quota-exceeded"

struct problem {
    unsigned status;
    const char *type;
    const char *code;
    const char *detail;
    const char *policy;
    uint32_t retry_after_s;
};

static const struct {
    unsigned status;
    const char *title;
    const char *code;
} titles[] = {
    {400, "Bad Request", "INVALID_ARGUMENT"},
    {401, "Unauthorized", "UNAUTHENTICATED"},
    {403, "Forbidden", "PERMISSION_DENIED"},
    {404, "Not Found", "NOT_FOUND"},
    {405, "Method Not Allowed", "UNIMPLEMENTED"},
    {408, "Request Timeout", "DEADLINE_EXCEEDED"},
    {409, "Conflict", "ABORTED"},
    {411, "Length Required", "INVALID_ARGUMENT"},
    {412, "Precondition Failed", "FAILED_PRECONDITION"},
    {413, "Content Too Large", "RESOURCE_EXHAUSTED"},
    {414, "URI Too Long", "INVALID_ARGUMENT"},
    {415, "Unsupported Media Type", "INVALID_ARGUMENT"},
    {416, "Range Not Satisfiable", "OUT_OF_RANGE"},
    {417, "Expectation Failed", "INVALID_ARGUMENT"},
    {422, "Unprocessable Content", "INVALID_ARGUMENT"},
    {429, "Too Many Requests", "RESOURCE_EXHAUSTED"},
    {431, "Request Header Fields Too Large", "INVALID_ARGUMENT"},
    {499, "Client Closed Request", "CANCELLED"},
    {500, "Internal Server Error", "INTERNAL"},
    {501, "Not Implemented", "UNIMPLEMENTED"},
    {503, "Service Unavailable", "UNAVAILABLE"},
    {504, "Gateway Timeout", "DEADLINE_EXCEEDED"},
};

const char *problem_title(unsigned status)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(titles); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

static const char *code_of_status(unsigned status)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(titles); i++)
        if (titles[i].status == status)
            return titles[i].code;
    return "UNKNOWN";
}

static void add_text(struct reel_buf *out, const char *key, const char *value)
{
    reel_json_add_key(out, key);
    reel_json_add_string(out, value);
}

// Opens the object and leaves it open, so that the caller may add members.
static struct reel_buf *begin(struct request *req, const struct problem *problem)
{
    struct reel_buf *out = &req->out;
    reel_buf_reset(out);
    reel_buf_addc(out, '{');
    add_text(out, "type", problem->type ? problem->type : "about:blank");
    add_text(out, "title", problem_title(problem->status));
    reel_json_add_key(out, "status");
    reel_json_add_int(out, problem->status);
    add_text(out, "detail", problem->detail);
    add_text(out, "error", problem->detail);
    add_text(out, "code", problem->code ? problem->code : code_of_status(problem->status));
    if (problem->policy) {
        reel_json_add_key(out, "violated-policies");
        reel_buf_addc(out, '[');
        reel_json_add_string(out, problem->policy);
        reel_buf_addc(out, ']');
    }
    if (req->id)
        add_text(out, "requestId", req->id);
    return out;
}

static enum step end(struct request *req, const struct problem *problem)
{
    reel_buf_addc(&req->out, '}');
    if (problem->retry_after_s > 0)
        reply_headerf(req, "Retry-After", "%u", problem->retry_after_s);
    return reply_text(req, problem->status, "application/problem+json",
                      req->out.failed ? "{}" : req->out.data, req->out.failed ? 2 : req->out.len);
}

REEL_PRINTF(3, 0)
static enum step answer_v(struct request *req, struct problem *problem, const char *fmt,
                          va_list args)
{
    problem->detail = reel_arena_vprintf(&req->arena, fmt, args);
    if (!problem->detail)
        problem->detail = "";
    begin(req, problem);
    return end(req, problem);
}

enum step problem_answer(struct request *req, unsigned status, const char *fmt, ...)
{
    struct problem problem = {.status = status};
    va_list args;
    va_start(args, fmt);
    enum step step = answer_v(req, &problem, fmt, args);
    va_end(args);
    return step;
}

enum step problem_retry(struct request *req, unsigned status, uint32_t retry_after_s,
                        const char *fmt, ...)
{
    struct problem problem = {.status = status, .retry_after_s = retry_after_s};
    va_list args;
    va_start(args, fmt);
    enum step step = answer_v(req, &problem, fmt, args);
    va_end(args);
    return step;
}

enum step problem_extended(struct request *req, unsigned status, uint32_t retry_after_s,
                           void (*add)(struct request *req, struct reel_buf *out), const char *fmt,
                           ...)
{
    struct problem problem = {.status = status, .retry_after_s = retry_after_s};
    va_list args;
    va_start(args, fmt);
    problem.detail = reel_arena_vprintf(&req->arena, fmt, args);
    va_end(args);
    if (!problem.detail)
        problem.detail = "";
    add(req, begin(req, &problem));
    return end(req, &problem);
}

enum step problem_quota(struct request *req, const char *policy, uint32_t retry_after_s)
{
    struct problem problem = {
        .status = 429,
        .type = QUOTA_TYPE,
        .policy = policy,
        .retry_after_s = retry_after_s,
        .detail = reel_arena_printf(&req->arena,
                                    "Too many requests under the policy \"%s\". Try again in %u s.",
                                    policy, retry_after_s),
    };
    begin(req, &problem);
    return end(req, &problem);
}

// "params.items[3]" as the JSON Pointer "#/params/items/3".
static void add_pointer(struct reel_buf *out, const char *path)
{
    char pointer[512] = "#";
    size_t n = 1;
    if (*path && n < sizeof(pointer) - 1)
        pointer[n++] = '/';
    for (const char *s = path; *s && n < sizeof(pointer) - 1; s++) {
        if (*s == ']')
            continue;
        pointer[n++] = *s == '.' || *s == '[' ? '/' : *s;
    }
    pointer[n] = '\0';
    add_text(out, "pointer", pointer);
}

// Where the client put the field: in the body, or in the path or query.
static bool is_in_body(const struct request *req, const char *field)
{
    const struct reel_route *route = req->endpoint ? req->endpoint->route : NULL;
    if (!route || (!route->body && route->mode != REEL_HTTP_UPLOAD))
        return !route;
    const ProtobufCMessageDescriptor *type = route->method->request;
    const ProtobufCFieldDescriptor *found = reel_pb_find_field(type, field, strlen(field));
    for (unsigned i = 0; found && i < req->match.n_params; i++) {
        const struct router_slice *param = &req->match.params[i].name;
        if (reel_pb_find_field(type, param->s, param->len) == found)
            return false;
    }
    return true;
}

static void add_violations(struct request *req, struct reel_buf *out,
                           const struct reel_status *status)
{
    reel_json_add_key(out, "errors");
    reel_buf_addc(out, '[');
    for (size_t i = 0; i < status->n_violations; i++) {
        reel_buf_adds(out, i > 0 ? ",{" : "{");
        if (is_in_body(req, status->violations[i].field))
            add_pointer(out, status->violations[i].field);
        else
            add_text(out, "parameter", status->violations[i].field);
        add_text(out, "detail", status->violations[i].description);
        reel_buf_addc(out, '}');
    }
    reel_buf_addc(out, ']');
}

static const char *default_detail(unsigned status)
{
    switch (status) {
    case 401:
        return "Sign in first.";
    case 404:
        return "There is no such thing. Check the id.";
    case 503:
        return "The service is not available right now. Try again shortly.";
    case 504:
        return "The service took too long to answer. Try again.";
    default:
        return status >= 500 ? "Something went wrong on our side. Try again; if it goes on, report "
                               "the request id."
                             : problem_title(status);
    }
}

static uint32_t retry_after(unsigned http, const struct reel_status *status)
{
    uint32_t seconds = (status->retry_after_ms + 999) / 1000;
    return seconds == 0 && (http == 503 || http == 429) ? 1 : seconds;
}

// What the rate header fields of a refusal by a service say is about the service's policy: the
// gateway's own, which allowed the request, would contradict the status.
static void adopt_quota(struct request *req, const struct reel_status *status,
                        struct problem *problem)
{
    req->rate = (struct rate_verdict){.is_limited = false};
    if (!status->policy || !*status->policy)
        return;
    problem->type = QUOTA_TYPE;
    problem->policy = status->policy;
    req->rate = (struct rate_verdict){
        .is_limited = true,
        .policy = status->policy,
        .quota = status->quota,
        .window_s = status->window_s,
        .reset_s = problem->retry_after_s,
    };
}

enum step problem_from_status(struct request *req, const struct reel_status *status)
{
    int code = reel_code_for_client(status->code);
    unsigned http = (unsigned)reel_code_http_status(code);
    if (code == REEL_INVALID_ARGUMENT && status->n_violations > 0)
        http = 422;
    // What a channel says of a service that it cannot reach is not for clients.
    bool told = status->code > 0 && http < 500 && status->message && *status->message;
    struct problem problem = {
        .status = http,
        .code = reel_code_name(code),
        .detail = told ? status->message : default_detail(http),
        .retry_after_s = retry_after(http, status),
    };
    if (http == 429)
        adopt_quota(req, status, &problem);
    if (http == 401)
        reply_header(req, "WWW-Authenticate", "Bearer realm=\"reelmesh\"");
    struct reel_buf *out = begin(req, &problem);
    if (status->n_violations > 0)
        add_violations(req, out, status);
    return end(req, &problem);
}

enum step problem_malformed(struct request *req, const char *where, const char *name,
                            const struct reel_pbjson_error *error)
{
    bool in_body = strcmp(where, "pointer") == 0;
    struct problem problem = {
        .status = 400,
        .detail = reel_arena_printf(&req->arena, "%s %s.",
                                    in_body && !*error->path ? "The body" : name, error->message),
    };
    if (!problem.detail)
        problem.detail = "";
    struct reel_buf *out = begin(req, &problem);
    reel_json_add_key(out, "errors");
    reel_buf_adds(out, "[{");
    if (in_body)
        add_pointer(out, error->path);
    else
        add_text(out, "parameter", name);
    add_text(out, "detail", error->message);
    reel_buf_adds(out, "}]");
    return end(req, &problem);
}
