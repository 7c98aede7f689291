// SPDX-License-Identifier: Apache-2.0
#include "svc-job/model.h"

#include <string.h>

#include "libcommon/core/base.h"

#define BIT(state) (1u << (state))

enum { QUEUED = BIT(JOB_WAITING) | BIT(JOB_DELAYED) };

static const struct {
    const char *name;
    const char *event;
    unsigned successors;
} states[JOB_N_STATES] = {
    [JOB_WAITING] = {"waiting", "job.requeued",
                     QUEUED | BIT(JOB_ACTIVE) | BIT(JOB_COMPLETED) | BIT(JOB_FAILED) |
                         BIT(JOB_CANCELLED)},
    [JOB_DELAYED] = {"delayed", "job.requeued",
                     QUEUED | BIT(JOB_ACTIVE) | BIT(JOB_COMPLETED) | BIT(JOB_FAILED) |
                         BIT(JOB_CANCELLED)},
    [JOB_ACTIVE] = {"active", "job.started",
                    QUEUED | BIT(JOB_ACTIVE) | BIT(JOB_COMPLETED) | BIT(JOB_FAILED) |
                        BIT(JOB_CANCELLED)},
    [JOB_COMPLETED] = {"completed", "job.completed", 0},
    [JOB_FAILED] = {"failed", "job.failed", QUEUED},
    [JOB_CANCELLED] = {"cancelled", "job.cancelled", QUEUED},
};

const char *job_state_name(enum job_state state)
{
    return states[state].name;
}

bool job_state_parse(const char *text, enum job_state *ret_state)
{
    for (int i = 0; text != NULL && i < JOB_N_STATES; i++) {
        if (strcmp(text, states[i].name) == 0) {
            *ret_state = (enum job_state)i;
            return true;
        }
    }
    return false;
}

bool job_state_is_terminal(enum job_state state)
{
    return state == JOB_COMPLETED || state == JOB_FAILED || state == JOB_CANCELLED;
}

bool job_state_may_move(enum job_state from, enum job_state to)
{
    return (states[from].successors & BIT(to)) != 0;
}

const char *job_event_type(enum job_state to)
{
    return states[to].event;
}

enum job_verdict job_decide(enum media_code code, const struct job_tally *tally)
{
    if (code == MEDIA_OK)
        return JOB_COMPLETE;
    if (code == MEDIA_CANCELLED)
        return JOB_DROP;
    if (!media_code_is_retryable(code))
        return JOB_FAIL;
    if (code == MEDIA_CRASHED && tally->crashes + 1 >= tally->max_crashes)
        return JOB_FAIL;
    return tally->attempts_made + 1 < tally->max_attempts ? JOB_RETRY : JOB_FAIL;
}

int64_t job_backoff_ms(const struct job_backoff *backoff, int32_t attempt, double random)
{
    const double day_ms = 24 * 3600 * 1000.0;
    double delay = backoff->delay_ms > 0 ? (double)backoff->delay_ms : 0;

    if (backoff->type == JOB_BACKOFF_EXPONENTIAL) {
        for (int32_t i = 1; i < attempt && delay < day_ms; i++)
            delay *= 2;
    }
    if (delay > day_ms)
        delay = day_ms;
    double jitter = backoff->jitter > 0 ? backoff->jitter : 0;
    if (jitter > 1)
        jitter = 1;
    return (int64_t)(delay * (1 - jitter) + delay * jitter * random);
}

int64_t job_wall_limit_ms(int64_t input_bytes)
{
    const int64_t base_ms = 10 * 60 * 1000;
    const int64_t max_ms = 12LL * 3600 * 1000;
    int64_t limit = base_ms + (input_bytes > 0 ? input_bytes / (128 * 1024) * 1000 : 0);

    return limit < max_ms ? limit : max_ms;
}
