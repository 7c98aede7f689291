// SPDX-License-Identifier: Apache-2.0
#include "svc-job/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/validate.h"
#include "libcommon/json/pbjson.h"
#include "libcommon/storage/storage.h"
#include "proto/job.reel.h"

static const struct {
    const char *name;
    enum media_kind kind;
} kinds[] = {
    {"resize", MEDIA_RESIZE},
    {"convert", MEDIA_CONVERT},
    {"extract_audio", MEDIA_EXTRACT_AUDIO},
};

static int fault(struct request_fault *ret_fault, const char *field, const char *fmt, ...)
    REEL_PRINTF(3, 4);

static int fault(struct request_fault *ret_fault, const char *field, const char *fmt, ...)
{
    va_list args;

    snprintf(ret_fault->field, sizeof(ret_fault->field), "%s", field);
    va_start(args, fmt);
    vsnprintf(ret_fault->text, sizeof(ret_fault->text), fmt, args);
    va_end(args);
    return REEL_INVALID_ARGUMENT;
}

static const char *format_of(const Job__EnqueueRequest *request)
{
    return request->params != NULL ? request->params->target_format : "";
}

static int check_key(const char *field, const char *key, const char *video_id,
                     struct request_fault *ret_fault)
{
    size_t len = strlen(video_id);

    if (!reel_storage_key_is_valid(key))
        return fault(ret_fault, field, "must be a storage key such as %s/original", video_id);
    if (strncmp(key, video_id, len) != 0 || key[len] != '/')
        return fault(ret_fault, field, "must be in the folder of its video, %s/", video_id);
    return REEL_OK;
}

// A result is written over what stands in its place and removed when the job fails: it must be the
// operation's own file, never the video or another result.
static int check_output(const Job__EnqueueRequest *request, struct request_fault *ret_fault)
{
    int rc = check_key("outputKey", request->output_key, request->video_id, ret_fault);
    size_t len = strlen(request->operation_id);

    if (rc != REEL_OK)
        return rc;
    const char *name = request->output_key + strlen(request->video_id) + 1;
    if (strncmp(name, request->operation_id, len) != 0 || name[len] != '.')
        return fault(ret_fault, "outputKey", "must be %s/%s and an extension", request->video_id,
                     request->operation_id);
    return REEL_OK;
}

static int check_params(const Job__EnqueueRequest *request, struct request_fault *ret_fault)
{
    const Job__OperationParams *params = request->params;

    if (strcmp(request->type, "resize") == 0 &&
        (params == NULL || (params->width <= 0 && params->height <= 0)))
        return fault(ret_fault, "params.width", "must be set to resize a video");
    if (strcmp(request->type, "convert") == 0 && format_of(request)[0] == '\0')
        return fault(ret_fault, "params.targetFormat", "must be set to convert a video");
    if (strlen(format_of(request)) >= sizeof(((struct media_task *)NULL)->target_format))
        return fault(ret_fault, "params.targetFormat", "must be a file extension");
    return REEL_OK;
}

int request_check(const Job__EnqueueRequest *request, struct request_fault *ret_fault)
{
    int rc = check_key("inputKey", request->input_key, request->video_id, ret_fault);

    if (rc == REEL_OK)
        rc = check_output(request, ret_fault);
    if (rc == REEL_OK)
        rc = check_params(request, ret_fault);
    return rc;
}

static void keep_first(void *arg, const char *field, const char *description)
{
    struct request_fault *ret_fault = arg;

    if (ret_fault->text[0] == '\0')
        (void)fault(ret_fault, field, "%s", description);
}

int request_parse(struct reel_arena *arena, const char *json, size_t len,
                  Job__EnqueueRequest **ret_request, struct request_fault *ret_fault)
{
    struct reel_pbjson_error error = {0};
    ProtobufCMessage *message = NULL;

    *ret_fault = (struct request_fault){0};
    int rc =
        reel_pbjson_parse(json, len, &job__enqueue_request__descriptor, arena, &message, &error);
    if (rc == REEL_INVALID_ARGUMENT)
        return fault(ret_fault, error.path, "%s", error.message);
    if (rc != REEL_OK)
        return rc;
    rc = reel_validate(job_service.rules, job_service.n_rules, message, keep_first, ret_fault);
    if (rc == REEL_OK)
        rc = request_check((const Job__EnqueueRequest *)message, ret_fault);
    if (rc == REEL_OK)
        *ret_request = (Job__EnqueueRequest *)message;
    return rc;
}

void request_task(const Job__EnqueueRequest *request, struct media_task *ret_task)
{
    *ret_task = (struct media_task){0};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(kinds); i++) {
        if (strcmp(request->type, kinds[i].name) == 0)
            ret_task->kind = kinds[i].kind;
    }
    if (request->params != NULL) {
        ret_task->width = request->params->width;
        ret_task->height = request->params->height;
    }
    snprintf(ret_task->target_format, sizeof(ret_task->target_format), "%s", format_of(request));
}
