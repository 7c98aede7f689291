// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/job/lib/steps.h"

#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/lib/cmocka.h"

enum { WAIT_US = 30 * 1000 * 1000 };

int steps_set_up(void **state)
{
    *state = service_new();
    return 0;
}

int steps_tear_down(void **state)
{
    service_free(*state);
    return 0;
}

void nap(void)
{
    const struct timespec ts = {.tv_nsec = 20 * 1000 * 1000};

    nanosleep(&ts, NULL);
}

int64_t patience(void)
{
    return reel_deadline_in_us(WAIT_US);
}

const char *enqueue(struct service *s, const char *clip, const char *type)
{
    return service_enqueue(s, service_request(s, service_add_video(s, clip), type));
}

bool has_output(struct service *s, const char *video_id, const char *job_id)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/storage/%s/%s.mp4", s->dir, video_id, job_id);
    return access(path, F_OK) == 0;
}

void hold_queue(struct service *s, bool hold)
{
    const char *meta = tap_key(&s->tap, "meta");

    if (hold)
        tap_do(&s->tap, "HSET %s paused 1", meta);
    else
        tap_do(&s->tap, "HDEL %s paused", meta);
    freeReplyObject(hold ? tap_run(&s->tap, "DEL %s", tap_key(&s->tap, "marker"))
                         : tap_run(&s->tap, "ZADD %s 0 0", tap_key(&s->tap, "marker")));
}

int cancel(struct service *s, const char *job_id, const char *user_id, Job__Job **ret_job)
{
    struct reel_call_options options = service_options(user_id);
    Job__CancelRequest request = JOB__CANCEL_REQUEST__INIT;

    request.job_id = (char *)job_id;
    return job_service_cancel(s->channel, &options, &request, &s->arena, ret_job, NULL);
}

int retry(struct service *s, const char *job_id, const char *user_id, Job__Job **ret_job)
{
    struct reel_call_options options = service_options(user_id);
    Job__RetryRequest request = JOB__RETRY_REQUEST__INIT;

    request.job_id = (char *)job_id;
    return job_service_retry(s->channel, &options, &request, &s->arena, ret_job, NULL);
}

Job__ListEventsResponse *list_events(struct service *s, int64_t after)
{
    struct reel_call_options options = service_options(NULL);
    Job__ListEventsRequest request = JOB__LIST_EVENTS_REQUEST__INIT;
    Job__ListEventsResponse *response = NULL;

    request.after_seq = after;
    assert_int_equal(
        job_service_list_events(s->channel, &options, &request, &s->arena, &response, NULL),
        REEL_OK);
    return response;
}

// The types of a job's recorded events, joined by spaces.
const char *story(struct service *s, const char *job_id)
{
    Job__ListEventsResponse *list = list_events(s, 0);
    const char *text = "";
    int32_t version = 0;

    for (size_t i = 0; i < list->n_events; i++) {
        if (strcmp(list->events[i]->job_id, job_id) != 0)
            continue;
        assert_true(list->events[i]->version > version);
        version = list->events[i]->version;
        text = reel_arena_printf(&s->arena, "%s%s%s", text, text[0] != '\0' ? " " : "",
                                 list->events[i]->type + strlen("job."));
    }
    return text;
}

long recorded(struct service *s, const char *type, const char *job_id)
{
    return database_number(s->database,
                           "SELECT count(*) FROM job_events WHERE type = '%s' AND job_id = '%s'",
                           type, job_id);
}

size_t heard(struct service *s, const char *type, const char *job_id)
{
    return service_heard(s, reel_arena_printf(&s->arena, "%s %s", type, job_id));
}

long count_workers(struct service *s)
{
    char command[160];
    char text[32] = "";

    // the zygote is the service's only child, its children are the workers
    snprintf(command, sizeof(command), "pgrep -P $(pgrep -P %d | head -1) | wc -l", (int)s->pid);
    FILE *out = popen(command, "r");
    assert_non_null(fgets(text, sizeof(text), out));
    pclose(out);
    return strtol(text, NULL, 10);
}
