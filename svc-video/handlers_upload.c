// SPDX-License-Identifier: Apache-2.0
// VideoService.Upload. The order is the promise: the file is published durably, then probed, then
// its row is committed, then the answer is sent. A crash anywhere leaves at most files without a
// row, which the reconciler removes; there is never a row without its file.
#include <inttypes.h>

#include "libcommon/core/id.h"
#include "libcommon/obs/log.h"
#include "libcommon/obs/metrics.h"
#include "svc-video/handlers.h"
#include "svc-video/jobs.h"
#include "svc-video/model.h"

enum {
    CHUNK_ARENA_BYTES = 2 * 1024 * 1024,
    SPACE_CHECK_BYTES = 64 * 1024 * 1024,
    INSERT_ATTEMPTS = 3,
};

struct upload {
    struct video_svc *svc;
    struct reel_call *call;
    const char *user_id;
    const char *name;
    int64_t declared_bytes; // -1: not known
    int64_t received_bytes;
    int64_t checked_bytes; // received when the free space was looked at
    bool row_in_doubt;     // the insert may have taken effect
    char id[REEL_ID_SIZE];
};

static int check_size(const struct upload *up, int64_t size_bytes)
{
    int64_t max_bytes = up->svc->config->max_upload_bytes;

    if (size_bytes <= max_bytes)
        return REEL_OK;
    return reel_call_fail(up->call, REEL_RESOURCE_EXHAUSTED,
                          "The upload has %" PRId64 " bytes or more; at most %" PRId64
                          " are accepted. Send a smaller file.",
                          size_bytes, max_bytes);
}

static int check_space(struct upload *up, int64_t needed_bytes)
{
    int64_t free_bytes = reel_storage_free_bytes(up->svc->storage);
    int64_t reserve_bytes = up->svc->config->reserve_bytes;

    up->checked_bytes = up->received_bytes;
    if (free_bytes < 0 || free_bytes - reserve_bytes >= needed_bytes)
        return REEL_OK;
    reel_log(REEL_LOG_ERROR, "storage.full", REEL_FI("free_bytes", free_bytes),
             REEL_FI("reserve_bytes", reserve_bytes));
    return reel_call_fail(up->call, REEL_UNAVAILABLE,
                          "The storage is full at the moment. Try again later.");
}

static int receive_start(struct upload *up)
{
    struct reel_arena *arena = reel_call_arena(up->call);
    ProtobufCMessage *message;
    int rc = reel_call_recv(up->call, arena, &message);

    if (rc != REEL_OK)
        return rc;

    const Video__UploadRequest *request = (const Video__UploadRequest *)message;
    if (!request || request->part_case != VIDEO__UPLOAD_REQUEST__PART_START)
        return reel_call_fail(up->call, REEL_INVALID_ARGUMENT,
                              "An upload starts with the name of its file.");
    up->name = model_name_of_file(arena, request->start->filename);
    up->declared_bytes = request->start->size_bytes < 0 ? -1 : request->start->size_bytes;
    if (!up->name)
        return REEL_RESOURCE_EXHAUSTED;
    rc = check_size(up, up->declared_bytes);
    return rc == REEL_OK ? check_space(up, up->declared_bytes) : rc;
}

static int store_chunk(struct upload *up, struct reel_storage_file *file,
                       const Video__UploadRequest *request)
{
    int rc;

    if (request->part_case != VIDEO__UPLOAD_REQUEST__PART_CHUNK)
        return reel_call_fail(up->call, REEL_INVALID_ARGUMENT,
                              "After its start an upload consists of chunks only.");
    up->received_bytes += (int64_t)request->chunk.len;
    rc = check_size(up, up->received_bytes);
    if (rc == REEL_OK && up->received_bytes - up->checked_bytes >= SPACE_CHECK_BYTES)
        rc = check_space(up, 0);
    if (rc != REEL_OK)
        return rc;
    rc = reel_storage_write(file, request->chunk.data, request->chunk.len);
    if (rc == REEL_RESOURCE_EXHAUSTED)
        return reel_call_fail(up->call, REEL_UNAVAILABLE,
                              "The storage is full at the moment. Try again later.");
    return rc;
}

static int receive_chunks(struct upload *up, struct reel_storage_file *file)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    ProtobufCMessage *message;
    int rc;

    reel_arena_init(&arena, CHUNK_ARENA_BYTES);
    for (;;) {
        rc = reel_call_recv(up->call, &arena, &message);
        if (rc != REEL_OK || !message)
            break;
        rc = store_chunk(up, file, (const Video__UploadRequest *)message);
        if (rc != REEL_OK)
            break;
        reel_arena_reset(&arena);
    }
    return rc;
}

static int check_complete(const struct upload *up)
{
    if (up->received_bytes == 0) {
        reel_call_violation(up->call, "file", "must not be empty");
        return reel_call_fail(up->call, REEL_INVALID_ARGUMENT,
                              "The upload is empty. Send the file as the body.");
    }
    if (up->declared_bytes >= 0 && up->declared_bytes != up->received_bytes)
        return reel_call_fail(up->call, REEL_INVALID_ARGUMENT,
                              "The upload was cut short: %" PRId64 " of %" PRId64
                              " bytes came. Send it again.",
                              up->received_bytes, up->declared_bytes);
    return REEL_OK;
}

static int receive_file(struct upload *up)
{
    REEL_AUTO(reel_storage_discard) struct reel_storage_file *file = NULL;
    int rc = reel_storage_create(up->svc->storage,
                                 model_original_key(reel_call_arena(up->call), up->id), &file);

    if (rc == REEL_OK)
        rc = receive_chunks(up, file);
    if (rc == REEL_OK)
        rc = check_complete(up);
    if (rc == REEL_OK)
        rc = reel_storage_publish(REEL_STEAL(&file));
    return rc;
}

static int refuse(struct upload *up, const char *reason)
{
    reel_call_violation(up->call, "file", "%s", reason);
    return reel_call_fail(up->call, REEL_INVALID_ARGUMENT, "The file is not accepted: %s", reason);
}

static int inspect(struct upload *up, Job__InspectResponse **ret_facts)
{
    struct reel_status status = {.message = ""};
    int rc = jobs_inspect(up->svc->jobs, up->call, up->id, ret_facts, &status);

    switch (rc) {
    case REEL_OK:
        break;
    case REEL_INVALID_ARGUMENT:
    case REEL_FAILED_PRECONDITION:
    case REEL_OUT_OF_RANGE:
        return refuse(up, *status.message ? status.message : "it is not a video.");
    default:
        reel_log(REEL_LOG_WARN, "upload.inspect_failed", REEL_FS("video_id", up->id),
                 REEL_FI("code", rc), REEL_FS("message", status.message));
        reel_call_retry_after_ms(up->call, 2000);
        return reel_call_fail(up->call, REEL_UNAVAILABLE,
                              "Uploads cannot be examined at the moment. Try again.");
    }
    if (!*(*ret_facts)->video_codec)
        return refuse(up, "it has no video track.");
    return REEL_OK;
}

static int insert(struct upload *up, Video__Video *video)
{
    struct store db = handlers_store(up->svc, up->call);
    int rc = REEL_UNAVAILABLE;

    // A connection that breaks leaves open whether the row is there; inserting again is harmless.
    for (int attempt = 0; attempt < INSERT_ATTEMPTS && rc == REEL_UNAVAILABLE; attempt++)
        rc = store_video_insert(&db, up->user_id, video);
    up->row_in_doubt = rc == REEL_UNAVAILABLE || rc == REEL_DEADLINE_EXCEEDED || rc < 0;
    return rc == REEL_OK ? rc : handlers_fail(up->call, rc, up->id);
}

static int examine_and_insert(struct upload *up, Video__Video *res)
{
    struct reel_arena *arena = reel_call_arena(up->call);
    Video__Dimensions *dimensions = reel_arena_alloc(arena, sizeof(*dimensions));
    Job__InspectResponse *facts;
    int rc = dimensions ? inspect(up, &facts) : REEL_RESOURCE_EXHAUSTED;

    if (rc != REEL_OK)
        return rc;
    if (reel_call_cancelled(up->call))
        return REEL_CANCELLED;
    video__dimensions__init(dimensions);
    dimensions->width = facts->width;
    dimensions->height = facts->height;
    res->video_id = reel_arena_strdup(arena, up->id);
    res->name = (char *)up->name;
    res->extension = facts->format;
    res->dimensions = dimensions;
    res->duration_ms = facts->duration_ms;
    res->size_bytes = up->received_bytes;
    res->video_codec = facts->video_codec;
    res->audio_codec = facts->audio_codec;
    res->rotation = facts->rotation;
    res->frame_rate = facts->frame_rate;
    return res->video_id ? insert(up, res) : REEL_RESOURCE_EXHAUSTED;
}

static void count(const struct upload *up, int rc)
{
    reel_counter_add(reel_counter_get("reel_uploads_total", "Uploads, by how they ended.",
                                      rc == REEL_OK ? "result=\"accepted\"" : "result=\"refused\""),
                     1);
    reel_counter_add(
        reel_counter_get("reel_upload_bytes_total", "Bytes received in uploads.", NULL),
        (uint64_t)up->received_bytes);
}

int handle_upload(struct video_svc *svc, struct reel_call *call, Video__Video *res)
{
    struct upload up = {.svc = svc, .call = call};
    int rc = handlers_user(call, &up.user_id);

    if (rc == REEL_OK)
        rc = receive_start(&up);
    if (rc != REEL_OK)
        return rc;
    reel_id_new(up.id);
    rc = receive_file(&up);
    if (rc == REEL_OK)
        rc = examine_and_insert(&up, res);
    // A row must never be without its file: in doubt the files stay, and the reconciler decides.
    if (rc != REEL_OK && !up.row_in_doubt && reel_storage_remove(svc->storage, up.id) != REEL_OK)
        reel_log(REEL_LOG_WARN, "upload.removal_postponed", REEL_FS("video_id", up.id));
    count(&up, rc);
    return rc;
}
