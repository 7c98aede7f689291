// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/pb.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/base.h"

enum reel_pb_kind reel_pb_kind_of(const ProtobufCMessageDescriptor *descriptor)
{
    static const char package[] = "google.protobuf.";
    static const char *const wrappers[] = {
        "DoubleValue", "FloatValue", "Int64Value",  "UInt64Value", "Int32Value",
        "UInt32Value", "BoolValue",  "StringValue", "BytesValue",
    };

    if (strncmp(descriptor->name, package, sizeof(package) - 1) != 0)
        return REEL_PB_PLAIN;

    const char *name = descriptor->name + sizeof(package) - 1;
    if (strcmp(name, "Timestamp") == 0)
        return REEL_PB_TIMESTAMP;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(wrappers); i++) {
        if (strcmp(name, wrappers[i]) == 0)
            return REEL_PB_WRAPPER;
    }
    return REEL_PB_PLAIN;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

void reel_pb_camel_name(const char *name, char ret_name[REEL_PB_NAME_SIZE])
{
    size_t n = 0;
    bool raise = false;

    for (; *name && n + 1 < REEL_PB_NAME_SIZE; name++) {
        if (*name == '_') {
            raise = true;
            continue;
        }
        ret_name[n++] = raise ? upper(*name) : *name;
        raise = false;
    }
    ret_name[n] = '\0';
}

const ProtobufCFieldDescriptor *reel_pb_find_field(const ProtobufCMessageDescriptor *descriptor,
                                                   const char *name, size_t len)
{
    char camel[REEL_PB_NAME_SIZE];

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (strncmp(field->name, name, len) == 0 && field->name[len] == '\0')
            return field;
        reel_pb_camel_name(field->name, camel);
        if (strlen(camel) == len && memcmp(camel, name, len) == 0)
            return field;
    }
    return NULL;
}

void *reel_pb_value(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)(uintptr_t)message + field->offset;
}

void *reel_pb_quantifier(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)(uintptr_t)message + field->quantifier_offset;
}

size_t reel_pb_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return *(const size_t *)reel_pb_quantifier(message, field);
}

size_t reel_pb_element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8;
    }
}

bool reel_pb_is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
        *(const uint32_t *)reel_pb_quantifier(message, field) != field->id)
        return false;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)reel_pb_value(message, field) != NULL;
    if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type == PROTOBUF_C_TYPE_STRING)
        return *(void *const *)reel_pb_value(message, field) != NULL;
    if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return *(const protobuf_c_boolean *)reel_pb_quantifier(message, field);
    return true;
}

int64_t reel_pb_get_int(ProtobufCType type, const void *value)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        return *(const int32_t *)value;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return *(const uint32_t *)value;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)value != 0;
    default:
        return *(const int64_t *)value;
    }
}

// Fields are sorted by number: seconds is 1, nanos is 2.
int64_t reel_pb_timestamp_seconds(const ProtobufCMessage *timestamp)
{
    return *(const int64_t *)reel_pb_value(timestamp, &timestamp->descriptor->fields[0]);
}

int32_t reel_pb_timestamp_nanos(const ProtobufCMessage *timestamp)
{
    return *(const int32_t *)reel_pb_value(timestamp, &timestamp->descriptor->fields[1]);
}

void reel_pb_timestamp_set(ProtobufCMessage *timestamp, int64_t seconds, int32_t nanos)
{
    *(int64_t *)reel_pb_value(timestamp, &timestamp->descriptor->fields[0]) = seconds;
    *(int32_t *)reel_pb_value(timestamp, &timestamp->descriptor->fields[1]) = nanos;
}

void reel_pb_path(const struct reel_pb_place *place, char *ret_path, size_t size)
{
    char camel[REEL_PB_NAME_SIZE];

    ret_path[0] = '\0';
    if (!place)
        return;
    reel_pb_path(place->up, ret_path, size);

    size_t n = strlen(ret_path);
    const char *name = place->field;
    if (!place->verbatim) {
        reel_pb_camel_name(place->field, camel);
        name = camel;
    }
    snprintf(ret_path + n, size - n, "%s%s", n ? "." : "", name);
    n += strlen(ret_path + n);
    if (place->index != REEL_PB_NO_INDEX)
        snprintf(ret_path + n, size - n, "[%" PRId64 "]", place->index);
}
