// SPDX-License-Identifier: Apache-2.0
// The few words that a running worker and the service share (a page of shared memory): plain
// atomic stores and loads, no system call, so that they work inside the strictest sandbox.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct media_ctl {
    _Atomic uint32_t cancel; // set by the service: stop at the next packet
    _Atomic uint32_t ppm;    // progress in millionths; never decreases
    _Atomic uint64_t beats;  // counts anything done: a stalled worker's stands still
    _Atomic int64_t frames;  // video frames encoded or copied
    _Atomic int64_t position_us;
    _Atomic int64_t total_us; // 0: unknown
};
