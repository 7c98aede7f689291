// SPDX-License-Identifier: Apache-2.0
// GetAsset and ReadAsset: which file answers a request, and its bytes.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/id.h"
#include "svc-video/handlers.h"
#include "svc-video/model.h"
#include "svc-video/store_rows.h"

enum { CHUNK_BYTES = 256 * 1024 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int list_candidates(const struct store *db, const char *user_id,
                           const Video__GetAssetRequest *req, Video__Operation ***ret_operations,
                           size_t *ret_n)
{
    const char *type = model_asset_operation_type(req->type);
    Video__Operation **operations;
    int rc;

    *ret_n = 0;
    if (!*req->operation_id)
        return type ? store_operation_list(db, user_id, req->video_id, type, ret_operations, ret_n)
                    : REEL_OK;
    if (!reel_id_is_valid(req->operation_id))
        return REEL_OK;
    operations = reel_arena_array(db->arena, 1, sizeof(*operations));
    if (!operations)
        return REEL_RESOURCE_EXHAUSTED;
    rc = store_operation_get(db, user_id, req->video_id, req->operation_id, &operations[0]);
    if (rc == REEL_NOT_FOUND)
        return REEL_OK;
    *ret_operations = operations;
    *ret_n = 1;
    return rc;
}

static int fail_pick(struct reel_call *call, int rc, const struct model_refusal *refusal)
{
    if (rc == REEL_NOT_FOUND)
        return reel_call_fail(call, rc,
                              "There is no such result yet: the operation was not asked for, or "
                              "has not been completed.");
    if (rc == REEL_INVALID_ARGUMENT) {
        reel_call_violation(call, refusal->field, "%s", refusal->text);
        return reel_call_fail(call, rc, "%s %s.", refusal->field, refusal->text);
    }
    return rc;
}

static int describe(struct video_svc *svc, struct reel_call *call, const struct model_asset *asset,
                    Video__Asset *res)
{
    struct reel_arena *arena = reel_call_arena(call);
    struct reel_storage_info info;
    REEL_AUTO(close_fd) int fd = -1;
    int rc = reel_storage_read(svc->storage, asset->storage_key, &fd, &info);

    if (rc == REEL_NOT_FOUND)
        return reel_call_fail(call, rc, "There is no such file of this video.");
    if (rc != REEL_OK)
        return rc;
    res->storage_key = (char *)asset->storage_key;
    res->size_bytes = info.size_bytes;
    res->etag = reel_arena_printf(arena, "%s-%" PRIx64 "-%" PRIx64, asset->etag_id,
                                  (uint64_t)info.size_bytes, (uint64_t)info.mtime_us);
    res->content_type = (char *)asset->content_type;
    res->filename = (char *)asset->filename;
    res->last_modified = store_timestamp(arena, info.mtime_us);
    res->attachment = asset->attachment;
    return res->etag && res->last_modified ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

int handle_get_asset(struct video_svc *svc, struct reel_call *call,
                     const Video__GetAssetRequest *req, Video__Asset *res)
{
    struct store db = handlers_store(svc, call);
    Video__Operation **operations = NULL;
    struct model_refusal refusal;
    struct model_asset asset;
    size_t n_operations = 0;
    Video__Video *video;
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    if (rc != REEL_OK)
        return rc;
    rc = store_video_get(&db, user_id, req->video_id, &video);
    if (rc == REEL_OK)
        rc = list_candidates(&db, user_id, req, &operations, &n_operations);
    if (rc == REEL_OK && handlers_catch_up(svc, call, operations, n_operations))
        rc = list_candidates(&db, user_id, req, &operations, &n_operations);
    if (rc != REEL_OK)
        return handlers_fail(call, rc, req->video_id);
    rc = model_asset_pick(db.arena, video, req, operations, n_operations, &asset, &refusal);
    if (rc != REEL_OK)
        return fail_pick(call, rc, &refusal);
    return describe(svc, call, &asset, res);
}

// Opens the file of a key if its video is the user's.
static int open_owned(struct video_svc *svc, struct reel_call *call, const char *key, int *ret_fd,
                      struct reel_storage_info *ret_info)
{
    struct store db = handlers_store(svc, call);
    char video_id[REEL_ID_SIZE];
    Video__Video *video;
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    if (rc != REEL_OK)
        return rc;
    if (strcspn(key, "/") != REEL_ID_LEN)
        return reel_call_fail(call, REEL_NOT_FOUND, "There is no such file.");
    memcpy(video_id, key, REEL_ID_LEN);
    video_id[REEL_ID_LEN] = '\0';
    if (!reel_id_is_valid(video_id))
        return reel_call_fail(call, REEL_NOT_FOUND, "There is no such file.");
    rc = store_video_get(&db, user_id, video_id, &video);
    if (rc != REEL_OK)
        return handlers_fail(call, rc, video_id);
    rc = reel_storage_read(svc->storage, key, ret_fd, ret_info);
    if (rc == REEL_NOT_FOUND || rc == REEL_INVALID_ARGUMENT)
        return reel_call_fail(call, REEL_NOT_FOUND, "There is no such file.");
    return rc;
}

static int send_range(struct reel_call *call, int fd, int64_t offset, int64_t end)
{
    uint8_t *data = reel_arena_alloc(reel_call_arena(call), CHUNK_BYTES);

    if (!data)
        return REEL_RESOURCE_EXHAUSTED;
    while (offset < end) {
        int64_t want = end - offset < CHUNK_BYTES ? end - offset : CHUNK_BYTES;
        ssize_t n = pread(fd, data, (size_t)want, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return reel_call_fail(call, REEL_DATA_LOSS, "The file ends early.");

        Video__AssetChunk chunk = VIDEO__ASSET_CHUNK__INIT;
        chunk.data = (ProtobufCBinaryData){(size_t)n, data};
        int rc = reel_call_send(call, &chunk.base);
        if (rc != REEL_OK)
            return rc;
        offset += n;
    }
    return REEL_OK;
}

int handle_read_asset(struct video_svc *svc, struct reel_call *call,
                      const Video__ReadAssetRequest *req)
{
    struct reel_storage_info info;
    REEL_AUTO(close_fd) int fd = -1;
    int rc = open_owned(svc, call, req->storage_key, &fd, &info);

    if (rc != REEL_OK)
        return rc;
    if (req->offset < 0 || req->length < 0 || req->offset > info.size_bytes)
        return reel_call_fail(call, REEL_OUT_OF_RANGE,
                              "The file has %" PRId64 " bytes; offset %" PRId64
                              " with length %" PRId64 " is outside.",
                              info.size_bytes, req->offset, req->length);

    int64_t left = info.size_bytes - req->offset;
    int64_t length = req->length == 0 || req->length > left ? left : req->length;
    return send_range(call, fd, req->offset, req->offset + length);
}
