// SPDX-License-Identifier: Apache-2.0
// UTF-8 (RFC 3629): strict validation, and text made safe for JSON.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/buf.h"

// Length of the well-formed character that starts at `s`, 1 to 4; 0 when the bytes are malformed:
// overlong forms, surrogates, code points above U+10FFFF and cut-off characters. `len` is at
// least 1. A NUL byte is a well-formed character.
size_t reel_utf8_char_len(const char *s, size_t len);

// Whether all `len` bytes are well-formed. Any thread, as all of this file.
bool reel_utf8_is_valid(const char *s, size_t len);

// As reel_utf8_is_valid, and no byte is NUL: what a text column and a C string can hold.
bool reel_utf8_is_text(const char *s, size_t len);

// Reads the well-formed character at `s`: its length, and its code point in *ret_code_point. 0 when
// the bytes are malformed. `len` is at least 1.
size_t reel_utf8_decode(const char *s, size_t len, uint32_t *ret_code_point);

// Whether nothing of it can be seen: all is white space, control characters or code points that
// Unicode tells to ignore by default (zero-width characters, joiners, fillers, variation
// selectors). An empty text is blank; a malformed one is not.
bool reel_utf8_is_blank(const char *s, size_t len);

// The largest length of at most `max` that does not cut a character of valid UTF-8 in two.
size_t reel_utf8_cut(const char *s, size_t len, size_t max);

// Appends `len` bytes as the inside of a JSON string: quotes, backslashes and control characters
// escaped, U+FFFD in place of every malformed byte.
void reel_utf8_add_escaped(struct reel_buf *out, const char *s, size_t len);
