// SPDX-License-Identifier: Apache-2.0
// The hostile side: opens what a user sent, from a descriptor, with every list closed.
//
// Custom AVIO switches libavformat's own protocol list off, so both lists are set (no protocol at
// all, a few containers, a few decoders): playlists, concat scripts, SDP and their like are refused
// before they can name another file. Opening by name is denied besides, and the sandbox denies it
// once more.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "svc-job/media/run.h"

struct AVFormatContext;
struct AVIOContext;
struct AVPacket;

#define INPUT_MAX_STREAMS 64

struct input {
    struct run *run;
    struct AVFormatContext *fmt;
    struct AVIOContext *pb;
    int64_t offset_us; // subtracted from every timestamp, so that the earliest stream starts at 0
    int64_t jump_us;   // added to repair the discontinuities of transport streams
    int64_t last_dts_us[INPUT_MAX_STREAMS];
    bool truncated; // reading stopped on an error
};

// Opens `fd` (borrowed) and reads enough to know its streams. On success the caller closes it with
// input_close. MEDIA_INVALID_INPUT when it is no media file, MEDIA_RESOURCE_LIMIT for too many
// streams or too large a picture.
int input_open(struct run *run, int fd, struct input *ret_input) REEL_MUST_CHECK;

// Frees. Safe on a zeroed struct. Fits REEL_AUTO.
void input_close(struct input *input);

// The list of decoders that may run on a user's bytes, for a decoder's own options.
const char *input_codec_whitelist(void);

// The pixel limit in force.
int64_t input_max_pixels(const struct run *run);

// Makes the demuxer skip every stream but these two (-1: none).
void input_select(struct input *input, int video_stream, int audio_stream);

// Reads the next packet of the selected streams into `packet` (blank; the caller unrefs it), with
// repaired, shifted timestamps. At the end *ret_end is true and `packet` stays blank; a read error
// is the end too, and sets input->truncated.
int input_read(struct input *input, struct AVPacket *packet, bool *ret_end) REEL_MUST_CHECK;
