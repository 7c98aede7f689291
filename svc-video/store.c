// SPDX-License-Identifier: Apache-2.0
#include "svc-video/store.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/core/id.h"
#include "svc-video/store_rows.h"

#define VIDEO_COLUMNS                                                                              \
    "id, name, extension, width, height, duration_ms, size_bytes, video_codec, audio_codec, "      \
    "rotation, frame_rate, (extract(epoch FROM created_at) * 1000000)::bigint, "                   \
    "(extract(epoch FROM updated_at) * 1000000)::bigint"

static char *text(const struct reel_pg_rows *rows, size_t row, size_t column)
{
    return (char *)reel_pg_text(rows, row, column);
}

Google__Protobuf__Timestamp *store_timestamp(struct reel_arena *arena, int64_t us)
{
    Google__Protobuf__Timestamp *timestamp = reel_arena_alloc(arena, sizeof(*timestamp));

    if (!timestamp)
        return NULL;
    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = us / 1000000;
    timestamp->nanos = (int32_t)(us % 1000000 * 1000);
    return timestamp;
}

static Video__Video *read_video(struct reel_arena *arena, const struct reel_pg_rows *rows,
                                size_t row)
{
    Video__Video *video = reel_arena_alloc(arena, sizeof(*video));
    Video__Dimensions *dimensions = reel_arena_alloc(arena, sizeof(*dimensions));

    if (!video || !dimensions)
        return NULL;
    video__video__init(video);
    video__dimensions__init(dimensions);
    video->video_id = text(rows, row, 0);
    video->name = text(rows, row, 1);
    video->extension = text(rows, row, 2);
    dimensions->width = (int32_t)reel_pg_i64(rows, row, 3);
    dimensions->height = (int32_t)reel_pg_i64(rows, row, 4);
    video->dimensions = dimensions;
    video->duration_ms = (int32_t)reel_pg_i64(rows, row, 5);
    video->size_bytes = reel_pg_i64(rows, row, 6);
    video->video_codec = text(rows, row, 7);
    video->audio_codec = text(rows, row, 8);
    video->rotation = (int32_t)reel_pg_i64(rows, row, 9);
    video->frame_rate = reel_pg_f64(rows, row, 10);
    video->created_at = store_timestamp(arena, reel_pg_i64(rows, row, 11));
    video->updated_at = store_timestamp(arena, reel_pg_i64(rows, row, 12));
    return video->created_at && video->updated_at ? video : NULL;
}

static int read_one(const struct store *db, const struct reel_pg_rows *rows,
                    Video__Video **ret_video)
{
    if (rows->n_rows == 0)
        return REEL_NOT_FOUND;

    Video__Video *video = read_video(db->arena, rows, 0);
    if (!video)
        return REEL_RESOURCE_EXHAUSTED;
    *ret_video = video;
    return REEL_OK;
}

int store_video_insert(const struct store *db, const char *user_id, Video__Video *video)
{
    // The update changes nothing; it makes RETURNING answer for a row that is there already.
    static const char sql[] =
        "INSERT INTO videos (id, user_id, name, extension, width, height, duration_ms, size_bytes,"
        " video_codec, audio_codec, rotation, frame_rate)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        " ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE videos.user_id = excluded.user_id"
        " RETURNING " VIDEO_COLUMNS;
    struct reel_arena *arena = db->arena;
    reel_pg_param params[] = {
        video->video_id,
        user_id,
        video->name,
        video->extension,
        reel_pg_int(arena, video->dimensions->width),
        reel_pg_int(arena, video->dimensions->height),
        reel_pg_int(arena, video->duration_ms),
        reel_pg_int(arena, video->size_bytes),
        video->video_codec,
        video->audio_codec,
        reel_pg_int(arena, video->rotation),
        reel_arena_printf(arena, "%.17g", video->frame_rate),
    };
    struct reel_pg_rows rows;
    Video__Video *stored;
    int rc =
        reel_pg_query(db->pg, db->deadline_us, arena, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc == REEL_OK)
        rc = read_one(db, &rows, &stored);
    if (rc == REEL_OK)
        *video = *stored;
    return rc;
}

int store_video_get(const struct store *db, const char *user_id, const char *video_id,
                    Video__Video **ret_video)
{
    static const char sql[] = "SELECT " VIDEO_COLUMNS
                              " FROM videos WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    reel_pg_param params[] = {video_id, user_id};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    return rc == REEL_OK ? read_one(db, &rows, ret_video) : rc;
}

int store_video_list(const struct store *db, const char *user_id, int64_t after_us,
                     const char *after_id, int limit, Video__Video ***ret_videos, size_t *ret_n)
{
    static const char from_start[] = "SELECT " VIDEO_COLUMNS " FROM videos"
                                     " WHERE user_id = $1 AND deleted_at IS NULL"
                                     " ORDER BY created_at DESC, id DESC LIMIT $2";
    static const char from_cursor[] =
        "SELECT " VIDEO_COLUMNS " FROM videos"
        " WHERE user_id = $1 AND deleted_at IS NULL AND (created_at, id) <"
        " (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4::uuid)"
        " ORDER BY created_at DESC, id DESC LIMIT $2";
    reel_pg_param params[] = {user_id, reel_pg_int(db->arena, limit),
                              reel_pg_int(db->arena, after_us), after_id};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, after_id ? from_cursor : from_start,
                           after_id ? 4 : 2, params, &rows);

    if (rc != REEL_OK)
        return rc;

    Video__Video **videos = reel_arena_array(db->arena, rows.n_rows, sizeof(*videos));
    for (size_t i = 0; videos && i < rows.n_rows; i++) {
        videos[i] = read_video(db->arena, &rows, i);
        if (!videos[i])
            return REEL_RESOURCE_EXHAUSTED;
    }
    *ret_videos = videos;
    *ret_n = rows.n_rows;
    return videos ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

int store_video_rename(const struct store *db, const char *user_id, const char *video_id,
                       const char *name, Video__Video **ret_video)
{
    static const char sql[] = "UPDATE videos SET name = $3, updated_at = now()"
                              " WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL"
                              " RETURNING " VIDEO_COLUMNS;
    reel_pg_param params[] = {video_id, user_id, name};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    return rc == REEL_OK ? read_one(db, &rows, ret_video) : rc;
}

int store_video_bury(const struct store *db, const char *user_id, const char *video_id)
{
    static const char sql[] = "UPDATE videos SET deleted_at = now()"
                              " WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
    reel_pg_param params[] = {video_id, user_id};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    if (rc == REEL_OK && rows.affected == 0)
        return REEL_NOT_FOUND;
    return rc;
}

static int read_ids(const struct store *db, const struct reel_pg_rows *rows, const char ***ret_ids,
                    size_t *ret_n)
{
    const char **ids = reel_arena_array(db->arena, rows->n_rows, sizeof(*ids));

    if (!ids)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < rows->n_rows; i++)
        ids[i] = reel_pg_text(rows, i, 0);
    *ret_ids = ids;
    *ret_n = rows->n_rows;
    return REEL_OK;
}

int store_video_list_buried(const struct store *db, int64_t age_ms, const char ***ret_ids,
                            size_t *ret_n)
{
    static const char sql[] = "SELECT id FROM videos WHERE deleted_at IS NOT NULL AND"
                              " deleted_at <= now() - $1::bigint * interval '1 millisecond'"
                              " ORDER BY deleted_at LIMIT 100";
    reel_pg_param params[] = {reel_pg_int(db->arena, age_ms)};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    return rc == REEL_OK ? read_ids(db, &rows, ret_ids, ret_n) : rc;
}

int store_video_purge(const struct store *db, const char *video_id)
{
    static const char sql[] = "DELETE FROM videos WHERE id = $1 AND deleted_at IS NOT NULL";
    reel_pg_param params[] = {video_id};

    return reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                         NULL);
}

int store_video_list_unknown(const struct store *db, const char *const *ids, size_t n_ids,
                             const char ***ret_ids, size_t *ret_n)
{
    static const char sql[] = "SELECT id FROM unnest($1::uuid[]) AS asked (id)"
                              " WHERE NOT EXISTS (SELECT FROM videos WHERE videos.id = asked.id)";
    size_t size = n_ids * (REEL_ID_LEN + 1) + sizeof("{}");
    char *list = reel_arena_alloc(db->arena, size);
    struct reel_pg_rows rows;
    size_t len = 0;

    if (!list)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < n_ids; i++)
        len += (size_t)snprintf(list + len, size - len, "%c%s", i ? ',' : '{', ids[i]);
    snprintf(list + len, size - len, "%s", n_ids ? "}" : "{}");

    reel_pg_param params[] = {list};
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    return rc == REEL_OK ? read_ids(db, &rows, ret_ids, ret_n) : rc;
}
