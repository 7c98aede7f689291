// SPDX-License-Identifier: Apache-2.0
#include "svc-video/handlers.h"

#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "libcommon/obs/log.h"
#include "svc-video/events.h"
#include "svc-video/jobs.h"
#include "svc-video/model.h"

enum {
    STORE_TIMEOUT_US = 10 * 1000 * 1000,
    DEFAULT_LIMIT = 50,
    CATCH_UP_ARENA_BYTES = 8 * 1024 * 1024,
};

struct store handlers_store(struct video_svc *svc, struct reel_call *call)
{
    int64_t deadline_us = reel_deadline_in_us(STORE_TIMEOUT_US);

    if (reel_call_deadline_us(call) < deadline_us)
        deadline_us = reel_call_deadline_us(call);
    return (struct store){svc->pg, deadline_us, reel_call_arena(call)};
}

int handlers_user(struct reel_call *call, const char **ret_user_id)
{
    const char *user_id = reel_call_user_id(call);

    if (!reel_id_is_valid(user_id))
        return reel_call_fail(call, REEL_UNAUTHENTICATED,
                              "Sign in first: this call is made for a user.");
    *ret_user_id = user_id;
    return REEL_OK;
}

int handlers_fail(struct reel_call *call, int code, const char *video_id)
{
    switch (code) {
    case REEL_NOT_FOUND:
        return reel_call_fail(call, code, "There is no video %s.", video_id);
    case REEL_UNAVAILABLE:
        reel_call_retry_after_ms(call, 1000);
        return reel_call_fail(call, code, "The video database cannot be reached. Try again.");
    default:
        return reel_call_fail(call, code, "The video %s could not be worked on.", video_id);
    }
}

static bool is_open(const Video__Operation *operation)
{
    return strcmp(operation->status, "pending") == 0 ||
           strcmp(operation->status, "processing") == 0;
}

bool handlers_catch_up(struct video_svc *svc, struct reel_call *call,
                       Video__Operation *const *operations, size_t n_operations)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    bool any_open = false;

    reel_arena_init(&arena, CATCH_UP_ARENA_BYTES);
    for (size_t i = 0; i < n_operations; i++)
        any_open |= is_open(operations[i]);
    // While the job service is away the table is all there is.
    return any_open && events_catch_up(svc->events, call, &arena) == REEL_OK;
}

static int handle_list_videos(struct video_svc *svc, struct reel_call *call,
                              const Video__ListVideosRequest *req, Video__ListVideosResponse *res)
{
    struct store db = handlers_store(svc, call);
    int limit = req->limit ? req->limit : DEFAULT_LIMIT;
    bool is_first = !*req->cursor;
    char after_id[REEL_ID_SIZE];
    int64_t after_us = 0;
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    if (rc != REEL_OK)
        return rc;
    if (!is_first && !model_cursor_decode(user_id, req->cursor, &after_us, after_id)) {
        reel_call_violation(call, "cursor", "must be the nextCursor of an earlier answer");
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "The cursor is not one of this list.");
    }

    // One more than is shown tells whether there is a next page.
    rc = store_video_list(&db, user_id, after_us, is_first ? NULL : after_id, limit + 1,
                          &res->videos, &res->n_videos);
    if (rc != REEL_OK)
        return handlers_fail(call, rc, "");
    if (res->n_videos <= (size_t)limit)
        return REEL_OK;
    res->n_videos = (size_t)limit;
    res->next_cursor = reel_arena_alloc(db.arena, MODEL_CURSOR_SIZE);
    if (!res->next_cursor)
        return REEL_RESOURCE_EXHAUSTED;

    const Video__Video *last = res->videos[limit - 1];
    model_cursor_encode(user_id,
                        last->created_at->seconds * 1000000 + last->created_at->nanos / 1000,
                        last->video_id, res->next_cursor);
    return REEL_OK;
}

static int handle_get_video(struct video_svc *svc, struct reel_call *call,
                            const Video__GetVideoRequest *req, Video__GetVideoResponse *res)
{
    struct store db = handlers_store(svc, call);
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    if (rc != REEL_OK)
        return rc;
    rc = store_video_get(&db, user_id, req->video_id, &res->video);
    if (rc == REEL_OK)
        rc = store_operation_list(&db, user_id, req->video_id, NULL, &res->operations,
                                  &res->n_operations);
    if (rc == REEL_OK && handlers_catch_up(svc, call, res->operations, res->n_operations))
        rc = store_operation_list(&db, user_id, req->video_id, NULL, &res->operations,
                                  &res->n_operations);
    return rc == REEL_OK ? REEL_OK : handlers_fail(call, rc, req->video_id);
}

static int handle_update_video(struct video_svc *svc, struct reel_call *call,
                               const Video__UpdateVideoRequest *req, Video__Video *res)
{
    struct store db = handlers_store(svc, call);
    const char *name = NULL;
    Video__Video *video;
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    if (rc != REEL_OK)
        return rc;
    if (req->name) {
        name = model_clean_name(db.arena, req->name->value);
        if (!name)
            return REEL_RESOURCE_EXHAUSTED;
        if (!*name) {
            reel_call_violation(call, "name", "must have at least one visible character");
            return reel_call_fail(call, REEL_INVALID_ARGUMENT, "A video needs a name.");
        }
    }
    rc = name ? store_video_rename(&db, user_id, req->video_id, name, &video)
              : store_video_get(&db, user_id, req->video_id, &video);
    if (rc != REEL_OK)
        return handlers_fail(call, rc, req->video_id);
    *res = *video;
    return REEL_OK;
}

// What is left undone here, for want of the job service or of time, the reconciler does.
static int handle_delete_video(struct video_svc *svc, struct reel_call *call,
                               const Video__DeleteVideoRequest *req,
                               Video__DeleteVideoResponse *res)
{
    struct store db = handlers_store(svc, call);
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    (void)res;
    if (rc != REEL_OK)
        return rc;
    rc = store_video_bury(&db, user_id, req->video_id);
    if (rc != REEL_OK)
        return handlers_fail(call, rc, req->video_id);
    if (jobs_cancel_for_video(svc->jobs, call, db.arena, req->video_id) != REEL_OK)
        reel_log(REEL_LOG_INFO, "video.cancel_postponed", REEL_FS("video_id", req->video_id));
    if (reel_storage_remove(svc->storage, req->video_id) != REEL_OK)
        reel_log(REEL_LOG_WARN, "video.removal_postponed", REEL_FS("video_id", req->video_id));
    return REEL_OK;
}

const struct video_service_impl video_handlers = {
    .list_videos = handle_list_videos,
    .get_video = handle_get_video,
    .update_video = handle_update_video,
    .delete_video = handle_delete_video,
    .upload = handle_upload,
    .get_asset = handle_get_asset,
    .read_asset = handle_read_asset,
    .extract_audio = handle_extract_audio,
    .resize = handle_resize,
    .convert = handle_convert,
    .enqueue_operation = handle_enqueue_operation,
};
