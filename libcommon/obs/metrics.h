// SPDX-License-Identifier: Apache-2.0
// Metrics in a process-wide registry, exposed as Prometheus text (version 0.0.4).
//
// Names are `reel_<noun>_<unit>`; labels are few and bounded. Handles are created once at start and
// live as long as the process; updates are lock-free and may come from any thread.
#pragma once

#include <stdint.h>

#include "libcommon/core/buf.h"

struct reel_counter;
struct reel_gauge;
struct reel_histogram;

// Finds or creates a counter. `labels` is the inside of the braces,
// `method="/user.UserService/Login",code="OK"`, or NULL. Strings are copied. Never NULL: past 2,000
// series a shared overflow series is returned.
struct reel_counter *reel_counter_get(const char *name, const char *help, const char *labels);

// Adds `n`.
void reel_counter_add(struct reel_counter *counter, uint64_t n);

// The value now.
uint64_t reel_counter_value(const struct reel_counter *counter);

// Finds or creates a gauge, as reel_counter_get.
struct reel_gauge *reel_gauge_get(const char *name, const char *help, const char *labels);

// Sets the value.
void reel_gauge_set(struct reel_gauge *gauge, int64_t value);

// Adds `n`, which may be negative.
void reel_gauge_add(struct reel_gauge *gauge, int64_t n);

// Finds or creates a histogram of durations; buckets from 50 µs to 60 s, exposed in seconds.
struct reel_histogram *reel_histogram_get(const char *name, const char *help, const char *labels);

// Records a duration in microseconds.
void reel_histogram_observe_us(struct reel_histogram *histogram, int64_t us);

// Appends the whole registry as Prometheus text.
void reel_metrics_render(struct reel_buf *out);
