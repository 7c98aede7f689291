// SPDX-License-Identifier: Apache-2.0
// One still picture of a video, as JPEG.
#pragma once

#include <stdbool.h>

#include "svc-job/media/probe.h"

// Writes a JPEG of a key frame near the task's position to the task's thumbnail descriptor: turned
// as displayed, at most thumbnail_max pixels on the longer side. Black frames are passed over while
// there are others near; when no key frame decodes, the first frame that does is taken. *ret_made
// is false (with a warning) when nothing decodes. Fails only for want of memory, output errors and
// cancellation. Moves the input.
int thumb_make(struct run *run, struct input *input, const struct probe *probe,
               bool *ret_made) REEL_MUST_CHECK;
