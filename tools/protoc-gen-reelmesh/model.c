// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/model.h"

#include <string.h>

#include "tools/protoc-gen-reelmesh/names.h"
#include "tools/protoc-gen-reelmesh/route.h"

static const char *idempotency_of(const Google__Protobuf__MethodOptions *options)
{
    if (options == NULL || !options->has_idempotency_level)
        return "REEL_IDEMPOTENCY_UNKNOWN";
    switch (options->idempotency_level) {
    case GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__NO_SIDE_EFFECTS:
        return "REEL_NO_SIDE_EFFECTS";
    case GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENT:
        return "REEL_IDEMPOTENT";
    default:
        return "REEL_IDEMPOTENCY_UNKNOWN";
    }
}

static void build_method(struct plugin *plugin, const struct schema *schema,
                         const struct model_service *service,
                         const Google__Protobuf__MethodDescriptorProto *proto,
                         struct model_method *ret_method)
{
    struct reel_arena *arena = plugin->arena;

    *ret_method = (struct model_method){
        .name = proto->name,
        .where = reel_arena_printf(arena, "%s.%s", service->full_name, proto->name),
        .lower = names_lower(arena, proto->name),
        .enumerator =
            reel_arena_printf(arena, "%s_%s", service->upper, names_upper(arena, proto->name)),
        .request = schema_find(schema, proto->input_type),
        .response = schema_find(schema, proto->output_type),
        .idempotency = idempotency_of(proto->options),
        .client_streaming = proto->client_streaming,
        .server_streaming = proto->server_streaming,
    };
    ret_method->member = names_safe(arena, ret_method->lower);
    ret_method->rule = options_method(plugin, ret_method->where, proto->options);
    route_build(plugin, schema, options_http(plugin, ret_method->where, proto->options),
                ret_method);
}

static void build_service(struct plugin *plugin, const struct schema *schema, const char *package,
                          const Google__Protobuf__ServiceDescriptorProto *proto,
                          struct model_service *ret_service)
{
    struct reel_arena *arena = plugin->arena;

    *ret_service = (struct model_service){
        .full_name =
            reel_arena_printf(arena, "%s%s%s", package, package[0] == '\0' ? "" : ".", proto->name),
        .prefix = names_lower(arena, proto->name),
        .upper = names_upper(arena, proto->name),
        .state = reel_arena_printf(arena, "%s_svc", names_package(arena, package)),
        .methods = reel_arena_array(arena, proto->n_method, sizeof(struct model_method)),
        .n_methods = proto->n_method,
    };
    schema_set_init(&ret_service->rules, schema, plugin);
    if (proto->n_method == 0)
        plugin_error(plugin, "%s: a service needs a method", ret_service->full_name);
    for (size_t i = 0; i < proto->n_method; i++) {
        struct model_method *method = &ret_service->methods[i];

        build_method(plugin, schema, ret_service, proto->method[i], method);
        schema_reach(schema, plugin, method->request, &ret_service->rules);
    }
}

void model_build(struct plugin *plugin, const struct schema *schema,
                 const Google__Protobuf__FileDescriptorProto *proto, const char *includes,
                 struct model_file *ret_file)
{
    const char *package = proto->package == NULL ? "" : proto->package;
    size_t len = strlen(proto->name);

    if (len > 6 && strcmp(proto->name + len - 6, ".proto") == 0)
        len -= 6;
    *ret_file = (struct model_file){
        .proto = proto->name,
        .stem = reel_arena_strndup(plugin->arena, proto->name, len),
        .includes = includes,
        .services = reel_arena_array(plugin->arena, proto->n_service, sizeof(struct model_service)),
        .n_services = proto->n_service,
    };
    for (size_t i = 0; i < proto->n_service; i++)
        build_service(plugin, schema, package, proto->service[i], &ret_file->services[i]);
}
