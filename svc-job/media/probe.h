// SPDX-License-Identifier: Apache-2.0
// What a file is, as an operation needs to know it and as a person sees it. Pure data, no libav
// type: operations are compiled from it without looking at the file again.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/input.h"
#include "svc-job/media/media.h"

// How the stored picture must be turned to be displayed.
enum probe_turn {
    PROBE_TURN_NONE,
    PROBE_TURN_90, // clockwise
    PROBE_TURN_180,
    PROBE_TURN_270,
    PROBE_TURN_HFLIP,
    PROBE_TURN_VFLIP,
    PROBE_TURN_TRANSPOSE,      // mirrored along the main diagonal
    PROBE_TURN_ANTI_TRANSPOSE, // mirrored along the other one
};

struct probe_video {
    int stream; // -1: none
    char codec[32];
    int stored_width;
    int stored_height;
    int width; // as displayed
    int height;
    enum probe_turn turn;
    int rate_num; // mean frames a second; 0/1: unknown
    int rate_den;
    bool variable_rate;
    bool reordered; // has B-frames
    bool is_plain;  // 8 bits, 4:2:0: what every player shows
    bool square;    // pixels are
    bool is_rgb;
    bool is_hdr;
    bool decodable;
};

struct probe_audio {
    int stream; // -1: none
    char codec[32];
    int channels;
    int sample_rate;
    int64_t start_us; // against the file's start
    bool decodable;
};

struct probe {
    char format[16];
    int64_t duration_us; // 0: unknown
    int64_t size_bytes;
    bool duration_is_guess; // computed from a bit rate
    bool has_pts;           // the container stores presentation times
    bool truncated;         // its index points past its end
    struct probe_video video;
    struct probe_audio audio;
};

// Looks at an opened input; reads nothing more. MEDIA_INVALID_INPUT when it holds neither video nor
// audio, MEDIA_RESOURCE_LIMIT when it is longer than the task allows.
int probe_input(struct input *input, struct probe *ret_probe) REEL_MUST_CHECK;

// Tells a probe to the client.
void probe_to_facts(const struct probe *probe, struct media_facts *ret_facts);
