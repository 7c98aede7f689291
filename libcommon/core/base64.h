// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648): writes the standard alphabet with padding, reads that and the URL-safe one.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/buf.h"

// Appends `len` bytes as base64 with padding. Any thread, as all of this file.
void reel_base64_add(struct reel_buf *out, const uint8_t *data, size_t len);

// As reel_base64_add in the URL-safe alphabet, without padding.
void reel_base64_add_url(struct reel_buf *out, const uint8_t *data, size_t len);

// Decodes either alphabet, padded or not, into `arena`. REEL_INVALID_ARGUMENT for any other
// character (white space included), wrong padding, an impossible length or bits left over;
// REEL_RESOURCE_EXHAUSTED when the arena is full.
int reel_base64_decode(struct reel_arena *arena, const char *text, size_t len, uint8_t **ret_data,
                       size_t *ret_len) REEL_MUST_CHECK;
