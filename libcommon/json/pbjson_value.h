// SPDX-License-Identifier: Apache-2.0
// One JSON value into one field: what pbjson_parse.c and pbjson_set.c share. Private to this
// folder.
#pragma once

#include "libcommon/core/pb.h"
#include "libcommon/json/pbjson.h"

struct json_t;

// The storage is the caller's, for one parse on one thread.
struct reel_pbjson_reader {
    struct reel_arena *arena;
    struct reel_pbjson_error *error;
    bool plain_text; // a value from a URL: everything is a string
};

// Records what is wrong at `place` (NULL: with the whole). Returns REEL_INVALID_ARGUMENT.
int reel_pbjson_value_fail(struct reel_pbjson_reader *reader, const struct reel_pb_place *place,
                           const char *fmt, ...) REEL_PRINTF(3, 4);

// Records that the arena is full. Returns REEL_RESOURCE_EXHAUSTED.
int reel_pbjson_value_exhausted(struct reel_pbjson_reader *reader,
                                const struct reel_pb_place *place);

// Reads a value that is not a message into `slot`, the memory of the field or of one element.
int reel_pbjson_value_scalar(struct reel_pbjson_reader *reader, const struct reel_pb_place *place,
                             const ProtobufCFieldDescriptor *field, const struct json_t *json,
                             void *slot) REEL_MUST_CHECK;

// Reads RFC 3339 text into a google.protobuf.Timestamp.
int reel_pbjson_value_timestamp(struct reel_pbjson_reader *reader,
                                const struct reel_pb_place *place, const struct json_t *json,
                                ProtobufCMessage *timestamp) REEL_MUST_CHECK;

// Marks a oneof member or an optional field as the one that is there. REEL_INVALID_ARGUMENT when
// another member of the oneof is there already. Does nothing for other fields.
int reel_pbjson_value_claim(struct reel_pbjson_reader *reader, const struct reel_pb_place *place,
                            ProtobufCMessage *message,
                            const ProtobufCFieldDescriptor *field) REEL_MUST_CHECK;
