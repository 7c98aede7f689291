// SPDX-License-Identifier: Apache-2.0
// Reflection on protobuf-c messages: what the validation pass and the JSON mapping share.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Messages of google.protobuf that mean more than their fields.
enum reel_pb_kind { REEL_PB_PLAIN, REEL_PB_WRAPPER, REEL_PB_TIMESTAMP };

enum { REEL_PB_NAME_SIZE = 128 }; // room for a field's name with its NUL

// What kind of message a descriptor describes. Any thread, as all of this file.
enum reel_pb_kind reel_pb_kind_of(const ProtobufCMessageDescriptor *descriptor);

// Writes the JSON name of a field: "target_format" gives "targetFormat".
void reel_pb_camel_name(const char *name, char ret_name[REEL_PB_NAME_SIZE]);

// The field of that JSON name or proto name; NULL when there is none.
const ProtobufCFieldDescriptor *reel_pb_find_field(const ProtobufCMessageDescriptor *descriptor,
                                                   const char *name, size_t len);

// Where the field's value is; of a repeated field: where the pointer to its elements is.
void *reel_pb_value(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

// The number that goes with the field: how many elements, which oneof member, or whether an
// optional one is there (protobuf_c_boolean), by its label and flags.
void *reel_pb_quantifier(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

// How many elements a repeated field has.
size_t reel_pb_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

// Bytes of one element of a repeated field of this type.
size_t reel_pb_element_size(ProtobufCType type);

// Whether the field is there: the chosen member of its oneof, a sub-message that is not NULL, an
// optional field that was set. Other fields always are.
bool reel_pb_is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

// The bits of a scalar of up to 64 bits at `value` as a signed number; unsigned ones are
// reinterpreted.
int64_t reel_pb_get_int(ProtobufCType type, const void *value);

// The seconds of a google.protobuf.Timestamp.
int64_t reel_pb_timestamp_seconds(const ProtobufCMessage *timestamp);

// The nanoseconds of a google.protobuf.Timestamp.
int32_t reel_pb_timestamp_nanos(const ProtobufCMessage *timestamp);

// Sets a google.protobuf.Timestamp.
void reel_pb_timestamp_set(ProtobufCMessage *timestamp, int64_t seconds, int32_t nanos);

// Where a walk over a message is: a chain up to the message, turned into a path only when there is
// something to say. The storage of all links is the walker's.
struct reel_pb_place {
    const struct reel_pb_place *up; // NULL: the message itself
    const char *field;              // a field's proto name, or a foreign name if verbatim
    int64_t index;                  // of an element; REEL_PB_NO_INDEX for a field that is no list
    unsigned depth;
    bool verbatim; // `field` is shown as it is instead of in camelCase
};

enum { REEL_PB_NO_INDEX = -1 };

// Writes the JSON path of a place ("params.width", "items[3]"), cut to `size`; "" for NULL.
void reel_pb_path(const struct reel_pb_place *place, char *ret_path, size_t size);
