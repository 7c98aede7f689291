// SPDX-License-Identifier: Apache-2.0
// An encoder that takes filtered frames and hands on packets.
//
// The settings are constants, one row per encoder in encode.c: x264 "veryfast" at CRF 21 and its
// peers. CPU is the price that matters here, and a preset decides it more than anything else.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/plan.h"
#include "svc-job/media/run.h"

struct AVCodecContext;
struct AVCodecParameters;
struct AVFrame;
struct AVPacket;

// Receives a packet with times in the encoder's time base. The packet is the encoder's.
typedef int encoder_sink(void *arg, struct AVPacket *packet);

struct encoder {
    struct run *run;
    struct AVCodecContext *ctx;
    struct AVPacket *packet;
    int64_t frame_duration; // in the time base, for packets that come without one
    encoder_sink *sink;
    void *sink_arg;
};

struct encoder_spec {
    const struct plan_video *video; // exactly one of the two is set
    const struct plan_audio *audio;
    int base_num; // time base of the frames that go in
    int base_den;
    int threads;
    bool global_header;                     // the container wants the headers apart
    const struct AVCodecParameters *source; // of the input stream: colours; borrowed
};

// Opens an encoder. On success the caller closes it with encoder_close.
int encoder_open(struct run *run, const struct encoder_spec *spec,
                 struct encoder *ret_encoder) REEL_MUST_CHECK;

// Frees. Safe on a zeroed struct. Fits REEL_AUTO.
void encoder_close(struct encoder *encoder);

// Feeds a frame (borrowed; NULL: the end) and passes on what comes out.
int encoder_feed(struct encoder *encoder, const struct AVFrame *frame) REEL_MUST_CHECK;

// The sample format (enum AVSampleFormat) that the encoder takes.
int encoder_sample_format(const struct encoder *encoder);

// The samples that each frame but the last must have; 0: any number.
int encoder_frame_size(const struct encoder *encoder);
