// SPDX-License-Identifier: Apache-2.0
// Condition variables whose waits end at a deadline of clock.h, whatever happens to the wall clock.
#pragma once

#include <pthread.h>
#include <stdint.h>

// Initialises a condition variable that measures on CLOCK_MONOTONIC; pthread_cond_destroy ends it.
void reel_cond_init(pthread_cond_t *cond);

// Waits for a signal, at most until `deadline_us`; for ever with REEL_NO_DEADLINE. It may return
// early: the caller asks again for what it waits for and, with reel_deadline_passed, for the time.
// The lock is held at the call and at the return; the condition variable is of reel_cond_init.
void reel_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us);
