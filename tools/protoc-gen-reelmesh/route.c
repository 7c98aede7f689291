// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/route.h"

#include <string.h>

#include "tools/protoc-gen-reelmesh/names.h"

static bool read_pattern(const Google__Api__HttpRule *http, struct model_route *route)
{
    switch (http->pattern_case) {
    case GOOGLE__API__HTTP_RULE__PATTERN_GET:
        *route = (struct model_route){.verb = "GET", .path = http->get};
        return true;
    case GOOGLE__API__HTTP_RULE__PATTERN_PUT:
        *route = (struct model_route){.verb = "PUT", .path = http->put};
        return true;
    case GOOGLE__API__HTTP_RULE__PATTERN_POST:
        *route = (struct model_route){.verb = "POST", .path = http->post};
        return true;
    case GOOGLE__API__HTTP_RULE__PATTERN_DELETE:
        *route = (struct model_route){.verb = "DELETE", .path = http->delete_};
        return true;
    case GOOGLE__API__HTTP_RULE__PATTERN_PATCH:
        *route = (struct model_route){.verb = "PATCH", .path = http->patch};
        return true;
    default:
        return false;
    }
}

// A path variable or a template's {field}: a scalar field, once.
static void check_field(struct plugin *plugin, const struct schema *schema, const char *where,
                        const struct schema_message *message, const char *name)
{
    const Google__Protobuf__FieldDescriptorProto *field = schema_field(schema, message, name);

    if (field == NULL) {
        const char *snake = names_lower(plugin->arena, name);
        bool meant = schema_field(schema, message, snake) != NULL;

        plugin_error(plugin, "%s: {%s} is no field of %s%s%s", where, name, message->full_name + 1,
                     meant ? "; write it as the proto does: " : "", meant ? snake : "");
    } else if (field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED ||
               field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE) {
        plugin_error(plugin, "%s: {%s} of %s must be a single number, string or enum", where, name,
                     message->full_name + 1);
    }
}

// Checks every {field} of `text`; a variable fills its whole segment.
static void check_template(struct plugin *plugin, const struct schema *schema, const char *where,
                           const struct schema_message *message, const char *text)
{
    const char *at = text;

    if (text[0] != '/')
        plugin_error(plugin, "%s: the path \"%s\" must start with /", where, text);
    if (strstr(text, "//") != NULL)
        plugin_error(plugin, "%s: the path \"%s\" has an empty segment", where, text);
    while ((at = strpbrk(at, "{}*")) != NULL) {
        size_t len = strcspn(at, "}");
        const char *name = reel_arena_strndup(plugin->arena, at + 1, len == 0 ? 0 : len - 1);
        bool whole = *at == '{' && at > text && at[-1] == '/' && at[len] == '}' &&
                     (at[len + 1] == '/' || at[len + 1] == '\0');

        if (!whole || strpbrk(name, "=*{/") != NULL) {
            plugin_error(plugin, "%s: in \"%s\" a variable must be {field} and fill its segment",
                         where, text);
            return;
        }
        check_field(plugin, schema, where, message, name);
        at += len + 1;
    }
}

// The gateway reads a whole message from a body, so a body that is one field would be misread.
static void check_body(struct plugin *plugin, const struct model_method *method,
                       const struct model_route *route)
{
    if (route->body == NULL)
        return;
    if (strcmp(route->verb, "GET") == 0)
        plugin_error(plugin, "%s: a GET route has no body", method->where);
    if (strcmp(route->body, "*") != 0)
        plugin_error(plugin,
                     "%s: the body \"%s\" is not supported; \"*\" takes all fields from the body",
                     method->where, route->body);
}

// The gateway copies text from the answer.
static void check_location(struct plugin *plugin, const struct schema *schema,
                           const struct model_method *method)
{
    const char *location = method->rule->location;

    check_template(plugin, schema, method->where, method->response, location);
    for (const char *at = strchr(location, '{'); at; at = strchr(at + 1, '{')) {
        const char *name = reel_arena_strndup(plugin->arena, at + 1, strcspn(at + 1, "}"));
        const Google__Protobuf__FieldDescriptorProto *field =
            schema_field(schema, method->response, name);

        if (field && (strchr(name, '.') ||
                      field->type != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING))
            plugin_error(plugin, "%s: {%s} in location must be a string of the answer itself",
                         method->where, name);
    }
}

static void add_route(struct plugin *plugin, const struct schema *schema,
                      const Google__Api__HttpRule *http, bool additional,
                      struct model_method *method)
{
    struct model_route *route = &method->routes[method->n_routes];

    if (!read_pattern(http, route)) {
        plugin_error(plugin, "%s: a route needs one of get, put, post, delete, patch",
                     method->where);
        return;
    }
    if (http->response_body[0] != '\0' || http->selector[0] != '\0')
        plugin_error(plugin, "%s: response_body and selector of google.api.http are not supported",
                     method->where);
    route->body = http->body[0] == '\0' ? NULL : http->body;
    route->additional = additional;
    method->n_routes++;
    check_template(plugin, schema, method->where, method->request, route->path);
    check_body(plugin, method, route);
}

// What a method must be to be served over HTTP.
static void check_method(struct plugin *plugin, const struct schema *schema,
                         const struct model_method *method)
{
    const Reel__MethodRule *rule = method->rule;
    bool upload = rule->http_mode == REEL__HTTP_MODE__UPLOAD;

    if (method->client_streaming && !upload)
        plugin_error(plugin,
                     "%s: a client-streaming method with a route needs http_mode: UPLOAD in "
                     "(reel.method)",
                     method->where);
    if (!method->client_streaming && upload)
        plugin_error(plugin, "%s: http_mode: UPLOAD needs a client-streaming method",
                     method->where);
    if (method->server_streaming)
        plugin_error(plugin, "%s: a server-streaming method cannot have a route", method->where);
    if (rule->access == REEL__ACCESS__INTERNAL)
        plugin_error(plugin, "%s: an INTERNAL method cannot have a route", method->where);
    if (rule->success_status != 0 && (rule->success_status < 200 || rule->success_status > 299))
        plugin_error(plugin, "%s: success_status %u is outside 200 to 299", method->where,
                     rule->success_status);
    for (size_t i = 0; i < rule->n_errors; i++)
        if (rule->errors[i] < 400 || rule->errors[i] > 599)
            plugin_error(plugin, "%s: the error status %u is outside 400 to 599", method->where,
                         rule->errors[i]);
    if (rule->location[0] != '\0')
        check_location(plugin, schema, method);
}

void route_build(struct plugin *plugin, const struct schema *schema,
                 const Google__Api__HttpRule *http, struct model_method *method)
{
    if (http == NULL)
        return;
    method->routes =
        reel_arena_array(plugin->arena, 1 + http->n_additional_bindings, sizeof(*method->routes));
    check_method(plugin, schema, method);
    add_route(plugin, schema, http, false, method);
    for (size_t i = 0; i < http->n_additional_bindings; i++) {
        const Google__Api__HttpRule *more = http->additional_bindings[i];

        if (more->n_additional_bindings > 0)
            plugin_error(plugin, "%s: additional_bindings cannot be nested", method->where);
        add_route(plugin, schema, more, true, method);
    }
}

// The route with its variables' names taken out: "GET /api/videos/{}".
static const char *shape_of(struct plugin *plugin, const struct model_route *route)
{
    char *shape = reel_arena_printf(plugin->arena, "%s %s", route->verb, route->path);
    bool inside = false;
    size_t n = 0;

    for (const char *p = shape; *p != '\0'; p++) {
        inside = inside && *p != '}';
        if (!inside)
            shape[n++] = *p;
        inside = inside || *p == '{';
    }
    shape[n] = '\0';
    return shape;
}

struct seen_route {
    const char *shape;
    const char *where;
};

static size_t count_routes(const struct model_service *service)
{
    size_t n = 0;

    for (size_t i = 0; i < service->n_methods; i++)
        n += service->methods[i].n_routes;
    return n;
}

static size_t note_routes(struct plugin *plugin, const struct model_method *method,
                          struct seen_route *seen, size_t n_seen)
{
    for (size_t i = 0; i < method->n_routes; i++) {
        const char *shape = shape_of(plugin, &method->routes[i]);

        for (size_t k = 0; k < n_seen; k++)
            if (strcmp(seen[k].shape, shape) == 0)
                plugin_error(plugin, "%s: the route %s %s is already that of %s", method->where,
                             method->routes[i].verb, method->routes[i].path, seen[k].where);
        seen[n_seen++] = (struct seen_route){.shape = shape, .where = method->where};
    }
    return n_seen;
}

void route_check_duplicates(struct plugin *plugin, const struct model_file *files, size_t n_files)
{
    struct seen_route *seen;
    size_t total = 0;
    size_t n_seen = 0;

    for (size_t f = 0; f < n_files; f++)
        for (size_t s = 0; s < files[f].n_services; s++)
            total += count_routes(&files[f].services[s]);
    seen = reel_arena_array(plugin->arena, total, sizeof(*seen));
    for (size_t f = 0; f < n_files; f++)
        for (size_t s = 0; s < files[f].n_services; s++)
            for (size_t m = 0; m < files[f].services[s].n_methods; m++)
                n_seen = note_routes(plugin, &files[f].services[s].methods[m], seen, n_seen);
}
