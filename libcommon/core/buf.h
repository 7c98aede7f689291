// SPDX-License-Identifier: Apache-2.0
// A growable byte buffer that demands a maximum.
//
// A failed append (the maximum reached, or memory out) marks the buffer failed; later appends do
// nothing. So a writer appends freely and checks once, at the end. One thread at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/core/base.h"

// Embed it; the storage is the caller's. `data` is always NUL-terminated after the first append.
struct reel_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max_bytes;
    bool failed;
};

// An empty buffer that grows to at most `max_bytes`. Allocates nothing.
void reel_buf_init(struct reel_buf *buf, size_t max_bytes);

// Frees the memory. Safe on a zeroed struct. Fits REEL_AUTO.
void reel_buf_fini(struct reel_buf *buf);

// Empties the buffer, keeps its memory, clears a failure.
void reel_buf_reset(struct reel_buf *buf);

// Makes room for `n` more bytes. False (and failed) when that would pass the maximum.
bool reel_buf_reserve(struct reel_buf *buf, size_t n);

// Appends `n` bytes.
void reel_buf_add(struct reel_buf *buf, const void *data, size_t n);

// Appends a string without its NUL.
void reel_buf_adds(struct reel_buf *buf, const char *s);

// Appends one byte.
void reel_buf_addc(struct reel_buf *buf, char c);

// Appends formatted text.
void reel_buf_addf(struct reel_buf *buf, const char *fmt, ...) REEL_PRINTF(2, 3);

// Takes the memory out (malloc'ed, NUL-terminated; the caller frees it) and leaves the buffer
// empty. NULL when the buffer has failed.
char *reel_buf_steal(struct reel_buf *buf);
