// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/track.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixfmt.h>

#define US INT64_C(1000000)
// With a constant rate a picture that stands still is repeated; a damaged time must not become
// millions of frames.
#define MAX_STILL_US          (600 * US)
#define DEFAULT_MAX_RESULT_US (24 * 3600 * US)

static void count_frame(struct track *track)
{
    if (track->is_video)
        atomic_fetch_add_explicit(&track->run->ctl->frames, 1, memory_order_relaxed);
}

static int64_t to_us(AVRational base, int64_t ts)
{
    return av_rescale_q(ts, base, AV_TIME_BASE_Q);
}

static int on_packet(void *arg, AVPacket *packet)
{
    struct track *track = arg;
    AVRational base = track->encoder.ctx->time_base;

    count_frame(track);
    return mux_write(track->mux, track->out_index, packet, base.num, base.den);
}

static int on_filtered(void *arg, AVFrame *frame)
{
    struct track *track = arg;

    // Encoders demand times that grow; of two pictures at one time the first is shown.
    if (frame->pts == AV_NOPTS_VALUE ||
        (track->is_video && track->last_pts != AV_NOPTS_VALUE && frame->pts <= track->last_pts))
        return MEDIA_OK;
    track->last_pts = frame->pts;
    frame->pict_type = AV_PICTURE_TYPE_NONE;
    return encoder_feed(&track->encoder, frame);
}

static int check_time(struct track *track, int64_t us)
{
    int64_t gap = track->last_in_us == AV_NOPTS_VALUE ? 0 : us - track->last_in_us;

    track->last_in_us = us;
    if (us > track->max_us)
        return run_fail(track->run, MEDIA_RESOURCE_LIMIT,
                        "the result would last more than %lld s, the longest that is served",
                        (long long)(track->max_us / US));
    if (track->constant_rate && gap > MAX_STILL_US)
        return run_fail(track->run, MEDIA_RESOURCE_LIMIT,
                        "the picture stands still for %lld s; at most %lld s can be put into this "
                        "format, use mp4",
                        (long long)(gap / US), (long long)(MAX_STILL_US / US));
    return MEDIA_OK;
}

static int on_frame(void *arg, AVFrame *frame)
{
    struct track *track = arg;
    int rc = check_time(track, to_us(track->in->time_base, frame->pts));

    return rc != MEDIA_OK ? rc : graph_feed(&track->graph, frame);
}

static void prepare(struct track *track, struct input *input, struct mux *mux,
                    const struct plan *plan)
{
    int64_t max_ms = input->run->task->max_duration_ms;

    *track = (struct track){.run = input->run,
                            .mux = mux,
                            .offset_us = plan->extra_offset_us,
                            .last_in_us = AV_NOPTS_VALUE,
                            .last_pts = AV_NOPTS_VALUE,
                            .max_us = max_ms > 0 ? max_ms * 1000 : DEFAULT_MAX_RESULT_US};
}

static int open_coder(struct track *track, const struct graph_spec *graph,
                      struct encoder_spec *encoder)
{
    int rc;

    graph_out_base(graph, &encoder->base_num, &encoder->base_den);
    encoder->global_header = mux_wants_global_header(track->mux);
    encoder->source = track->in->codecpar;
    rc = encoder_open(track->run, encoder, &track->encoder);
    if (rc != MEDIA_OK)
        return rc;
    track->encoder.sink = on_packet;
    track->encoder.sink_arg = track;
    return mux_add_encoder(track->mux, track->encoder.ctx, &track->out_index);
}

static int open_graph(struct track *track, const struct graph_spec *spec)
{
    int rc = graph_open(track->run, spec, &track->graph);

    track->graph.sink = on_filtered;
    track->graph.sink_arg = track;
    return rc;
}

static int open_decoder(struct track *track, struct input *input, int threads)
{
    int rc = decoder_open(input, track->in->index, threads, &track->decoder);

    track->decoder.sink = on_frame;
    track->decoder.sink_arg = track;
    return rc;
}

int track_open_video(struct track *track, struct input *input, struct mux *mux,
                     const struct plan *plan)
{
    const struct plan_video *video = &plan->video;
    struct encoder_spec encoder = {.video = video, .threads = plan->threads};
    struct graph_spec graph = {
        .threads = plan->threads, .video = *video, .pixel_format = AV_PIX_FMT_YUV420P};
    int rc;

    prepare(track, input, mux, plan);
    track->in = input->fmt->streams[video->stream];
    track->mode = video->mode;
    track->is_video = true;
    track->constant_rate = video->constant_rate;
    if (video->mode == PLAN_COPY)
        return mux_add_copy(mux, track->in, video->rate_num, video->rate_den, &track->out_index);
    graph.in_base_num = track->in->time_base.num;
    graph.in_base_den = track->in->time_base.den;
    rc = open_decoder(track, input, plan->threads);
    if (rc == MEDIA_OK)
        rc = open_graph(track, &graph);
    if (rc == MEDIA_OK)
        rc = open_coder(track, &graph, &encoder);
    return rc;
}

int track_open_audio(struct track *track, struct input *input, struct mux *mux,
                     const struct plan *plan)
{
    struct encoder_spec encoder = {.audio = &plan->audio, .threads = 1};
    struct graph_spec graph = {.is_audio = true, .threads = 1, .audio = plan->audio};
    int rc;

    prepare(track, input, mux, plan);
    track->in = input->fmt->streams[plan->audio.stream];
    track->mode = plan->audio.mode;
    track->seen_key = true;
    if (plan->audio.mode == PLAN_COPY)
        return mux_add_copy(mux, track->in, 0, 1, &track->out_index);
    graph.in_base_num = track->in->time_base.num;
    graph.in_base_den = track->in->time_base.den;
    rc = open_decoder(track, input, 1);
    if (rc == MEDIA_OK)
        rc = open_coder(track, &graph, &encoder);
    if (rc != MEDIA_OK)
        return rc;
    graph.sample_format = encoder_sample_format(&track->encoder);
    graph.frame_size = encoder_frame_size(&track->encoder);
    return open_graph(track, &graph);
}

void track_close(struct track *track)
{
    decoder_close(&track->decoder);
    graph_close(&track->graph);
    encoder_close(&track->encoder);
}

static int copy_packet(struct track *track, AVPacket *packet)
{
    AVRational base = track->in->time_base;

    // What comes before the first key frame shows nothing.
    track->seen_key |= packet->flags & AV_PKT_FLAG_KEY;
    if (!track->seen_key)
        return MEDIA_OK;
    count_frame(track);
    return mux_write(track->mux, track->out_index, packet, base.num, base.den);
}

int track_feed(struct track *track, AVPacket *packet)
{
    AVRational base = track->in->time_base;
    int64_t by = av_rescale_q(track->offset_us, AV_TIME_BASE_Q, base);
    int64_t end = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;

    if (packet->pts != AV_NOPTS_VALUE)
        packet->pts -= by;
    if (packet->dts != AV_NOPTS_VALUE)
        packet->dts -= by;
    if (end != AV_NOPTS_VALUE) {
        end = to_us(base, end + packet->duration);
        track->reached_us = end > track->reached_us ? end : track->reached_us;
    }
    if (track->mode == PLAN_COPY)
        return copy_packet(track, packet);
    return decoder_feed(&track->decoder, packet);
}

int track_finish(struct track *track)
{
    int rc;

    if (track->mode != PLAN_ENCODE)
        return MEDIA_OK;
    rc = decoder_feed(&track->decoder, NULL);
    if (rc == MEDIA_OK)
        rc = graph_feed(&track->graph, NULL);
    return rc == MEDIA_OK ? encoder_feed(&track->encoder, NULL) : rc;
}
