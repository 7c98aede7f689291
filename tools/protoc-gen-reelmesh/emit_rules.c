// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "tools/protoc-gen-reelmesh/emit.h"
#include "tools/protoc-gen-reelmesh/limits.h"
#include "tools/protoc-gen-reelmesh/names.h"

static void emit_flag(struct reel_buf *out, const char *name, bool value)
{
    if (value)
        reel_buf_addf(out, ", .%s = true", name);
}

static void emit_number(struct reel_buf *out, const char *name, int64_t value)
{
    if (value != 0)
        reel_buf_addf(out, ", .%s = %" PRId64, name, value);
}

static void emit_text(struct reel_buf *out, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    reel_buf_addf(out, ", .%s = ", name);
    emit_literal(out, value);
}

static void emit_field(struct plugin *plugin, const struct schema_message *message,
                       const Google__Protobuf__FieldDescriptorProto *field, struct reel_buf *out)
{
    const char *where =
        reel_arena_printf(plugin->arena, "%s.%s", message->full_name + 1, field->name);
    const Reel__FieldRule *rule = options_field(plugin, where, field->options);

    limits_check(plugin, where, field, rule);
    reel_buf_addf(out, "    {.field = \"%s\"", field->name);
    emit_flag(out, "required", rule->required);
    emit_flag(out, "uuid", rule->uuid);
    emit_flag(out, "email", rule->email);
    emit_flag(out, "secret", rule->secret);
    emit_number(out, "min_length", rule->min_length);
    emit_number(out, "max_length", rule->max_length);
    emit_number(out, "max_items", rule->max_items);
    emit_number(out, "min", rule->min);
    emit_number(out, "max", rule->max);
    emit_text(out, "one_of", rule->one_of);
    emit_text(out, "pattern", rule->pattern);
    reel_buf_adds(out, "},\n");
}

static void emit_message(struct plugin *plugin, const struct schema_message *message,
                         struct reel_buf *out)
{
    reel_buf_addf(out, "static const struct reel_field_rule rules_%s[] = {\n",
                  names_c_prefix(plugin->arena, message->full_name));
    for (size_t i = 0; i < message->n_fields; i++)
        emit_field(plugin, message, message->fields[i], out);
    reel_buf_adds(out, "    {.field = NULL},\n};\n\n");
}

static void emit_service_rules(struct plugin *plugin, const struct model_service *service,
                               struct reel_buf *out)
{
    reel_buf_addf(out, "static const struct reel_message_rules %s_rules[] = {\n", service->prefix);
    for (size_t i = 0; i < service->rules.n_items; i++) {
        const char *prefix = names_c_prefix(plugin->arena, service->rules.items[i]->full_name);

        reel_buf_addf(out, "    {&%s__descriptor, rules_%s},\n", prefix, prefix);
    }
    reel_buf_adds(out, "};\n\n");
}

// Two services of a file may receive the same message: its rules are printed once.
static bool in_earlier_service(const struct model_file *file, size_t service,
                               const struct schema_message *message)
{
    for (size_t i = 0; i < service; i++)
        if (schema_set_has(&file->services[i].rules, message))
            return true;
    return false;
}

void emit_rules(struct plugin *plugin, const struct model_file *file, struct reel_buf *out)
{
    for (size_t s = 0; s < file->n_services; s++) {
        const struct schema_set *rules = &file->services[s].rules;

        for (size_t i = 0; i < rules->n_items; i++)
            if (!in_earlier_service(file, s, rules->items[i]))
                emit_message(plugin, rules->items[i], out);
    }
    for (size_t s = 0; s < file->n_services; s++)
        emit_service_rules(plugin, &file->services[s], out);
}
