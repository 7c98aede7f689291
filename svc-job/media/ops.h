// SPDX-License-Identifier: Apache-2.0
// Operations: each compiles its parameters and a probe into a plan, or says why it cannot.
#pragma once

#include "svc-job/media/plan.h"
#include "svc-job/media/run.h"

// Compiles the task of `run` (RESIZE, CONVERT or EXTRACT_AUDIO). MEDIA_NO_VIDEO, MEDIA_NO_AUDIO or
// MEDIA_UNSUPPORTED when the file or the parameters do not allow it. What was changed to make it
// possible (an odd size) is added to the warnings.
int ops_compile(struct run *run, const struct probe *probe, struct plan *ret_plan) REEL_MUST_CHECK;
