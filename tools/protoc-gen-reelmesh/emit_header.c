// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/emit.h"
#include "tools/protoc-gen-reelmesh/names.h"

const char *emit_bool(bool value)
{
    return value ? "true" : "false";
}

void emit_literal(struct reel_buf *out, const char *text)
{
    if (text == NULL || text[0] == '\0') {
        reel_buf_adds(out, "NULL");
        return;
    }
    reel_buf_addc(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            reel_buf_addf(out, "\\%c", *p);
        else if (*p == '?' || (unsigned char)*p < 0x20 || *p == 0x7f)
            reel_buf_addf(out, "\\%03o", (unsigned char)*p);
        else
            reel_buf_addc(out, *p);
    }
    reel_buf_addc(out, '"');
}

void emit_stub_signature(struct plugin *plugin, const struct model_service *service,
                         const struct model_method *method, struct reel_buf *out)
{
    reel_buf_addf(out, "int %s_%s(struct reel_channel *channel,\n", service->prefix, method->lower);
    reel_buf_adds(out, "        const struct reel_call_options *options,\n");
    reel_buf_addf(out, "        const %s *request, struct reel_arena *arena,\n",
                  names_c_type(plugin->arena, method->request->full_name));
    reel_buf_addf(out, "        %s **ret_response, struct reel_status *ret_status)",
                  names_c_type(plugin->arena, method->response->full_name));
}

// One comment line whatever the text holds: a line break or a backslash at its end would not be.
static void emit_comment(struct reel_buf *out, const char *text)
{
    reel_buf_adds(out, "    // ");
    for (const char *p = text; *p != '\0'; p++)
        if (*p != '\\')
            reel_buf_addc(out, (unsigned char)*p < 0x20 ? ' ' : *p);
    reel_buf_addc(out, '\n');
}

static void emit_handler(struct plugin *plugin, const struct model_service *service,
                         const struct model_method *method, struct reel_buf *out)
{
    if (method->rule->summary[0] != '\0')
        emit_comment(out, method->rule->summary);
    if (method->client_streaming)
        reel_buf_addf(out, "    // Receives %s with reel_call_recv.\n",
                      names_c_type(plugin->arena, method->request->full_name));
    if (method->server_streaming)
        reel_buf_addf(out, "    // Sends %s with reel_call_send.\n",
                      names_c_type(plugin->arena, method->response->full_name));
    reel_buf_addf(out, "    int (*%s)(struct %s *svc, struct reel_call *call", method->member,
                  service->state);
    if (!method->client_streaming)
        reel_buf_addf(out, ",\n            const %s *req",
                      names_c_type(plugin->arena, method->request->full_name));
    if (!method->server_streaming)
        reel_buf_addf(out, ",\n            %s *res",
                      names_c_type(plugin->arena, method->response->full_name));
    reel_buf_adds(out, ");\n");
}

static void emit_vtable(struct plugin *plugin, const struct model_service *service,
                        struct reel_buf *out)
{
    reel_buf_addf(out, "// The state of %s; the service defines it.\nstruct %s;\n\n",
                  service->full_name, service->state);
    reel_buf_addf(out, "// Handlers of %s. A NULL one answers UNIMPLEMENTED.\nstruct %s_impl {\n",
                  service->full_name, service->prefix);
    for (size_t i = 0; i < service->n_methods; i++)
        emit_handler(plugin, service, &service->methods[i], out);
    reel_buf_adds(out, "};\n\n");
}

static void emit_indexes(const struct model_service *service, struct reel_buf *out)
{
    reel_buf_addf(out, "// Indexes into %s.methods.\nenum {\n", service->prefix);
    for (size_t i = 0; i < service->n_methods; i++)
        reel_buf_addf(out, "    %s,\n", service->methods[i].enumerator);
    reel_buf_addf(out, "    %s_N_METHODS\n};\n\n", service->upper);
}

static void emit_stub_declarations(struct plugin *plugin, const struct model_service *service,
                                   struct reel_buf *out)
{
    reel_buf_adds(out, "// Blocking client stubs: see reel_channel_call.\n");
    for (size_t i = 0; i < service->n_methods; i++) {
        const struct model_method *method = &service->methods[i];

        if (method->client_streaming || method->server_streaming) {
            reel_buf_addf(out, "// %s streams: reel_stream_open(channel, &%s.methods[%s], ...)\n",
                          method->name, service->prefix, method->enumerator);
            continue;
        }
        emit_stub_signature(plugin, service, method, out);
        reel_buf_adds(out, ";\n");
    }
    reel_buf_addc(out, '\n');
}

void emit_header(struct plugin *plugin, const struct model_file *file, struct reel_buf *out)
{
    reel_buf_addf(out, "// Generated from %s by protoc-gen-reelmesh. Do not edit.\n", file->proto);
    reel_buf_adds(out, "#pragma once\n\n");
    reel_buf_adds(out,
                  "#include \"libcommon/rpc/channel.h\"\n#include \"libcommon/rpc/method.h\"\n");
    reel_buf_addf(out, "#include \"%s%s.pb-c.h\"\n\n", file->includes, file->stem);
    for (size_t i = 0; i < file->n_services; i++) {
        const struct model_service *service = &file->services[i];

        emit_vtable(plugin, service, out);
        emit_indexes(service, out);
        reel_buf_addf(out, "extern const struct reel_service %s;\n", service->prefix);
        reel_buf_addf(out, "extern const struct reel_route %s_routes[];\n", service->prefix);
        reel_buf_addf(out, "extern const unsigned %s_n_routes;\n\n", service->prefix);
        emit_stub_declarations(plugin, service, out);
    }
}
