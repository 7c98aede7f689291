// SPDX-License-Identifier: Apache-2.0
#include "gateway/openapi_schema.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/pb.h"

const struct reel_field_rule *openapi_rule(const struct reel_service *service,
                                           const ProtobufCMessageDescriptor *message,
                                           const char *field)
{
    for (unsigned i = 0; i < service->n_rules; i++) {
        if (service->rules[i].message != message)
            continue;
        for (const struct reel_field_rule *rule = service->rules[i].rules; rule->field; rule++)
            if (strcmp(rule->field, field) == 0)
                return rule;
    }
    return NULL;
}

static json_t *enum_schema(const ProtobufCEnumDescriptor *descriptor)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < descriptor->n_values; i++)
        json_array_append_new(names, json_string(descriptor->values[i].name));
    return json_pack("{s:s, s:o}", "type", "string", "enum", names);
}

static json_t *scalar_schema(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_pack("{s:s, s:s}", "type", "number", "format", "double");
    case PROTOBUF_C_TYPE_STRING:
        return json_pack("{s:s}", "type", "string");
    case PROTOBUF_C_TYPE_BYTES:
        return json_pack("{s:s, s:s}", "type", "string", "contentEncoding", "base64");
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return json_pack("{s:s, s:s, s:s, s:s}", "type", "string", "format", "int64", "pattern",
                         "^-?[0-9]+$", "description", "A 64-bit whole number, as a string.");
    default:
        return json_pack("{s:s, s:s}", "type", "integer", "format", "int32");
    }
}

static json_t *type_schema(const struct reel_service *service, json_t *schemas,
                           const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return enum_schema(field->descriptor);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return scalar_schema(field->type);
    const ProtobufCMessageDescriptor *message = field->descriptor;
    switch (reel_pb_kind_of(message)) {
    case REEL_PB_TIMESTAMP:
        return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
    case REEL_PB_WRAPPER:
        return scalar_schema(message->fields[0].type);
    default:
        return openapi_message_ref(service, schemas, message);
    }
}

static void set_new(json_t *schema, const char *key, json_t *value)
{
    json_object_set_new(schema, key, value);
}

static json_t *split_words(const char *list)
{
    json_t *words = json_array();
    for (const char *s = list;; s++) {
        size_t len = strcspn(s, ",");
        json_array_append_new(words, json_stringn(s, len));
        s += len;
        if (*s == '\0')
            return words;
    }
}

static void apply_text_rule(json_t *schema, const struct reel_field_rule *rule)
{
    char pattern[256];
    unsigned least = rule->min_length > 0 ? rule->min_length : rule->required;
    if (least > 0)
        set_new(schema, "minLength", json_integer(least));
    if (rule->max_length > 0)
        set_new(schema, "maxLength", json_integer(rule->max_length));
    if (rule->one_of)
        set_new(schema, "enum", split_words(rule->one_of));
    if (rule->uuid)
        set_new(schema, "format", json_string("uuid"));
    if (rule->email)
        set_new(schema, "format", json_string("email"));
    if (rule->secret) {
        set_new(schema, "format", json_string("password"));
        set_new(schema, "writeOnly", json_true());
    }
    if (rule->pattern) {
        snprintf(pattern, sizeof(pattern), "^[%s]*$", rule->pattern);
        set_new(schema, "pattern", json_string(pattern));
    }
}

static void apply_rule(json_t *schema, const struct reel_field_rule *rule)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (!rule || !type)
        return;
    if (strcmp(type, "string") == 0)
        apply_text_rule(schema, rule);
    if (strcmp(type, "integer") == 0 && (rule->min != 0 || rule->max != 0)) {
        set_new(schema, "minimum", json_integer(rule->min));
        set_new(schema, "maximum", json_integer(rule->max));
    }
}

json_t *openapi_field_schema(const struct reel_service *service, json_t *schemas,
                             const ProtobufCFieldDescriptor *field,
                             const struct reel_field_rule *rule)
{
    json_t *schema = type_schema(service, schemas, field);
    apply_rule(schema, rule);
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return schema;
    return json_pack("{s:s, s:o}", "type", "array", "items", schema);
}

static json_t *message_schema(const struct reel_service *service, json_t *schemas,
                              const ProtobufCMessageDescriptor *message)
{
    json_t *properties = json_object();
    json_t *required = json_array();
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        const struct reel_field_rule *rule = openapi_rule(service, message, field->name);
        char name[REEL_PB_NAME_SIZE];
        reel_pb_camel_name(field->name, name);
        set_new(properties, name, openapi_field_schema(service, schemas, field, rule));
        if (rule && rule->required)
            json_array_append_new(required, json_string(name));
    }
    json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

json_t *openapi_message_ref(const struct reel_service *service, json_t *schemas,
                            const ProtobufCMessageDescriptor *message)
{
    char ref[256];
    if (!json_object_get(schemas, message->short_name)) {
        // In place before its fields are looked at, in case one of them is of this type.
        set_new(schemas, message->short_name, json_object());
        set_new(schemas, message->short_name, message_schema(service, schemas, message));
    }
    snprintf(ref, sizeof(ref), "#/components/schemas/%s", message->short_name);
    return json_pack("{s:s}", "$ref", ref);
}
