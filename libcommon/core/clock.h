// SPDX-License-Identifier: Apache-2.0
// Time: a monotonic clock for timers and deadlines, a wall clock for records.
//
// A deadline is a monotonic time in microseconds (int64_t deadline_us); REEL_NO_DEADLINE never
// comes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define REEL_NO_DEADLINE INT64_MAX

// CLOCK_MONOTONIC in microseconds. Any thread.
int64_t reel_clock_mono_us(void);

// CLOCK_REALTIME in microseconds since 1970. Any thread.
int64_t reel_clock_wall_us(void);

// The deadline `timeout_us` from now; REEL_NO_DEADLINE when `timeout_us` is 0 or negative.
int64_t reel_deadline_in_us(int64_t timeout_us);

// Microseconds left, 0 when it has passed; INT64_MAX for REEL_NO_DEADLINE.
int64_t reel_deadline_left_us(int64_t deadline_us);

// Milliseconds left, rounded up and at most `max_ms`: a timeout for poll(2) and the like.
int reel_deadline_left_ms(int64_t deadline_us, int max_ms);

// Whether the deadline has passed.
bool reel_deadline_passed(int64_t deadline_us);
