// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "svc-video/model.h"

// What a request asks for, taken apart.
struct wanted {
    const char *operation_type; // NULL: the operation with the id
    const char *operation_id;
    const char *format;
    int32_t width;
    int32_t height;
};

static bool read_side(const char **s, int32_t *ret_side)
{
    int32_t side = 0;
    const char *start = *s;

    while (**s >= '0' && **s <= '9' && *s - start < 5)
        side = side * 10 + (*(*s)++ - '0');
    *ret_side = side;
    return side > 0 && *start != '0';
}

static bool read_dimensions(const char *s, struct wanted *wanted)
{
    if (!*s)
        return true;
    return read_side(&s, &wanted->width) && *s++ == 'x' && read_side(&s, &wanted->height) && !*s;
}

static bool matches(const struct wanted *wanted, const Video__Operation *operation)
{
    const Job__OperationParams *params = operation->params;

    if (strcmp(operation->status, "completed") != 0 || !params)
        return false;
    if (!wanted->operation_type)
        return strcmp(operation->operation_id, wanted->operation_id) == 0;
    return strcmp(operation->type, wanted->operation_type) == 0 &&
           (!wanted->width ||
            (params->width == wanted->width && params->height == wanted->height)) &&
           (!*wanted->format ||
            strcmp(model_result_extension(operation->type, params), wanted->format) == 0);
}

static const char *result_filename(struct reel_arena *arena, const char *name,
                                   const Video__Operation *operation)
{
    const char *extension = model_result_extension(operation->type, operation->params);

    if (strcmp(operation->type, "resize") == 0)
        return reel_arena_printf(arena, "%s-%dx%d.%s", name, operation->params->width,
                                 operation->params->height, extension);
    if (strcmp(operation->type, "extract_audio") == 0)
        return reel_arena_printf(arena, "%s-audio.%s", name, extension);
    return reel_arena_printf(arena, "%s.%s", name, extension);
}

static int pick_result(struct reel_arena *arena, const Video__Video *video,
                       const Video__Operation *operation, struct model_asset *ret_asset)
{
    *ret_asset = (struct model_asset){
        .storage_key = model_result_key(arena, operation),
        .etag_id = operation->operation_id,
        .content_type =
            model_content_type(model_result_extension(operation->type, operation->params)),
        .filename = result_filename(arena, video->name, operation),
        .attachment = true,
    };
    return ret_asset->storage_key && ret_asset->filename ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

static int pick_original(struct reel_arena *arena, const Video__Video *video,
                         struct model_asset *ret_asset)
{
    *ret_asset = (struct model_asset){
        .storage_key = model_original_key(arena, video->video_id),
        .etag_id = video->video_id,
        .content_type = model_content_type(video->extension),
        .filename = reel_arena_printf(arena, "%s.%s", video->name, video->extension),
        .attachment = true,
    };
    return ret_asset->storage_key && ret_asset->filename ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

static int pick_thumbnail(struct reel_arena *arena, const Video__Video *video,
                          struct model_asset *ret_asset)
{
    *ret_asset = (struct model_asset){
        .storage_key = model_thumbnail_key(arena, video->video_id),
        .etag_id = reel_arena_printf(arena, "%s-t", video->video_id),
        .content_type = model_content_type("jpg"),
        .filename = reel_arena_printf(arena, "%s-thumbnail.jpg", video->name),
    };
    return ret_asset->storage_key && ret_asset->etag_id && ret_asset->filename
               ? REEL_OK
               : REEL_RESOURCE_EXHAUSTED;
}

const char *model_asset_operation_type(const char *asset_type)
{
    static const struct {
        const char *asset;
        const char *operation;
    } types[] = {
        {"audio", "extract_audio"},
        {"resize", "resize"},
        {"converted", "convert"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(types); i++)
        if (strcmp(types[i].asset, asset_type) == 0)
            return types[i].operation;
    return NULL;
}

static int read_wanted(const Video__GetAssetRequest *req, struct wanted *ret_wanted,
                       struct model_refusal *ret_refusal)
{
    *ret_wanted = (struct wanted){
        .operation_type = *req->operation_id ? NULL : model_asset_operation_type(req->type),
        .operation_id = req->operation_id,
        .format = req->format,
    };
    if (*req->operation_id && !reel_id_is_valid(req->operation_id)) {
        *ret_refusal = (struct model_refusal){"operationId", "must be the id of an operation"};
        return REEL_INVALID_ARGUMENT;
    }
    if (!read_dimensions(req->dimensions, ret_wanted)) {
        *ret_refusal = (struct model_refusal){"dimensions", "must be WIDTHxHEIGHT, as in 640x360"};
        return REEL_INVALID_ARGUMENT;
    }
    return REEL_OK;
}

int model_asset_pick(struct reel_arena *arena, const Video__Video *video,
                     const Video__GetAssetRequest *req, Video__Operation *const *operations,
                     size_t n_operations, struct model_asset *ret_asset,
                     struct model_refusal *ret_refusal)
{
    struct wanted wanted;
    int rc = read_wanted(req, &wanted, ret_refusal);

    if (rc != REEL_OK)
        return rc;
    if (!*req->operation_id && !wanted.operation_type)
        return strcmp(req->type, "thumbnail") == 0 ? pick_thumbnail(arena, video, ret_asset)
                                                   : pick_original(arena, video, ret_asset);
    for (size_t i = 0; i < n_operations; i++)
        if (matches(&wanted, operations[i]))
            return pick_result(arena, video, operations[i], ret_asset);
    return REEL_NOT_FOUND;
}
