// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/id.h"
#include "libcommon/obs/log.h"
#include "svc-video/handlers.h"
#include "svc-video/jobs.h"
#include "svc-video/model.h"

// What the doors to an operation have in common.
struct operation_request {
    const char *video_id;
    const char *type;
    const char *field_prefix; // of the params in the request's JSON
    Job__OperationParams params;
};

static int refuse(struct reel_call *call, int code, const char *prefix,
                  const struct model_refusal *refusal)
{
    if (code != REEL_INVALID_ARGUMENT)
        return reel_call_fail(call, code, "%s", refusal->text);
    reel_call_violation(call,
                        reel_arena_printf(reel_call_arena(call), "%s%s", prefix, refusal->field),
                        "%s", refusal->text);
    return reel_call_fail(call, code, "%s %s.", refusal->field, refusal->text);
}

// From here on the operation will be done: should the job service be away, the reconciler hands it
// over later.
static void hand_over(struct video_svc *svc, struct reel_call *call, const char *user_id,
                      const Video__Operation *operation)
{
    struct store db = handlers_store(svc, call);
    int rc = jobs_enqueue(svc->jobs, call, db.arena, user_id, operation);

    if (rc == REEL_OK)
        rc = store_operation_set_enqueued(&db, operation->operation_id, true);
    if (rc != REEL_OK)
        reel_log(REEL_LOG_WARN, "operation.enqueue_postponed",
                 REEL_FS("operation_id", operation->operation_id), REEL_FI("code", rc));
}

// As store_operation_add. One that is there and open is looked at again with what the job service
// knows: whoever has heard of its end is not told that it goes on.
static int add_or_find(struct video_svc *svc, struct reel_call *call, const char *user_id,
                       Video__Operation *operation, bool *ret_is_new)
{
    struct store db = handlers_store(svc, call);
    char *id = operation->operation_id;
    int rc = store_operation_add(&db, user_id, operation, ret_is_new);

    if (rc != REEL_OK || *ret_is_new || !handlers_catch_up(svc, call, &operation, 1))
        return rc;
    // One that has failed makes room for another.
    operation->operation_id = id;
    return store_operation_add(&db, user_id, operation, ret_is_new);
}

static int add(struct video_svc *svc, struct reel_call *call, struct operation_request *request,
               Video__OperationResponse *res)
{
    struct store db = handlers_store(svc, call);
    Video__Operation operation = VIDEO__OPERATION__INIT;
    struct model_refusal refusal;
    char id[REEL_ID_SIZE];
    Video__Video *video;
    const char *user_id;
    bool is_new;
    int rc = handlers_user(call, &user_id);

    if (rc != REEL_OK)
        return rc;
    rc = store_video_get(&db, user_id, request->video_id, &video);
    if (rc != REEL_OK)
        return handlers_fail(call, rc, request->video_id);
    rc = model_operation_plan(video, request->type, &request->params, &refusal);
    if (rc != REEL_OK)
        return refuse(call, rc, request->field_prefix, &refusal);

    reel_id_new(id);
    operation.operation_id = id;
    operation.video_id = video->video_id;
    operation.type = (char *)request->type;
    operation.params = &request->params;
    rc = add_or_find(svc, call, user_id, &operation, &is_new);
    if (rc != REEL_OK)
        return handlers_fail(call, rc, request->video_id);
    if (is_new)
        hand_over(svc, call, user_id, &operation);
    res->operation_id = res->job_id = reel_arena_strdup(db.arena, operation.operation_id);
    res->status = operation.status;
    return res->operation_id ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

int handle_extract_audio(struct video_svc *svc, struct reel_call *call,
                         const Video__ExtractAudioRequest *req, Video__OperationResponse *res)
{
    struct operation_request request = {req->video_id, "extract_audio", "",
                                        JOB__OPERATION_PARAMS__INIT};

    request.params.target_format = req->format;
    return add(svc, call, &request, res);
}

int handle_resize(struct video_svc *svc, struct reel_call *call, const Video__ResizeRequest *req,
                  Video__OperationResponse *res)
{
    struct operation_request request = {req->video_id, "resize", "", JOB__OPERATION_PARAMS__INIT};

    request.params.width = req->width;
    request.params.height = req->height;
    return add(svc, call, &request, res);
}

int handle_convert(struct video_svc *svc, struct reel_call *call, const Video__ConvertRequest *req,
                   Video__OperationResponse *res)
{
    struct operation_request request = {req->video_id, "convert", "", JOB__OPERATION_PARAMS__INIT};

    request.params.target_format = req->target_format;
    return add(svc, call, &request, res);
}

int handle_enqueue_operation(struct video_svc *svc, struct reel_call *call,
                             const Video__EnqueueOperationRequest *req,
                             Video__OperationResponse *res)
{
    struct operation_request request = {req->video_id, req->type, "params.",
                                        JOB__OPERATION_PARAMS__INIT};

    if (req->params)
        request.params = *req->params;
    return add(svc, call, &request, res);
}
