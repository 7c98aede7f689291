// SPDX-License-Identifier: Apache-2.0
// What one pass over a file does: demux, then for each stream either copy, or decode, filter and
// encode, then mux. Pure data, no libav type; ops.h compiles operations into it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/caps.h"
#include "svc-job/media/probe.h"

enum plan_mode {
    PLAN_DROP,
    PLAN_COPY,
    PLAN_ENCODE,
};

struct plan_video {
    enum plan_mode mode;
    int stream;
    const char *encoder;
    int width; // of the encoded picture; even
    int height;
    enum probe_turn turn; // baked into the picture
    bool is_rgb;
    bool is_hdr;        // is mapped to what an ordinary screen shows
    bool constant_rate; // frames are repeated or dropped to keep rate
    int rate_num;       // frames a second; 0/1: unknown
    int rate_den;
};

struct plan_audio {
    enum plan_mode mode;
    int stream;
    const char *encoder;
    int channels;
    int sample_rate;
    bool from_start; // silence is put before audio that starts late
};

struct plan {
    const struct caps_container *target;
    struct plan_video video;
    struct plan_audio audio;
    int threads;
    int64_t extra_offset_us; // taken off all timestamps besides the input's own start
};
