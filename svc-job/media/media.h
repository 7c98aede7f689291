// SPDX-License-Identifier: Apache-2.0
// What can be asked of the media engine and what it answers. Plain data: these structs travel
// between the service and a worker process as they are, so they hold no pointers.
//
// The engine itself runs only inside a worker (svc-job/worker/worker.h); the service never parses
// a byte of media.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum media_kind {
    // Facts about the input; with a thumbnail descriptor also a JPEG of an early, non-black frame.
    MEDIA_INSPECT = 1,
    // Exactly width x height (both even, 2 to 8192) into target_format: "" or "mp4" (H.264, audio
    // copied where it is AAC or MP3, else AAC), or "webm" (VP9, Opus). One of the two sizes may be
    // 0: it then follows from the aspect ratio.
    MEDIA_RESIZE,
    // Into target_format: mp4, mov, avi, webm, mkv or flv. A stream that the container and the
    // players of its kind accept is copied, any other is encoded.
    MEDIA_CONVERT,
    // The first audio track into target_format: m4a, aac (ADTS), mp3, opus or wav; "" follows the
    // codec (aac: m4a, mp3: mp3, opus: opus, any other: m4a). Copied where that is legal.
    MEDIA_EXTRACT_AUDIO,
};

enum media_code {
    MEDIA_OK = 0,
    MEDIA_INVALID_INPUT,  // not a media file, or one without anything that decodes
    MEDIA_UNSUPPORTED,    // a container, codec, size or target that is not served
    MEDIA_NO_VIDEO,       // the operation needs a video stream
    MEDIA_NO_AUDIO,       // the operation needs an audio stream
    MEDIA_RESOURCE_LIMIT, // memory, CPU time, output size, pixels, streams or duration over the
                          // limit
    MEDIA_TIMEOUT,        // the wall clock limit passed, or nothing moved for stall_ms
    MEDIA_CANCELLED,
    MEDIA_CRASHED,  // the worker died of a signal that no limit explains
    MEDIA_INTERNAL, // our fault: a retry may help
    MEDIA_N_CODES,
};

// The code as clients see it: "OK", "INVALID_INPUT", ...; "INTERNAL" for a value outside. Static.
const char *media_code_name(enum media_code code);

// Whether the same job may succeed when run again: CRASHED, TIMEOUT, INTERNAL.
bool media_code_is_retryable(enum media_code code);

struct media_task {
    enum media_kind kind;
    int32_t width;
    int32_t height;
    char target_format[16];  // a file extension in lower case, or ""
    int32_t threads;         // for the video decoder and encoder; 0: 1
    int32_t thumbnail_max;   // the thumbnail's longer side, in pixels; 0: 640
    int64_t thumbnail_ms;    // its position; 0: chosen (a tenth in, at most 5 s)
    int64_t max_pixels;      // of one input picture; 0: 8192 * 4320
    int64_t max_duration_ms; // of the input; 0: 24 hours
};

#define MEDIA_WARNINGS_MAX 8

// Of the input for INSPECT, else of the result as it was written. A codec that is not there is "".
struct media_facts {
    char format[16]; // file extension by content: mp4, mov, mkv, webm, avi, flv, mp3, ...
    char content_type[48];
    char video_codec[32]; // h264, hevc, vp9, ...
    char audio_codec[32];
    int32_t width; // as displayed: after rotation and pixel aspect ratio
    int32_t height;
    int32_t rotation; // degrees clockwise the stored picture is turned for display: 0, 90, 180, 270
    int32_t channels;
    int32_t sample_rate;
    int64_t duration_ms; // 0: unknown
    int64_t size_bytes;  // of the result; of the input for INSPECT
    int64_t frames;      // video frames in the result; 0 for INSPECT
    double frame_rate;   // mean; 0: unknown
    bool variable_frame_rate;
    bool thumbnail_made;
    bool copied_video; // the stream was copied, not encoded
    bool copied_audio;
};

struct media_outcome {
    enum media_code code;
    char text[256]; // for people: what is wrong and what to do; "" when code is MEDIA_OK
    struct media_facts facts;
    int32_t n_warnings;
    char warnings[MEDIA_WARNINGS_MAX][96]; // "truncated: ...", "damaged: ...", "rounded: ...", ...
};
