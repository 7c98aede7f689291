// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum {
    FIRST_BLOCK_BYTES = 4096,
    LARGEST_BLOCK_BYTES = 256 * 1024,
    ALIGNMENT = alignof(max_align_t),
};

struct reel_arena_block {
    struct reel_arena_block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

static void *pb_alloc(void *arena, size_t size)
{
    return reel_arena_alloc(arena, size);
}

static void pb_free(void *arena, void *ptr)
{
    (void)arena;
    (void)ptr;
}

void reel_arena_init(struct reel_arena *arena, size_t cap_bytes)
{
    *arena = (struct reel_arena){.cap_bytes = cap_bytes};
    arena->pb = (ProtobufCAllocator){.alloc = pb_alloc, .free = pb_free, .allocator_data = arena};
}

static void free_blocks(struct reel_arena_block *block)
{
    while (block) {
        struct reel_arena_block *next = block->next;

        UNPOISON(block->data, block->size);
        free(block);
        block = next;
    }
}

void reel_arena_fini(struct reel_arena *arena)
{
    free_blocks(arena->head);
    arena->head = NULL;
    arena->used_bytes = 0;
}

void reel_arena_reset(struct reel_arena *arena)
{
    struct reel_arena_block *keep = arena->head;

    arena->used_bytes = 0;
    arena->exhausted = false;
    if (!keep)
        return;
    // One that was made for a large piece would stay as long as the arena.
    if (keep->size > LARGEST_BLOCK_BYTES) {
        reel_arena_fini(arena);
        return;
    }
    free_blocks(keep->next);
    keep->next = NULL;
    keep->used = 0;
    POISON(keep->data, keep->size);
}

static struct reel_arena_block *add_block(struct reel_arena *arena, size_t at_least)
{
    size_t size = arena->head ? arena->head->size * 2 : FIRST_BLOCK_BYTES;

    if (size > LARGEST_BLOCK_BYTES)
        size = LARGEST_BLOCK_BYTES;
    if (size < at_least)
        size = at_least;

    struct reel_arena_block *block = malloc(sizeof(*block) + size);
    if (!block)
        return NULL;
    block->next = arena->head;
    block->size = size;
    block->used = 0;
    POISON(block->data, size);
    arena->head = block;
    return block;
}

void *reel_arena_alloc(struct reel_arena *arena, size_t size)
{
    if (size > arena->cap_bytes - arena->used_bytes || size > SIZE_MAX / 2) {
        arena->exhausted = true;
        return NULL;
    }

    // One byte more than asked for keeps a zero-size allocation distinct and rounds in one step.
    size_t rounded = (size + ALIGNMENT) & ~(size_t)(ALIGNMENT - 1);
    struct reel_arena_block *block = arena->head;
    if (!block || block->size - block->used < rounded)
        block = add_block(arena, rounded);
    if (!block) {
        arena->exhausted = true;
        return NULL;
    }

    void *ptr = block->data + block->used;
    block->used += rounded;
    arena->used_bytes += size;
    UNPOISON(ptr, size);
    return ptr;
}

void *reel_arena_zalloc(struct reel_arena *arena, size_t size)
{
    void *ptr = reel_arena_alloc(arena, size);

    return ptr ? memset(ptr, 0, size) : NULL;
}

void *reel_arena_array(struct reel_arena *arena, size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total)) {
        arena->exhausted = true;
        return NULL;
    }
    return reel_arena_zalloc(arena, total);
}

void *reel_arena_memdup(struct reel_arena *arena, const void *data, size_t len)
{
    void *copy = reel_arena_alloc(arena, len);

    if (copy && len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *reel_arena_strdup(struct reel_arena *arena, const char *s)
{
    return s ? reel_arena_strndup(arena, s, strlen(s)) : NULL;
}

char *reel_arena_strndup(struct reel_arena *arena, const char *s, size_t len)
{
    char *copy = reel_arena_alloc(arena, len + 1);

    if (!copy)
        return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *reel_arena_vprintf(struct reel_arena *arena, const char *fmt, va_list args)
{
    va_list measure;

    va_copy(measure, args);
    int len = vsnprintf(NULL, 0, fmt, measure);
    va_end(measure);
    if (len < 0)
        return NULL;

    char *s = reel_arena_alloc(arena, (size_t)len + 1);
    if (s)
        vsnprintf(s, (size_t)len + 1, fmt, args);
    return s;
}

char *reel_arena_printf(struct reel_arena *arena, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    char *s = reel_arena_vprintf(arena, fmt, args);
    va_end(args);
    return s;
}

ProtobufCAllocator *reel_arena_pb(struct reel_arena *arena)
{
    return &arena->pb;
}
