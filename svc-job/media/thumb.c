// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/thumb.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixfmt.h>
#include <stdlib.h>
#include <unistd.h>

#include "svc-job/media/decode.h"
#include "svc-job/media/graph.h"

#define DEFAULT_MAX_SIDE 640
#define LATEST_US        (5 * INT64_C(1000000))
#define JPEG_QUALITY     4 // of 1 (best) to 31
#define BLACK_LUMA       24
#define MAX_TRIES        8
#define MAX_PACKETS      3000
#define MAX_BYTES        (64 << 20)
// A sink's way to say that it needs no more.
#define ENOUGH (-1)

struct thumb {
    struct run *run;
    struct input *input;
    const struct probe *probe;
    struct decoder decoder;
    struct graph graph;
    AVFrame *best;
    double best_luma;
    int tries;
};

static double mean_luma(const AVFrame *frame)
{
    uint64_t sum = 0;

    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];

        for (int x = 0; x < frame->width; x++)
            sum += row[x];
    }
    return (double)sum / ((double)frame->width * frame->height);
}

static int on_picture(void *arg, AVFrame *frame)
{
    struct thumb *thumb = arg;
    double luma = mean_luma(frame);

    thumb->tries++;
    if (!thumb->best->data[0] || luma > thumb->best_luma) {
        av_frame_unref(thumb->best);
        av_frame_move_ref(thumb->best, frame);
        thumb->best_luma = luma;
    }
    return luma >= BLACK_LUMA || thumb->tries >= MAX_TRIES ? ENOUGH : MEDIA_OK;
}

static int on_frame(void *arg, AVFrame *frame)
{
    struct thumb *thumb = arg;

    return graph_feed(&thumb->graph, frame);
}

static int shorter(int64_t side, int64_t longer, int64_t max)
{
    int64_t v = (side * max + longer / 2) / longer;

    return v > 1 ? (int)v : 1;
}

static struct graph_spec picture_spec(const struct thumb *thumb)
{
    const struct probe_video *in = &thumb->probe->video;
    const AVStream *st = thumb->input->fmt->streams[in->stream];
    int max =
        thumb->run->task->thumbnail_max > 0 ? thumb->run->task->thumbnail_max : DEFAULT_MAX_SIDE;
    int longer = in->width > in->height ? in->width : in->height;
    struct graph_spec spec = {.in_base_num = st->time_base.num,
                              .in_base_den = st->time_base.den,
                              .threads = 1,
                              .pixel_format = AV_PIX_FMT_YUVJ420P,
                              .full_range = true};

    max = longer < max ? longer : max;
    spec.video.width = shorter(in->width, longer, max);
    spec.video.height = shorter(in->height, longer, max);
    spec.video.turn = in->turn;
    spec.video.is_hdr = in->is_hdr;
    return spec;
}

static int open_stages(struct thumb *thumb, bool only_keys)
{
    struct graph_spec spec = picture_spec(thumb);
    int stream = thumb->probe->video.stream;
    int rc;

    graph_close(&thumb->graph);
    decoder_close(&thumb->decoder);
    rc = graph_open(thumb->run, &spec, &thumb->graph);
    if (rc == MEDIA_OK)
        rc = decoder_open(thumb->input, stream, 1, &thumb->decoder);
    if (rc != MEDIA_OK)
        return rc;
    thumb->graph.sink = on_picture;
    thumb->graph.sink_arg = thumb;
    thumb->decoder.sink = on_frame;
    thumb->decoder.sink_arg = thumb;
    input_select(thumb->input, stream, -1);
    if (only_keys) {
        thumb->decoder.ctx->skip_frame = AVDISCARD_NONKEY;
        thumb->input->fmt->streams[stream]->discard = AVDISCARD_NONKEY;
    }
    return MEDIA_OK;
}

static int64_t position_us(const struct thumb *thumb)
{
    int64_t asked = thumb->run->task->thumbnail_ms * 1000;
    int64_t duration = thumb->probe->duration_us;
    int64_t at = asked > 0 ? asked : duration / 10;

    if (asked <= 0 && at > LATEST_US)
        at = LATEST_US;
    return duration > 0 && at > duration ? duration : at;
}

// Decodes from where the input stands until a picture is good enough, or the bounds are met.
static int search(struct thumb *thumb)
{
    REEL_AUTO(av_packet_free) AVPacket *packet = av_packet_alloc();
    int64_t bytes = 0;
    bool end = false;
    int rc = MEDIA_OK;

    if (!packet)
        return run_fail_av(thumb->run, AVERROR(ENOMEM), "making the thumbnail");
    for (int n = 0; n < MAX_PACKETS && bytes < MAX_BYTES && !end && rc == MEDIA_OK; n++) {
        rc = input_read(thumb->input, packet, &end);
        bytes += packet->size;
        if (rc == MEDIA_OK)
            rc = decoder_feed(&thumb->decoder, end ? NULL : packet);
        av_packet_unref(packet);
    }
    if (rc == MEDIA_OK && !end)
        rc = decoder_feed(&thumb->decoder, NULL);
    return rc == ENOUGH ? MEDIA_OK : rc;
}

static int try_from(struct thumb *thumb, int64_t at_us, bool only_keys)
{
    AVFormatContext *fmt = thumb->input->fmt;
    int rc = open_stages(thumb, only_keys);

    if (rc != MEDIA_OK)
        return rc;
    thumb->tries = 0;
    // Where it cannot seek it reads on from where it stands.
    (void)av_seek_frame(fmt, -1, at_us + thumb->input->offset_us, AVSEEK_FLAG_BACKWARD);
    return search(thumb);
}

static int write_all(struct run *run, const uint8_t *data, int size)
{
    int done = 0;

    while (done < size) {
        ssize_t n = pwrite(run->io.thumbnail_fd, data + done, (size_t)(size - done), done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return run_fail_av(run, n < 0 ? AVERROR(errno) : AVERROR(EIO), "writing the thumbnail");
        done += (int)n;
    }
    return MEDIA_OK;
}

static int encode_jpeg(AVCodecContext *ctx, AVFrame *frame, AVPacket *packet)
{
    int rc;

    ctx->width = frame->width;
    ctx->height = frame->height;
    ctx->pix_fmt = AV_PIX_FMT_YUVJ420P;
    ctx->color_range = AVCOL_RANGE_JPEG;
    ctx->time_base = (AVRational){1, 25};
    ctx->flags |= AV_CODEC_FLAG_QSCALE;
    ctx->global_quality = JPEG_QUALITY * FF_QP2LAMBDA;
    ctx->thread_count = 1;
    frame->quality = ctx->global_quality;
    frame->pts = 0;
    rc = avcodec_open2(ctx, NULL, NULL);
    if (rc >= 0)
        rc = avcodec_send_frame(ctx, frame);
    if (rc >= 0)
        rc = avcodec_send_frame(ctx, NULL);
    return rc >= 0 ? avcodec_receive_packet(ctx, packet) : rc;
}

static int write_jpeg(struct run *run, AVFrame *frame)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
    REEL_AUTO(avcodec_free_context) AVCodecContext *ctx = avcodec_alloc_context3(codec);
    REEL_AUTO(av_packet_free) AVPacket *packet = av_packet_alloc();
    int rc = codec && ctx && packet ? encode_jpeg(ctx, frame, packet) : AVERROR(ENOMEM);

    if (rc < 0)
        return run_fail_av(run, rc, "making the thumbnail");
    return write_all(run, packet->data, packet->size);
}

static int find_picture(struct thumb *thumb)
{
    int rc = try_from(thumb, position_us(thumb), true);

    if (rc == MEDIA_OK && (!thumb->best->data[0] || thumb->best_luma < BLACK_LUMA))
        rc = try_from(thumb, 0, false);
    return rc;
}

int thumb_make(struct run *run, struct input *input, const struct probe *probe, bool *ret_made)
{
    struct thumb thumb = {.run = run, .input = input, .probe = probe, .best = av_frame_alloc()};
    int rc = thumb.best ? find_picture(&thumb)
                        : run_fail_av(run, AVERROR(ENOMEM), "making the thumbnail");

    if (rc == MEDIA_OK && thumb.best->data[0]) {
        rc = write_jpeg(run, thumb.best);
        *ret_made = rc == MEDIA_OK;
    } else if (rc == MEDIA_OK) {
        run_warn(run, "no thumbnail: not one picture could be decoded");
        *ret_made = false;
    }
    graph_close(&thumb.graph);
    decoder_close(&thumb.decoder);
    av_frame_free(&thumb.best);
    return rc;
}
