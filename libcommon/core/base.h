// SPDX-License-Identifier: Apache-2.0
// Language helpers that every file may use. No function of its own, no dependency.
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define REEL_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

// The struct that embeds `member` at `ptr`.
#define REEL_CONTAINER_OF(ptr, type, member)                                                       \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define REEL_MUST_CHECK        __attribute__((warn_unused_result))
#define REEL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

// Declares a local that `fn` (taking a pointer to the local) cleans up at the end of its scope.
#define REEL_AUTO(fn) __attribute__((cleanup(fn)))

// Moves ownership out of a REEL_AUTO pointer: yields its value and leaves NULL.
#define REEL_STEAL(ptr)                                                                            \
    ({                                                                                             \
        __typeof__(*(ptr)) stolen_ = *(ptr);                                                       \
        *(ptr) = NULL;                                                                             \
        stolen_;                                                                                   \
    })

// For REEL_AUTO on heap memory: `REEL_AUTO(reel_freep) char *s = NULL;`
static inline void reel_freep(void *ptr_to_ptr)
{
    free(*(void **)ptr_to_ptr);
}
