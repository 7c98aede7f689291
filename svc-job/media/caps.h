// SPDX-License-Identifier: Apache-2.0
// Containers and codecs: what each container takes as it is, and what goes into it otherwise.
#pragma once

#include <stdbool.h>

// How a container is written. Codec lists are comma-separated names of libavcodec's descriptors;
// a stream of any other codec is encoded.
struct caps_container {
    const char *extension;
    const char *muxer;
    const char *content_type;
    const char *video_copy; // NULL: the container holds no video
    const char *audio_copy;
    const char *video_encoder;
    const char *audio_encoder;
    int max_channels;         // of encoded audio
    bool any_pixels;          // copies more than 8-bit 4:2:0
    bool keeps_turn;          // carries the display matrix, so that turned video may be copied
    bool needs_constant_rate; // knows frames, not times
    bool moves_index;         // its index can be moved to the front
};

// The container of that extension among those that can be written, or NULL.
const struct caps_container *caps_find(const char *extension);

// Whether `list` (comma-separated) holds `name`.
bool caps_list_has(const char *list, const char *name);

// The media type of a file extension; "application/octet-stream" when unknown. Static.
const char *caps_content_type(const char *extension);
