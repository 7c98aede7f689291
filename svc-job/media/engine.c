// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/engine.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "svc-job/media/ops.h"
#include "svc-job/media/thumb.h"
#include "svc-job/media/transcode.h"

// One allocation of a decoder: a compressed header may ask for more than it could ever need.
#define MAX_ALLOC (512U << 20)

// libav's own one writes to stderr, after asking whether that is a terminal; what it says quotes
// the user's file.
static void discard_log(void *avcl, int level, const char *fmt, va_list args)
{
    (void)avcl;
    (void)level;
    (void)fmt;
    (void)args;
}

static int inspect(struct run *run, struct input *input, const struct probe *probe)
{
    struct media_facts *facts = &run->outcome->facts;

    probe_to_facts(probe, facts);
    if (probe->truncated)
        run_warn(run, "truncated: the end of the file is missing");
    if (probe->video.stream < 0 || run->io.thumbnail_fd < 0)
        return MEDIA_OK;
    if (!probe->video.decodable) {
        run_warn(run, "no thumbnail: the codec %s is not served", probe->video.codec);
        return MEDIA_OK;
    }
    return thumb_make(run, input, probe, &facts->thumbnail_made);
}

// Opens the result as any stranger would and takes the facts from what is really there.
static int check_result(struct run *run, const struct transcode_result *result)
{
    struct media_outcome seen = {0};
    struct run check = *run;
    REEL_AUTO(input_close) struct input input = {0};
    struct probe probe;
    int rc;

    check.outcome = &seen;
    rc = input_open(&check, run->io.output_fd, &input);
    if (rc == MEDIA_OK)
        rc = probe_input(&input, &probe);
    if (rc != MEDIA_OK)
        return run_fail(run,
                        seen.code == MEDIA_RESOURCE_LIMIT ? MEDIA_RESOURCE_LIMIT : MEDIA_INTERNAL,
                        "the result could not be read back: %.180s", seen.text);
    // Some containers leave no other trace of it than their bit rate.
    if (probe.duration_us == 0 || probe.duration_is_guess)
        probe.duration_us = result->duration_us;
    probe_to_facts(&probe, &run->outcome->facts);
    return MEDIA_OK;
}

// Once through the file: plan, run, look at the result.
static int attempt(struct run *run, struct input *input, const struct probe *probe,
                   struct plan *ret_plan)
{
    struct transcode_result result = {0};
    int rc = ops_compile(run, probe, ret_plan);

    if (rc == MEDIA_OK)
        rc = transcode_run(run, input, probe, ret_plan, &result);
    if (rc == MEDIA_OK)
        rc = check_result(run, &result);
    if (rc == MEDIA_OK)
        run->outcome->facts.frames = result.frames;
    return rc;
}

// A stream that should have fitted its new container and did not is encoded after all.
static int encode_instead(struct run *run, const struct probe *probe, struct plan *ret_plan)
{
    REEL_AUTO(input_close) struct input input = {0};
    int rc;

    memset(run->outcome, 0, sizeof(*run->outcome));
    run->never_copy = true;
    if (ftruncate(run->io.output_fd, 0) < 0)
        return run_fail_av(run, AVERROR(errno), "starting again");
    rc = input_open(run, run->io.input_fd, &input);
    return rc == MEDIA_OK ? attempt(run, &input, probe, ret_plan) : rc;
}

static bool has_copy(const struct plan *plan)
{
    return plan->video.mode == PLAN_COPY || plan->audio.mode == PLAN_COPY;
}

static int transform(struct run *run, struct input *input, const struct probe *probe)
{
    struct media_facts *facts = &run->outcome->facts;
    struct plan plan = {0};
    int rc = attempt(run, input, probe, &plan);

    if ((rc == MEDIA_INTERNAL || rc == MEDIA_INVALID_INPUT) && has_copy(&plan))
        rc = encode_instead(run, probe, &plan);
    if (rc != MEDIA_OK)
        return rc;
    snprintf(facts->format, sizeof(facts->format), "%s", plan.target->extension);
    snprintf(facts->content_type, sizeof(facts->content_type), "%s", plan.target->content_type);
    facts->copied_video = plan.video.mode == PLAN_COPY;
    facts->copied_audio = plan.audio.mode == PLAN_COPY;
    return MEDIA_OK;
}

static int run_task(struct run *run)
{
    REEL_AUTO(input_close) struct input input = {0};
    struct probe probe;
    int rc = input_open(run, run->io.input_fd, &input);

    if (rc == MEDIA_OK)
        rc = probe_input(&input, &probe);
    if (rc != MEDIA_OK)
        return rc;
    run->total_us = probe.duration_us;
    run->total_bytes = probe.size_bytes;
    atomic_store_explicit(&run->ctl->total_us, probe.duration_us, memory_order_relaxed);
    return run->task->kind == MEDIA_INSPECT ? inspect(run, &input, &probe)
                                            : transform(run, &input, &probe);
}

void media_run(const struct media_task *task, const struct media_io *io, struct media_ctl *ctl,
               struct media_outcome *ret_outcome)
{
    struct run run = {.task = task, .io = *io, .ctl = ctl, .outcome = ret_outcome};
    int rc;

    memset(ret_outcome, 0, sizeof(*ret_outcome));
    av_log_set_callback(discard_log);
    av_max_alloc(MAX_ALLOC);
    rc = run_task(&run);
    // A failure that recorded nothing is ours.
    if (rc != MEDIA_OK && ret_outcome->code == MEDIA_OK)
        (void)run_fail(&run, MEDIA_INTERNAL, "the engine stopped without a reason (%d)", rc);
    if (ret_outcome->code != MEDIA_OK)
        memset(&ret_outcome->facts, 0, sizeof(ret_outcome->facts));
}

void media_warm_up(void)
{
    static const enum AVCodecID ids[] = {AV_CODEC_ID_H264, AV_CODEC_ID_VP9, AV_CODEC_ID_HEVC,
                                         AV_CODEC_ID_AAC};

    av_log_set_callback(discard_log);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(ids); i++) {
        const AVCodec *codec = avcodec_find_decoder(ids[i]);
        AVCodecContext *ctx = codec ? avcodec_alloc_context3(codec) : NULL;

        if (ctx) {
            ctx->thread_count = 1;
            (void)avcodec_open2(ctx, codec, NULL);
        }
        avcodec_free_context(&ctx);
    }
}
