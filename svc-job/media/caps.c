// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/caps.h"

#include <string.h>

#include "libcommon/core/base.h"

// Copied is what browsers and common players show in that container; Matroska takes nearly
// anything, and who asks for it wants the stream untouched. MPEG-4 part 2 with MP3 is what an AVI
// player of any age plays.
static const struct caps_container containers[] = {
    {.extension = "mp4",
     .muxer = "mp4",
     .content_type = "video/mp4",
     .video_copy = "h264",
     .audio_copy = "aac,mp3",
     .video_encoder = "libx264",
     .audio_encoder = "aac",
     .max_channels = 6,
     .keeps_turn = true,
     .moves_index = true},
    {.extension = "mov",
     .muxer = "mov",
     .content_type = "video/quicktime",
     .video_copy = "h264",
     .audio_copy = "aac,mp3,alac",
     .video_encoder = "libx264",
     .audio_encoder = "aac",
     .max_channels = 6,
     .keeps_turn = true,
     .moves_index = true},
    {.extension = "mkv",
     .muxer = "matroska",
     .content_type = "video/x-matroska",
     .video_copy = "h264,hevc,vp8,vp9,av1,mpeg4,mpeg2video",
     .audio_copy = "aac,mp3,opus,vorbis,flac,ac3,eac3,pcm_s16le",
     .video_encoder = "libx264",
     .audio_encoder = "aac",
     .max_channels = 6,
     .any_pixels = true},
    {.extension = "webm",
     .muxer = "webm",
     .content_type = "video/webm",
     .video_copy = "vp8,vp9,av1",
     .audio_copy = "opus,vorbis",
     .video_encoder = "libvpx-vp9",
     .audio_encoder = "libopus",
     .max_channels = 2},
    {.extension = "avi",
     .muxer = "avi",
     .content_type = "video/x-msvideo",
     .video_copy = "mpeg4,mjpeg",
     .audio_copy = "mp3",
     .video_encoder = "mpeg4",
     .audio_encoder = "libmp3lame",
     .max_channels = 2,
     .needs_constant_rate = true},
    {.extension = "flv",
     .muxer = "flv",
     .content_type = "video/x-flv",
     .video_copy = "h264",
     .audio_copy = "aac",
     .video_encoder = "libx264",
     .audio_encoder = "aac",
     .max_channels = 2},
    {.extension = "m4a",
     .muxer = "ipod",
     .content_type = "audio/mp4",
     .audio_copy = "aac",
     .audio_encoder = "aac",
     .max_channels = 6,
     .moves_index = true},
    {.extension = "aac",
     .muxer = "adts",
     .content_type = "audio/aac",
     .audio_copy = "aac",
     .audio_encoder = "aac",
     .max_channels = 6},
    {.extension = "mp3",
     .muxer = "mp3",
     .content_type = "audio/mpeg",
     .audio_copy = "mp3",
     .audio_encoder = "libmp3lame",
     .max_channels = 2},
    {.extension = "opus",
     .muxer = "opus",
     .content_type = "audio/ogg",
     .audio_copy = "opus",
     .audio_encoder = "libopus",
     .max_channels = 2},
    {.extension = "wav",
     .muxer = "wav",
     .content_type = "audio/wav",
     .audio_copy = "pcm_s16le",
     .audio_encoder = "pcm_s16le",
     .max_channels = 8},
};

const struct caps_container *caps_find(const char *extension)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(containers); i++)
        if (strcmp(containers[i].extension, extension) == 0)
            return &containers[i];
    return NULL;
}

bool caps_list_has(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (list && *list) {
        size_t n = strcspn(list, ",");

        if (n == len && memcmp(list, name, n) == 0)
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

const char *caps_content_type(const char *extension)
{
    static const struct {
        const char *extension;
        const char *type;
    } read_only[] = {
        {"ts", "video/mp2t"},
        {"mpg", "video/mpeg"},
        {"ogg", "application/ogg"},
        {"flac", "audio/flac"},
    };
    const struct caps_container *container = caps_find(extension);

    if (container)
        return container->content_type;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(read_only); i++)
        if (strcmp(read_only[i].extension, extension) == 0)
            return read_only[i].type;
    return "application/octet-stream";
}
