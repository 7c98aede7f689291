// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/json/pbjson.h"
#include "svc-video/model.h"
#include "svc-video/store.h"
#include "svc-video/store_rows.h"

#define OPERATION_COLUMNS                                                                          \
    "id, video_id, type, status, params, progress, error, result, "                                \
    "(extract(epoch FROM created_at) * 1000000)::bigint, "                                         \
    "(extract(epoch FROM updated_at) * 1000000)::bigint, user_id, job_version"

enum { JSON_MAX_BYTES = 16 * 1024 };

// A message as jsonb text in the arena; NULL when it cannot be had.
static const char *to_json(struct reel_arena *arena, const ProtobufCMessage *message)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf json;

    reel_buf_init(&json, JSON_MAX_BYTES);
    if (reel_pbjson_write(message, &json) != REEL_OK)
        return NULL;
    return reel_arena_strndup(arena, json.data, json.len);
}

// The message in a jsonb column; NULL for SQL NULL and for what does not parse.
static void *from_json(struct reel_arena *arena, const char *json,
                       const ProtobufCMessageDescriptor *descriptor)
{
    struct reel_pbjson_error error;
    ProtobufCMessage *message = NULL;

    if (!json ||
        reel_pbjson_parse(json, strlen(json), descriptor, arena, &message, &error) != REEL_OK)
        return NULL;
    return message;
}

static Video__Operation *read_operation(struct reel_arena *arena, const struct reel_pg_rows *rows,
                                        size_t row)
{
    Video__Operation *operation = reel_arena_alloc(arena, sizeof(*operation));

    if (!operation)
        return NULL;
    video__operation__init(operation);
    operation->operation_id = (char *)reel_pg_text(rows, row, 0);
    operation->video_id = (char *)reel_pg_text(rows, row, 1);
    operation->type = (char *)reel_pg_text(rows, row, 2);
    operation->status = (char *)reel_pg_text(rows, row, 3);
    operation->params =
        from_json(arena, reel_pg_text(rows, row, 4), &job__operation_params__descriptor);
    operation->progress = (int32_t)reel_pg_i64(rows, row, 5);
    operation->error = (char *)reel_pg_text(rows, row, 6);
    operation->result = from_json(arena, reel_pg_text(rows, row, 7), &job__job_result__descriptor);
    operation->created_at = store_timestamp(arena, reel_pg_i64(rows, row, 8));
    operation->updated_at = store_timestamp(arena, reel_pg_i64(rows, row, 9));
    return operation->params && operation->created_at && operation->updated_at ? operation : NULL;
}

static int lock_video(struct reel_pg_conn *conn, struct reel_arena *arena, const char *user_id,
                      const char *video_id)
{
    static const char sql[] = "SELECT FROM videos WHERE id = $1 AND user_id = $2"
                              " AND deleted_at IS NULL FOR NO KEY UPDATE";
    reel_pg_param params[] = {video_id, user_id};
    struct reel_pg_rows rows;
    int rc = reel_pg_exec(conn, arena, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc == REEL_OK && rows.n_rows == 0)
        return REEL_NOT_FOUND;
    return rc;
}

static int find_same(struct reel_pg_conn *conn, struct reel_arena *arena, const char *params_json,
                     Video__Operation *operation, bool *ret_found)
{
    static const char sql[] = "SELECT id, status FROM video_operations"
                              " WHERE video_id = $1 AND type = $2 AND params = $3::jsonb"
                              " AND status IN ('pending', 'processing', 'completed')"
                              " ORDER BY created_at DESC, id DESC LIMIT 1";
    reel_pg_param params[] = {operation->video_id, operation->type, params_json};
    struct reel_pg_rows rows;
    int rc = reel_pg_exec(conn, arena, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc != REEL_OK)
        return rc;
    *ret_found = rows.n_rows > 0;
    if (*ret_found) {
        operation->operation_id = (char *)reel_pg_text(&rows, 0, 0);
        operation->status = (char *)reel_pg_text(&rows, 0, 1);
    }
    return REEL_OK;
}

static int insert(struct reel_pg_conn *conn, struct reel_arena *arena, const char *user_id,
                  const char *params_json, const Video__Operation *operation)
{
    static const char sql[] = "INSERT INTO video_operations (id, video_id, user_id, type, params)"
                              " VALUES ($1, $2, $3, $4, $5::jsonb)";
    reel_pg_param params[] = {operation->operation_id, operation->video_id, user_id,
                              operation->type, params_json};

    return reel_pg_exec(conn, arena, sql, REEL_ARRAY_SIZE(params), params, NULL);
}

static int add_locked(struct reel_pg_conn *conn, struct reel_arena *arena, const char *user_id,
                      Video__Operation *operation, bool *ret_is_new)
{
    const char *params_json = to_json(arena, &operation->params->base);
    bool found = false;
    int rc;

    if (!params_json)
        return REEL_RESOURCE_EXHAUSTED;
    rc = lock_video(conn, arena, user_id, operation->video_id);
    if (rc == REEL_OK)
        rc = find_same(conn, arena, params_json, operation, &found);
    *ret_is_new = !found;
    if (rc != REEL_OK || found)
        return rc;
    operation->status = (char *)"pending";
    return insert(conn, arena, user_id, params_json, operation);
}

int store_operation_add(const struct store *db, const char *user_id, Video__Operation *operation,
                        bool *ret_is_new)
{
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;
    int rc = reel_pg_take(db->pg, db->deadline_us, &conn);

    if (rc == REEL_OK)
        rc = reel_pg_begin(conn);
    if (rc == REEL_OK)
        rc = add_locked(conn, db->arena, user_id, operation, ret_is_new);
    if (rc == REEL_OK)
        rc = reel_pg_commit(conn);
    return rc;
}

int store_operation_list(const struct store *db, const char *user_id, const char *video_id,
                         const char *type, Video__Operation ***ret_operations, size_t *ret_n)
{
    static const char all[] = "SELECT " OPERATION_COLUMNS " FROM video_operations"
                              " WHERE video_id = $1 AND user_id = $2"
                              " ORDER BY created_at DESC, id DESC LIMIT 500";
    static const char of_type[] = "SELECT " OPERATION_COLUMNS " FROM video_operations"
                                  " WHERE video_id = $1 AND user_id = $2 AND type = $3"
                                  " ORDER BY created_at DESC, id DESC LIMIT 500";
    reel_pg_param params[] = {video_id, user_id, type};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, type ? of_type : all, type ? 3 : 2,
                           params, &rows);

    if (rc != REEL_OK)
        return rc;

    Video__Operation **operations = reel_arena_array(db->arena, rows.n_rows, sizeof(*operations));
    for (size_t i = 0; operations && i < rows.n_rows; i++) {
        operations[i] = read_operation(db->arena, &rows, i);
        if (!operations[i])
            return REEL_RESOURCE_EXHAUSTED;
    }
    *ret_operations = operations;
    *ret_n = rows.n_rows;
    return operations ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

int store_operation_get(const struct store *db, const char *user_id, const char *video_id,
                        const char *operation_id, Video__Operation **ret_operation)
{
    static const char sql[] = "SELECT " OPERATION_COLUMNS " FROM video_operations"
                              " WHERE id = $1 AND video_id = $2 AND user_id = $3";
    reel_pg_param params[] = {operation_id, video_id, user_id};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    if (rc != REEL_OK)
        return rc;
    if (rows.n_rows == 0)
        return REEL_NOT_FOUND;
    *ret_operation = read_operation(db->arena, &rows, 0);
    return *ret_operation ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

int store_operation_set_enqueued(const struct store *db, const char *operation_id, bool is_enqueued)
{
    static const char sql[] =
        "UPDATE video_operations SET enqueued_at = CASE WHEN $2::boolean THEN now() END"
        " WHERE id = $1";
    reel_pg_param params[] = {operation_id, is_enqueued ? "true" : "false"};

    return reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                         NULL);
}

static int list_rows(const struct store *db, const char *sql, int64_t age_ms,
                     struct store_operation **ret_rows, size_t *ret_n)
{
    reel_pg_param params[] = {reel_pg_int(db->arena, age_ms)};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    if (rc != REEL_OK)
        return rc;

    struct store_operation *list = reel_arena_array(db->arena, rows.n_rows, sizeof(*list));
    for (size_t i = 0; list && i < rows.n_rows; i++) {
        list[i].operation = read_operation(db->arena, &rows, i);
        if (!list[i].operation)
            return REEL_RESOURCE_EXHAUSTED;
        list[i].user_id = reel_pg_text(&rows, i, 10);
        list[i].job_version = (int32_t)reel_pg_i64(&rows, i, 11);
    }
    *ret_rows = list;
    *ret_n = rows.n_rows;
    return list ? REEL_OK : REEL_RESOURCE_EXHAUSTED;
}

int store_operation_list_unsent(const struct store *db, int64_t age_ms,
                                struct store_operation **ret_rows, size_t *ret_n)
{
    static const char sql[] =
        "SELECT " OPERATION_COLUMNS " FROM video_operations AS operation"
        " WHERE status IN ('pending', 'processing') AND enqueued_at IS NULL"
        " AND updated_at <= now() - $1::bigint * interval '1 millisecond' AND EXISTS"
        " (SELECT FROM videos WHERE videos.id = operation.video_id AND deleted_at IS NULL)"
        " ORDER BY updated_at LIMIT 100";

    return list_rows(db, sql, age_ms, ret_rows, ret_n);
}

int store_operation_list_stale(const struct store *db, int64_t age_ms,
                               struct store_operation **ret_rows, size_t *ret_n)
{
    static const char sql[] = "SELECT " OPERATION_COLUMNS " FROM video_operations"
                              " WHERE status IN ('pending', 'processing')"
                              " AND enqueued_at IS NOT NULL"
                              " AND updated_at <= now() - $1::bigint * interval '1 millisecond'"
                              " ORDER BY updated_at LIMIT 100";

    return list_rows(db, sql, age_ms, ret_rows, ret_n);
}

int store_operation_apply(const struct store *db, const struct store_change *change,
                          bool *ret_applied)
{
    static const char sql[] =
        "UPDATE video_operations SET status = $3, progress = $4, error = $5, result = $6::jsonb,"
        " job_version = $2, job_seq = greatest(job_seq, $7::bigint),"
        " enqueued_at = coalesce(enqueued_at, now()), updated_at = now()"
        " WHERE id = $1 AND job_version < $2 AND status = ANY ($8::text[])";
    struct reel_arena *arena = db->arena;
    reel_pg_param params[] = {
        change->operation_id,
        reel_pg_int(arena, change->version),
        change->status,
        reel_pg_int(arena, change->progress),
        change->error,
        change->result ? to_json(arena, &change->result->base) : NULL,
        reel_pg_int(arena, change->seq),
        model_status_predecessors(arena, change->status),
    };
    struct reel_pg_rows rows;
    int rc =
        reel_pg_query(db->pg, db->deadline_us, arena, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc == REEL_OK)
        *ret_applied = rows.affected > 0;
    return rc;
}

int store_operation_settle(const struct store *db, int32_t job_version,
                           const struct store_change *change)
{
    // updated_at also moves when nothing else has: the operation is not asked about again at once.
    static const char sql[] =
        "UPDATE video_operations SET status = $3, progress = $4, error = $5, result = $6::jsonb,"
        " updated_at = now() WHERE id = $1 AND job_version = $2 AND status = ANY ($7::text[])";
    struct reel_arena *arena = db->arena;
    reel_pg_param params[] = {
        change->operation_id,
        reel_pg_int(arena, job_version),
        change->status,
        reel_pg_int(arena, change->progress),
        change->error,
        change->result ? to_json(arena, &change->result->base) : NULL,
        model_status_predecessors(arena, change->status),
    };

    return reel_pg_query(db->pg, db->deadline_us, arena, sql, REEL_ARRAY_SIZE(params), params,
                         NULL);
}

int store_operation_progress(const struct store *db, const char *operation_id, int32_t job_version,
                             int32_t progress)
{
    static const char sql[] = "UPDATE video_operations SET progress = $2, updated_at = now()"
                              " WHERE id = $1 AND status = 'processing' AND progress + 5 <= $2"
                              " AND job_version = $3";
    reel_pg_param params[] = {operation_id, reel_pg_int(db->arena, progress),
                              reel_pg_int(db->arena, job_version)};

    return reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                         NULL);
}

int store_operation_last_seq(const struct store *db, int64_t *ret_seq)
{
    static const char sql[] = "SELECT max(job_seq) FROM video_operations";
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, 0, NULL, &rows);

    if (rc == REEL_OK)
        *ret_seq = rows.n_rows ? reel_pg_i64(&rows, 0, 0) : 0;
    return rc;
}
