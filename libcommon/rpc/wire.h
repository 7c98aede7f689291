// SPDX-License-Identifier: Apache-2.0
// Packets and frames as bytes: proto/rpc.proto read and written by hand.
//
// Decoding copies nothing: slices point into the packet, which must outlive them. Nothing here
// allocates but the buffer that is appended to.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/buf.h"
#include "libcommon/core/err.h"
#include "libcommon/rpc/channel.h"

enum {
    REEL_WIRE_VERSION = 1,
    REEL_WIRE_WINDOW = 32,                  // packets in flight before an ack, each way
    REEL_WIRE_ACK_EVERY = 16,               // packets after which an ack is sent on its own
    REEL_WIRE_STREAM_CREDIT = 256 * 1024,   // bytes a stream may send before the first CREDIT
    REEL_WIRE_STREAM_OVERHEAD = 64,         // bytes of credit a message costs beside its payload
    REEL_WIRE_SLACK = 64 * 1024,            // room for everything in a packet but the payload
    REEL_WIRE_DEFAULT_MAX_MESSAGE = 4 << 20 // payload bytes
};

enum reel_frame_kind {
    REEL_FRAME_NONE,
    REEL_FRAME_HELLO,
    REEL_FRAME_REQUEST,
    REEL_FRAME_RESPONSE,
    REEL_FRAME_DATA,
    REEL_FRAME_END,
    REEL_FRAME_CANCEL,
    REEL_FRAME_CREDIT,
    REEL_FRAME_PING,
    REEL_FRAME_PONG,
    REEL_FRAME_GOAWAY,
};

// Bytes that belong to somebody else.
struct reel_slice {
    const uint8_t *data;
    size_t len;
};

struct reel_hello {
    struct reel_slice service;
    struct reel_slice key;
    uint32_t window;
    uint64_t stream_credit;
    uint64_t max_message_bytes;
};

// One frame, for writing and as read. `metadata` and `violations` are for writing; as read, they
// are walked with reel_frame_next_metadata and reel_frame_next_violation.
struct reel_frame {
    uint32_t kind; // enum reel_frame_kind, or a kind of a later version
    uint64_t call_id;
    struct reel_slice method;
    uint64_t timeout_us;
    struct reel_slice payload;
    bool has_payload;
    bool has_status;
    bool has_hello;
    uint32_t code;
    struct reel_slice message;
    uint32_t retry_after_ms;
    struct reel_slice policy; // with quota and window_s: what is used up
    uint32_t quota;
    uint32_t window_s;
    uint64_t credit;
    struct reel_hello hello;
    const struct reel_metadata *metadata;
    size_t n_metadata;
    const struct reel_violation *violations;
    size_t n_violations;
    struct reel_slice tail;   // writing: encoded fields of a frame, appended as they are
    struct reel_slice body;   // as read: the whole frame
    struct reel_slice status; // as read: the last status
};

struct reel_packet {
    uint32_t version;
    uint32_t ack;
    bool has_frames;
    struct reel_slice rest; // what reel_packet_next has not read yet
};

// The slice of a C string; NULL gives the empty one.
struct reel_slice reel_slice_of(const char *s);

// Whether the slice holds exactly the string.
bool reel_slice_is(struct reel_slice slice, const char *s);

// Reads the head of a packet and checks that every field lies inside it. False when malformed.
bool reel_packet_open(const uint8_t *data, size_t len, struct reel_packet *ret_packet);

// Reads the next frame: 1, 0 after the last one, -1 when the frame is malformed (its call_id is set
// if it could be read; the next call goes on with the frame after it).
int reel_packet_next(struct reel_packet *packet, struct reel_frame *ret_frame);

// Walks the metadata of a frame that was read; *cursor starts at 0. False at the end or at an entry
// that is malformed.
bool reel_frame_next_metadata(const struct reel_frame *frame, size_t *cursor,
                              struct reel_slice *ret_key, struct reel_slice *ret_value);

// Walks the field violations of a frame that was read, as reel_frame_next_metadata.
bool reel_frame_next_violation(const struct reel_frame *frame, size_t *cursor,
                               struct reel_slice *ret_field, struct reel_slice *ret_description);

// Appends a frame as a field of a packet: tag, length, body. The buffer fails beyond its maximum.
void reel_frame_write(struct reel_buf *buf, const struct reel_frame *frame);

// Appends only the fields method, metadata and payload, for a later frame's `tail`.
void reel_frame_write_tail(struct reel_buf *buf, const struct reel_frame *frame);

// The bytes of the frame field that starts at `data` (tag and length included), which
// reel_frame_write made.
size_t reel_frame_extent(const uint8_t *data, size_t len);

// Room that reel_packet_head needs at most.
enum { REEL_PACKET_HEAD_MAX = 12 };

// Writes version and ack, the head of a packet; frames follow. Returns the bytes written.
size_t reel_packet_head(uint8_t ret_head[REEL_PACKET_HEAD_MAX], uint32_t ack);
