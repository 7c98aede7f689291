// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/encode.h"

#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <string.h>

#define MPEG4_QUALITY 3 // of 1 (best) to 31

struct setting {
    const char *encoder;
    const char *options[6][2];
    int kbit_per_channel; // audio; 0: lossless
    enum AVSampleFormat sample_format;
};

static const struct setting settings[] = {
    {.encoder = "libx264", .options = {{"preset", "veryfast"}, {"crf", "21"}}},
    {.encoder = "libvpx-vp9",
     .options =
         {{"deadline", "good"}, {"cpu-used", "5"}, {"row-mt", "1"}, {"crf", "33"}, {"b", "0"}}},
    {.encoder = "mpeg4"},
    {.encoder = "aac", .kbit_per_channel = 64, .sample_format = AV_SAMPLE_FMT_FLTP},
    {.encoder = "libmp3lame", .kbit_per_channel = 96, .sample_format = AV_SAMPLE_FMT_S16P},
    {.encoder = "libopus", .kbit_per_channel = 64, .sample_format = AV_SAMPLE_FMT_FLT},
    {.encoder = "pcm_s16le", .sample_format = AV_SAMPLE_FMT_S16},
};

static const struct setting *find_setting(const char *encoder)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(settings); i++)
        if (strcmp(settings[i].encoder, encoder) == 0)
            return &settings[i];
    return NULL;
}

static void set_colour(AVCodecContext *ctx, const struct encoder_spec *spec)
{
    const AVCodecParameters *source = spec->source;
    bool is_mapped = spec->video->is_hdr || spec->video->is_rgb;

    ctx->color_range = AVCOL_RANGE_MPEG;
    ctx->color_primaries = is_mapped ? AVCOL_PRI_BT709 : source->color_primaries;
    ctx->color_trc = is_mapped ? AVCOL_TRC_BT709 : source->color_trc;
    ctx->colorspace = is_mapped ? AVCOL_SPC_BT709 : source->color_space;
    ctx->chroma_sample_location = source->chroma_location;
}

static void set_video(AVCodecContext *ctx, const struct encoder_spec *spec)
{
    const struct plan_video *video = spec->video;

    ctx->width = video->width;
    ctx->height = video->height;
    ctx->pix_fmt = AV_PIX_FMT_YUV420P;
    ctx->sample_aspect_ratio = (AVRational){1, 1};
    // The exact times of the source, so that a variable rate survives; the rate beside it only
    // tells the encoder the level to announce.
    ctx->time_base = (AVRational){spec->base_num, spec->base_den};
    if (video->rate_num > 0)
        ctx->framerate = (AVRational){video->rate_num, video->rate_den};
    ctx->thread_count = spec->threads;
    set_colour(ctx, spec);
    if (ctx->codec_id == AV_CODEC_ID_MPEG4) {
        ctx->flags |= AV_CODEC_FLAG_QSCALE;
        ctx->global_quality = MPEG4_QUALITY * FF_QP2LAMBDA;
    }
}

static void set_audio(AVCodecContext *ctx, const struct encoder_spec *spec,
                      const struct setting *setting)
{
    const struct plan_audio *audio = spec->audio;

    ctx->sample_rate = audio->sample_rate;
    ctx->sample_fmt = setting->sample_format;
    av_channel_layout_default(&ctx->ch_layout, audio->channels);
    ctx->bit_rate = 1000LL * setting->kbit_per_channel * audio->channels;
    ctx->time_base = (AVRational){1, audio->sample_rate};
}

static int open_context(AVCodecContext *ctx, const struct encoder_spec *spec,
                        const struct setting *setting)
{
    AVDictionary *options = NULL;
    int rc = 0;

    if (spec->video)
        set_video(ctx, spec);
    else
        set_audio(ctx, spec, setting);
    if (spec->global_header)
        ctx->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    for (size_t i = 0; rc >= 0 && setting->options[i][0]; i++)
        rc = av_dict_set(&options, setting->options[i][0], setting->options[i][1], 0);
    if (rc >= 0)
        rc = avcodec_open2(ctx, NULL, &options);
    av_dict_free(&options);
    return rc;
}

int encoder_open(struct run *run, const struct encoder_spec *spec, struct encoder *ret_encoder)
{
    const char *name = spec->video ? spec->video->encoder : spec->audio->encoder;
    const struct setting *setting = find_setting(name);
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    struct encoder enc = {.run = run};
    int rc = AVERROR(ENOMEM);

    if (!setting || !codec)
        return run_fail(run, MEDIA_INTERNAL, "the encoder %s is not installed", name);
    enc.ctx = avcodec_alloc_context3(codec);
    enc.packet = av_packet_alloc();
    if (enc.ctx && enc.packet)
        rc = open_context(enc.ctx, spec, setting);
    if (rc < 0) {
        encoder_close(&enc);
        return run_fail_av(run, rc, "opening the encoder");
    }
    if (spec->video && spec->video->rate_num > 0)
        enc.frame_duration = av_rescale_q(
            1, (AVRational){spec->video->rate_den, spec->video->rate_num}, enc.ctx->time_base);
    *ret_encoder = enc;
    return MEDIA_OK;
}

void encoder_close(struct encoder *encoder)
{
    av_packet_free(&encoder->packet);
    avcodec_free_context(&encoder->ctx);
}

static int drain(struct encoder *enc)
{
    for (;;) {
        int rc = avcodec_receive_packet(enc->ctx, enc->packet);

        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return MEDIA_OK;
        if (rc < 0)
            return run_fail_av(enc->run, rc, "encoding");
        if (enc->packet->duration <= 0)
            enc->packet->duration = enc->frame_duration;
        run_beat(enc->run);
        rc = enc->sink(enc->sink_arg, enc->packet);
        av_packet_unref(enc->packet);
        if (rc != MEDIA_OK)
            return rc;
    }
}

int encoder_feed(struct encoder *encoder, const AVFrame *frame)
{
    int rc = avcodec_send_frame(encoder->ctx, frame);

    // Everything is taken out after every frame, so the encoder always has room.
    if (rc < 0 && rc != AVERROR_EOF)
        return run_fail_av(encoder->run, rc, "encoding");
    return drain(encoder);
}

int encoder_sample_format(const struct encoder *encoder)
{
    return encoder->ctx->sample_fmt;
}

int encoder_frame_size(const struct encoder *encoder)
{
    return encoder->ctx->codec->capabilities & AV_CODEC_CAP_VARIABLE_FRAME_SIZE
               ? 0
               : encoder->ctx->frame_size;
}
