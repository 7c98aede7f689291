// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/input.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <string.h>
#include <unistd.h>

#include "svc-job/media/io.h"

#define DEFAULT_MAX_PIXELS (8192LL * 4320)
#define PROBE_BYTES        "5000000"
#define ANALYZE_US         "5000000"
// A transport stream's clock may start again; a step of this size is a repair, not a gap.
#define JUMP_US (10 * INT64_C(1000000))

static const char format_whitelist[] = "mov,matroska,mpegts,mpeg,avi,flv,mp3,wav,ogg,flac,aac";

static const char codec_whitelist[] =
    "h264,hevc,vp8,vp9,libdav1d,mpeg4,mpeg1video,mpeg2video,msmpeg4v2,msmpeg4,mjpeg,prores,dnxhd,"
    "theora,flv,h263,dvvideo,svq1,svq3,ffv1,rawvideo,"
    "aac,mp3float,mp3,mp2float,mp2,ac3,eac3,opus,vorbis,flac,alac,amrnb,amrwb,"
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_u8,pcm_s8,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf";

const char *input_codec_whitelist(void)
{
    return codec_whitelist;
}

int64_t input_max_pixels(const struct run *run)
{
    return run->task->max_pixels > 0 ? run->task->max_pixels : DEFAULT_MAX_PIXELS;
}

static int interrupt(void *opaque)
{
    const struct run *run = opaque;

    return run_is_cancelled(run);
}

static int demuxer_options(AVDictionary **ret_options)
{
    static const char *const options[][2] = {
        {"protocol_whitelist", "none"},
        {"format_whitelist", format_whitelist},
        {"codec_whitelist", codec_whitelist},
        {"max_streams", AV_STRINGIFY(INPUT_MAX_STREAMS)},
        {"probesize", PROBE_BYTES},
        {"analyzeduration", ANALYZE_US},
        {"formatprobesize", "65536"},
        {"max_probe_packets", "500"},
        {"err_detect", "careful"},
        {"enable_drefs", "0"},
        {"use_absolute_path", "0"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(options); i++) {
        int rc = av_dict_set(ret_options, options[i][0], options[i][1], 0);

        if (rc < 0)
            return rc;
    }
    return 0;
}

// What to tell the owner of a file that no demuxer takes.
static int fail_open(struct run *run, int fd, int error)
{
    char head[12] = "";

    if (run_is_cancelled(run))
        return run_fail_av(run, error, "opening the file");
    // A stream too many is answered as if memory were out.
    if (error == AVERROR(ENOMEM))
        return run_fail(run, MEDIA_RESOURCE_LIMIT,
                        "the file has more than the %d streams that are read, or needs more memory "
                        "than a job may use",
                        INPUT_MAX_STREAMS);
    if (pread(fd, head, sizeof(head), 0) == 0)
        return run_fail(run, MEDIA_INVALID_INPUT, "the file is empty; upload it again");
    if (memcmp(head + 4, "ftyp", 4) == 0 && error == AVERROR_INVALIDDATA)
        return run_fail(
            run, MEDIA_INVALID_INPUT,
            "the file is incomplete or not a video: it starts like an MP4 but its index "
            "is missing or damaged; upload it again, whole");
    return run_fail(run, MEDIA_INVALID_INPUT,
                    "this is not a video or audio file of a kind that is served (mp4, mov, mkv, "
                    "webm, avi, flv, ts, mpg, mp3, m4a, wav, ogg, flac, aac)");
}

static int open_demuxer(struct input *in, int fd)
{
    AVDictionary *options = NULL;
    int rc;

    in->fmt = avformat_alloc_context();
    if (!in->fmt || demuxer_options(&options) < 0) {
        av_dict_free(&options);
        return run_fail_av(in->run, AVERROR(ENOMEM), "opening the file");
    }
    in->fmt->pb = in->pb;
    in->fmt->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_DISCARD_CORRUPT;
    in->fmt->interrupt_callback = (AVIOInterruptCB){interrupt, in->run};
    io_forbid_opens(in->fmt);
    // On failure avformat_open_input frees the context; the AVIO stays ours.
    rc = avformat_open_input(&in->fmt, NULL, NULL, &options);
    av_dict_free(&options);
    return rc < 0 ? fail_open(in->run, fd, rc) : MEDIA_OK;
}

static int check_streams(struct input *in)
{
    if (in->fmt->nb_streams > INPUT_MAX_STREAMS)
        return run_fail(in->run, MEDIA_RESOURCE_LIMIT,
                        "the file has %u streams; at most %d are read", in->fmt->nb_streams,
                        INPUT_MAX_STREAMS);
    for (unsigned i = 0; i < in->fmt->nb_streams; i++) {
        const AVCodecParameters *par = in->fmt->streams[i]->codecpar;
        int64_t pixels = (int64_t)par->width * par->height;

        if (par->codec_type == AVMEDIA_TYPE_VIDEO && pixels > input_max_pixels(in->run))
            return run_fail(in->run, MEDIA_RESOURCE_LIMIT,
                            "the picture has %dx%d pixels, %lld in all; at most %lld are served",
                            par->width, par->height, (long long)pixels,
                            (long long)input_max_pixels(in->run));
    }
    return MEDIA_OK;
}

static void free_options(AVDictionary **options, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        av_dict_free(&options[i]);
}

static int find_streams(struct input *in)
{
    AVDictionary *options[INPUT_MAX_STREAMS] = {NULL};
    unsigned n = in->fmt->nb_streams;
    int rc;

    rc = check_streams(in);
    if (rc != MEDIA_OK)
        return rc;
    for (unsigned i = 0; i < n; i++) {
        av_dict_set_int(&options[i], "max_pixels", input_max_pixels(in->run), 0);
        av_dict_set(&options[i], "threads", "1", 0);
    }
    // Streams may appear while it reads; those run with the libraries' defaults and are then
    // refused by their number or size.
    rc = avformat_find_stream_info(in->fmt, n > 0 ? options : NULL);
    free_options(options, n);
    if (rc < 0)
        return run_fail_av(in->run, rc, "looking at its streams");
    return check_streams(in);
}

int input_open(struct run *run, int fd, struct input *ret_input)
{
    struct input in = {.run = run};
    int rc = io_open_reader(run, fd, &in.pb);

    if (rc == MEDIA_OK)
        rc = open_demuxer(&in, fd);
    if (rc == MEDIA_OK)
        rc = find_streams(&in);
    if (rc != MEDIA_OK) {
        input_close(&in);
        return rc;
    }
    if (in.fmt->start_time != AV_NOPTS_VALUE)
        in.offset_us = in.fmt->start_time;
    for (int i = 0; i < INPUT_MAX_STREAMS; i++)
        in.last_dts_us[i] = AV_NOPTS_VALUE;
    *ret_input = in;
    return MEDIA_OK;
}

void input_close(struct input *input)
{
    avformat_close_input(&input->fmt);
    io_close(&input->pb);
}

void input_select(struct input *input, int video_stream, int audio_stream)
{
    for (unsigned i = 0; i < input->fmt->nb_streams; i++)
        input->fmt->streams[i]->discard =
            (int)i == video_stream || (int)i == audio_stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

static int64_t to_us(const AVStream *st, int64_t ts)
{
    return av_rescale_q(ts, st->time_base, AV_TIME_BASE_Q);
}

// Follows the clock of a transport stream over its jumps, as seen on the stream's own last packet.
static void repair_jump(struct input *in, const AVStream *st, const AVPacket *packet)
{
    int64_t *last = &in->last_dts_us[st->index];
    int64_t now, expected;

    if (packet->dts == AV_NOPTS_VALUE)
        return;
    now = to_us(st, packet->dts) + in->jump_us;
    if (*last != AV_NOPTS_VALUE && (in->fmt->iformat->flags & AVFMT_TS_DISCONT)) {
        expected = *last + (packet->duration > 0 ? to_us(st, packet->duration) : 0);
        if (now - expected > JUMP_US || expected - now > JUMP_US) {
            in->jump_us += expected - now;
            now = expected;
        }
    }
    *last = now;
}

static void shift(const struct input *in, const AVStream *st, AVPacket *packet)
{
    int64_t by = av_rescale_q(in->jump_us - in->offset_us, AV_TIME_BASE_Q, st->time_base);

    if (packet->pts != AV_NOPTS_VALUE)
        packet->pts += by;
    if (packet->dts != AV_NOPTS_VALUE)
        packet->dts += by;
}

static bool is_wanted(const struct input *in, const AVPacket *packet)
{
    const AVStream *st;

    if (packet->stream_index >= INPUT_MAX_STREAMS)
        return false;
    st = in->fmt->streams[packet->stream_index];
    // A packet without a byte is legal in some containers and an error for every decoder.
    return st->discard != AVDISCARD_ALL && packet->size > 0;
}

int input_read(struct input *input, AVPacket *packet, bool *ret_end)
{
    for (;;) {
        int rc = av_read_frame(input->fmt, packet);

        if (run_is_cancelled(input->run))
            return run_fail(input->run, MEDIA_CANCELLED, "the job was cancelled");
        if (rc == AVERROR(ENOMEM))
            return run_fail_av(input->run, rc, "reading the file");
        if (rc == AVERROR(EAGAIN))
            continue;
        if (rc < 0) {
            input->truncated = rc != AVERROR_EOF || io_error(input->pb) != 0;
            *ret_end = true;
            return MEDIA_OK;
        }
        if (is_wanted(input, packet))
            break;
        av_packet_unref(packet);
    }
    repair_jump(input, input->fmt->streams[packet->stream_index], packet);
    shift(input, input->fmt->streams[packet->stream_index], packet);
    *ret_end = false;
    return MEDIA_OK;
}
