// SPDX-License-Identifier: Apache-2.0
#include "gateway/openapi.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "gateway/endpoints.h"
#include "gateway/gateway.h"
#include "gateway/openapi_problem.h"
#include "gateway/openapi_schema.h"
#include "libcommon/core/pb.h"

struct document {
    json_t *paths;
    json_t *schemas;
};

// "/api/videos/{video_id}" as clients read it: "/api/videos/{videoId}".
static void public_path(const char *path, char *ret_path, size_t size)
{
    size_t n = 0;
    bool in_name = false;
    for (const char *s = path; *s && n + 1 < size; s++) {
        in_name = *s == '{' || (in_name && *s != '}');
        bool upper = in_name && *s == '_' && s[1];
        if (upper)
            s++;
        ret_path[n++] = upper ? (char)toupper((unsigned char)*s) : *s;
    }
    ret_path[n] = '\0';
}

static const char *tag_of(const char *path)
{
    if (strncmp(path, "/api/auth", 9) == 0)
        return "auth";
    if (strncmp(path, "/api/videos", 11) == 0)
        return "videos";
    if (strncmp(path, "/api/jobs", 9) == 0 || strncmp(path, "/api/events", 11) == 0)
        return "jobs";
    return "gateway";
}

static json_t *parameter(const char *name, const char *in, bool required, json_t *schema)
{
    return json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", in, "required", required, "schema",
                     schema);
}

static json_t *text_schema(void)
{
    return json_pack("{s:s}", "type", "string");
}

static bool in_path(const struct reel_route *route, const char *field)
{
    char name[REEL_PB_NAME_SIZE + 2];
    snprintf(name, sizeof(name), "{%s}", field);
    return strstr(route->path, name) != NULL;
}

// Path variables, and for routes without a body the other fields as query parameters.
static void add_field_parameters(struct document *doc, const struct reel_route *route, json_t *list)
{
    const ProtobufCMessageDescriptor *request = route->method->request;
    if (route->mode == REEL_HTTP_UPLOAD)
        return;
    for (unsigned i = 0; i < request->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &request->fields[i];
        const struct reel_field_rule *rule = openapi_rule(route->service, request, field->name);
        bool path = in_path(route, field->name);
        char name[REEL_PB_NAME_SIZE];
        if (!path && route->body)
            continue;
        reel_pb_camel_name(field->name, name);
        json_array_append_new(
            list, parameter(name, path ? "path" : "query", path || (rule && rule->required),
                            openapi_field_schema(route->service, doc->schemas, field, rule)));
    }
}

static json_t *parameters_of(struct document *doc, const struct endpoint *endpoint)
{
    json_t *list = json_array();
    if (endpoint->route)
        add_field_parameters(doc, endpoint->route, list);
    if (endpoint->ops == &upload_ops)
        json_array_append_new(list, parameter("filename", "header", false, text_schema()));
    if (endpoint->ops == &asset_ops) {
        static const char *const headers[] = {
            "Range",         "If-Range",          "If-Match",
            "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"};
        for (size_t i = 0; i < REEL_ARRAY_SIZE(headers); i++)
            json_array_append_new(list, parameter(headers[i], "header", false, text_schema()));
    }
    if (endpoint->ops == &events_ops)
        json_array_append_new(list, parameter("Last-Event-ID", "header", false, text_schema()));
    return list;
}

static json_t *binary_schema(void)
{
    return json_pack("{s:s}", "contentMediaType", "application/octet-stream");
}

// What the path says already is no part of the body.
static void remove_path_fields(const struct reel_route *route, json_t *schema)
{
    const ProtobufCMessageDescriptor *request = route->method->request;
    json_t *required = json_object_get(schema, "required");
    for (unsigned i = 0; i < request->n_fields; i++) {
        char name[REEL_PB_NAME_SIZE];
        if (!in_path(route, request->fields[i].name))
            continue;
        reel_pb_camel_name(request->fields[i].name, name);
        json_object_del(json_object_get(schema, "properties"), name);
        for (size_t k = json_array_size(required); k-- > 0;)
            if (strcmp(json_string_value(json_array_get(required, k)), name) == 0)
                json_array_remove(required, k);
    }
    if (json_array_size(required) == 0)
        json_object_del(schema, "required");
}

static json_t *json_body_of(struct document *doc, const struct reel_route *route)
{
    const ProtobufCMessageDescriptor *request = route->method->request;
    json_t *ref = openapi_message_ref(route->service, doc->schemas, request);
    remove_path_fields(route, json_object_get(doc->schemas, request->short_name));
    return json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "application/json", "schema",
                     ref);
}

static json_t *body_of(struct document *doc, const struct endpoint *endpoint)
{
    const struct reel_route *route = endpoint->route;
    if (endpoint->ops == &upload_ops)
        return json_pack("{s:b, s:{s:{s:o}, s:{s:o}, s:{s:{s:s, s:[s], s:{s:o}}}}}", "required", 1,
                         "content", "application/octet-stream", "schema", binary_schema(),
                         "video/*", "schema", binary_schema(), "multipart/form-data", "schema",
                         "type", "object", "required", "file", "properties", "file",
                         binary_schema());
    return route && route->body ? json_body_of(doc, route) : NULL;
}

// The gateway's own answers: all their members are words, but for the services.
static json_t *own_schema(const struct endpoint *endpoint)
{
    static const struct {
        const struct endpoint_ops *ops;
        const char *members[5];
    } rows[] = {
        {&health_ops, {"status"}},
        {&ready_ops, {"status", "services", "rateLimits"}},
        {&status_ops, {"gateway", "services", "revocations", "rateLimits"}},
    };
    json_t *schema = json_pack("{s:s}", "type", "object");
    json_t *properties = json_object();
    json_t *required = json_array();
    for (size_t i = 0; i < REEL_ARRAY_SIZE(rows); i++) {
        for (const char *const *name = rows[i].members; rows[i].ops == endpoint->ops && *name;
             name++) {
            bool is_map = strcmp(*name, "services") == 0;
            json_object_set_new(properties, *name,
                                is_map ? json_pack("{s:s, s:o}", "type", "object",
                                                   "additionalProperties", text_schema())
                                       : text_schema());
            json_array_append_new(required, json_string(*name));
        }
    }
    if (json_object_size(properties) > 0) {
        json_object_set(schema, "properties", properties);
        json_object_set(schema, "required", required);
    }
    json_decref(properties);
    json_decref(required);
    return schema;
}

static json_t *success_content(struct document *doc, const struct endpoint *endpoint)
{
    const struct reel_route *route = endpoint->route;
    if (endpoint->ops == &asset_ops)
        return json_pack("{s:{s:o}}", "*/*", "schema", binary_schema());
    if (route)
        return json_pack(
            "{s:{s:o}}", "application/json", "schema",
            openapi_message_ref(route->service, doc->schemas, route->method->response));
    if (endpoint->ops == &events_ops)
        return json_pack("{s:{s:o}}", "text/event-stream", "schema", text_schema());
    if (endpoint->ops == &metrics_ops)
        return json_pack("{s:{s:o}}", "text/plain", "schema", text_schema());
    return json_pack("{s:{s:o}}", "application/json", "schema", own_schema(endpoint));
}

static json_t *header_of(const char *description)
{
    return json_pack("{s:o, s:s, s:b}", "schema", text_schema(), "description", description,
                     "required", 1);
}

static json_t *success_of(struct document *doc, const struct endpoint *endpoint)
{
    const struct reel_route *route = endpoint->route;
    json_t *headers = json_object();
    if (route && route->location)
        json_object_set_new(headers, "Location", header_of("Where to go on."));
    if (route && route->cookie != REEL_COOKIE_KEEP)
        json_object_set_new(headers, "Set-Cookie", header_of("The session cookie `token`."));
    json_t *success = json_pack("{s:s, s:o}", "description", endpoint->summary, "content",
                                success_content(doc, endpoint));
    if (json_object_size(headers) > 0)
        json_object_set(success, "headers", headers);
    json_decref(headers);
    return success;
}

static void add_problem(json_t *responses, unsigned status)
{
    char key[8];
    snprintf(key, sizeof(key), "%u", status);
    if (status > 0 && !json_object_get(responses, key))
        json_object_set_new(responses, key, openapi_problem_ref(status));
}

static bool is_write(const struct endpoint *endpoint)
{
    return strcmp(endpoint->verb, "GET") != 0;
}

// Which failures every route of its kind can have.
static void add_common_problems(json_t *responses, const struct endpoint *endpoint)
{
    bool signed_in = endpoint->access == REEL_ACCESS_AUTHENTICATED;
    bool calls = endpoint->route != NULL;
    bool has_body = endpoint->route && endpoint->route->body;
    const struct {
        unsigned status;
        bool applies;
    } rows[] = {
        {400, true},
        {401, signed_in},
        {403, (signed_in && is_write(endpoint)) || endpoint->ops == &metrics_ops},
        {413, is_write(endpoint)},
        {415, has_body},
        {422, calls && endpoint->route->method->request->n_fields > 0},
        {429, endpoint->rate_class != NULL},
        {500, calls || signed_in},
        {503, calls || signed_in || endpoint->ops == &ready_ops},
        {504, calls || signed_in},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(rows); i++)
        add_problem(responses, rows[i].applies ? rows[i].status : 0);
}

static json_t *responses_of(struct document *doc, const struct endpoint *endpoint)
{
    json_t *responses = json_object();
    const struct reel_route *route = endpoint->route;
    char key[8];
    snprintf(key, sizeof(key), "%u", route && route->success_status ? route->success_status : 200);
    json_object_set_new(responses, key, success_of(doc, endpoint));
    if (endpoint->ops == &asset_ops) {
        json_object_set_new(responses, "206", success_of(doc, endpoint));
        json_object_set_new(responses, "304",
                            json_pack("{s:s}", "description", "The client has it already."));
    }
    add_common_problems(responses, endpoint);
    for (const uint16_t *status = route ? route->errors : NULL; status && *status; status++)
        add_problem(responses, *status);
    return responses;
}

static void set_operation_id(json_t *operation, const struct endpoint *endpoint, const char *verb)
{
    char id[128];
    size_t n = 0;
    if (endpoint->route && !endpoint->route->additional) {
        snprintf(id, sizeof(id), "%s", endpoint->route->method->name);
        id[0] = (char)tolower((unsigned char)id[0]);
    } else {
        n = (size_t)snprintf(id, sizeof(id), "%s", verb);
        for (const char *s = endpoint->path; *s && n + 1 < sizeof(id); s++)
            if (isalnum((unsigned char)*s))
                id[n++] = isalnum((unsigned char)s[-1]) ? *s : (char)toupper((unsigned char)*s);
        id[n] = '\0';
    }
    json_object_set_new(operation, "operationId", json_string(id));
}

static json_t *operation_of(struct document *doc, const struct endpoint *endpoint, const char *verb)
{
    json_t *security = endpoint->access == REEL_ACCESS_AUTHENTICATED
                           ? json_pack("[{s:[]}, {s:[]}]", "bearer", "cookie")
                           : json_array();
    json_t *operation = json_pack("{s:s, s:[s], s:o, s:o}", "summary", endpoint->summary, "tags",
                                  tag_of(endpoint->path), "security", security, "responses",
                                  responses_of(doc, endpoint));
    json_t *body = body_of(doc, endpoint);
    json_t *parameters = parameters_of(doc, endpoint);
    set_operation_id(operation, endpoint, verb);
    if (json_array_size(parameters) > 0)
        json_object_set(operation, "parameters", parameters);
    json_decref(parameters);
    if (body)
        json_object_set_new(operation, "requestBody", body);
    if (endpoint->route && endpoint->route->additional)
        json_object_set_new(operation, "description",
                            json_string("Another name of the same operation, for older clients."));
    return operation;
}

static void add_endpoint(struct document *doc, const struct endpoint *endpoint)
{
    char path[256];
    char verb[16];
    size_t n = 0;
    public_path(endpoint->path, path, sizeof(path));
    for (; endpoint->verb[n] && n + 1 < sizeof(verb); n++)
        verb[n] = (char)tolower((unsigned char)endpoint->verb[n]);
    verb[n] = '\0';
    json_t *item = json_object_get(doc->paths, path);
    if (!item) {
        item = json_object();
        json_object_set_new(doc->paths, path, item);
    }
    json_object_set_new(item, verb, operation_of(doc, endpoint, verb));
}

static json_t *components_of(struct document *doc)
{
    json_object_set_new(doc->schemas, "Problem", openapi_problem_schema());
    return json_pack("{s:O, s:o, s:{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}}}", "schemas",
                     doc->schemas, "responses", openapi_problem_responses(), "securitySchemes",
                     "bearer", "type", "http", "scheme", "bearer", "bearerFormat", "JWT", "cookie",
                     "type", "apiKey", "in", "cookie", "name", "token");
}

static json_t *head_of(void)
{
    return json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}, "
        "{s:s, s:s}]}",
        "openapi", "3.1.0", "info", "title", "Reelmesh", "version", "0.1.0", "description",
        "Upload videos, have them resized, converted and their audio extracted, and follow the "
        "work live. 64-bit numbers are strings; failures are problem+json.",
        "license", "name", "Apache-2.0", "identifier", "Apache-2.0", "servers", "url", "/", "tags",
        "name", "auth", "description", "Accounts and sessions", "name", "videos", "description",
        "Videos, their files and operations", "name", "jobs", "description", "Work in progress",
        "name", "gateway", "description", "The gateway itself");
}

int openapi_build(const struct gateway *gw, char **ret_text)
{
    struct document doc = {.paths = json_object(), .schemas = json_object()};
    json_t *root = head_of();
    for (unsigned i = 0; i < gw->n_endpoints; i++)
        add_endpoint(&doc, &gw->endpoints[i]);
    json_object_set_new(root, "components", components_of(&doc));
    json_object_set_new(root, "paths", doc.paths);
    json_decref(doc.schemas);
    char *text = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(root);
    if (!text)
        return -ENOMEM;
    *ret_text = text;
    return 0;
}
