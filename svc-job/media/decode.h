// SPDX-License-Identifier: Apache-2.0
// A decoder that takes packets and hands on frames. Damaged packets are counted, not fatal.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/input.h"

struct AVCodecContext;
struct AVFrame;
struct AVPacket;

// Receives a decoded frame, with a presentation time in the stream's time base. The frame is the
// decoder's: move its references out to keep them.
typedef int decoder_sink(void *arg, struct AVFrame *frame);

struct decoder {
    struct run *run;
    struct AVCodecContext *ctx;
    struct AVFrame *frame;
    int64_t next_pts; // where the next frame without a time is put
    int64_t frames;
    int64_t damaged;   // packets that gave nothing
    int64_t concealed; // frames that were patched up
    decoder_sink *sink;
    void *sink_arg;
};

// Whether a codec (enum AVCodecID) has a decoder that may run on a user's bytes.
bool decoder_is_served(int codec_id);

// Opens the decoder of a stream of `input`. On success the caller closes it with decoder_close.
// MEDIA_UNSUPPORTED when its codec is not on the list.
int decoder_open(struct input *input, int stream, int threads,
                 struct decoder *ret_decoder) REEL_MUST_CHECK;

// Frees. Safe on a zeroed struct. Fits REEL_AUTO.
void decoder_close(struct decoder *decoder);

// Feeds a packet (borrowed; NULL: the end) and passes on what comes out. Fails only for the sink's
// failure, cancellation, or want of memory.
int decoder_feed(struct decoder *decoder, const struct AVPacket *packet) REEL_MUST_CHECK;
