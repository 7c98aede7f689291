// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/base64.h"
#include "libcommon/core/err.h"
#include "libcommon/core/pb.h"
#include "libcommon/core/timestamp.h"
#include "libcommon/json/json.h"
#include "libcommon/json/pbjson.h"

static int write_message(struct reel_buf *out, const ProtobufCMessage *message, int depth);

static int write_timestamp(struct reel_buf *out, const ProtobufCMessage *timestamp)
{
    char text[REEL_TIMESTAMP_SIZE];

    if (!reel_timestamp_format(reel_pb_timestamp_seconds(timestamp),
                               reel_pb_timestamp_nanos(timestamp), text))
        return REEL_INTERNAL;
    reel_json_add_string(out, text);
    return REEL_OK;
}

static void write_enum(struct reel_buf *out, const ProtobufCEnumDescriptor *descriptor,
                       int32_t value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);

    if (known)
        reel_json_add_string(out, known->name);
    else
        reel_json_add_int(out, value);
}

static void write_quoted_int(struct reel_buf *out, ProtobufCType type, const void *value)
{
    reel_buf_addc(out, '"');
    if (type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64)
        reel_json_add_uint(out, *(const uint64_t *)value);
    else
        reel_json_add_int(out, *(const int64_t *)value);
    reel_buf_addc(out, '"');
}

static void write_bytes(struct reel_buf *out, const ProtobufCBinaryData *bytes)
{
    reel_buf_addc(out, '"');
    reel_base64_add(out, bytes->data, bytes->len);
    reel_buf_addc(out, '"');
}

static void write_string(struct reel_buf *out, const char *s)
{
    reel_json_add_string(out, s ? s : "");
}

static int write_value(struct reel_buf *out, const ProtobufCFieldDescriptor *field,
                       const void *value, int depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        write_string(out, *(const char *const *)value);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        write_bytes(out, value);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        reel_buf_adds(out, *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(out, field->descriptor, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        reel_json_add_float(out, *(const float *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        reel_json_add_double(out, *(const double *)value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        return write_message(out, *(const ProtobufCMessage *const *)value, depth + 1);
    default:
        if (reel_pb_element_size(field->type) == 8)
            write_quoted_int(out, field->type, value);
        else
            reel_json_add_int(out, reel_pb_get_int(field->type, value));
        break;
    }
    return REEL_OK;
}

static int write_list(struct reel_buf *out, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, int depth)
{
    const char *items = *(const char *const *)reel_pb_value(message, field);
    size_t size = reel_pb_element_size(field->type);
    size_t n = reel_pb_count(message, field);

    reel_buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            reel_buf_addc(out, ',');
        int rc = write_value(out, field, items + i * size, depth + 1);
        if (rc != REEL_OK)
            return rc;
    }
    reel_buf_addc(out, ']');
    return REEL_OK;
}

static void write_name(struct reel_buf *out, const char *name)
{
    char camel[REEL_PB_NAME_SIZE];

    reel_pb_camel_name(name, camel);
    reel_buf_addc(out, '"');
    reel_buf_adds(out, camel);
    reel_buf_add(out, "\":", 2);
}

static int write_fields(struct reel_buf *out, const ProtobufCMessage *message, int depth)
{
    bool first = true;

    reel_buf_addc(out, '{');
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];

        if (!reel_pb_is_present(message, field))
            continue;
        if (!first)
            reel_buf_addc(out, ',');
        first = false;
        write_name(out, field->name);
        int rc = field->label == PROTOBUF_C_LABEL_REPEATED
                     ? write_list(out, message, field, depth)
                     : write_value(out, field, reel_pb_value(message, field), depth);
        if (rc != REEL_OK)
            return rc;
    }
    reel_buf_addc(out, '}');
    return REEL_OK;
}

static int write_message(struct reel_buf *out, const ProtobufCMessage *message, int depth)
{
    const ProtobufCFieldDescriptor *wrapped;

    if (depth > REEL_PBJSON_MAX_DEPTH)
        return REEL_INTERNAL;
    switch (reel_pb_kind_of(message->descriptor)) {
    case REEL_PB_TIMESTAMP:
        return write_timestamp(out, message);
    case REEL_PB_WRAPPER:
        wrapped = &message->descriptor->fields[0];
        return write_value(out, wrapped, reel_pb_value(message, wrapped), depth);
    default:
        return write_fields(out, message, depth);
    }
}

int reel_pbjson_write(const ProtobufCMessage *message, struct reel_buf *out)
{
    int rc = write_message(out, message, 1);

    if (rc != REEL_OK)
        return rc;
    return out->failed ? REEL_RESOURCE_EXHAUSTED : REEL_OK;
}
