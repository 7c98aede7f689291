// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/json/pbjson_value.h"

static void json_free(json_t **json)
{
    json_decref(*json);
}

static int parse_message(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                         const ProtobufCMessageDescriptor *descriptor, const json_t *json,
                         ProtobufCMessage **ret_message);

static int parse_value(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                       const ProtobufCFieldDescriptor *field, const json_t *json, void *slot)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return parse_message(r, place, field->descriptor, json, slot);
    return reel_pbjson_value_scalar(r, place, field, json, slot);
}

static int parse_list(struct reel_pbjson_reader *r, struct reel_pb_place *place,
                      const ProtobufCFieldDescriptor *field, const json_t *json,
                      ProtobufCMessage *message)
{
    size_t n = json_array_size(json);
    size_t size = reel_pb_element_size(field->type);

    if (!json_is_array(json))
        return reel_pbjson_value_fail(r, place, "must be a list");
    if (n == 0)
        return REEL_OK;
    char *items = reel_arena_array(r->arena, n, size);
    if (!items)
        return reel_pbjson_value_exhausted(r, place);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(json, i);

        place->index = (int64_t)i;
        if (json_is_null(item))
            return reel_pbjson_value_fail(r, place, "must not be null");
        int rc = parse_value(r, place, field, item, items + i * size);
        if (rc != REEL_OK)
            return rc;
    }
    *(void **)reel_pb_value(message, field) = items;
    *(size_t *)reel_pb_quantifier(message, field) = n;
    return REEL_OK;
}

static int parse_field(struct reel_pbjson_reader *r, struct reel_pb_place *place,
                       ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       const json_t *json)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return parse_list(r, place, field, json, message);

    int rc = reel_pbjson_value_claim(r, place, message, field);
    if (rc != REEL_OK)
        return rc;
    return parse_value(r, place, field, json, reel_pb_value(message, field));
}

static int parse_fields(struct reel_pbjson_reader *r, const struct reel_pb_place *up,
                        const json_t *json, ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool *seen = reel_arena_array(r->arena, descriptor->n_fields, sizeof(bool));
    const char *key;
    json_t *value;

    if (!seen)
        return reel_pbjson_value_exhausted(r, up);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        const ProtobufCFieldDescriptor *field = reel_pb_find_field(descriptor, key, strlen(key));
        struct reel_pb_place here = {
            .up = up, .field = key, .index = REEL_PB_NO_INDEX, .verbatim = !field};

        if (!field)
            return reel_pbjson_value_fail(r, &here, "is not a known field");
        if (seen[field - descriptor->fields])
            return reel_pbjson_value_fail(r, &here, "is given twice");
        seen[field - descriptor->fields] = true;
        if (json_is_null(value))
            continue;
        int rc = parse_field(r, &here, message, field, value);
        if (rc != REEL_OK)
            return rc;
    }
    return REEL_OK;
}

static int parse_into(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                      const json_t *json, ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *wrapped = &message->descriptor->fields[0];

    switch (reel_pb_kind_of(message->descriptor)) {
    case REEL_PB_TIMESTAMP:
        return reel_pbjson_value_timestamp(r, place, json, message);
    case REEL_PB_WRAPPER:
        return parse_value(r, place, wrapped, json, reel_pb_value(message, wrapped));
    default:
        if (!json_is_object(json))
            return reel_pbjson_value_fail(r, place, "must be an object");
        return parse_fields(r, place, json, message);
    }
}

static int parse_message(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                         const ProtobufCMessageDescriptor *descriptor, const json_t *json,
                         ProtobufCMessage **ret_message)
{
    ProtobufCMessage *message = reel_pbjson_new(descriptor, r->arena);

    if (!message)
        return reel_pbjson_value_exhausted(r, place);
    int rc = parse_into(r, place, json, message);
    if (rc == REEL_OK)
        *ret_message = message;
    return rc;
}

ProtobufCMessage *reel_pbjson_new(const ProtobufCMessageDescriptor *descriptor,
                                  struct reel_arena *arena)
{
    ProtobufCMessage *message = reel_arena_zalloc(arena, descriptor->sizeof_message);

    if (message)
        protobuf_c_message_init(descriptor, message);
    return message;
}

// Bounds what the parser may build, before it builds anything.
static int check_size(struct reel_pbjson_reader *r, const char *text, size_t len)
{
    unsigned depth = 0, values = 0;
    bool in_string = false;

    if (len > REEL_PBJSON_MAX_BYTES)
        return reel_pbjson_value_fail(r, NULL, "must be at most %d bytes of JSON; it has %zu",
                                      REEL_PBJSON_MAX_BYTES, len);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        if (in_string)
            continue;
        if (c == '{' || c == '[')
            depth++, values++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        else if (c == ',')
            values++;
        if (depth > REEL_PBJSON_MAX_DEPTH)
            return reel_pbjson_value_fail(r, NULL, "is nested deeper than %d levels",
                                          REEL_PBJSON_MAX_DEPTH);
        if (values > REEL_PBJSON_MAX_VALUES)
            return reel_pbjson_value_fail(r, NULL, "must have at most %d values",
                                          REEL_PBJSON_MAX_VALUES);
    }
    return REEL_OK;
}

static int fail_syntax(struct reel_pbjson_reader *r, const json_error_t *error)
{
    const char *what = "is not valid JSON";

    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        what = "has a key twice";
        break;
    case json_error_numeric_overflow:
        what = "has a number out of range";
        break;
    case json_error_invalid_utf8:
        what = "is not valid UTF-8";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        what = "has a NUL character";
        break;
    case json_error_premature_end_of_input:
        what = "ends too early";
        break;
    case json_error_out_of_memory:
        return reel_pbjson_value_exhausted(r, NULL);
    default:
        break;
    }
    return reel_pbjson_value_fail(r, NULL, "%s, at line %d, column %d", what, error->line,
                                  error->column);
}

int reel_pbjson_parse(const char *text, size_t len, const ProtobufCMessageDescriptor *descriptor,
                      struct reel_arena *arena, ProtobufCMessage **ret_message,
                      struct reel_pbjson_error *ret_error)
{
    struct reel_pbjson_reader r = {.arena = arena, .error = ret_error};
    json_error_t error;

    if (len == 0) {
        ProtobufCMessage *empty = reel_pbjson_new(descriptor, arena);

        if (!empty)
            return reel_pbjson_value_exhausted(&r, NULL);
        *ret_message = empty;
        return REEL_OK;
    }
    int rc = check_size(&r, text, len);
    if (rc != REEL_OK)
        return rc;

    REEL_AUTO(json_free)
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json)
        return fail_syntax(&r, &error);
    return parse_message(&r, NULL, descriptor, json, ret_message);
}
