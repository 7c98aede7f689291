// SPDX-License-Identifier: Apache-2.0
// The proto3 JSON mapping between JSON text and protobuf-c messages, driven by descriptors.
//
// camelCase names (the proto's own spelling is accepted too), 64-bit integers as strings (numbers
// accepted), bytes as base64 (URL-safe accepted), enums by name (numbers accepted), Timestamp as
// RFC 3339, wrappers as the plain value, absent or null when NULL. Writing shows zero values and
// empty lists, leaves out absent sub-messages and oneof members that are not set.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/base.h"
#include "libcommon/core/buf.h"

enum {
    REEL_PBJSON_MAX_BYTES = 1024 * 1024, // of JSON text
    REEL_PBJSON_MAX_DEPTH = 32,          // of nested objects and arrays
    REEL_PBJSON_MAX_VALUES = 20000,      // in one text
};

// What is wrong and where. `path` is the JSON path of the field ("params.width", "items[3]"; ""
// for the text as a whole) and may be cut; `message` is a clause that follows the name ("must be a
// whole number from -2147483648 to 2147483647"). Neither shows the value.
struct reel_pbjson_error {
    char path[160];
    char message[160];
};

// Parses a JSON object into a new message in `arena`. REEL_INVALID_ARGUMENT with *ret_error for
// bad JSON, an unknown field, a wrong type, a number out of range, a key given twice, two members
// of a oneof, malformed UTF-8, a NUL character, or a limit passed; REEL_RESOURCE_EXHAUSTED when
// the arena is full. An empty text (len 0) gives an empty message. Any thread.
int reel_pbjson_parse(const char *text, size_t len, const ProtobufCMessageDescriptor *descriptor,
                      struct reel_arena *arena, ProtobufCMessage **ret_message,
                      struct reel_pbjson_error *ret_error) REEL_MUST_CHECK;

// Sets one field from plain text, as path variables and query parameters carry it. `name` is a
// JSON path through sub-messages ("params.width"; camelCase or the proto's spelling), which are
// created as needed; a repeated field gets one more element. Replaces a value that is there
// already. Numbers, true/false, enum names, base64 and RFC 3339 are read as in JSON but without
// quotes; `message` must have been initialised or parsed with `arena`. Errors as
// reel_pbjson_parse; an unknown name or one that ends at a sub-message is REEL_INVALID_ARGUMENT.
int reel_pbjson_set_field(ProtobufCMessage *message, struct reel_arena *arena, const char *name,
                          const char *text, struct reel_pbjson_error *ret_error) REEL_MUST_CHECK;

// A new message with every field at its default, in `arena`; NULL when it is full.
ProtobufCMessage *reel_pbjson_new(const ProtobufCMessageDescriptor *descriptor,
                                  struct reel_arena *arena);

// Appends the message as one JSON object without white space. REEL_OK, REEL_RESOURCE_EXHAUSTED
// when `out` has reached its maximum, or REEL_INTERNAL for a message nested deeper than
// REEL_PBJSON_MAX_DEPTH or a timestamp that RFC 3339 cannot say. Any thread.
int reel_pbjson_write(const ProtobufCMessage *message, struct reel_buf *out) REEL_MUST_CHECK;
