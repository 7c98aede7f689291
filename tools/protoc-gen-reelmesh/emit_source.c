// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/emit.h"
#include "tools/protoc-gen-reelmesh/names.h"

static const char *access_of(const Reel__MethodRule *rule)
{
    switch (rule->access) {
    case REEL__ACCESS__PUBLIC:
        return "REEL_ACCESS_PUBLIC";
    case REEL__ACCESS__INTERNAL:
        return "REEL_ACCESS_INTERNAL";
    default:
        return "REEL_ACCESS_AUTHENTICATED";
    }
}

static const char *mode_of(const Reel__MethodRule *rule)
{
    switch (rule->http_mode) {
    case REEL__HTTP_MODE__UPLOAD:
        return "REEL_HTTP_UPLOAD";
    case REEL__HTTP_MODE__ASSET:
        return "REEL_HTTP_ASSET";
    default:
        return "REEL_HTTP_JSON";
    }
}

static const char *cookie_of(const Reel__MethodRule *rule)
{
    switch (rule->session_cookie) {
    case REEL__SESSION_COOKIE__SET:
        return "REEL_COOKIE_SET";
    case REEL__SESSION_COOKIE__CLEAR:
        return "REEL_COOKIE_CLEAR";
    default:
        return "REEL_COOKIE_KEEP";
    }
}

static void emit_invoke(const struct model_service *service, const struct model_method *method,
                        struct reel_buf *out)
{
    reel_buf_addf(out,
                  "static int invoke_%s_%s(const void *impl, void *svc, struct reel_call *call,\n"
                  "        const void *req, void *res)\n{\n",
                  service->prefix, method->lower);
    reel_buf_addf(out, "    const struct %s_impl *handlers = impl;\n\n", service->prefix);
    if (method->client_streaming)
        reel_buf_adds(out, "    (void)req;\n");
    if (method->server_streaming)
        reel_buf_adds(out, "    (void)res;\n");
    reel_buf_addf(out, "    if (handlers->%s == NULL)\n        return REEL_UNIMPLEMENTED;\n",
                  method->member);
    reel_buf_addf(out, "    return handlers->%s(svc, call%s%s);\n}\n\n", method->member,
                  method->client_streaming ? "" : ", req", method->server_streaming ? "" : ", res");
}

static void emit_method_row(struct plugin *plugin, const struct model_service *service,
                            const struct model_method *method, struct reel_buf *out)
{
    reel_buf_addf(out, "    [%s] = {\n", method->enumerator);
    reel_buf_addf(out, "        .path = \"/%s/%s\",\n", service->full_name, method->name);
    reel_buf_addf(out, "        .name = \"%s\",\n", method->name);
    reel_buf_addf(out, "        .request = &%s__descriptor,\n",
                  names_c_prefix(plugin->arena, method->request->full_name));
    reel_buf_addf(out, "        .response = &%s__descriptor,\n",
                  names_c_prefix(plugin->arena, method->response->full_name));
    reel_buf_addf(out, "        .invoke = invoke_%s_%s,\n", service->prefix, method->lower);
    reel_buf_addf(out, "        .client_streaming = %s,\n", emit_bool(method->client_streaming));
    reel_buf_addf(out, "        .server_streaming = %s,\n", emit_bool(method->server_streaming));
    reel_buf_addf(out, "        .nonblocking = %s,\n", emit_bool(method->rule->nonblocking));
    reel_buf_addf(out, "        .idempotency = %s,\n", method->idempotency);
    reel_buf_addf(out, "        .access = %s,\n", access_of(method->rule));
    reel_buf_addf(out, "        .timeout_ms = %u,\n    },\n", method->rule->timeout_ms);
}

static void emit_service_table(struct plugin *plugin, const struct model_service *service,
                               struct reel_buf *out)
{
    for (size_t i = 0; i < service->n_methods; i++)
        emit_invoke(service, &service->methods[i], out);
    reel_buf_addf(out, "static const struct reel_method %s_methods[] = {\n", service->prefix);
    for (size_t i = 0; i < service->n_methods; i++)
        emit_method_row(plugin, service, &service->methods[i], out);
    reel_buf_adds(out, "};\n\n");
    reel_buf_addf(out, "const struct reel_service %s = {\n", service->prefix);
    reel_buf_addf(out, "    .name = \"%s\",\n", service->full_name);
    reel_buf_addf(out, "    .methods = %s_methods,\n    .n_methods = %s_N_METHODS,\n",
                  service->prefix, service->upper);
    reel_buf_addf(out, "    .rules = %s_rules,\n    .n_rules = %zu,\n};\n\n", service->prefix,
                  service->rules.n_items);
}

static void emit_errors(const struct model_service *service, const struct model_method *method,
                        struct reel_buf *out)
{
    if (method->n_routes == 0)
        return;
    reel_buf_addf(out, "static const uint16_t %s_%s_errors[] = {", service->prefix, method->lower);
    for (size_t i = 0; i < method->rule->n_errors; i++)
        reel_buf_addf(out, "%u, ", method->rule->errors[i]);
    reel_buf_adds(out, "0};\n");
}

static void emit_optional(struct reel_buf *out, const char *name, const char *value)
{
    reel_buf_addf(out, "        .%s = ", name);
    emit_literal(out, value);
    reel_buf_adds(out, ",\n");
}

static void emit_route(const struct model_service *service, const struct model_method *method,
                       const struct model_route *route, struct reel_buf *out)
{
    const Reel__MethodRule *rule = method->rule;

    reel_buf_addf(out, "    {\n        .verb = \"%s\",\n", route->verb);
    emit_optional(out, "path", route->path);
    emit_optional(out, "body", route->body);
    reel_buf_addf(out, "        .service = &%s,\n        .method = &%s_methods[%s],\n",
                  service->prefix, service->prefix, method->enumerator);
    reel_buf_addf(out, "        .mode = %s,\n        .cookie = %s,\n", mode_of(rule),
                  cookie_of(rule));
    reel_buf_addf(out, "        .success_status = %u,\n",
                  rule->success_status == 0 ? 200 : rule->success_status);
    emit_optional(out, "rate_class", rule->rate_class[0] == '\0' ? "default" : rule->rate_class);
    emit_optional(out, "location", rule->location);
    emit_optional(out, "summary", rule->summary[0] == '\0' ? method->name : rule->summary);
    reel_buf_addf(out, "        .errors = %s_%s_errors,\n        .additional = %s,\n    },\n",
                  service->prefix, method->lower, emit_bool(route->additional));
}

static void emit_routes(const struct model_service *service, struct reel_buf *out)
{
    size_t total = 0;

    for (size_t i = 0; i < service->n_methods; i++) {
        emit_errors(service, &service->methods[i], out);
        total += service->methods[i].n_routes;
    }
    reel_buf_addf(out, "\nconst unsigned %s_n_routes = %zu;\n", service->prefix, total);
    reel_buf_addf(out, "const struct reel_route %s_routes[] = {\n", service->prefix);
    for (size_t i = 0; i < service->n_methods; i++)
        for (size_t k = 0; k < service->methods[i].n_routes; k++)
            emit_route(service, &service->methods[i], &service->methods[i].routes[k], out);
    if (total == 0)
        reel_buf_adds(out, "    {.verb = NULL},\n");
    reel_buf_adds(out, "};\n\n");
}

static void emit_stub(struct plugin *plugin, const struct model_service *service,
                      const struct model_method *method, struct reel_buf *out)
{
    if (method->client_streaming || method->server_streaming)
        return;
    emit_stub_signature(plugin, service, method, out);
    reel_buf_adds(out, "\n{\n    ProtobufCMessage *response = NULL;\n");
    reel_buf_addf(out,
                  "    int rc = reel_channel_call(channel, &%s_methods[%s], options,\n"
                  "            &request->base, arena, &response, ret_status);\n\n",
                  service->prefix, method->enumerator);
    reel_buf_addf(out, "    if (rc == REEL_OK)\n        *ret_response = (%s *)response;\n",
                  names_c_type(plugin->arena, method->response->full_name));
    reel_buf_adds(out, "    return rc;\n}\n\n");
}

void emit_source(struct plugin *plugin, const struct model_file *file, struct reel_buf *out)
{
    reel_buf_addf(out, "// Generated from %s by protoc-gen-reelmesh. Do not edit.\n", file->proto);
    reel_buf_addf(out, "#include \"%s%s.reel.h\"\n\n", file->includes, file->stem);
    reel_buf_adds(out, "#include \"libcommon/core/err.h\"\n\n");
    emit_rules(plugin, file, out);
    for (size_t i = 0; i < file->n_services; i++) {
        const struct model_service *service = &file->services[i];

        emit_service_table(plugin, service, out);
        emit_routes(service, out);
        for (size_t m = 0; m < service->n_methods; m++)
            emit_stub(plugin, service, &service->methods[m], out);
    }
}
