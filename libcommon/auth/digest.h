// SPDX-License-Identifier: Apache-2.0
// SHA-256, for storing what must not be stored in the clear.
#pragma once

#include <stddef.h>

enum { REEL_DIGEST_HEX_SIZE = 65 }; // 64 digits and a NUL

// Writes the SHA-256 of `len` bytes as lower-case hexadecimal digits. Any thread.
void reel_digest_sha256_hex(const void *data, size_t len, char ret_hex[REEL_DIGEST_HEX_SIZE]);
