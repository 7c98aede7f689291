// SPDX-License-Identifier: Apache-2.0
// Bounds password hashing: a few at once, a few more waiting, the others told to come back. So a
// flood of logins costs neither the memory nor the threads that other calls need.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"

struct hasher;

enum {
    HASHER_MOST_SLOTS = 16,
    HASHER_RETRY_MS = 1000, // when to come back after a refusal
};

// At most `slots` at once (0: one a core, but HASHER_MOST_SLOTS at most) and `max_waiting` waiting.
int hasher_new(unsigned slots, unsigned max_waiting, struct hasher **ret_hasher) REEL_MUST_CHECK;

// Frees; nobody may be inside. NULL is fine.
void hasher_free(struct hasher *hasher);

// As password_hash. REEL_RESOURCE_EXHAUSTED when too many wait, REEL_DEADLINE_EXCEEDED when no slot
// came free in time. Any thread.
int hasher_hash(struct hasher *hasher, int64_t deadline_us, const char *password,
                char *ret_hash) REEL_MUST_CHECK;

// Whether the password is the one hashed: REEL_OK or REEL_UNAUTHENTICATED; else as hasher_hash.
// Without a hash (NULL: no such user) the same work is done, for nothing. Any thread.
int hasher_check(struct hasher *hasher, int64_t deadline_us, const char *password,
                 const char *hash) REEL_MUST_CHECK;
