// SPDX-License-Identifier: Apache-2.0
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/base64.h"
#include "libcommon/core/err.h"
#include "libcommon/core/timestamp.h"
#include "libcommon/json/pbjson_value.h"

int reel_pbjson_value_fail(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                           const char *fmt, ...)
{
    va_list args;

    reel_pb_path(place, r->error->path, sizeof(r->error->path));
    va_start(args, fmt);
    vsnprintf(r->error->message, sizeof(r->error->message), fmt, args);
    va_end(args);
    return REEL_INVALID_ARGUMENT;
}

int reel_pbjson_value_exhausted(struct reel_pbjson_reader *r, const struct reel_pb_place *place)
{
    reel_pbjson_value_fail(r, place, "does not fit into the memory of one call");
    return REEL_RESOURCE_EXHAUSTED;
}

struct range {
    int64_t min;
    uint64_t max;
};

static struct range range_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return (struct range){0, UINT32_MAX};
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return (struct range){0, UINT64_MAX};
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return (struct range){INT64_MIN, INT64_MAX};
    default:
        return (struct range){INT32_MIN, INT32_MAX};
    }
}

// A whole number as sign and magnitude, which holds both int64 and uint64.
struct whole {
    bool negative;
    uint64_t magnitude;
};

static bool whole_of_real(double real, struct whole *ret)
{
    if (!isfinite(real) || real != trunc(real) || fabs(real) >= 18446744073709551616.0)
        return false;
    *ret = (struct whole){.negative = real < 0, .magnitude = (uint64_t)fabs(real)};
    return true;
}

static bool real_of_text(const char *text, size_t len, double *ret)
{
    static const char allowed[] = "+-.0123456789eE";
    char *end;

    // strtod alone would also take hexadecimal, "inf", "nan" and leading space.
    if (len == 0 || strspn(text, allowed) != len || text[0] == '+')
        return false;
    *ret = strtod(text, &end);
    return *end == '\0' && isfinite(*ret);
}

static bool whole_of_text(const char *text, size_t len, struct whole *ret)
{
    struct whole whole = {.negative = len > 0 && text[0] == '-'};
    size_t i = whole.negative ? 1 : 0;
    double real;

    if (i == len || strspn(text + i, "0123456789") != len - i)
        return real_of_text(text, len, &real) && whole_of_real(real, ret);
    for (; i < len; i++) {
        if (__builtin_mul_overflow(whole.magnitude, 10u, &whole.magnitude) ||
            __builtin_add_overflow(whole.magnitude, (unsigned)(text[i] - '0'), &whole.magnitude))
            return false;
    }
    *ret = whole;
    return true;
}

static bool whole_of_json(const json_t *json, struct whole *ret)
{
    if (json_is_integer(json)) {
        int64_t n = json_integer_value(json);

        ret->negative = n < 0;
        ret->magnitude = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
        return true;
    }
    if (json_is_real(json))
        return whole_of_real(json_real_value(json), ret);
    return json_is_string(json) &&
           whole_of_text(json_string_value(json), json_string_length(json), ret);
}

static bool is_in_range(struct whole n, struct range range)
{
    if (n.negative)
        return n.magnitude <= 0 - (uint64_t)range.min;
    return n.magnitude <= range.max;
}

static int parse_whole(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                       ProtobufCType type, const json_t *json, void *slot)
{
    struct range range = range_of(type);
    struct whole n;

    if (!whole_of_json(json, &n) || !is_in_range(n, range))
        return reel_pbjson_value_fail(r, place, "must be a whole number from %lld to %llu",
                                      (long long)range.min, (unsigned long long)range.max);

    uint64_t bits = n.negative ? 0 - n.magnitude : n.magnitude;
    if (reel_pb_element_size(type) == 4)
        *(uint32_t *)slot = (uint32_t)bits;
    else
        *(uint64_t *)slot = bits;
    return REEL_OK;
}

static bool named_real(const char *text, double *ret)
{
    if (strcmp(text, "NaN") == 0)
        *ret = (double)NAN;
    else if (strcmp(text, "Infinity") == 0)
        *ret = (double)INFINITY;
    else if (strcmp(text, "-Infinity") == 0)
        *ret = -(double)INFINITY;
    else
        return false;
    return true;
}

static int parse_real(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                      ProtobufCType type, const json_t *json, void *slot)
{
    double real;

    if (json_is_number(json)) {
        real = json_number_value(json);
    } else if (!json_is_string(json) ||
               (!named_real(json_string_value(json), &real) &&
                !real_of_text(json_string_value(json), json_string_length(json), &real))) {
        return reel_pbjson_value_fail(r, place, "must be a number");
    }
    if (type == PROTOBUF_C_TYPE_DOUBLE) {
        *(double *)slot = real;
        return REEL_OK;
    }
    // Half a step past FLT_MAX still rounds to it.
    if (isfinite(real) && fabs(real) >= 0x1.ffffffp127)
        return reel_pbjson_value_fail(r, place, "must be a number from %g to %g", -(double)FLT_MAX,
                                      (double)FLT_MAX);
    *(float *)slot = (float)real;
    return REEL_OK;
}

static int parse_bool(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                      const json_t *json, void *slot)
{
    const char *text = r->plain_text ? json_string_value(json) : NULL;

    if (json_is_boolean(json))
        *(protobuf_c_boolean *)slot = json_is_true(json);
    else if (text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        *(protobuf_c_boolean *)slot = text[0] == 't';
    else
        return reel_pbjson_value_fail(r, place, "must be true or false");
    return REEL_OK;
}

static int parse_enum(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                      const ProtobufCEnumDescriptor *descriptor, const json_t *json, void *slot)
{
    const ProtobufCEnumValue *value;
    struct whole n;

    if (json_is_string(json)) {
        value = protobuf_c_enum_descriptor_get_value_by_name(descriptor, json_string_value(json));
        if (value) {
            *(int32_t *)slot = value->value;
            return REEL_OK;
        }
    }
    if ((json_is_string(json) && !r->plain_text) || !whole_of_json(json, &n) ||
        !is_in_range(n, range_of(PROTOBUF_C_TYPE_ENUM)))
        return reel_pbjson_value_fail(r, place, "must be the name or number of a value of %s",
                                      descriptor->short_name);
    *(int32_t *)slot = (int32_t)(n.negative ? 0 - n.magnitude : n.magnitude);
    return REEL_OK;
}

static int parse_string(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                        const json_t *json, void *slot)
{
    if (!json_is_string(json))
        return reel_pbjson_value_fail(r, place, "must be a string");

    char *copy = reel_arena_strndup(r->arena, json_string_value(json), json_string_length(json));
    if (!copy)
        return reel_pbjson_value_exhausted(r, place);
    *(char **)slot = copy;
    return REEL_OK;
}

static int parse_bytes(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                       const json_t *json, void *slot)
{
    ProtobufCBinaryData *bytes = slot;

    if (!json_is_string(json))
        return reel_pbjson_value_fail(r, place, "must be a string of base64");

    int rc = reel_base64_decode(r->arena, json_string_value(json), json_string_length(json),
                                &bytes->data, &bytes->len);
    if (rc == REEL_RESOURCE_EXHAUSTED)
        return reel_pbjson_value_exhausted(r, place);
    return rc == REEL_OK ? REEL_OK : reel_pbjson_value_fail(r, place, "must be a string of base64");
}

int reel_pbjson_value_scalar(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                             const ProtobufCFieldDescriptor *field, const json_t *json, void *slot)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return parse_string(r, place, json, slot);
    case PROTOBUF_C_TYPE_BYTES:
        return parse_bytes(r, place, json, slot);
    case PROTOBUF_C_TYPE_BOOL:
        return parse_bool(r, place, json, slot);
    case PROTOBUF_C_TYPE_ENUM:
        return parse_enum(r, place, field->descriptor, json, slot);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return parse_real(r, place, field->type, json, slot);
    default:
        return parse_whole(r, place, field->type, json, slot);
    }
}

int reel_pbjson_value_timestamp(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                                const json_t *json, ProtobufCMessage *timestamp)
{
    const char *text = json_string_value(json);
    int64_t seconds;
    int32_t nanos;

    if (!text || !reel_timestamp_parse(text, json_string_length(json), &seconds, &nanos))
        return reel_pbjson_value_fail(
            r, place, "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z");
    reel_pb_timestamp_set(timestamp, seconds, nanos);
    return REEL_OK;
}

int reel_pbjson_value_claim(struct reel_pbjson_reader *r, const struct reel_pb_place *place,
                            ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t *chosen = reel_pb_quantifier(message, field);
        char other[REEL_PB_NAME_SIZE];

        if (*chosen != 0 && *chosen != field->id) {
            reel_pb_camel_name(
                protobuf_c_message_descriptor_get_field(message->descriptor, *chosen)->name, other);
            return reel_pbjson_value_fail(r, place, "excludes %s, which is given too", other);
        }
        *chosen = field->id;
    } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
               field->type != PROTOBUF_C_TYPE_MESSAGE) {
        *(protobuf_c_boolean *)reel_pb_quantifier(message, field) = true;
    }
    return REEL_OK;
}
