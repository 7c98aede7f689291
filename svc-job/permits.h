// SPDX-License-Identifier: Apache-2.0
// A bounded number of permits, so that only so many of something go on at once.
#pragma once

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

// Embed it; the storage is the caller's.
struct permits {
    sem_t sem;
};

// Makes `n` permits.
void permits_init(struct permits *permits, unsigned n);

// Frees; no thread may be waiting.
void permits_fini(struct permits *permits);

// Takes one, waiting until the deadline; false when none came free. Any thread.
bool permits_take(struct permits *permits, int64_t deadline_us);

// Gives one back. Any thread.
void permits_give(struct permits *permits);
