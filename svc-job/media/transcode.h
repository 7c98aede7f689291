// SPDX-License-Identifier: Apache-2.0
// Runs a plan: one pass from the demuxer to the muxer.
#pragma once

#include "svc-job/media/plan.h"

// Writes the result of `plan` to the task's output descriptor. Damage that could be passed over
// becomes a warning. *ret_frames is the number of video frames written.
int transcode_run(struct run *run, struct input *input, const struct probe *probe,
                  const struct plan *plan, int64_t *ret_frames) REEL_MUST_CHECK;
