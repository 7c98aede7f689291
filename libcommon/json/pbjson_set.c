// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/utf8.h"
#include "libcommon/json/pbjson_value.h"

static void json_free(json_t **json)
{
    json_decref(*json);
}

static int set_value(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                     const ProtobufCFieldDescriptor *field, const json_t *json, void *slot)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return reel_pbjson_value_scalar(r, place, field, json, slot);

    enum reel_pb_kind kind = reel_pb_kind_of(field->descriptor);
    if (kind == REEL_PB_PLAIN)
        return reel_pbjson_value_fail(r, place, "has fields of its own; name one of them");
    ProtobufCMessage *sub = reel_pbjson_new(field->descriptor, r->arena);
    if (!sub)
        return reel_pbjson_value_exhausted(r, place);

    const ProtobufCFieldDescriptor *wrapped = &sub->descriptor->fields[0];
    int rc = kind == REEL_PB_TIMESTAMP
                 ? reel_pbjson_value_timestamp(r, place, json, sub)
                 : set_value(r, place, wrapped, json, reel_pb_value(sub, wrapped));
    if (rc == REEL_OK)
        *(ProtobufCMessage **)slot = sub;
    return rc;
}

static int append(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                  ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                  const json_t *json)
{
    size_t n = reel_pb_count(message, field);
    size_t size = reel_pb_element_size(field->type);
    char **items = reel_pb_value(message, field);
    char *grown = reel_arena_array(r->arena, n + 1, size);

    if (!grown)
        return reel_pbjson_value_exhausted(r, place);
    if (n > 0)
        memcpy(grown, *items, n * size);
    int rc = set_value(r, place, field, json, grown + n * size);
    if (rc != REEL_OK)
        return rc;
    *items = grown;
    *(size_t *)reel_pb_quantifier(message, field) = n + 1;
    return REEL_OK;
}

// Finds or makes the sub-message that `field` holds.
static int enter(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                 const ProtobufCFieldDescriptor *field, ProtobufCMessage **message)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED ||
        reel_pb_kind_of(field->descriptor) != REEL_PB_PLAIN)
        return reel_pbjson_value_fail(r, place, "has no fields of its own");

    ProtobufCMessage **slot = reel_pb_value(*message, field);
    bool is_there = reel_pb_is_present(*message, field);
    int rc = reel_pbjson_value_claim(r, place, *message, field);
    if (rc != REEL_OK)
        return rc;
    if (!is_there)
        *slot = reel_pbjson_new(field->descriptor, r->arena);
    if (!*slot)
        return reel_pbjson_value_exhausted(r, place);
    *message = *slot;
    return REEL_OK;
}

// Reads the value apart from the message, which a value that does not fit leaves as it was.
static int replace(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                   ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                   const json_t *json)
{
    union {
        uint64_t number;
        void *pointer;
        ProtobufCBinaryData bytes;
    } value = {0};

    int rc = set_value(r, place, field, json, &value);
    if (rc == REEL_OK)
        rc = reel_pbjson_value_claim(r, place, message, field);
    if (rc == REEL_OK)
        memcpy(reel_pb_value(message, field), &value, reel_pb_element_size(field->type));
    return rc;
}

static int set_path(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                    ProtobufCMessage *message, const char *name, const json_t *json)
{
    for (;;) {
        size_t len = strcspn(name, ".");
        const ProtobufCFieldDescriptor *field = reel_pb_find_field(message->descriptor, name, len);

        if (!field)
            return reel_pbjson_value_fail(r, place, "is not a known field");
        if (name[len] == '\0')
            return field->label == PROTOBUF_C_LABEL_REPEATED
                       ? append(r, place, message, field, json)
                       : replace(r, place, message, field, json);
        int rc = enter(r, place, field, &message);
        if (rc != REEL_OK)
            return rc;
        name += len + 1;
    }
}

int reel_pbjson_set_field(ProtobufCMessage *message, struct reel_arena *arena, const char *name,
                          const char *text, struct reel_pbjson_error *ret_error)
{
    struct reel_pbjson_reader r = {.arena = arena, .error = ret_error, .plain_text = true};
    struct reel_pb_place place = {.field = name, .index = REEL_PB_NO_INDEX, .verbatim = true};

    if (!reel_utf8_is_valid(text, strlen(text)))
        return reel_pbjson_value_fail(&r, &place, "must be valid UTF-8");
    REEL_AUTO(json_free) json_t *json = json_string_nocheck(text);
    if (!json)
        return reel_pbjson_value_exhausted(&r, &place);
    return set_path(&r, &place, message, name, json);
}
