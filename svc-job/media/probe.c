// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/probe.h"

#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "svc-job/media/caps.h"
#include "svc-job/media/compat.h"
#include "svc-job/media/decode.h"

#define DEFAULT_MAX_DURATION_MS (24LL * 3600 * 1000)
#define INDEX_SAMPLES           2000

static bool only_webm_codecs(const AVFormatContext *fmt)
{
    for (unsigned i = 0; i < fmt->nb_streams; i++) {
        enum AVCodecID id = fmt->streams[i]->codecpar->codec_id;

        if (id != AV_CODEC_ID_VP8 && id != AV_CODEC_ID_VP9 && id != AV_CODEC_ID_AV1 &&
            id != AV_CODEC_ID_OPUS && id != AV_CODEC_ID_VORBIS && id != AV_CODEC_ID_WEBVTT)
            return false;
    }
    return true;
}

static const char *format_of(const AVFormatContext *fmt, bool has_video)
{
    static const struct {
        const char *demuxer;
        const char *extension;
    } plain[] = {
        {"avi", "avi"}, {"flv", "flv"}, {"mpegts", "ts"}, {"mpeg", "mpg"},  {"mp3", "mp3"},
        {"wav", "wav"}, {"ogg", "ogg"}, {"aac", "aac"},   {"flac", "flac"},
    };
    const AVDictionaryEntry *brand = av_dict_get(fmt->metadata, "major_brand", NULL, 0);
    const char *name = fmt->iformat->name;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(plain); i++)
        if (strcmp(name, plain[i].demuxer) == 0)
            return plain[i].extension;
    if (strncmp(name, "matroska", 8) == 0)
        return only_webm_codecs(fmt) ? "webm" : "mkv";
    if (brand && strcmp(brand->value, "qt  ") == 0)
        return "mov";
    return has_video ? "mp4" : "m4a";
}

static enum probe_turn turn_of(const AVStream *st)
{
    const int32_t *m = compat_display_matrix(st);

    if (!m)
        return PROBE_TURN_NONE;
    // x' = m0 x + m3 y, y' = m1 x + m4 y, with y growing downwards.
    if (llabs(m[0]) >= llabs(m[1])) {
        if (m[0] >= 0)
            return m[4] >= 0 ? PROBE_TURN_NONE : PROBE_TURN_VFLIP;
        return m[4] >= 0 ? PROBE_TURN_HFLIP : PROBE_TURN_180;
    }
    if (m[1] > 0)
        return m[3] < 0 ? PROBE_TURN_90 : PROBE_TURN_TRANSPOSE;
    return m[3] > 0 ? PROBE_TURN_270 : PROBE_TURN_ANTI_TRANSPOSE;
}

static bool swaps_sides(enum probe_turn turn)
{
    return turn == PROBE_TURN_90 || turn == PROBE_TURN_270 || turn == PROBE_TURN_TRANSPOSE ||
           turn == PROBE_TURN_ANTI_TRANSPOSE;
}

static void displayed_size(AVFormatContext *fmt, AVStream *st, struct probe_video *video)
{
    AVRational sar = av_guess_sample_aspect_ratio(fmt, st, NULL);
    int64_t width = st->codecpar->width;
    int64_t height = st->codecpar->height;

    video->square = sar.num <= 0 || sar.den <= 0 || sar.num == sar.den;
    // Stretched, never shrunk: no line of the source is lost.
    if (!video->square && sar.num > sar.den)
        width = av_rescale(width, sar.num, sar.den);
    else if (!video->square)
        height = av_rescale(height, sar.den, sar.num);
    if (width > 16 * (int64_t)st->codecpar->width || height > 16 * (int64_t)st->codecpar->height) {
        // No camera makes such pixels; a damaged header does.
        video->square = true;
        width = st->codecpar->width;
        height = st->codecpar->height;
    }
    video->width = (int)(swaps_sides(video->turn) ? height : width);
    video->height = (int)(swaps_sides(video->turn) ? width : height);
}

// Whether frames keep their distance. Containers with a full index tell it exactly; elsewhere the
// two rates that libavformat estimates must agree.
static bool rate_varies(AVStream *st)
{
    int n = avformat_index_get_entries_count(st);
    int64_t first, mean, tolerance;
    const AVIndexEntry *entry;

    if (n > 4 && st->nb_frames > 0 && n >= st->nb_frames) {
        n = n > INDEX_SAMPLES ? INDEX_SAMPLES : n;
        first = avformat_index_get_entry(st, 0)->timestamp;
        mean = (avformat_index_get_entry(st, n - 1)->timestamp - first) / (n - 1);
        // Containers round to their clock: 16, 17, 17 ms is a steady 60.
        tolerance = mean / 10 > 1 ? mean / 10 : 1;
        for (int i = 2; i < n; i++) {
            entry = avformat_index_get_entry(st, i);
            first = avformat_index_get_entry(st, i - 1)->timestamp;
            if (llabs(entry->timestamp - first - mean) > tolerance + 1)
                return true;
        }
        return false;
    }
    if (st->avg_frame_rate.num <= 0 || st->r_frame_rate.num <= 0)
        return false;
    return av_q2d(st->r_frame_rate) > 1.05 * av_q2d(st->avg_frame_rate) ||
           av_q2d(st->avg_frame_rate) > 1.05 * av_q2d(st->r_frame_rate);
}

static bool is_plain(const AVCodecParameters *par)
{
    return par->format == AV_PIX_FMT_YUV420P || par->format == AV_PIX_FMT_YUVJ420P;
}

static void probe_video_stream(AVFormatContext *fmt, AVStream *st, struct probe_video *video)
{
    const AVCodecParameters *par = st->codecpar;
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get((enum AVPixelFormat)par->format);
    AVRational rate = st->avg_frame_rate.num > 0 ? st->avg_frame_rate : st->r_frame_rate;

    video->stream = st->index;
    snprintf(video->codec, sizeof(video->codec), "%s", avcodec_get_name(par->codec_id));
    video->stored_width = par->width;
    video->stored_height = par->height;
    video->turn = turn_of(st);
    displayed_size(fmt, st, video);
    video->rate_num = rate.num > 0 && rate.den > 0 ? rate.num : 0;
    video->rate_den = video->rate_num > 0 ? rate.den : 1;
    video->variable_rate = rate_varies(st);
    video->decodable = decoder_is_served(par->codec_id);
    video->reordered = par->video_delay > 0;
    video->is_plain = is_plain(par);
    video->is_rgb = desc && (desc->flags & AV_PIX_FMT_FLAG_RGB);
    video->is_hdr =
        par->color_trc == AVCOL_TRC_SMPTE2084 || par->color_trc == AVCOL_TRC_ARIB_STD_B67;
}

static void probe_audio_stream(const struct input *in, const AVStream *st,
                               struct probe_audio *audio)
{
    audio->stream = st->index;
    snprintf(audio->codec, sizeof(audio->codec), "%s", avcodec_get_name(st->codecpar->codec_id));
    audio->channels = st->codecpar->ch_layout.nb_channels;
    audio->sample_rate = st->codecpar->sample_rate;
    audio->decodable = decoder_is_served(st->codecpar->codec_id);
    if (st->start_time != AV_NOPTS_VALUE)
        audio->start_us =
            av_rescale_q(st->start_time, st->time_base, AV_TIME_BASE_Q) - in->offset_us;
}

// Whether the index names a sample beyond the last byte.
static bool points_past_end(AVFormatContext *fmt, int64_t size_bytes)
{
    for (unsigned i = 0; i < fmt->nb_streams; i++) {
        int n = avformat_index_get_entries_count(fmt->streams[i]);
        const AVIndexEntry *last = n > 0 ? avformat_index_get_entry(fmt->streams[i], n - 1) : NULL;

        if (last && last->pos + last->size > size_bytes)
            return true;
    }
    return false;
}

static void choose_streams(struct input *in, struct probe *probe)
{
    AVFormatContext *fmt = in->fmt;
    int video = av_find_best_stream(fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    int audio = av_find_best_stream(fmt, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);

    probe->video.stream = -1;
    probe->video.rate_den = 1;
    probe->audio.stream = -1;
    // Cover art is a video stream of one picture.
    if (video >= 0 && !(fmt->streams[video]->disposition & AV_DISPOSITION_ATTACHED_PIC) &&
        fmt->streams[video]->codecpar->width > 0 && fmt->streams[video]->codecpar->height > 0)
        probe_video_stream(fmt, fmt->streams[video], &probe->video);
    if (audio >= 0 && fmt->streams[audio]->codecpar->sample_rate > 0 &&
        fmt->streams[audio]->codecpar->ch_layout.nb_channels > 0)
        probe_audio_stream(in, fmt->streams[audio], &probe->audio);
}

static int check_duration(const struct run *run, const struct probe *probe)
{
    int64_t max_ms =
        run->task->max_duration_ms > 0 ? run->task->max_duration_ms : DEFAULT_MAX_DURATION_MS;

    if (probe->duration_us / 1000 <= max_ms)
        return MEDIA_OK;
    return run_fail((struct run *)run, MEDIA_RESOURCE_LIMIT,
                    "the file lasts %lld s; at most %lld s are served",
                    (long long)(probe->duration_us / 1000000), (long long)(max_ms / 1000));
}

int probe_input(struct input *input, struct probe *ret_probe)
{
    AVFormatContext *fmt = input->fmt;
    struct probe probe = {0};

    probe.size_bytes = avio_size(input->pb);
    choose_streams(input, &probe);
    if (probe.video.stream < 0 && probe.audio.stream < 0)
        return run_fail(input->run, MEDIA_INVALID_INPUT,
                        "the file holds neither video nor audio that can be read");
    snprintf(probe.format, sizeof(probe.format), "%s", format_of(fmt, probe.video.stream >= 0));
    if (fmt->duration != AV_NOPTS_VALUE && fmt->duration > 0)
        probe.duration_us = fmt->duration;
    probe.duration_is_guess = fmt->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;
    probe.has_pts = strcmp(fmt->iformat->name, "avi") != 0;
    probe.truncated = strncmp(fmt->iformat->name, "mov", 3) == 0 && probe.size_bytes > 0 &&
                      points_past_end(fmt, probe.size_bytes);
    *ret_probe = probe;
    return check_duration(input->run, &probe);
}

void probe_to_facts(const struct probe *probe, struct media_facts *ret_facts)
{
    static const int degrees[PROBE_TURN_ANTI_TRANSPOSE + 1] = {[PROBE_TURN_90] = 90,
                                                               [PROBE_TURN_180] = 180,
                                                               [PROBE_TURN_270] = 270,
                                                               [PROBE_TURN_TRANSPOSE] = 90,
                                                               [PROBE_TURN_ANTI_TRANSPOSE] = 270};
    struct media_facts *facts = ret_facts;

    snprintf(facts->format, sizeof(facts->format), "%s", probe->format);
    snprintf(facts->content_type, sizeof(facts->content_type), "%s",
             caps_content_type(probe->format));
    snprintf(facts->video_codec, sizeof(facts->video_codec), "%s", probe->video.codec);
    snprintf(facts->audio_codec, sizeof(facts->audio_codec), "%s", probe->audio.codec);
    facts->width = probe->video.width;
    facts->height = probe->video.height;
    facts->rotation = degrees[probe->video.turn];
    facts->channels = probe->audio.channels;
    facts->sample_rate = probe->audio.sample_rate;
    facts->duration_ms = (probe->duration_us + 500) / 1000;
    facts->size_bytes = probe->size_bytes;
    facts->frame_rate = (double)probe->video.rate_num / probe->video.rate_den;
    facts->variable_frame_rate = probe->video.variable_rate;
}
