// SPDX-License-Identifier: Apache-2.0
// JSON text, appended by hand to a buffer: for answers that have no protobuf message.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/buf.h"

// Appends a quoted, escaped string; malformed UTF-8 becomes U+FFFD. NULL is appended as null.
void reel_json_add_string(struct reel_buf *out, const char *s);

// As reel_json_add_string, of `len` bytes.
void reel_json_add_string_n(struct reel_buf *out, const char *s, size_t len);

// Appends `"key":`, with a comma before it unless it is the first of its object (the buffer ends
// in '{').
void reel_json_add_key(struct reel_buf *out, const char *key);

// Appends an integer in decimal.
void reel_json_add_int(struct reel_buf *out, int64_t value);

// As reel_json_add_int, unsigned.
void reel_json_add_uint(struct reel_buf *out, uint64_t value);

// Appends the shortest decimal that reads back as the same double; "NaN", "Infinity" and
// "-Infinity" as strings, as the proto3 JSON mapping does.
void reel_json_add_double(struct reel_buf *out, double value);

// As reel_json_add_double, for a float.
void reel_json_add_float(struct reel_buf *out, float value);
