// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/transcode.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdlib.h>

#include "svc-job/media/track.h"

#define US INT64_C(1000000)

struct transcode {
    struct run *run;
    struct input *input;
    const struct probe *probe;
    const struct plan *plan;
    struct mux mux;
    struct track video; // PLAN_DROP: not there
    struct track audio;
};

static void close_all(struct transcode *tc)
{
    track_close(&tc->video);
    track_close(&tc->audio);
    mux_close(&tc->mux);
}

static int open_all(struct transcode *tc)
{
    const struct plan *plan = tc->plan;
    int rc = mux_open(tc->run, tc->run->io.output_fd, plan->target, &tc->mux);

    if (rc == MEDIA_OK && plan->video.mode != PLAN_DROP)
        rc = track_open_video(&tc->video, tc->input, &tc->mux, plan);
    if (rc == MEDIA_OK && plan->audio.mode != PLAN_DROP)
        rc = track_open_audio(&tc->audio, tc->input, &tc->mux, plan);
    if (rc == MEDIA_OK)
        rc = mux_start(&tc->mux);
    input_select(tc->input, plan->video.mode == PLAN_DROP ? -1 : plan->video.stream,
                 plan->audio.mode == PLAN_DROP ? -1 : plan->audio.stream);
    return rc;
}

static void show_progress(struct transcode *tc)
{
    const struct track *leader = tc->video.mode != PLAN_DROP ? &tc->video : &tc->audio;

    run_advance(tc->run, leader->reached_us, avio_tell(tc->input->pb));
}

static int pump(struct transcode *tc)
{
    REEL_AUTO(av_packet_free) AVPacket *packet = av_packet_alloc();
    bool end = false;

    if (!packet)
        return run_fail_av(tc->run, AVERROR(ENOMEM), "reading the file");
    while (!end) {
        int rc = input_read(tc->input, packet, &end);

        if (rc == MEDIA_OK && !end)
            rc = track_feed(
                packet->stream_index == tc->plan->video.stream ? &tc->video : &tc->audio, packet);
        av_packet_unref(packet);
        if (rc != MEDIA_OK)
            return rc;
        show_progress(tc);
    }
    return MEDIA_OK;
}

static int finish(struct transcode *tc)
{
    int rc = track_finish(&tc->video);

    if (rc == MEDIA_OK)
        rc = track_finish(&tc->audio);
    if (rc != MEDIA_OK)
        return rc;
    if (tc->video.mode != PLAN_DROP && tc->mux.packets[tc->video.out_index] == 0)
        return run_fail(tc->run, MEDIA_INVALID_INPUT,
                        "not one picture of the video could be decoded; the file is damaged");
    if (tc->video.mode == PLAN_DROP && tc->mux.packets[tc->audio.out_index] == 0)
        return run_fail(tc->run, MEDIA_INVALID_INPUT,
                        "nothing of the audio could be decoded; the file is damaged");
    return mux_finish(&tc->mux);
}

static void warn_about(struct transcode *tc)
{
    int64_t reached =
        tc->video.reached_us > tc->audio.reached_us ? tc->video.reached_us : tc->audio.reached_us;
    int64_t total = tc->probe->duration_us;
    int64_t slack = total / 50 > US ? total / 50 : US;
    int64_t damaged = tc->video.decoder.damaged + tc->audio.decoder.damaged +
                      tc->video.decoder.concealed + tc->audio.decoder.concealed;
    bool is_short = total > 0 && !tc->probe->duration_is_guess && reached < total - slack;

    if (is_short)
        run_warn(tc->run, "truncated: %.1f s of the %.1f s announced could be read",
                 (double)reached / US, (double)total / US);
    else if (tc->input->truncated || tc->probe->truncated)
        run_warn(tc->run, "truncated: the end of the file is missing");
    if (damaged > 0)
        run_warn(tc->run, "damaged: %lld pictures or pieces of sound are not as recorded",
                 (long long)damaged);
    if (tc->audio.mode != PLAN_DROP && tc->mux.packets[tc->audio.out_index] == 0)
        run_warn(tc->run, "no audio: nothing of the audio track could be decoded");
}

int transcode_run(struct run *run, struct input *input, const struct probe *probe,
                  const struct plan *plan, struct transcode_result *ret_result)
{
    // On the heap: its tracks refer to themselves.
    struct transcode *tc = calloc(1, sizeof(*tc));
    int rc;

    if (!tc)
        return run_fail_av(run, AVERROR(ENOMEM), "starting");
    tc->run = run;
    tc->input = input;
    tc->probe = probe;
    tc->plan = plan;
    rc = open_all(tc);
    if (rc == MEDIA_OK)
        rc = pump(tc);
    if (rc == MEDIA_OK)
        rc = finish(tc);
    if (rc == MEDIA_OK) {
        warn_about(tc);
        ret_result->frames =
            plan->video.mode == PLAN_DROP ? 0 : tc->mux.packets[tc->video.out_index];
        ret_result->duration_us = tc->mux.end_us;
    }
    close_all(tc);
    free(tc);
    return rc;
}
