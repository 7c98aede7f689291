// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/ops.h"

#include <string.h>

#define MAX_SIDE   8192
#define MAX_FPS    120
#define OPUS_RATE  48000
#define MAX_RATE   48000
#define MAX_MP3    48000
#define PLAIN_RATE 44100

static int round_even(int v)
{
    v = (v + 1) & ~1;
    if (v < 2)
        return 2;
    return v > MAX_SIDE ? MAX_SIDE : v;
}

static bool is_mp4_family(const struct caps_container *target)
{
    return target->keeps_turn;
}

// The rate for containers without timestamps: the mean, if it is one that players know.
static void choose_rate(const struct probe_video *in, struct plan_video *out)
{
    double rate = (double)in->rate_num / in->rate_den;

    out->rate_num = in->rate_num;
    out->rate_den = in->rate_den;
    if (!out->constant_rate || (rate >= 1 && rate <= MAX_FPS && in->rate_den <= 1001 &&
                                in->rate_num <= 65535 && !in->variable_rate))
        return;
    out->rate_num = rate > 30 ? 60 : rate > 25 || rate < 1 ? 30 : 25;
    out->rate_den = 1;
}

static void encode_video(const struct probe_video *in, const struct caps_container *target,
                         struct plan_video *out)
{
    out->mode = PLAN_ENCODE;
    out->stream = in->stream;
    out->encoder = target->video_encoder;
    out->width = round_even(in->width);
    out->height = round_even(in->height);
    out->turn = in->turn;
    out->is_rgb = in->is_rgb;
    out->is_hdr = in->is_hdr;
    out->constant_rate = target->needs_constant_rate;
    choose_rate(in, out);
}

static bool may_copy_video(const struct run *run, const struct probe *probe,
                           const struct caps_container *target)
{
    const struct probe_video *in = &probe->video;

    if (run->never_copy || !caps_list_has(target->video_copy, in->codec))
        return false;
    if (!in->is_plain && !target->any_pixels)
        return false;
    if (in->turn != PROBE_TURN_NONE && !target->keeps_turn)
        return false;
    if (!in->square && !is_mp4_family(target) && strcmp(target->extension, "mkv") != 0)
        return false;
    // Without presentation times the order of B-frames is lost on the way.
    if (in->reordered && (!probe->has_pts || target->needs_constant_rate))
        return false;
    return !(target->needs_constant_rate && in->variable_rate);
}

static int audio_rate(const char *encoder, int rate)
{
    static const int mp3_rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};

    if (strcmp(encoder, "libopus") == 0)
        return OPUS_RATE;
    if (strcmp(encoder, "pcm_s16le") == 0)
        return rate;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(mp3_rates); i++)
        if (rate == mp3_rates[i])
            return rate;
    return rate > MAX_RATE ? MAX_RATE : PLAIN_RATE;
}

static void plan_audio(struct run *run, const struct probe *probe,
                       const struct caps_container *target, struct plan_audio *out)
{
    const struct probe_audio *in = &probe->audio;

    if (in->stream < 0)
        return;
    out->stream = in->stream;
    if (!run->never_copy && caps_list_has(target->audio_copy, in->codec) &&
        !(target->needs_constant_rate && in->start_us > 0)) {
        out->mode = PLAN_COPY;
        return;
    }
    if (!in->decodable) {
        run_warn(run, "no audio: the codec %s is not served", in->codec);
        return;
    }
    out->mode = PLAN_ENCODE;
    out->encoder = target->audio_encoder;
    out->channels = in->channels > target->max_channels ? 2 : in->channels;
    out->sample_rate = audio_rate(out->encoder, in->sample_rate);
    out->from_start = target->needs_constant_rate;
}

static int find_target(struct run *run, const char *fallback, bool wants_video,
                       const struct caps_container **ret_target)
{
    const char *name = run->task->target_format[0] ? run->task->target_format : fallback;
    const struct caps_container *target = caps_find(name);

    if (!target || (target->video_copy != NULL) != wants_video)
        return run_fail(
            run, MEDIA_UNSUPPORTED, "the target format '%s' is not served; use %s", name,
            wants_video ? "mp4, mov, mkv, webm, avi or flv" : "m4a, aac, mp3, opus or wav");
    *ret_target = target;
    return MEDIA_OK;
}

static int compile_convert(struct run *run, const struct probe *probe, struct plan *plan)
{
    int rc = find_target(run, "mp4", true, &plan->target);

    if (rc != MEDIA_OK)
        return rc;
    if (probe->video.stream < 0)
        return run_fail(run, MEDIA_NO_VIDEO,
                        "the file has no video to convert; extract its audio instead");
    if (may_copy_video(run, probe, plan->target)) {
        plan->video.mode = PLAN_COPY;
        plan->video.stream = probe->video.stream;
        plan->video.rate_num = probe->video.rate_num;
        plan->video.rate_den = probe->video.rate_den;
    } else {
        encode_video(&probe->video, plan->target, &plan->video);
    }
    plan_audio(run, probe, plan->target, &plan->audio);
    return MEDIA_OK;
}

static int scaled(int64_t side, int64_t of, int64_t by)
{
    int64_t v = (side * by + of / 2) / of;

    return v > MAX_SIDE ? MAX_SIDE : (int)v;
}

static int choose_size(struct run *run, const struct probe_video *in, struct plan_video *out)
{
    int width = run->task->width;
    int height = run->task->height;

    if (width < 0 || height < 0 || width > MAX_SIDE || height > MAX_SIDE ||
        (width == 0 && height == 0))
        return run_fail(run, MEDIA_UNSUPPORTED,
                        "the size %dx%d is not served; each side may be 2 to %d pixels", width,
                        height, MAX_SIDE);
    out->width = round_even(width ? width : scaled(in->width, in->height, height));
    out->height = round_even(height ? height : scaled(in->height, in->width, width));
    if ((width && width != out->width) || (height && height != out->height))
        run_warn(run, "rounded: the size became %dx%d, video needs even sides", out->width,
                 out->height);
    return MEDIA_OK;
}

static int compile_resize(struct run *run, const struct probe *probe, struct plan *plan)
{
    int rc = find_target(run, "mp4", true, &plan->target);

    if (rc != MEDIA_OK)
        return rc;
    if (probe->video.stream < 0)
        return run_fail(run, MEDIA_NO_VIDEO, "the file has no video to resize");
    encode_video(&probe->video, plan->target, &plan->video);
    plan_audio(run, probe, plan->target, &plan->audio);
    return choose_size(run, &probe->video, &plan->video);
}

static const char *natural_audio_format(const char *codec)
{
    if (strcmp(codec, "mp3") == 0 || strcmp(codec, "opus") == 0)
        return codec;
    return "m4a";
}

static int compile_extract_audio(struct run *run, const struct probe *probe, struct plan *plan)
{
    int rc = find_target(run, natural_audio_format(probe->audio.codec), false, &plan->target);

    if (rc != MEDIA_OK)
        return rc;
    if (probe->audio.stream < 0)
        return run_fail(run, MEDIA_NO_AUDIO, "the video has no audio track to extract");
    plan_audio(run, probe, plan->target, &plan->audio);
    if (plan->audio.mode == PLAN_DROP)
        return run_fail(run, MEDIA_UNSUPPORTED, "the audio codec %s is not served",
                        probe->audio.codec);
    plan->extra_offset_us = probe->audio.start_us;
    return MEDIA_OK;
}

int ops_compile(struct run *run, const struct probe *probe, struct plan *ret_plan)
{
    static int (*const compile[])(struct run *, const struct probe *, struct plan *) = {
        [MEDIA_RESIZE] = compile_resize,
        [MEDIA_CONVERT] = compile_convert,
        [MEDIA_EXTRACT_AUDIO] = compile_extract_audio,
    };
    struct plan plan = {.threads = run->task->threads > 0 ? run->task->threads : 1};
    unsigned kind = (unsigned)run->task->kind;
    int rc;

    plan.video.stream = -1;
    plan.audio.stream = -1;
    plan.video.rate_den = 1;
    if (kind >= REEL_ARRAY_SIZE(compile) || !compile[kind])
        return run_fail(run, MEDIA_INTERNAL, "the engine knows no task %u", kind);
    rc = compile[kind](run, probe, &plan);
    if (rc == MEDIA_OK)
        *ret_plan = plan;
    return rc;
}
