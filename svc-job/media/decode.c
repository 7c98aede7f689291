// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/decode.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include "svc-job/media/caps.h"
#include "svc-job/media/compat.h"

#define MAX_SAMPLES_PER_FRAME "1000000"
#define FLUSH_ROUNDS          64

// The decoder of a codec that is on the list: the default one may be another (AV1's only has a
// hardware back end).
static const AVCodec *find_decoder(enum AVCodecID id)
{
    void *opaque = NULL;
    const AVCodec *codec;

    while ((codec = av_codec_iterate(&opaque)))
        if (av_codec_is_decoder(codec) && codec->id == id &&
            caps_list_has(input_codec_whitelist(), codec->name))
            return codec;
    return NULL;
}

static int configure(struct decoder *dec, const AVStream *st, int threads)
{
    AVCodecContext *ctx = dec->ctx;
    int rc = avcodec_parameters_to_context(ctx, st->codecpar);

    if (rc < 0)
        return rc;
    ctx->pkt_timebase = st->time_base;
    ctx->thread_count = st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO ? threads : 1;
    ctx->max_pixels = input_max_pixels(dec->run);
    rc = av_opt_set(ctx, "max_samples", MAX_SAMPLES_PER_FRAME, 0);
    if (rc >= 0)
        rc = av_opt_set(ctx, "codec_whitelist", input_codec_whitelist(), 0);
    return rc;
}

bool decoder_is_served(int codec_id)
{
    return find_decoder((enum AVCodecID)codec_id) != NULL;
}

int decoder_open(struct input *input, int stream, int threads, struct decoder *ret_decoder)
{
    AVStream *st = input->fmt->streams[stream];
    const AVCodec *codec = find_decoder(st->codecpar->codec_id);
    struct decoder dec = {.run = input->run, .next_pts = AV_NOPTS_VALUE};
    int rc;

    if (!codec)
        return run_fail(input->run, MEDIA_UNSUPPORTED, "the codec %s is not served",
                        avcodec_get_name(st->codecpar->codec_id));
    dec.ctx = avcodec_alloc_context3(codec);
    dec.frame = av_frame_alloc();
    rc = dec.ctx && dec.frame ? configure(&dec, st, threads) : AVERROR(ENOMEM);
    if (rc >= 0)
        rc = avcodec_open2(dec.ctx, codec, NULL);
    if (rc < 0) {
        decoder_close(&dec);
        return run_fail_av(input->run, rc, "opening a decoder");
    }
    *ret_decoder = dec;
    return MEDIA_OK;
}

void decoder_close(struct decoder *decoder)
{
    av_frame_free(&decoder->frame);
    avcodec_free_context(&decoder->ctx);
}

static void time_frame(struct decoder *dec, AVFrame *frame)
{
    int64_t duration = compat_frame_duration(frame);

    if (dec->ctx->codec_type == AVMEDIA_TYPE_AUDIO && frame->sample_rate > 0)
        duration = av_rescale_q(frame->nb_samples, (AVRational){1, frame->sample_rate},
                                dec->ctx->pkt_timebase);
    frame->pts = frame->best_effort_timestamp;
    if (frame->pts == AV_NOPTS_VALUE)
        frame->pts = dec->next_pts == AV_NOPTS_VALUE ? 0 : dec->next_pts;
    dec->next_pts = frame->pts + (duration > 0 ? duration : 1);
    // The encoder decides for itself what becomes a key frame.
    frame->pict_type = AV_PICTURE_TYPE_NONE;
}

// Passes on every frame that is ready. *ret_done: the decoder has reached its end.
static int drain(struct decoder *dec, bool *ret_done)
{
    *ret_done = false;
    for (;;) {
        int rc = avcodec_receive_frame(dec->ctx, dec->frame);

        if (rc == AVERROR_EOF)
            *ret_done = true;
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return MEDIA_OK;
        if (rc == AVERROR(ENOMEM) || run_is_cancelled(dec->run))
            return run_fail_av(dec->run, rc, "decoding");
        if (rc < 0) {
            dec->damaged++;
            return MEDIA_OK;
        }
        dec->frames++;
        // Concealed: shown, but not what was filmed.
        if ((dec->frame->flags & AV_FRAME_FLAG_CORRUPT) || dec->frame->decode_error_flags)
            dec->concealed++;
        run_beat(dec->run);
        time_frame(dec, dec->frame);
        rc = dec->sink(dec->sink_arg, dec->frame);
        av_frame_unref(dec->frame);
        if (rc != MEDIA_OK)
            return rc;
    }
}

int decoder_feed(struct decoder *decoder, const AVPacket *packet)
{
    bool done = false;
    int rc = avcodec_send_packet(decoder->ctx, packet);

    if (rc == AVERROR(EAGAIN)) {
        rc = drain(decoder, &done);
        if (rc != MEDIA_OK)
            return rc;
        rc = avcodec_send_packet(decoder->ctx, packet);
    }
    if (rc == AVERROR(ENOMEM))
        return run_fail_av(decoder->run, rc, "decoding");
    if (rc < 0 && rc != AVERROR_EOF)
        decoder->damaged++;
    // At the end a damaged frame stops one round, not the rest; some decoders never get over it.
    for (int round = 0; round < FLUSH_ROUNDS && !done; round++) {
        int64_t before = decoder->damaged;

        rc = drain(decoder, &done);
        if (rc != MEDIA_OK || packet || before == decoder->damaged)
            break;
    }
    return rc;
}
