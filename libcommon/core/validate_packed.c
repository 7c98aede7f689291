// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/pb.h"
#include "libcommon/core/validate.h"

enum { MAX_DEPTH = 16, PATH_SIZE = 256, MAX_VARINT_BYTES = 10 };

enum wire_type { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

struct packed_walk {
    reel_violation_fn report;
    void *arg;
};

static int refuse(struct packed_walk *w, const struct reel_pb_place *place, const char *description)
{
    char path[PATH_SIZE];

    if (w->report) {
        reel_pb_path(place, path, sizeof(path));
        w->report(w->arg, path, description);
    }
    return REEL_INVALID_ARGUMENT;
}

static bool read_varint(struct input *in, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (int i = 0; i < MAX_VARINT_BYTES && in->at < in->end; i++) {
        uint8_t byte = *in->at++;

        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct input *in, uint64_t n)
{
    if (n > (uint64_t)(in->end - in->at))
        return false;
    in->at += n;
    return true;
}

// Takes the value after a tag; `ret_value` gets the bytes of a delimited one.
static bool read_value(struct input *in, enum wire_type type, struct input *ret_value)
{
    uint64_t n;

    switch (type) {
    case VARINT:
        return read_varint(in, &n);
    case FIXED64:
        return skip(in, 8);
    case FIXED32:
        return skip(in, 4);
    case DELIMITED:
        if (!read_varint(in, &n) || n > (uint64_t)(in->end - in->at))
            return false;
        *ret_value = (struct input){.at = in->at, .end = in->at + n};
        in->at += n;
        return true;
    default:
        return false;
    }
}

static int walk_message(struct packed_walk *w, const struct reel_pb_place *place,
                        const ProtobufCMessageDescriptor *descriptor, struct input in);

static int walk_field(struct packed_walk *w, const struct reel_pb_place *up,
                      const ProtobufCFieldDescriptor *field, struct input value)
{
    struct reel_pb_place here = {
        .up = up, .field = field->name, .index = REEL_PB_NO_INDEX, .depth = up ? up->depth + 1 : 1};

    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return here.depth > MAX_DEPTH ? refuse(w, &here, "is nested deeper than 16 messages")
                                      : walk_message(w, &here, field->descriptor, value);
    if (field->type == PROTOBUF_C_TYPE_STRING && value.at != value.end &&
        memchr(value.at, 0, (size_t)(value.end - value.at)))
        return refuse(w, &here, "must not have a NUL character");
    return REEL_OK;
}

static int walk_message(struct packed_walk *w, const struct reel_pb_place *place,
                        const ProtobufCMessageDescriptor *descriptor, struct input in)
{
    while (in.at < in.end) {
        struct input value = {0};
        uint64_t tag;

        if (!read_varint(&in, &tag) || !read_value(&in, (enum wire_type)(tag & 7), &value))
            return refuse(w, place, "is not a well-formed protobuf message");
        if ((tag & 7) != DELIMITED || tag >> 3 > UINT32_MAX)
            continue;

        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        int rc = field ? walk_field(w, place, field, value) : REEL_OK;
        if (rc != REEL_OK)
            return rc;
    }
    return REEL_OK;
}

int reel_validate_packed(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                         size_t len, reel_violation_fn report, void *arg)
{
    struct packed_walk w = {.report = report, .arg = arg};

    if (len == 0)
        return REEL_OK;
    return walk_message(&w, NULL, descriptor, (struct input){.at = data, .end = data + len});
}
