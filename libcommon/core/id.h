// SPDX-License-Identifier: Apache-2.0
// Identifiers: UUIDv7 (RFC 9562, section 5.7), sortable by the quarter microsecond of their making.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define REEL_ID_LEN  36                // characters of a UUID in text
#define REEL_ID_SIZE (REEL_ID_LEN + 1) // with the terminating NUL

// Writes a new UUIDv7 in lower case. Any thread. Aborts only if the kernel has no randomness to
// give.
void reel_id_new(char ret_id[REEL_ID_SIZE]);

// Whether `s` is a UUID in lower-case 8-4-4-4-12 form. NULL is not.
bool reel_id_is_valid(const char *s);

// Writes `n` random bytes as 2*n lower-case hexadecimal digits and a NUL. `n` is at most 64.
void reel_id_random_hex(char *ret_hex, size_t n);
