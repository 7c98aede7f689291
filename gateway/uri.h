// SPDX-License-Identifier: Apache-2.0
// The request target: percent-decoding, path checks, query pairs. Pure; no allocation.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/core/base.h"

// Decodes `len` bytes of percent-encoded text into `ret_text` (at least len + 1 bytes; may be `s`
// itself), NUL-terminated. `plus_is_space` decodes '+' as form data does. False when an escape is
// broken or decodes to NUL; the output is then undefined. *ret_len may be NULL.
bool uri_decode(const char *s, size_t len, bool plus_is_space, char *ret_text, size_t *ret_len);

// Whether any escape in `s`, whose others may be broken, stands for an ASCII control character, NUL
// included.
bool uri_encodes_control(const char *s);

// Whether the path (up to but without '?') can be decoded once without changing its meaning: no
// broken escape, no encoded NUL, slash, backslash or control byte, no dot segment, raw or encoded.
bool uri_path_is_safe(const char *path, size_t len);

// Whether `s` is well-formed UTF-8 without control characters (for names that people read).
bool uri_is_printable_utf8(const char *s, size_t len);

struct uri_pair {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

// Takes the next `name=value` of a raw query string and advances *cursor; false at the end. Slices
// are still encoded and borrowed from the query. Empty pairs are skipped.
bool uri_query_next(const char **cursor, struct uri_pair *ret_pair);
