// SPDX-License-Identifier: Apache-2.0
// Capped bump allocator: one per call, everything in it gone at once.
//
// An arena is used by one thread at a time. Its first block is allocated on first use; blocks grow
// geometrically. Going over the cap makes an allocation return NULL and marks the arena exhausted,
// which the dispatcher answers as RESOURCE_EXHAUSTED. Under AddressSanitizer freed ranges are
// poisoned.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/core/base.h"

struct reel_arena_block;

// Embed it; the storage is the caller's. Fields are private.
struct reel_arena {
    struct reel_arena_block *head;
    size_t cap_bytes;
    size_t used_bytes; // handed out since the last reset
    bool exhausted;
    ProtobufCAllocator pb;
};

// Prepares an empty arena that hands out at most `cap_bytes`. Allocates nothing; cannot fail.
void reel_arena_init(struct reel_arena *arena, size_t cap_bytes);

// Frees every block. The arena may be initialised again. Safe on a zeroed struct.
void reel_arena_fini(struct reel_arena *arena);

// Forgets all allocations and keeps one block for reuse, 256 KiB at most. Pointers into the arena
// are dead.
void reel_arena_reset(struct reel_arena *arena);

// `size` bytes, aligned for any type, uninitialised; lives until reset or fini. NULL when the cap
// is reached or memory is out; the arena is then marked exhausted. `size` 0 yields a valid pointer.
void *reel_arena_alloc(struct reel_arena *arena, size_t size);

// As reel_arena_alloc, zeroed.
void *reel_arena_zalloc(struct reel_arena *arena, size_t size);

// An array of `n` zeroed elements of `size` bytes, checked for overflow.
void *reel_arena_array(struct reel_arena *arena, size_t n, size_t size);

// Copies `len` bytes.
void *reel_arena_memdup(struct reel_arena *arena, const void *data, size_t len);

// Copies a string; NULL gives NULL.
char *reel_arena_strdup(struct reel_arena *arena, const char *s);

// Copies the first `len` bytes of a string and terminates the copy.
char *reel_arena_strndup(struct reel_arena *arena, const char *s, size_t len);

// A formatted string in the arena.
char *reel_arena_printf(struct reel_arena *arena, const char *fmt, ...) REEL_PRINTF(2, 3);

// As reel_arena_printf, from a va_list.
char *reel_arena_vprintf(struct reel_arena *arena, const char *fmt, va_list args) REEL_PRINTF(2, 0);

// The arena as protobuf-c's allocator: unpack with it and never call free_unpacked (its free is a
// no-op). Borrowed: lives as long as the arena, which must not move meanwhile.
ProtobufCAllocator *reel_arena_pb(struct reel_arena *arena);
