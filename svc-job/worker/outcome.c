// SPDX-License-Identifier: Apache-2.0
#include "svc-job/worker/outcome.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static void clean_text(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static void clean_facts(struct media_facts *facts)
{
    int32_t *const small[] = {&facts->width, &facts->height, &facts->rotation, &facts->channels,
                              &facts->sample_rate};
    int64_t *const large[] = {&facts->duration_ms, &facts->size_bytes, &facts->frames};

    clean_text(facts->format, sizeof(facts->format));
    clean_text(facts->content_type, sizeof(facts->content_type));
    clean_text(facts->video_codec, sizeof(facts->video_codec));
    clean_text(facts->audio_codec, sizeof(facts->audio_codec));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(small); i++)
        if (*small[i] < 0)
            *small[i] = 0;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(large); i++)
        if (*large[i] < 0)
            *large[i] = 0;
    if (!isfinite(facts->frame_rate) || facts->frame_rate < 0)
        facts->frame_rate = 0;
}

// A bool that is neither 0 nor 1 is undefined behaviour to read.
static bool clean_bool(const bool *flag)
{
    unsigned char byte;

    memcpy(&byte, flag, 1);
    return byte != 0;
}

static void take_page(const struct wire_page *page, struct media_outcome *out)
{
    const struct media_facts *facts = &page->outcome.facts;

    memcpy(out, &page->outcome, sizeof(*out));
    out->facts.variable_frame_rate = clean_bool(&facts->variable_frame_rate);
    out->facts.thumbnail_made = clean_bool(&facts->thumbnail_made);
    out->facts.copied_video = clean_bool(&facts->copied_video);
    out->facts.copied_audio = clean_bool(&facts->copied_audio);
    clean_facts(&out->facts);
    clean_text(out->text, sizeof(out->text));
    if ((unsigned)out->code >= MEDIA_N_CODES)
        out->code = MEDIA_INTERNAL;
    if (out->n_warnings < 0 || out->n_warnings > MEDIA_WARNINGS_MAX)
        out->n_warnings = 0;
    for (int i = 0; i < MEDIA_WARNINGS_MAX; i++)
        clean_text(out->warnings[i], sizeof(out->warnings[i]));
}

static void say(struct media_outcome *out, enum media_code code, const char *fmt, ...)
    REEL_PRINTF(3, 4);

static void say(struct media_outcome *out, enum media_code code, const char *fmt, ...)
{
    va_list args;

    memset(out, 0, sizeof(*out));
    out->code = code;
    va_start(args, fmt);
    vsnprintf(out->text, sizeof(out->text), fmt, args);
    va_end(args);
}

static void of_our_kill(const struct outcome_facts *facts, struct media_outcome *out)
{
    if (facts->killed_for == MEDIA_CANCELLED)
        say(out, MEDIA_CANCELLED, "the job was cancelled");
    else
        say(out, MEDIA_TIMEOUT,
            "the job did not end within %lld s, or did nothing for %lld s, and was stopped",
            (long long)(facts->limits->wall_ms / 1000),
            (long long)(facts->limits->stall_ms / 1000));
}

static void of_signal(const struct outcome_facts *facts, int number, struct media_outcome *out)
{
    const struct worker_limits *limits = facts->limits;

    if (number == SIGXCPU || facts->event->cpu_us >= limits->cpu_s * 1000000)
        say(out, MEDIA_RESOURCE_LIMIT, "the file needs more than the %lld s of CPU a job may use",
            (long long)limits->cpu_s);
    else if (facts->event->max_rss_bytes >= limits->memory_bytes / 10 * 9)
        say(out, MEDIA_RESOURCE_LIMIT,
            "the file needs more than the %lld MiB of memory a job may "
            "use",
            (long long)(limits->memory_bytes >> 20));
    else if (number == SIGSYS)
        say(out, MEDIA_CRASHED, "the media worker tried what its sandbox forbids and was stopped");
    else
        say(out, MEDIA_CRASHED, "the media worker died of signal %d (%s)", number,
            strsignal(number));
}

void outcome_settle(const struct outcome_facts *facts, struct media_outcome *ret_outcome)
{
    const struct wire_event *event = facts->event;
    int status = event ? event->status : 0;

    if (!event)
        say(ret_outcome, MEDIA_INTERNAL, "the host of the media workers has died");
    else if (event->kind == WIRE_REFUSED)
        say(ret_outcome, MEDIA_INTERNAL, "no media worker could be started: %s", strerror(status));
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
             atomic_load_explicit(&facts->page->done, memory_order_acquire))
        take_page(facts->page, ret_outcome);
    else if (WIFSIGNALED(status) && facts->killed_for != MEDIA_OK)
        of_our_kill(facts, ret_outcome);
    else if (WIFSIGNALED(status))
        of_signal(facts, WTERMSIG(status), ret_outcome);
    else if (WEXITSTATUS(status) == WIRE_EXIT_NO_SANDBOX)
        say(ret_outcome, MEDIA_INTERNAL,
            "the media worker could not shut itself in; see the "
            "kernel's seccomp support");
    else
        say(ret_outcome, MEDIA_CRASHED, "the media worker exited with status %d",
            WEXITSTATUS(status));
}
