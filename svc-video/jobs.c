// SPDX-License-Identifier: Apache-2.0
#include "svc-video/jobs.h"

#include "libcommon/core/clock.h"
#include "libcommon/rpc/call.h"
#include "proto/job.reel.h"
#include "svc-video/model.h"

enum {
    CALL_TIMEOUT_US = 5 * 1000 * 1000,
    INSPECT_TIMEOUT_US = 30 * 1000 * 1000,
};

// A request may live for an hour; what it asks for here does not.
static struct reel_call_options options_for(struct reel_call *call, int64_t timeout_us)
{
    int64_t deadline_us = reel_deadline_in_us(timeout_us);

    if (call && reel_call_deadline_us(call) < deadline_us)
        deadline_us = reel_call_deadline_us(call);
    return (struct reel_call_options){.deadline_us = deadline_us, .parent = call};
}

int jobs_enqueue(struct reel_channel *jobs, struct reel_call *call, struct reel_arena *arena,
                 const char *user_id, const Video__Operation *operation)
{
    struct reel_call_options options = options_for(call, CALL_TIMEOUT_US);
    Job__EnqueueRequest request = JOB__ENQUEUE_REQUEST__INIT;
    Job__EnqueueResponse *response;

    request.operation_id = operation->operation_id;
    request.type = operation->type;
    request.video_id = operation->video_id;
    request.user_id = (char *)user_id;
    request.params = operation->params;
    request.input_key = model_original_key(arena, operation->video_id);
    request.output_key = model_result_key(arena, operation);
    if (!request.input_key || !request.output_key)
        return REEL_RESOURCE_EXHAUSTED;
    return job_service_enqueue(jobs, &options, &request, arena, &response, NULL);
}

int jobs_cancel_for_video(struct reel_channel *jobs, struct reel_call *call,
                          struct reel_arena *arena, const char *video_id)
{
    struct reel_call_options options = options_for(call, CALL_TIMEOUT_US);
    Job__CancelForVideoRequest request = JOB__CANCEL_FOR_VIDEO_REQUEST__INIT;
    Job__CancelForVideoResponse *response;

    request.video_id = (char *)video_id;
    return job_service_cancel_for_video(jobs, &options, &request, arena, &response, NULL);
}

int jobs_inspect(struct reel_channel *jobs, struct reel_call *call, const char *video_id,
                 Job__InspectResponse **ret_facts, struct reel_status *ret_status)
{
    struct reel_arena *arena = reel_call_arena(call);
    struct reel_call_options options = options_for(call, INSPECT_TIMEOUT_US);
    Job__InspectRequest request = JOB__INSPECT_REQUEST__INIT;

    request.input_key = model_original_key(arena, video_id);
    request.thumbnail_key = model_thumbnail_key(arena, video_id);
    if (!request.input_key || !request.thumbnail_key)
        return REEL_RESOURCE_EXHAUSTED;
    return job_service_inspect(jobs, &options, &request, arena, ret_facts, ret_status);
}

int jobs_get(struct reel_channel *jobs, struct reel_arena *arena, const char *user_id,
             const char *job_id, Job__Job **ret_job)
{
    struct reel_metadata metadata[] = {{"reel-user-id", user_id}};
    struct reel_call_options options = options_for(NULL, CALL_TIMEOUT_US);
    Job__GetStatusRequest request = JOB__GET_STATUS_REQUEST__INIT;

    options.metadata = metadata;
    options.n_metadata = REEL_ARRAY_SIZE(metadata);
    request.job_id = (char *)job_id;
    return job_service_get_status(jobs, &options, &request, arena, ret_job, NULL);
}

int jobs_list_events(struct reel_channel *jobs, struct reel_call *call, struct reel_arena *arena,
                     int64_t after_seq, Job__ListEventsResponse **ret_events)
{
    struct reel_call_options options = options_for(call, CALL_TIMEOUT_US);
    Job__ListEventsRequest request = JOB__LIST_EVENTS_REQUEST__INIT;

    request.after_seq = after_seq;
    return job_service_list_events(jobs, &options, &request, arena, ret_events, NULL);
}
