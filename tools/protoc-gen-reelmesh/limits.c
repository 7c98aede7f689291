// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/limits.h"

#include <inttypes.h>
#include <string.h>

#define TYPE(name)  GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name
#define IS_REPEATED GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED

enum kind { KIND_STRING, KIND_BYTES, KIND_NUMBER, KIND_OTHER };

static const char *const kind_names[] = {
    [KIND_STRING] = "a string",
    [KIND_BYTES] = "bytes",
    [KIND_NUMBER] = "a number",
    [KIND_OTHER] = "neither text nor a number",
};

// A wrapper is limited as what it wraps.
static enum kind kind_of_message(const char *full_name)
{
    static const char package[] = ".google.protobuf.";
    const char *name = full_name + strlen(package);

    if (strncmp(full_name, package, strlen(package)) != 0 || !strstr(name, "Value") ||
        strcmp(name, "BoolValue") == 0)
        return KIND_OTHER;
    if (strcmp(name, "StringValue") == 0)
        return KIND_STRING;
    return strcmp(name, "BytesValue") == 0 ? KIND_BYTES : KIND_NUMBER;
}

static enum kind kind_of(const Google__Protobuf__FieldDescriptorProto *field)
{
    switch (field->type) {
    case TYPE(STRING):
        return KIND_STRING;
    case TYPE(BYTES):
        return KIND_BYTES;
    case TYPE(MESSAGE):
        return kind_of_message(field->type_name);
    case TYPE(BOOL):
        return KIND_OTHER;
    default:
        return KIND_NUMBER;
    }
}

static void refuse(struct plugin *plugin, const char *where, const char *limits,
                   const char *limited, enum kind kind)
{
    plugin_error(plugin, "%s: %s is for %s; this field is %s%s", where, limits, limited,
                 kind_names[kind], kind == KIND_NUMBER ? ", which takes min and max" : "");
}

static void check_kind(struct plugin *plugin, const char *where, enum kind kind,
                       const Reel__FieldRule *rule)
{
    if ((rule->min_length || rule->max_length) && kind != KIND_STRING && kind != KIND_BYTES)
        refuse(plugin, where, "min_length or max_length", "strings and bytes", kind);
    if ((rule->min || rule->max) && kind != KIND_NUMBER)
        plugin_error(plugin, "%s: min or max is for numbers; this field is %s%s", where,
                     kind_names[kind],
                     kind == KIND_OTHER ? "" : ", which takes min_length and max_length");
    if ((rule->uuid || rule->email || *rule->one_of || *rule->pattern) && kind != KIND_STRING)
        refuse(plugin, where, "uuid, email, one_of or pattern", "strings", kind);
}

void limits_check(struct plugin *plugin, const char *where,
                  const Google__Protobuf__FieldDescriptorProto *field, const Reel__FieldRule *rule)
{
    check_kind(plugin, where, kind_of(field), rule);
    if (rule->max_items != 0 && field->label != IS_REPEATED)
        plugin_error(plugin, "%s: max_items is for repeated fields; this one is single", where);
    if (rule->min > rule->max)
        plugin_error(plugin, "%s: min %" PRId64 " is above max %" PRId64 "%s", where, rule->min,
                     rule->max, rule->max == 0 ? "; give a max as well" : "");
    if (rule->max_length != 0 && rule->min_length > rule->max_length)
        plugin_error(plugin, "%s: min_length %u is above max_length %u", where, rule->min_length,
                     rule->max_length);
}
