// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/graph.h"

#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/channel_layout.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libavutil/samplefmt.h>
#include <stdio.h>
#include <string.h>

#include "svc-job/media/compat.h"

#define DESCRIPTION_MAX 1024

static const char *const turn_filters[] = {
    [PROBE_TURN_NONE] = "",
    [PROBE_TURN_90] = "transpose=clock,",
    [PROBE_TURN_180] = "hflip,vflip,",
    [PROBE_TURN_270] = "transpose=cclock,",
    [PROBE_TURN_HFLIP] = "hflip,",
    [PROBE_TURN_VFLIP] = "vflip,",
    [PROBE_TURN_TRANSPOSE] = "transpose=cclock_flip,",
    [PROBE_TURN_ANTI_TRANSPOSE] = "transpose=clock_flip,",
};

// From PQ or HLG to BT.709: linear light, 100 nits as white, highlights rolled off.
static const char hdr_filters[] =
    "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,"
    "tonemap=tonemap=hable:desat=0,zscale=transfer=bt709:matrix=bt709:range=limited,";

static void describe_video(const struct graph *graph, char *ret_text)
{
    const struct plan_video *v = &graph->spec.video;
    char rate[64] = "";

    if (v->constant_rate)
        snprintf(rate, sizeof(rate), ",fps=fps=%d/%d%s", v->rate_num, v->rate_den,
                 graph->in_format < 0 ? ":start_time=0" : "");
    snprintf(ret_text, DESCRIPTION_MAX,
             "%s%sscale=w=%d:h=%d:flags=bicubic:out_range=%s%s,setsar=1,format=%s%s",
             turn_filters[v->turn], v->is_hdr ? hdr_filters : "", v->width, v->height,
             graph->spec.full_range ? "pc" : "tv", v->is_rgb ? ":out_color_matrix=bt709" : "",
             av_get_pix_fmt_name((enum AVPixelFormat)graph->spec.pixel_format), rate);
}

static void describe_audio(const struct graph *graph, char *ret_text)
{
    const struct plan_audio *a = &graph->spec.audio;
    AVChannelLayout layout = {0};
    char name[64] = "";

    av_channel_layout_default(&layout, a->channels);
    av_channel_layout_describe(&layout, name, sizeof(name));
    av_channel_layout_uninit(&layout);
    // Holes of more than 0.1 s become silence: not every container can hold them.
    snprintf(ret_text, DESCRIPTION_MAX,
             "aresample=async=1%s,aformat=sample_fmts=%s:sample_rates=%d:channel_layouts=%s",
             a->from_start && graph->in_format < 0 ? ":first_pts=0" : "",
             av_get_sample_fmt_name((enum AVSampleFormat)graph->spec.sample_format), a->sample_rate,
             name);
}

static int source_parameters(const struct graph *graph, const AVFrame *frame)
{
    AVBufferSrcParameters *par = av_buffersrc_parameters_alloc();
    int rc;

    if (!par)
        return AVERROR(ENOMEM);
    par->time_base = (AVRational){graph->spec.in_base_num, graph->spec.in_base_den};
    par->format = frame->format;
    par->width = frame->width;
    par->height = frame->height;
    par->sample_aspect_ratio = frame->sample_aspect_ratio;
    par->sample_rate = frame->sample_rate;
#if LIBAVFILTER_VERSION_MAJOR >= 10
    par->color_space = frame->colorspace;
    par->color_range = frame->color_range;
#endif
    // The order of a raw stream's channels may be unknown, which filters refuse.
    if (graph->spec.is_audio && frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&par->ch_layout, frame->ch_layout.nb_channels);
    else if (graph->spec.is_audio)
        av_channel_layout_copy(&par->ch_layout, &frame->ch_layout);
    rc = av_buffersrc_parameters_set(graph->source, par);
    if (rc >= 0)
        rc = avfilter_init_str(graph->source, NULL);
    av_channel_layout_uninit(&par->ch_layout);
    av_free(par);
    return rc;
}

static int make_ends(struct graph *graph, const AVFrame *frame)
{
    bool is_audio = graph->spec.is_audio;
    int rc;

    graph->source = avfilter_graph_alloc_filter(
        graph->graph, avfilter_get_by_name(is_audio ? "abuffer" : "buffer"), "in");
    if (!graph->source)
        return AVERROR(ENOMEM);
    rc = source_parameters(graph, frame);
    if (rc < 0)
        return rc;
    return avfilter_graph_create_filter(
        &graph->end, avfilter_get_by_name(is_audio ? "abuffersink" : "buffersink"), "out", NULL,
        NULL, graph->graph);
}

static AVFilterInOut *inout(const char *name, AVFilterContext *filter)
{
    AVFilterInOut *io = avfilter_inout_alloc();

    if (io) {
        io->name = av_strdup(name);
        io->filter_ctx = filter;
    }
    return io;
}

static int parse(struct graph *graph)
{
    // Named from the description's side: its input comes from our source.
    REEL_AUTO(avfilter_inout_free) AVFilterInOut *outputs = inout("in", graph->source);
    REEL_AUTO(avfilter_inout_free) AVFilterInOut *inputs = inout("out", graph->end);
    char description[DESCRIPTION_MAX];

    if (!outputs || !inputs || !outputs->name || !inputs->name)
        return AVERROR(ENOMEM);
    if (graph->spec.is_audio)
        describe_audio(graph, description);
    else
        describe_video(graph, description);
    return avfilter_graph_parse_ptr(graph->graph, description, &inputs, &outputs, NULL);
}

static void remember_input(struct graph *graph, const AVFrame *frame)
{
    graph->in_format = frame->format;
    graph->in_width = frame->width;
    graph->in_height = frame->height;
    graph->in_rate = frame->sample_rate;
    graph->in_channels = frame->ch_layout.nb_channels;
}

static bool fits_input(const struct graph *graph, const AVFrame *frame)
{
    return graph->in_format == frame->format && graph->in_width == frame->width &&
           graph->in_height == frame->height && graph->in_rate == frame->sample_rate &&
           graph->in_channels == frame->ch_layout.nb_channels;
}

static int build(struct graph *graph, const AVFrame *frame)
{
    int rc;

    graph->graph = avfilter_graph_alloc();
    if (!graph->graph)
        return run_fail_av(graph->run, AVERROR(ENOMEM), "preparing the picture");
    graph->graph->nb_threads = graph->spec.threads;
    rc = make_ends(graph, frame);
    if (rc >= 0)
        rc = parse(graph);
    if (rc >= 0)
        rc = avfilter_graph_config(graph->graph, NULL);
    if (rc < 0)
        return run_fail_av(graph->run, rc, "building the filters");
    if (graph->spec.is_audio && graph->spec.frame_size > 0)
        av_buffersink_set_frame_size(graph->end, (unsigned)graph->spec.frame_size);
    remember_input(graph, frame);
    return MEDIA_OK;
}

int graph_open(struct run *run, const struct graph_spec *spec, struct graph *ret_graph)
{
    struct graph graph = {.run = run, .spec = *spec, .in_format = -1, .last_pts = AV_NOPTS_VALUE};

    graph.frame = av_frame_alloc();
    if (!graph.frame)
        return run_fail_av(run, AVERROR(ENOMEM), "preparing the filters");
    *ret_graph = graph;
    return MEDIA_OK;
}

void graph_close(struct graph *graph)
{
    av_frame_free(&graph->frame);
    avfilter_graph_free(&graph->graph);
}

void graph_out_base(const struct graph_spec *spec, int *ret_num, int *ret_den)
{
    *ret_num = spec->in_base_num;
    *ret_den = spec->in_base_den;
    if (spec->is_audio) {
        *ret_num = 1;
        *ret_den = spec->audio.sample_rate;
    } else if (spec->video.constant_rate) {
        *ret_num = spec->video.rate_den;
        *ret_den = spec->video.rate_num;
    }
}

static int drain(struct graph *graph)
{
    AVRational out;
    int rc;

    graph_out_base(&graph->spec, &out.num, &out.den);
    while ((rc = av_buffersink_get_frame(graph->end, graph->frame)) >= 0) {
        if (graph->frame->pts != AV_NOPTS_VALUE)
            graph->frame->pts =
                av_rescale_q(graph->frame->pts, av_buffersink_get_time_base(graph->end), out);
        rc = graph->sink(graph->sink_arg, graph->frame);
        av_frame_unref(graph->frame);
        if (rc != MEDIA_OK)
            return rc;
    }
    if (rc != AVERROR(EAGAIN) && rc != AVERROR_EOF)
        return run_fail_av(graph->run, rc, "filtering");
    return MEDIA_OK;
}

static int finish(struct graph *graph)
{
    int rc;

    if (!graph->graph)
        return MEDIA_OK;
    // The end of the last frame: without it a constant rate loses that frame.
    rc = av_buffersrc_close(graph->source, graph->end_pts, AV_BUFFERSRC_FLAG_PUSH);
    return rc < 0 ? run_fail_av(graph->run, rc, "filtering") : drain(graph);
}

static void note_end(struct graph *graph, const AVFrame *frame)
{
    int64_t duration = compat_frame_duration(frame);

    if (duration <= 0 && graph->last_pts != AV_NOPTS_VALUE)
        duration = frame->pts - graph->last_pts;
    graph->last_pts = frame->pts;
    graph->end_pts = frame->pts + (duration > 0 ? duration : 1);
}

int graph_feed(struct graph *graph, AVFrame *frame)
{
    int rc = MEDIA_OK;

    if (!frame)
        return finish(graph);
    if (graph->graph && !fits_input(graph, frame)) {
        rc = finish(graph);
        avfilter_graph_free(&graph->graph);
    }
    if (rc == MEDIA_OK && !graph->graph)
        rc = build(graph, frame);
    if (rc != MEDIA_OK)
        return rc;
    note_end(graph, frame);
    // The picture is turned here; nothing after may turn it again.
    av_frame_remove_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
    rc = av_buffersrc_add_frame(graph->source, frame);
    return rc < 0 ? run_fail_av(graph->run, rc, "filtering") : drain(graph);
}
