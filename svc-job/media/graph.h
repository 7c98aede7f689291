// SPDX-License-Identifier: Apache-2.0
// The filter graph between a decoder and an encoder, built from typed values only: a user's string
// never becomes part of a filter description.
//
// It is built from the first frame, whose format is the truth, and built again when a frame of
// another size or format comes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/plan.h"
#include "svc-job/media/run.h"

struct AVFilterContext;
struct AVFilterGraph;
struct AVFrame;

// What comes out.
struct graph_spec {
    bool is_audio;
    int in_base_num; // time base of the frames that go in
    int in_base_den;
    int threads;
    // Video: turned, scaled to exactly width x height, square pixels, one pixel format.
    struct plan_video video;
    int pixel_format; // enum AVPixelFormat
    bool full_range;
    // Audio: one sample format, rate and layout, frames of frame_size samples (0: any).
    struct plan_audio audio;
    int sample_format; // enum AVSampleFormat
    int frame_size;
};

// Receives a filtered frame, its time in the out base of the graph. The frame is the graph's.
typedef int graph_sink(void *arg, struct AVFrame *frame);

struct graph {
    struct run *run;
    struct graph_spec spec;
    struct AVFilterGraph *graph; // NULL until the first frame
    struct AVFilterContext *source;
    struct AVFilterContext *end;
    struct AVFrame *frame;
    int in_format; // of the frames that the graph was built for
    int in_width;
    int in_height;
    int in_rate;
    int in_channels;
    int64_t last_pts; // of the frames that went in
    int64_t end_pts;  // where the last of them ends
    graph_sink *sink;
    void *sink_arg;
};

// Prepares a graph; it is built by the first frame. On success the caller closes it.
int graph_open(struct run *run, const struct graph_spec *spec,
               struct graph *ret_graph) REEL_MUST_CHECK;

// Frees. Safe on a zeroed struct. Fits REEL_AUTO.
void graph_close(struct graph *graph);

// Pushes a frame (its references are taken; NULL: the end) and passes on what comes out.
int graph_feed(struct graph *graph, struct AVFrame *frame) REEL_MUST_CHECK;

// The time base of the frames that come out, as num/den: fixed before the graph is built.
void graph_out_base(const struct graph_spec *spec, int *ret_num, int *ret_den);
