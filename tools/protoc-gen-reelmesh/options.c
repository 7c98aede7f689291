// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/options.h"

#include <string.h>

enum { TAG_HTTP = 72295728, TAG_METHOD = 50001, TAG_FIELD = 50002 };

// protobuf-c keeps the length prefix in the data of an unknown length-delimited field.
static size_t prefix_len(const ProtobufCMessageUnknownField *field)
{
    size_t n = 0;

    while (n < field->len && (field->data[n] & 0x80) != 0)
        n++;
    return n < field->len ? n + 1 : field->len;
}

// An option written in several statements occurs several times; concatenated payloads merge.
static ProtobufCMessage *unpack_tag(struct plugin *plugin, const char *where,
                                    const ProtobufCMessage *options, uint32_t tag,
                                    const ProtobufCMessageDescriptor *type)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf merged;
    ProtobufCMessage *message;
    bool found = false;

    reel_buf_init(&merged, 1 << 20);
    for (unsigned i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        size_t skip = prefix_len(field);

        if (field->tag != tag)
            continue;
        found = true;
        reel_buf_add(&merged, field->data + skip, field->len - skip);
    }
    if (!found)
        return NULL;
    message = protobuf_c_message_unpack(type, reel_arena_pb(plugin->arena), merged.len,
                                        (const uint8_t *)merged.data);
    if (message == NULL)
        plugin_error(plugin, "%s: the option %s cannot be read", where, type->name);
    else if (message->n_unknown_fields > 0)
        plugin_error(plugin, "%s: %s has no field %u that this plugin knows", where, type->name,
                     message->unknown_fields[0].tag);
    return message;
}

static void refuse_others(struct plugin *plugin, const char *where, const ProtobufCMessage *options,
                          uint32_t known, uint32_t also_known)
{
    for (unsigned i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        uint32_t tag = options->unknown_fields[i].tag;

        if (tag != known && tag != also_known)
            plugin_error(plugin,
                         "%s: unknown option (extension %u); google.api.http, reel.method and "
                         "reel.field are supported",
                         where, tag);
    }
}

static const ProtobufCMessage *base_of(const void *options)
{
    return options;
}

const Google__Api__HttpRule *options_http(struct plugin *plugin, const char *where,
                                          const Google__Protobuf__MethodOptions *options)
{
    return (const Google__Api__HttpRule *)unpack_tag(plugin, where, base_of(options), TAG_HTTP,
                                                     &google__api__http_rule__descriptor);
}

const Reel__MethodRule *options_method(struct plugin *plugin, const char *where,
                                       const Google__Protobuf__MethodOptions *options)
{
    static const Reel__MethodRule none = REEL__METHOD_RULE__INIT;
    const ProtobufCMessage *rule;

    refuse_others(plugin, where, base_of(options), TAG_HTTP, TAG_METHOD);
    rule = unpack_tag(plugin, where, base_of(options), TAG_METHOD, &reel__method_rule__descriptor);
    return rule == NULL ? &none : (const Reel__MethodRule *)rule;
}

const Reel__FieldRule *options_field(struct plugin *plugin, const char *where,
                                     const Google__Protobuf__FieldOptions *options)
{
    static const Reel__FieldRule none = REEL__FIELD_RULE__INIT;
    const ProtobufCMessage *rule;

    refuse_others(plugin, where, base_of(options), TAG_FIELD, TAG_FIELD);
    rule = unpack_tag(plugin, where, base_of(options), TAG_FIELD, &reel__field_rule__descriptor);
    return rule == NULL ? &none : (const Reel__FieldRule *)rule;
}
