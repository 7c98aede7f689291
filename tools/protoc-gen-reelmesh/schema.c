// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/schema.h"

#include <string.h>

typedef Google__Protobuf__DescriptorProto descriptor;
typedef Google__Protobuf__FieldDescriptorProto field_descriptor;

enum { MAX_DEPTH = 32 };

static size_t count_messages(descriptor *const *messages, size_t n)
{
    size_t total = n;

    for (size_t i = 0; i < n; i++)
        total += count_messages(messages[i]->nested_type, messages[i]->n_nested_type);
    return total;
}

static int by_number(const void *a, const void *b)
{
    const field_descriptor *left = *(field_descriptor *const *)a;
    const field_descriptor *right = *(field_descriptor *const *)b;

    return (left->number > right->number) - (left->number < right->number);
}

static void add_messages(struct schema *schema, struct plugin *plugin, const char *scope,
                         descriptor *const *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct schema_message *entry = &schema->messages[schema->n_messages++];
        descriptor *proto = messages[i];

        entry->full_name = reel_arena_printf(plugin->arena, "%s.%s", scope, proto->name);
        entry->proto = proto;
        entry->n_fields = proto->n_field;
        entry->fields =
            reel_arena_memdup(plugin->arena, proto->field, proto->n_field * sizeof(*proto->field));
        if (proto->n_field > 1)
            qsort(entry->fields, entry->n_fields, sizeof(*entry->fields), by_number);
        add_messages(schema, plugin, entry->full_name, proto->nested_type, proto->n_nested_type);
    }
}

void schema_init(struct schema *schema, struct plugin *plugin,
                 const Google__Protobuf__Compiler__CodeGeneratorRequest *request)
{
    size_t total = 0;

    for (size_t i = 0; i < request->n_proto_file; i++)
        total += count_messages(request->proto_file[i]->message_type,
                                request->proto_file[i]->n_message_type);
    schema->messages = reel_arena_array(plugin->arena, total, sizeof(*schema->messages));
    schema->n_messages = 0;
    for (size_t i = 0; i < request->n_proto_file; i++) {
        const Google__Protobuf__FileDescriptorProto *file = request->proto_file[i];
        const char *package = file->package == NULL ? "" : file->package;
        const char *scope =
            reel_arena_printf(plugin->arena, "%s%s", package[0] == '\0' ? "" : ".", package);

        add_messages(schema, plugin, scope, file->message_type, file->n_message_type);
    }
}

const struct schema_message *schema_find(const struct schema *schema, const char *full_name)
{
    for (size_t i = 0; i < schema->n_messages; i++)
        if (strcmp(schema->messages[i].full_name, full_name) == 0)
            return &schema->messages[i];
    return NULL;
}

static const field_descriptor *field_named(const struct schema_message *message, const char *name,
                                           size_t len)
{
    for (size_t i = 0; i < message->n_fields; i++)
        if (strlen(message->fields[i]->name) == len &&
            memcmp(message->fields[i]->name, name, len) == 0)
            return message->fields[i];
    return NULL;
}

const field_descriptor *schema_field(const struct schema *schema,
                                     const struct schema_message *message, const char *path)
{
    const field_descriptor *field = NULL;

    while (message != NULL) {
        size_t len = strcspn(path, ".");

        field = field_named(message, path, len);
        if (field == NULL || path[len] == '\0')
            return field;
        path += len + 1;
        message = field->type_name == NULL ? NULL : schema_find(schema, field->type_name);
    }
    return NULL;
}

struct reach {
    const struct schema *schema;
    struct plugin *plugin;
    struct schema_set *set;
    const struct schema_message *path[MAX_DEPTH];
    unsigned depth;
};

static bool on_path(const struct reach *reach, const struct schema_message *message)
{
    for (unsigned i = 0; i < reach->depth; i++)
        if (reach->path[i] == message)
            return true;
    return false;
}

static void reach_from(struct reach *reach, const struct schema_message *message)
{
    if (on_path(reach, message) || reach->depth == MAX_DEPTH) {
        plugin_error(reach->plugin,
                     "%s: contains itself or nests deeper than %d; messages that a service "
                     "receives must not",
                     message->full_name + 1, MAX_DEPTH);
        return;
    }
    if (schema_set_has(reach->set, message))
        return;
    reach->set->items[reach->set->n_items++] = message;
    reach->path[reach->depth++] = message;
    for (size_t i = 0; i < message->n_fields; i++) {
        const field_descriptor *field = message->fields[i];

        if (field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE)
            reach_from(reach, schema_find(reach->schema, field->type_name));
    }
    reach->depth--;
}

void schema_reach(const struct schema *schema, struct plugin *plugin,
                  const struct schema_message *message, struct schema_set *set)
{
    struct reach reach = {.schema = schema, .plugin = plugin, .set = set};

    reach_from(&reach, message);
}

void schema_set_init(struct schema_set *set, const struct schema *schema, struct plugin *plugin)
{
    set->items = reel_arena_array(plugin->arena, schema->n_messages, sizeof(*set->items));
    set->n_items = 0;
}

bool schema_set_has(const struct schema_set *set, const struct schema_message *message)
{
    for (size_t i = 0; i < set->n_items; i++)
        if (set->items[i] == message)
            return true;
    return false;
}
