// SPDX-License-Identifier: Apache-2.0
// Writes one file to a descriptor: streams that are copied and streams that are encoded, in the
// order of their times, the index moved to the front where the container allows it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/caps.h"
#include "svc-job/media/run.h"

struct AVCodecContext;
struct AVFormatContext;
struct AVIOContext;
struct AVPacket;
struct AVStream;

#define MUX_MAX_STREAMS 2

struct mux {
    struct run *run;
    const struct caps_container *target;
    struct AVFormatContext *fmt;
    struct AVIOContext *pb;
    int fd;
    bool started;
    int64_t last_dts[MUX_MAX_STREAMS]; // in the stream's time base
    int64_t packets[MUX_MAX_STREAMS];
    int64_t end_us; // of the last packet
};

// Starts a file on `fd` (borrowed). On success the caller closes it with mux_close.
int mux_open(struct run *run, int fd, const struct caps_container *target,
             struct mux *ret_mux) REEL_MUST_CHECK;

// Frees, without finishing the file. Safe on a zeroed struct. Fits REEL_AUTO.
void mux_close(struct mux *mux);

// Whether the container wants codec headers apart from the packets.
bool mux_wants_global_header(const struct mux *mux);

// Adds a stream that is a copy of `source`; rate_num/rate_den is its mean frame rate (0/1: unknown
// or audio). *ret_index is its number.
int mux_add_copy(struct mux *mux, const struct AVStream *source, int rate_num, int rate_den,
                 int *ret_index) REEL_MUST_CHECK;

// Adds a stream that an opened encoder fills.
int mux_add_encoder(struct mux *mux, const struct AVCodecContext *encoder,
                    int *ret_index) REEL_MUST_CHECK;

// Writes the header. No stream can be added after.
int mux_start(struct mux *mux) REEL_MUST_CHECK;

// Writes a packet whose times are in base_num/base_den; its references are taken. Missing and
// backward decode times are mended.
int mux_write(struct mux *mux, int index, struct AVPacket *packet, int base_num,
              int base_den) REEL_MUST_CHECK;

// Writes the trailer and what is buffered.
int mux_finish(struct mux *mux) REEL_MUST_CHECK;
