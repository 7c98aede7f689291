// SPDX-License-Identifier: Apache-2.0
// Runs a plan: one pass from the demuxer to the muxer.
#pragma once

#include "svc-job/media/plan.h"

struct transcode_result {
    int64_t frames;      // of video, written
    int64_t duration_us; // as the packets tell it
};

// Writes the result of `plan` to the task's output descriptor. Damage that could be passed over
// becomes a warning.
int transcode_run(struct run *run, struct input *input, const struct probe *probe,
                  const struct plan *plan, struct transcode_result *ret_result) REEL_MUST_CHECK;
