// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/wire.h"

#include <string.h>

enum wire_type { WT_VARINT = 0, WT_FIXED64 = 1, WT_BYTES = 2, WT_FIXED32 = 5 };

enum { PACKET_VERSION = 1, PACKET_ACK = 2, PACKET_FRAMES = 3 };
enum {
    FRAME_KIND = 1,
    FRAME_CALL_ID = 2,
    FRAME_METHOD = 3,
    FRAME_TIMEOUT_US = 4,
    FRAME_METADATA = 5,
    FRAME_PAYLOAD = 6,
    FRAME_STATUS = 7,
    FRAME_CREDIT = 8,
    FRAME_HELLO = 9,
};
enum {
    STATUS_CODE = 1,
    STATUS_MESSAGE = 2,
    STATUS_VIOLATIONS = 3,
    STATUS_RETRY_AFTER_MS = 4,
    STATUS_POLICY = 5,
    STATUS_QUOTA = 6,
    STATUS_WINDOW_S = 7,
};
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };
enum {
    HELLO_SERVICE = 1,
    HELLO_KEY = 2,
    HELLO_WINDOW = 3,
    HELLO_STREAM_CREDIT = 4,
    HELLO_MAX_MESSAGE_BYTES = 5,
};

struct reel_slice reel_slice_of(const char *s)
{
    return (struct reel_slice){.data = (const uint8_t *)s, .len = s ? strlen(s) : 0};
}

bool reel_slice_is(struct reel_slice slice, const char *s)
{
    return slice.len == strlen(s) && memcmp(slice.data, s, slice.len) == 0;
}

// One field as it lies on the wire: `number` for varints and fixed values, `bytes` for the rest.
struct field {
    uint32_t tag;
    enum wire_type type;
    uint64_t number;
    struct reel_slice bytes;
};

static bool read_varint(struct reel_slice *in, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 10 && i < in->len; i++) {
        value |= (uint64_t)(in->data[i] & 0x7f) << (7 * i);
        if (!(in->data[i] & 0x80)) {
            in->data += i + 1;
            in->len -= i + 1;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool read_bytes(struct reel_slice *in, uint64_t len, struct reel_slice *ret_bytes)
{
    if (len > in->len)
        return false;
    *ret_bytes = (struct reel_slice){.data = in->data, .len = (size_t)len};
    in->data += len;
    in->len -= (size_t)len;
    return true;
}

static bool read_field(struct reel_slice *in, struct field *ret_field)
{
    uint64_t key;
    uint64_t len;

    if (!read_varint(in, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return false;
    ret_field->tag = (uint32_t)(key >> 3);
    ret_field->type = (enum wire_type)(key & 7);
    switch (ret_field->type) {
    case WT_VARINT:
        return read_varint(in, &ret_field->number);
    case WT_BYTES:
        return read_varint(in, &len) && read_bytes(in, len, &ret_field->bytes);
    case WT_FIXED64:
        return read_bytes(in, 8, &ret_field->bytes);
    case WT_FIXED32:
        return read_bytes(in, 4, &ret_field->bytes);
    }
    return false;
}

bool reel_packet_open(const uint8_t *data, size_t len, struct reel_packet *ret_packet)
{
    struct reel_slice in = {.data = data, .len = len};
    struct field field;

    *ret_packet = (struct reel_packet){.rest = in};
    while (in.len > 0) {
        if (!read_field(&in, &field))
            return false;
        if (field.tag == PACKET_VERSION && field.type == WT_VARINT)
            ret_packet->version = (uint32_t)field.number;
        else if (field.tag == PACKET_ACK && field.type == WT_VARINT)
            ret_packet->ack = (uint32_t)field.number;
        else if (field.tag == PACKET_FRAMES && field.type == WT_BYTES)
            ret_packet->has_frames = true;
        else if (field.tag <= PACKET_FRAMES)
            return false;
    }
    return true;
}

static bool read_hello(struct reel_slice in, struct reel_hello *hello)
{
    struct field field;

    while (in.len > 0) {
        if (!read_field(&in, &field))
            return false;
        bool is_bytes = field.tag == HELLO_SERVICE || field.tag == HELLO_KEY;
        if (field.tag <= HELLO_MAX_MESSAGE_BYTES && is_bytes != (field.type == WT_BYTES))
            return false;
        if (field.tag == HELLO_SERVICE)
            hello->service = field.bytes;
        else if (field.tag == HELLO_KEY)
            hello->key = field.bytes;
        else if (field.tag == HELLO_WINDOW)
            hello->window = (uint32_t)field.number;
        else if (field.tag == HELLO_STREAM_CREDIT)
            hello->stream_credit = field.number;
        else if (field.tag == HELLO_MAX_MESSAGE_BYTES)
            hello->max_message_bytes = field.number;
    }
    return true;
}

static bool is_status_text(uint32_t tag)
{
    return tag == STATUS_MESSAGE || tag == STATUS_VIOLATIONS || tag == STATUS_POLICY;
}

static bool read_status(struct reel_slice in, struct reel_frame *frame)
{
    struct field field;

    frame->status = in;
    while (in.len > 0) {
        if (!read_field(&in, &field))
            return false;
        if (field.tag <= STATUS_WINDOW_S && is_status_text(field.tag) != (field.type == WT_BYTES))
            return false;
        if (field.tag == STATUS_CODE)
            frame->code = (uint32_t)field.number;
        else if (field.tag == STATUS_MESSAGE)
            frame->message = field.bytes;
        else if (field.tag == STATUS_RETRY_AFTER_MS)
            frame->retry_after_ms = (uint32_t)field.number;
        else if (field.tag == STATUS_POLICY)
            frame->policy = field.bytes;
        else if (field.tag == STATUS_QUOTA)
            frame->quota = (uint32_t)field.number;
        else if (field.tag == STATUS_WINDOW_S)
            frame->window_s = (uint32_t)field.number;
    }
    return true;
}

static bool read_pair(struct reel_slice in, struct reel_slice *ret_key,
                      struct reel_slice *ret_value)
{
    struct field field;

    *ret_key = (struct reel_slice){.data = in.data};
    *ret_value = (struct reel_slice){.data = in.data};
    while (in.len > 0) {
        if (!read_field(&in, &field))
            return false;
        if (field.tag <= PAIR_VALUE && field.type != WT_BYTES)
            return false;
        if (field.tag == PAIR_KEY)
            *ret_key = field.bytes;
        else if (field.tag == PAIR_VALUE)
            *ret_value = field.bytes;
    }
    return true;
}

static bool read_frame_number(struct reel_frame *frame, const struct field *field)
{
    switch (field->tag) {
    case FRAME_KIND:
        frame->kind = (uint32_t)field->number;
        return true;
    case FRAME_CALL_ID:
        frame->call_id = field->number;
        return true;
    case FRAME_TIMEOUT_US:
        frame->timeout_us = field->number;
        return true;
    case FRAME_CREDIT:
        frame->credit = field->number;
        return true;
    default:
        return field->tag > FRAME_HELLO;
    }
}

static bool read_frame_bytes(struct reel_frame *frame, const struct field *field)
{
    struct reel_slice key;
    struct reel_slice value;

    switch (field->tag) {
    case FRAME_METHOD:
        frame->method = field->bytes;
        return true;
    case FRAME_METADATA:
        return read_pair(field->bytes, &key, &value);
    case FRAME_PAYLOAD:
        frame->payload = field->bytes;
        frame->has_payload = true;
        return true;
    case FRAME_STATUS:
        frame->has_status = true;
        return read_status(field->bytes, frame);
    case FRAME_HELLO:
        frame->has_hello = true;
        return read_hello(field->bytes, &frame->hello);
    default:
        return field->tag > FRAME_HELLO;
    }
}

static bool read_frame(struct reel_slice in, struct reel_frame *frame)
{
    struct field field;

    *frame = (struct reel_frame){.body = in};
    while (in.len > 0) {
        if (!read_field(&in, &field))
            return false;
        bool ok = field.type == WT_VARINT  ? read_frame_number(frame, &field)
                  : field.type == WT_BYTES ? read_frame_bytes(frame, &field)
                                           : field.tag > FRAME_HELLO;
        if (!ok)
            return false;
    }
    return true;
}

int reel_packet_next(struct reel_packet *packet, struct reel_frame *ret_frame)
{
    struct field field;

    while (packet->rest.len > 0) {
        if (!read_field(&packet->rest, &field)) {
            packet->rest.len = 0;
            return -1;
        }
        if (field.tag == PACKET_FRAMES)
            return read_frame(field.bytes, ret_frame) ? 1 : -1;
    }
    return 0;
}

// Walks the fields `tag` of `in`, each a pair of strings, from *cursor.
static bool next_pair(struct reel_slice in, uint32_t tag, size_t *cursor,
                      struct reel_slice *ret_first, struct reel_slice *ret_second)
{
    struct reel_slice rest = in;
    struct field field;

    if (in.len == 0)
        return false;
    rest.data += *cursor;
    rest.len -= *cursor;
    while (rest.len > 0) {
        if (!read_field(&rest, &field))
            return false;
        *cursor = in.len - rest.len;
        if (field.tag == tag && field.type == WT_BYTES)
            return read_pair(field.bytes, ret_first, ret_second);
    }
    return false;
}

bool reel_frame_next_metadata(const struct reel_frame *frame, size_t *cursor,
                              struct reel_slice *ret_key, struct reel_slice *ret_value)
{
    return next_pair(frame->body, FRAME_METADATA, cursor, ret_key, ret_value);
}

bool reel_frame_next_violation(const struct reel_frame *frame, size_t *cursor,
                               struct reel_slice *ret_field, struct reel_slice *ret_description)
{
    return next_pair(frame->status, STATUS_VIOLATIONS, cursor, ret_field, ret_description);
}

// Every size is known before a byte is written, so a frame is reserved once. Tags are
// below 16: one byte each.

static size_t varint_size(uint64_t value)
{
    return value < 0x80 ? 1 : ((size_t)(63 - __builtin_clzll(value)) / 7) + 1;
}

static size_t number_size(uint64_t value)
{
    return value == 0 ? 0 : 1 + varint_size(value);
}

static size_t bytes_size(size_t len)
{
    return 1 + varint_size(len) + len;
}

static size_t string_size(size_t len)
{
    return len == 0 ? 0 : bytes_size(len);
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_number(uint8_t *out, uint32_t tag, uint64_t value)
{
    if (value == 0)
        return out;
    *out++ = (uint8_t)(tag << 3 | WT_VARINT);
    return put_varint(out, value);
}

static uint8_t *put_length(uint8_t *out, uint32_t tag, size_t len)
{
    *out++ = (uint8_t)(tag << 3 | WT_BYTES);
    return put_varint(out, len);
}

static uint8_t *put_bytes(uint8_t *out, uint32_t tag, const void *data, size_t len)
{
    out = put_length(out, tag, len);
    if (len > 0)
        memcpy(out, data, len);
    return out + len;
}

static uint8_t *put_string(uint8_t *out, uint32_t tag, const void *data, size_t len)
{
    return len == 0 ? out : put_bytes(out, tag, data, len);
}

static size_t pair_size(const char *first, const char *second)
{
    return string_size(strlen(first)) + string_size(strlen(second));
}

static uint8_t *put_pair(uint8_t *out, uint32_t tag, const char *first, const char *second)
{
    out = put_length(out, tag, pair_size(first, second));
    out = put_string(out, PAIR_KEY, first, strlen(first));
    return put_string(out, PAIR_VALUE, second, strlen(second));
}

static size_t status_size(const struct reel_frame *frame)
{
    size_t size = number_size(frame->code) + string_size(frame->message.len) +
                  number_size(frame->retry_after_ms) + string_size(frame->policy.len) +
                  number_size(frame->quota) + number_size(frame->window_s);

    for (size_t i = 0; i < frame->n_violations; i++)
        size += bytes_size(pair_size(frame->violations[i].field, frame->violations[i].description));
    return size;
}

static uint8_t *put_status(uint8_t *out, const struct reel_frame *frame)
{
    out = put_length(out, FRAME_STATUS, status_size(frame));
    out = put_number(out, STATUS_CODE, frame->code);
    out = put_string(out, STATUS_MESSAGE, frame->message.data, frame->message.len);
    for (size_t i = 0; i < frame->n_violations; i++)
        out = put_pair(out, STATUS_VIOLATIONS, frame->violations[i].field,
                       frame->violations[i].description);
    out = put_number(out, STATUS_RETRY_AFTER_MS, frame->retry_after_ms);
    out = put_string(out, STATUS_POLICY, frame->policy.data, frame->policy.len);
    out = put_number(out, STATUS_QUOTA, frame->quota);
    return put_number(out, STATUS_WINDOW_S, frame->window_s);
}

static size_t hello_size(const struct reel_hello *hello)
{
    return string_size(hello->service.len) + string_size(hello->key.len) +
           number_size(hello->window) + number_size(hello->stream_credit) +
           number_size(hello->max_message_bytes);
}

static uint8_t *put_hello(uint8_t *out, const struct reel_hello *hello)
{
    out = put_length(out, FRAME_HELLO, hello_size(hello));
    out = put_string(out, HELLO_SERVICE, hello->service.data, hello->service.len);
    out = put_string(out, HELLO_KEY, hello->key.data, hello->key.len);
    out = put_number(out, HELLO_WINDOW, hello->window);
    out = put_number(out, HELLO_STREAM_CREDIT, hello->stream_credit);
    return put_number(out, HELLO_MAX_MESSAGE_BYTES, hello->max_message_bytes);
}

static size_t tail_size(const struct reel_frame *frame)
{
    size_t size = string_size(frame->method.len);

    for (size_t i = 0; i < frame->n_metadata; i++)
        size += bytes_size(pair_size(frame->metadata[i].key, frame->metadata[i].value));
    if (frame->has_payload)
        size += bytes_size(frame->payload.len);
    return size;
}

static uint8_t *put_tail(uint8_t *out, const struct reel_frame *frame)
{
    out = put_string(out, FRAME_METHOD, frame->method.data, frame->method.len);
    for (size_t i = 0; i < frame->n_metadata; i++)
        out = put_pair(out, FRAME_METADATA, frame->metadata[i].key, frame->metadata[i].value);
    if (frame->has_payload)
        out = put_bytes(out, FRAME_PAYLOAD, frame->payload.data, frame->payload.len);
    return out;
}

static size_t frame_size(const struct reel_frame *frame)
{
    size_t size = number_size(frame->kind) + number_size(frame->call_id) +
                  number_size(frame->timeout_us) + number_size(frame->credit) + tail_size(frame) +
                  frame->tail.len;

    if (frame->has_status)
        size += bytes_size(status_size(frame));
    if (frame->has_hello)
        size += bytes_size(hello_size(&frame->hello));
    return size;
}

void reel_frame_write(struct reel_buf *buf, const struct reel_frame *frame)
{
    size_t body = frame_size(frame);
    size_t total = bytes_size(body);

    if (!reel_buf_reserve(buf, total))
        return;
    uint8_t *out = put_length((uint8_t *)buf->data + buf->len, PACKET_FRAMES, body);
    out = put_number(out, FRAME_KIND, frame->kind);
    out = put_number(out, FRAME_CALL_ID, frame->call_id);
    out = put_number(out, FRAME_TIMEOUT_US, frame->timeout_us);
    out = put_number(out, FRAME_CREDIT, frame->credit);
    if (frame->has_status)
        out = put_status(out, frame);
    if (frame->has_hello)
        out = put_hello(out, &frame->hello);
    out = put_tail(out, frame);
    if (frame->tail.len > 0)
        memcpy(out, frame->tail.data, frame->tail.len);
    buf->len += total;
    buf->data[buf->len] = '\0';
}

void reel_frame_write_tail(struct reel_buf *buf, const struct reel_frame *frame)
{
    size_t size = tail_size(frame);

    if (!reel_buf_reserve(buf, size))
        return;
    put_tail((uint8_t *)buf->data + buf->len, frame);
    buf->len += size;
    buf->data[buf->len] = '\0';
}

size_t reel_frame_extent(const uint8_t *data, size_t len)
{
    struct reel_slice in = {.data = data, .len = len};
    struct field field;

    return read_field(&in, &field) ? len - in.len : len;
}

size_t reel_packet_head(uint8_t ret_head[REEL_PACKET_HEAD_MAX], uint32_t ack)
{
    uint8_t *out = put_number(ret_head, PACKET_VERSION, REEL_WIRE_VERSION);

    out = put_number(out, PACKET_ACK, ack);
    return (size_t)(out - ret_head);
}
