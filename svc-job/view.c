// SPDX-License-Identifier: Apache-2.0
#include "svc-job/view.h"

#include <string.h>

#include "libcommon/core/buf.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/json/pbjson.h"

enum { JSON_MAX_BYTES = 64 * 1024, US_PER_S = 1000000 };

static Google__Protobuf__Timestamp *timestamp(struct reel_arena *arena, int64_t us)
{
    Google__Protobuf__Timestamp *ts = us != 0 ? reel_arena_alloc(arena, sizeof(*ts)) : NULL;

    if (ts != NULL) {
        google__protobuf__timestamp__init(ts);
        ts->seconds = us / US_PER_S;
        ts->nanos = (int32_t)(us % US_PER_S) * 1000;
    }
    return ts;
}

static char *text(const char *s)
{
    return (char *)(s != NULL ? s : "");
}

static void *parse(struct reel_arena *arena, const char *json,
                   const ProtobufCMessageDescriptor *descriptor)
{
    struct reel_pbjson_error error;
    ProtobufCMessage *message = NULL;

    if (json == NULL)
        return NULL;
    int rc = reel_pbjson_parse(json, strlen(json), descriptor, arena, &message, &error);
    return rc == REEL_OK ? message : NULL;
}

int view_job(struct reel_arena *arena, const struct job_row *row, Job__Job *ret_job)
{
    const Job__EnqueueRequest *request =
        parse(arena, row->request, &job__enqueue_request__descriptor);

    ret_job->job_id = text(row->job_id);
    ret_job->operation_id = text(row->job_id);
    ret_job->type = text(row->type);
    ret_job->video_id = text(row->video_id);
    ret_job->state = (char *)job_state_name(row->state);
    ret_job->progress = row->state == JOB_COMPLETED ? 100 : 0;
    ret_job->attempts_made = row->attempts_made;
    ret_job->max_attempts = row->max_attempts;
    ret_job->failed_reason = text(row->failed_reason);
    ret_job->failed_code = text(row->failed_code);
    ret_job->created_at = timestamp(arena, row->created_us);
    ret_job->started_at = timestamp(arena, row->started_us);
    ret_job->finished_at = timestamp(arena, row->finished_us);
    ret_job->params = request != NULL ? request->params : NULL;
    if (row->state == JOB_COMPLETED)
        ret_job->result = parse(arena, row->result, &job__job_result__descriptor);
    return arena->exhausted ? REEL_RESOURCE_EXHAUSTED : REEL_OK;
}

int view_event(struct reel_arena *arena, const struct event_row *row, Job__JobEvent *ret_event)
{
    ret_event->seq = row->seq;
    ret_event->type = text(row->type);
    ret_event->job_id = text(row->job_id);
    ret_event->operation_id = text(row->job_id);
    ret_event->video_id = text(row->video_id);
    ret_event->user_id = text(row->user_id);
    ret_event->version = row->version;
    ret_event->job = parse(arena, row->job, &job__job__descriptor);
    ret_event->at = timestamp(arena, row->at_us);
    return arena->exhausted ? REEL_RESOURCE_EXHAUSTED : REEL_OK;
}

int view_progress(struct reel_arena *arena, const struct job_row *row, double percent,
                  Job__JobEvent *ret_event)
{
    Job__Job *job = reel_arena_alloc(arena, sizeof(*job));

    if (job == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    job__job__init(job);
    int rc = view_job(arena, row, job);
    job->progress = percent;
    ret_event->type = text("job.progress");
    ret_event->job_id = text(row->job_id);
    ret_event->operation_id = text(row->job_id);
    ret_event->video_id = text(row->video_id);
    ret_event->user_id = text(row->user_id);
    ret_event->version = row->version;
    ret_event->job = job;
    ret_event->at = timestamp(arena, reel_clock_wall_us());
    return arena->exhausted ? REEL_RESOURCE_EXHAUSTED : rc;
}

const char *view_json(struct reel_arena *arena, const ProtobufCMessage *message)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    reel_buf_init(&out, JSON_MAX_BYTES);
    if (reel_pbjson_write(message, &out) != REEL_OK || out.failed)
        return NULL;
    return reel_arena_strdup(arena, out.data);
}

const char *view_result(struct reel_arena *arena, const char *storage_key,
                        const struct media_outcome *outcome)
{
    const struct media_facts *facts = &outcome->facts;
    Job__JobResult result = JOB__JOB_RESULT__INIT;
    char *warnings[MEDIA_WARNINGS_MAX];

    for (int i = 0; i < outcome->n_warnings && i < MEDIA_WARNINGS_MAX; i++) {
        warnings[i] = (char *)outcome->warnings[i];
        result.n_warnings++;
    }
    result.warnings = warnings;
    result.storage_key = (char *)storage_key;
    result.size_bytes = facts->size_bytes;
    result.width = facts->width;
    result.height = facts->height;
    result.duration_ms = facts->duration_ms < INT32_MAX ? (int32_t)facts->duration_ms : INT32_MAX;
    result.video_codec = (char *)facts->video_codec;
    result.audio_codec = (char *)facts->audio_codec;
    result.format = (char *)facts->format;
    result.content_type = (char *)facts->content_type;
    return view_json(arena, &result.base);
}
