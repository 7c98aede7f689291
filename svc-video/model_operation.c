// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/err.h"
#include "svc-video/model.h"

enum { SIDE_MIN = 16, SIDE_MAX = 8192 };

static int refuse(struct model_refusal *ret_refusal, int code, const char *field, const char *text)
{
    *ret_refusal = (struct model_refusal){field, text};
    return code;
}

static bool is_one_of(const char *word, const char *const *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

static bool is_side(int32_t pixels)
{
    return pixels >= SIDE_MIN && pixels <= SIDE_MAX && pixels % 2 == 0;
}

static int plan_resize(const Video__Video *video, Job__OperationParams *params,
                       struct model_refusal *ret_refusal)
{
    static const char text[] = "must be an even number from 16 to 8192: the codecs store no odd "
                               "sizes";

    if (!is_side(params->width))
        return refuse(ret_refusal, REEL_INVALID_ARGUMENT, "width", text);
    if (!is_side(params->height))
        return refuse(ret_refusal, REEL_INVALID_ARGUMENT, "height", text);
    params->target_format = strcmp(video->extension, "webm") == 0 ? (char *)"webm" : (char *)"mp4";
    return REEL_OK;
}

static int plan_convert(const Video__Video *video, Job__OperationParams *params,
                        struct model_refusal *ret_refusal)
{
    static const char *const formats[] = {"mp4", "mov", "avi", "webm", "mkv", "flv"};

    if (!is_one_of(params->target_format, formats, REEL_ARRAY_SIZE(formats)))
        return refuse(ret_refusal, REEL_INVALID_ARGUMENT, "targetFormat",
                      "must be one of mp4, mov, avi, webm, mkv, flv");
    if (strcmp(params->target_format, video->extension) == 0)
        return refuse(ret_refusal, REEL_FAILED_PRECONDITION, "",
                      "The video has this format already. Choose another target format.");
    params->width = params->height = 0;
    return REEL_OK;
}

// What the track can be copied into.
static const char *audio_format_of(const char *audio_codec)
{
    if (strcmp(audio_codec, "mp3") == 0)
        return "mp3";
    if (strcmp(audio_codec, "opus") == 0)
        return "opus";
    return "m4a";
}

static int plan_extract_audio(const Video__Video *video, Job__OperationParams *params,
                              struct model_refusal *ret_refusal)
{
    static const char *const formats[] = {"aac", "m4a", "mp3", "opus", "wav"};

    if (!*video->audio_codec)
        return refuse(ret_refusal, REEL_FAILED_PRECONDITION, "",
                      "The video has no audio track, so there is nothing to extract.");
    if (!*params->target_format)
        params->target_format = (char *)audio_format_of(video->audio_codec);
    if (!is_one_of(params->target_format, formats, REEL_ARRAY_SIZE(formats)))
        return refuse(ret_refusal, REEL_INVALID_ARGUMENT, "format",
                      "must be one of aac, m4a, mp3, opus, wav");
    params->width = params->height = 0;
    return REEL_OK;
}

int model_operation_plan(const Video__Video *video, const char *type, Job__OperationParams *params,
                         struct model_refusal *ret_refusal)
{
    static const struct {
        const char *type;
        int (*plan)(const Video__Video *, Job__OperationParams *, struct model_refusal *);
    } plans[] = {
        {"resize", plan_resize},
        {"convert", plan_convert},
        {"extract_audio", plan_extract_audio},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(plans); i++)
        if (strcmp(plans[i].type, type) == 0)
            return plans[i].plan(video, params, ret_refusal);
    return refuse(ret_refusal, REEL_INVALID_ARGUMENT, "type",
                  "must be one of resize, convert, extract_audio");
}

const char *model_result_extension(const char *type, const Job__OperationParams *params)
{
    if (*params->target_format)
        return params->target_format;
    return strcmp(type, "extract_audio") == 0 ? "m4a" : "mp4";
}

char *model_original_key(struct reel_arena *arena, const char *video_id)
{
    return reel_arena_printf(arena, "%s/original", video_id);
}

char *model_thumbnail_key(struct reel_arena *arena, const char *video_id)
{
    return reel_arena_printf(arena, "%s/thumbnail.jpg", video_id);
}

char *model_result_key(struct reel_arena *arena, const Video__Operation *operation)
{
    return reel_arena_printf(arena, "%s/%s.%s", operation->video_id, operation->operation_id,
                             model_result_extension(operation->type, operation->params));
}
