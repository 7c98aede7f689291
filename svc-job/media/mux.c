// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/mux.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "svc-job/media/compat.h"
#include "svc-job/media/io.h"

// The muxer opens one thing by itself: the file it writes, to read it while it moves the index.
static int reopen(AVFormatContext *fmt, AVIOContext **pb, const char *url, int flags,
                  AVDictionary **options)
{
    const struct mux *mux = fmt->opaque;

    (void)url;
    (void)options;
    if (flags & AVIO_FLAG_WRITE)
        return AVERROR(EPERM);
    return io_open_reader(mux->run, mux->fd, pb) == MEDIA_OK ? 0 : AVERROR(ENOMEM);
}

static int reclose(AVFormatContext *fmt, AVIOContext *pb)
{
    (void)fmt;
    io_close(&pb);
    return 0;
}

// A muxer often loses what a transfer met.
static int fail(struct mux *mux, int rc, const char *doing)
{
    int error = io_error(mux->pb);

    return run_fail_av(mux->run, error ? error : rc, doing);
}

int mux_open(struct run *run, int fd, const struct caps_container *target, struct mux *ret_mux)
{
    struct mux mux = {.run = run, .target = target, .fd = fd};
    int rc = io_open_writer(run, fd, &mux.pb);

    if (rc != MEDIA_OK)
        return rc;
    rc = avformat_alloc_output_context2(&mux.fmt, NULL, target->muxer, NULL);
    if (rc < 0) {
        mux_close(&mux);
        return run_fail_av(run, rc, "starting the result");
    }
    mux.fmt->pb = mux.pb;
    mux.fmt->io_open = reopen;
    mux.fmt->io_close2 = reclose;
    mux.fmt->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    for (int i = 0; i < MUX_MAX_STREAMS; i++)
        mux.last_dts[i] = AV_NOPTS_VALUE;
    *ret_mux = mux;
    return MEDIA_OK;
}

void mux_close(struct mux *mux)
{
    avformat_free_context(mux->fmt);
    mux->fmt = NULL;
    io_close(&mux->pb);
}

bool mux_wants_global_header(const struct mux *mux)
{
    return mux->fmt->oformat->flags & AVFMT_GLOBALHEADER;
}

static int add_stream(struct mux *mux, AVStream **ret_stream)
{
    *ret_stream = avformat_new_stream(mux->fmt, NULL);
    if (!*ret_stream)
        return run_fail_av(mux->run, AVERROR(ENOMEM), "adding a stream");
    return MEDIA_OK;
}

int mux_add_copy(struct mux *mux, const AVStream *source, int rate_num, int rate_den,
                 int *ret_index)
{
    AVStream *st;
    int rc = add_stream(mux, &st);

    if (rc != MEDIA_OK)
        return rc;
    rc = avcodec_parameters_copy(st->codecpar, source->codecpar);
    if (rc >= 0 && mux->target->keeps_turn)
        rc = compat_copy_display_matrix(st, source);
    if (rc < 0)
        return run_fail_av(mux->run, rc, "copying a stream");
    // A tag of the old container may mean nothing in the new one.
    st->codecpar->codec_tag = 0;
    st->sample_aspect_ratio = source->sample_aspect_ratio;
    st->time_base = source->time_base;
    if (rate_num > 0) {
        st->avg_frame_rate = (AVRational){rate_num, rate_den};
        if (mux->target->needs_constant_rate)
            st->time_base = av_inv_q(st->avg_frame_rate);
    }
    *ret_index = st->index;
    return MEDIA_OK;
}

int mux_add_encoder(struct mux *mux, const AVCodecContext *encoder, int *ret_index)
{
    AVStream *st;
    int rc = add_stream(mux, &st);

    if (rc != MEDIA_OK)
        return rc;
    rc = avcodec_parameters_from_context(st->codecpar, encoder);
    if (rc < 0)
        return run_fail_av(mux->run, rc, "adding a stream");
    st->time_base = encoder->time_base;
    st->avg_frame_rate = encoder->framerate;
    st->sample_aspect_ratio = encoder->sample_aspect_ratio;
    *ret_index = st->index;
    return MEDIA_OK;
}

int mux_start(struct mux *mux)
{
    AVDictionary *options = NULL;
    int rc = 0;

    // The muxer names the file when it opens it again; the name goes nowhere.
    mux->fmt->url = av_strdup("result");
    mux->fmt->opaque = mux;
    if (mux->target->moves_index)
        rc = av_dict_set(&options, "movflags", "+faststart", 0);
    if (rc >= 0 && mux->fmt->url)
        rc = avformat_write_header(mux->fmt, &options);
    av_dict_free(&options);
    if (rc < 0)
        return fail(mux, rc, "writing the result's header");
    mux->started = true;
    return MEDIA_OK;
}

// Decode times must grow and may not pass the presentation time.
static void mend_times(struct mux *mux, const AVStream *st, AVPacket *packet)
{
    int64_t *last = &mux->last_dts[st->index];

    if (packet->dts == AV_NOPTS_VALUE)
        packet->dts = packet->pts != AV_NOPTS_VALUE ? packet->pts
                      : *last != AV_NOPTS_VALUE     ? *last + 1
                                                    : 0;
    if (packet->pts == AV_NOPTS_VALUE)
        packet->pts = packet->dts;
    if (packet->dts > packet->pts)
        packet->dts = packet->pts;
    if (*last != AV_NOPTS_VALUE && packet->dts <= *last)
        packet->dts = *last + 1;
    if (packet->pts < packet->dts)
        packet->pts = packet->dts;
    *last = packet->dts;
}

int mux_write(struct mux *mux, int index, AVPacket *packet, int base_num, int base_den)
{
    const AVStream *st = mux->fmt->streams[index];
    int64_t end_us;
    int rc;

    av_packet_rescale_ts(packet, (AVRational){base_num, base_den}, st->time_base);
    packet->stream_index = index;
    packet->pos = -1;
    mend_times(mux, st, packet);
    mux->packets[index]++;
    end_us = av_rescale_q(packet->pts + packet->duration, st->time_base, AV_TIME_BASE_Q);
    mux->end_us = end_us > mux->end_us ? end_us : mux->end_us;
    rc = av_interleaved_write_frame(mux->fmt, packet);
    return rc < 0 ? fail(mux, rc, "writing the result") : MEDIA_OK;
}

int mux_finish(struct mux *mux)
{
    int rc = av_write_trailer(mux->fmt);

    mux->started = false;
    if (rc >= 0) {
        avio_flush(mux->pb);
        rc = io_error(mux->pb);
    }
    return rc < 0 ? fail(mux, rc, "finishing the result") : MEDIA_OK;
}
