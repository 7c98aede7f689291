// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <string.h>

#include "tools/protoc-gen-reelmesh/emit.h"
#include "tools/protoc-gen-reelmesh/plugin.h"
#include "tools/protoc-gen-reelmesh/route.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest generator_request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse generator_response;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File response_file;

enum { MAX_OUTPUT_BYTES = 8 << 20 };

void plugin_error(struct plugin *plugin, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    reel_buf_addf(&plugin->errors, "%s%s", plugin->errors.len == 0 ? "" : "\n",
                  reel_arena_vprintf(plugin->arena, fmt, args));
    va_end(args);
}

static const Google__Protobuf__FileDescriptorProto *file_named(const generator_request *request,
                                                               const char *name)
{
    for (size_t i = 0; i < request->n_proto_file; i++)
        if (strcmp(request->proto_file[i]->name, name) == 0)
            return request->proto_file[i];
    return NULL;
}

static const char *read_prefix(struct plugin *plugin, const char *parameter)
{
    if (parameter == NULL || parameter[0] == '\0')
        return "";
    if (strncmp(parameter, "prefix=", 7) != 0)
        plugin_error(plugin, "unknown parameter \"%s\"; prefix=<folder>/ is supported", parameter);
    return parameter + 7;
}

typedef void (*emit_fn)(struct plugin *plugin, const struct model_file *file, struct reel_buf *out);

static void add_file(struct plugin *plugin, const struct model_file *file, const char *suffix,
                     emit_fn emit, generator_response *response)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf out;
    response_file *entry = reel_arena_alloc(plugin->arena, sizeof(*entry));

    reel_buf_init(&out, MAX_OUTPUT_BYTES);
    emit(plugin, file, &out);
    if (out.failed) {
        plugin_error(plugin, "%s: the generated code passes %d bytes", file->proto,
                     MAX_OUTPUT_BYTES);
        return;
    }
    google__protobuf__compiler__code_generator_response__file__init(entry);
    entry->name = reel_arena_printf(plugin->arena, "%s%s", file->stem, suffix);
    entry->content = reel_arena_strdup(plugin->arena, out.data);
    response->file[response->n_file++] = entry;
}

static void emit_files(struct plugin *plugin, const struct model_file *files, size_t n_files,
                       generator_response *response)
{
    response->file = reel_arena_array(plugin->arena, 2 * n_files, sizeof(*response->file));
    for (size_t i = 0; i < n_files; i++) {
        if (files[i].n_services == 0)
            continue;
        add_file(plugin, &files[i], ".reel.h", emit_header, response);
        add_file(plugin, &files[i], ".reel.c", emit_source, response);
    }
}

void plugin_generate(struct plugin *plugin, const generator_request *request,
                     generator_response *ret_response)
{
    const char *prefix = read_prefix(plugin, request->parameter);
    struct model_file *files =
        reel_arena_array(plugin->arena, request->n_file_to_generate, sizeof(*files));
    struct schema schema;

    google__protobuf__compiler__code_generator_response__init(ret_response);
    schema_init(&schema, plugin, request);
    for (size_t i = 0; i < request->n_file_to_generate; i++)
        model_build(plugin, &schema, file_named(request, request->file_to_generate[i]), prefix,
                    &files[i]);
    route_check_duplicates(plugin, files, request->n_file_to_generate);
    if (plugin->errors.len == 0)
        emit_files(plugin, files, request->n_file_to_generate, ret_response);
    if (plugin->errors.len > 0) {
        ret_response->n_file = 0;
        ret_response->error = plugin->errors.data;
    }
}
