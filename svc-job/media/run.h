// SPDX-License-Identifier: Apache-2.0
// One task under way: what every stage needs to say how far it is and why it stopped.
//
// Inside the engine a function returns 0 or the MEDIA_* code it failed with, and the sentence for
// people has then been put into the outcome, once, where the failure was seen.
#pragma once

#include <stdbool.h>

#include "libcommon/core/base.h"
#include "svc-job/media/ctl.h"
#include "svc-job/media/engine.h"
#include "svc-job/media/media.h"

struct run {
    const struct media_task *task;
    struct media_io io;
    struct media_ctl *ctl;
    struct media_outcome *outcome;
    int64_t total_us; // of the input; 0: unknown
    int64_t total_bytes;
    bool never_copy; // every stream is encoded
};

// Records the failure and its sentence (the first one stays) and returns the code in force:
// MEDIA_CANCELLED once the task has been cancelled, whatever failed because of it.
int run_fail(struct run *run, enum media_code code, const char *fmt, ...) REEL_PRINTF(3, 4);

// As run_fail for an AVERROR, with the code it speaks of (out of memory: RESOURCE_LIMIT, bad data:
// INVALID_INPUT, ...); `doing` completes the sentence "... failed while <doing>".
int run_fail_av(struct run *run, int averror, const char *doing);

// Adds a warning to the outcome; beyond MEDIA_WARNINGS_MAX they are dropped.
void run_warn(struct run *run, const char *fmt, ...) REEL_PRINTF(2, 3);

// Whether the service has asked to stop.
bool run_is_cancelled(const struct run *run);

// Shows that the task moves.
void run_beat(struct run *run);

// Shows how far the task is: a position in the input in microseconds, and the bytes read so far,
// which are used when the duration is unknown. Progress never goes back.
void run_advance(struct run *run, int64_t position_us, int64_t position_bytes);
