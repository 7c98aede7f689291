// SPDX-License-Identifier: Apache-2.0
// One stream on its way from the demuxer to the muxer: copied, or decoded, filtered and encoded.
#pragma once

#include "svc-job/media/decode.h"
#include "svc-job/media/encode.h"
#include "svc-job/media/graph.h"
#include "svc-job/media/mux.h"
#include "svc-job/media/plan.h"

struct AVStream;

// It is referred to by its own stages: it must not move once opened.
struct track {
    struct run *run;
    struct mux *mux;
    const struct AVStream *in;
    enum plan_mode mode;
    bool is_video;
    bool constant_rate;
    int64_t offset_us; // taken off every time
    int out_index;
    struct decoder decoder;
    struct graph graph;
    struct encoder encoder;
    int64_t last_in_us; // of the decoded frame before
    int64_t last_pts;   // of the frame that went into the encoder before, in its time base
    int64_t reached_us; // end of the furthest packet
    int64_t max_us;     // longest result that is made
    bool seen_key;
};

// Opens the stages that the plan asks for and adds the stream to `mux`. On success the caller
// closes it with track_close.
int track_open_video(struct track *track, struct input *input, struct mux *mux,
                     const struct plan *plan) REEL_MUST_CHECK;

// As track_open_video, for audio.
int track_open_audio(struct track *track, struct input *input, struct mux *mux,
                     const struct plan *plan) REEL_MUST_CHECK;

// Frees. Safe on a zeroed struct.
void track_close(struct track *track);

// Takes a packet of the track's stream (its references may be taken).
int track_feed(struct track *track, struct AVPacket *packet) REEL_MUST_CHECK;

// Drains every stage at the end of the input.
int track_finish(struct track *track) REEL_MUST_CHECK;
