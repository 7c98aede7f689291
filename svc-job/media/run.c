// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/run.h"

#include <errno.h>
#include <libavutil/error.h>
#include <stdarg.h>
#include <stdio.h>

// What is left after the last packet: trailer, moving the index to the front, the check.
#define PPM_BEFORE_TRAILER 990000

int run_fail(struct run *run, enum media_code code, const char *fmt, ...)
{
    struct media_outcome *outcome = run->outcome;
    va_list args;

    if (run_is_cancelled(run)) {
        outcome->code = MEDIA_CANCELLED;
        snprintf(outcome->text, sizeof(outcome->text), "the job was cancelled");
        return MEDIA_CANCELLED;
    }
    if (outcome->code != MEDIA_OK)
        return (int)outcome->code;
    outcome->code = code;
    va_start(args, fmt);
    vsnprintf(outcome->text, sizeof(outcome->text), fmt, args);
    va_end(args);
    return (int)code;
}

int run_fail_av(struct run *run, int averror, const char *doing)
{
    switch (averror) {
    case AVERROR(ENOMEM):
        return run_fail(run, MEDIA_RESOURCE_LIMIT,
                        "the file needs more memory than a job may use, while %s", doing);
    case AVERROR_EXTERNAL:
        // With settings as checked as ours an encoder library has no other reason to give up.
        return run_fail(run, MEDIA_RESOURCE_LIMIT,
                        "a codec gave up while %s, most likely for want of memory", doing);
    case AVERROR(EFBIG):
        return run_fail(run, MEDIA_RESOURCE_LIMIT,
                        "the result would be larger than a job may write");
    case AVERROR(ENOSPC):
    case AVERROR(EDQUOT):
        return run_fail(run, MEDIA_INTERNAL, "the storage is full, while %s", doing);
    case AVERROR_INVALIDDATA:
    case AVERROR_EOF:
        return run_fail(run, MEDIA_INVALID_INPUT, "the file is damaged: bad data while %s", doing);
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
        return run_fail(run, MEDIA_UNSUPPORTED,
                        "the file uses a feature that is not supported, while %s", doing);
    default:
        return run_fail(run, MEDIA_INTERNAL, "error %d while %s", averror, doing);
    }
}

void run_warn(struct run *run, const char *fmt, ...)
{
    struct media_outcome *outcome = run->outcome;
    va_list args;
    int n = outcome->n_warnings;

    if (n >= MEDIA_WARNINGS_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(outcome->warnings[n], sizeof(outcome->warnings[n]), fmt, args);
    va_end(args);
    outcome->n_warnings = n + 1;
}

bool run_is_cancelled(const struct run *run)
{
    return atomic_load_explicit(&run->ctl->cancel, memory_order_relaxed) != 0;
}

void run_beat(struct run *run)
{
    atomic_fetch_add_explicit(&run->ctl->beats, 1, memory_order_relaxed);
}

static double ratio(int64_t part, int64_t whole)
{
    if (whole <= 0 || part <= 0)
        return 0;
    return part >= whole ? 1.0 : (double)part / (double)whole;
}

void run_advance(struct run *run, int64_t position_us, int64_t position_bytes)
{
    double done = run->total_us > 0 ? ratio(position_us, run->total_us)
                                    : ratio(position_bytes, run->total_bytes);
    uint32_t ppm = (uint32_t)(done * PPM_BEFORE_TRAILER);

    run_beat(run);
    // One writer: a load and a store need no compare-and-swap.
    if (ppm > atomic_load_explicit(&run->ctl->ppm, memory_order_relaxed))
        atomic_store_explicit(&run->ctl->ppm, ppm, memory_order_relaxed);
    if (position_us > atomic_load_explicit(&run->ctl->position_us, memory_order_relaxed))
        atomic_store_explicit(&run->ctl->position_us, position_us, memory_order_relaxed);
}
