// SPDX-License-Identifier: Apache-2.0
#include "svc-job/store.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/core/buf.h"
#include "svc-job/view.h"

#define US(column) "(extract(epoch FROM " column ") * 1000000)::bigint"

#define JOB_COLUMNS                                                                                \
    "job_id, queue_id, type, video_id, user_id, state, version, generation, request, priority, "   \
    "attempts_made, max_attempts, crashes, result, failed_code, failed_reason, is_settled, "       \
    "CASE WHEN state = 'delayed' THEN greatest(0, extract(epoch FROM run_at - now()) * 1000) "     \
    "ELSE 0 END::bigint, " US("created_at") ", " US("started_at") ", " US("finished_at")

#define OPEN_STATES "state IN ('waiting', 'delayed', 'active')"

#define INSERT_JOB                                                                                 \
    "INSERT INTO job_history (job_id, queue_id, type, video_id, user_id, request, priority, "      \
    "max_attempts, state, run_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "                    \
    "CASE WHEN $9::text = 'delayed' THEN now() + $10::float8 * interval '1 millisecond' END) "     \
    "ON CONFLICT (job_id) DO NOTHING RETURNING " JOB_COLUMNS

#define SELECT_JOB "SELECT " JOB_COLUMNS " FROM job_history WHERE job_id = $1"

#define UPDATE_JOB                                                                                 \
    "UPDATE job_history SET state = $3, version = version + 1, generation = $4, "                  \
    "attempts_made = $5, crashes = $6, result = $7, failed_code = $8, failed_reason = $9, "        \
    "queue_id = coalesce($10, queue_id), is_settled = false, updated_at = now(), "                 \
    "run_at = CASE WHEN $3::text = 'delayed' "                                                     \
    "THEN now() + $11::float8 * interval '1 millisecond' END, "                                    \
    "started_at = CASE WHEN $3::text = 'active' THEN now() ELSE started_at END, "                  \
    "finished_at = CASE WHEN $3::text IN ('completed', 'failed', 'cancelled') THEN now() END "     \
    "WHERE job_id = $1 AND version = $2 AND state = $12 RETURNING " JOB_COLUMNS

#define INSERT_EVENT                                                                               \
    "WITH n AS (UPDATE job_event_counter SET last_seq = last_seq + 1 RETURNING last_seq) "         \
    "INSERT INTO job_events (seq, type, job_id, video_id, user_id, version, job) "                 \
    "SELECT last_seq, $1, $2, $3, $4, $5, $6 FROM n"

#define SELECT_LIST                                                                                \
    "SELECT " JOB_COLUMNS " FROM job_history WHERE ($1::uuid IS NULL OR user_id = $1::uuid) "      \
    "AND ($2::text IS NULL OR state = $2::text) "                                                  \
    "AND ($3::uuid IS NULL OR video_id = $3::uuid) "                                               \
    "AND ($4::uuid IS NULL OR job_id < $4::uuid) ORDER BY job_id DESC LIMIT $5"

#define SELECT_OPEN                                                                                \
    "SELECT " JOB_COLUMNS " FROM job_history WHERE " OPEN_STATES                                   \
    " AND ($1::uuid IS NULL OR job_id > $1::uuid) AND updated_at < now() - interval '2 seconds' "  \
    "ORDER BY job_id LIMIT $2"

#define SELECT_VIDEO "SELECT " JOB_COLUMNS " FROM job_history WHERE video_id = $1 AND " OPEN_STATES

#define SELECT_STALE                                                                               \
    "SELECT f.job_id FROM unnest($1::uuid[], $2::integer[]) AS f(job_id, version) "                \
    "LEFT JOIN job_history h ON h.job_id = f.job_id WHERE h.version IS DISTINCT FROM f.version"

#define SELECT_EVENTS                                                                              \
    "SELECT seq, type, job_id, video_id, user_id, version, job, " US(                              \
        "at") " FROM job_events "                                                                  \
              "WHERE seq > $1 AND ($2::uuid IS NULL OR user_id = $2::uuid) ORDER BY seq LIMIT $3"

#define SELECT_BOUNDS                                                                              \
    "SELECT last_seq, coalesce((SELECT min(seq) FROM job_events), last_seq + 1) "                  \
    "FROM job_event_counter"

#define DELETE_EVENTS                                                                              \
    "DELETE FROM job_events WHERE seq IN (SELECT seq FROM job_events "                             \
    "WHERE at < now() - $1::float8 * interval '1 second' ORDER BY seq LIMIT 10000)"

#define DELETE_HISTORY                                                                             \
    "DELETE FROM job_history WHERE job_id IN (SELECT job_id FROM job_history "                     \
    "WHERE state IN ('completed', 'failed', 'cancelled') "                                         \
    "AND finished_at < now() - $1::float8 * interval '1 second' LIMIT 10000)"

static void read_job(const struct reel_pg_rows *rows, size_t i, struct job_row *ret_row)
{
    enum job_state state = JOB_FAILED;

    (void)job_state_parse(reel_pg_text(rows, i, 5), &state);
    *ret_row = (struct job_row){
        .job_id = reel_pg_text(rows, i, 0),
        .queue_id = reel_pg_text(rows, i, 1),
        .type = reel_pg_text(rows, i, 2),
        .video_id = reel_pg_text(rows, i, 3),
        .user_id = reel_pg_text(rows, i, 4),
        .state = state,
        .version = (int32_t)reel_pg_i64(rows, i, 6),
        .generation = (int32_t)reel_pg_i64(rows, i, 7),
        .request = reel_pg_text(rows, i, 8),
        .priority = (int32_t)reel_pg_i64(rows, i, 9),
        .attempts_made = (int32_t)reel_pg_i64(rows, i, 10),
        .max_attempts = (int32_t)reel_pg_i64(rows, i, 11),
        .crashes = (int32_t)reel_pg_i64(rows, i, 12),
        .result = reel_pg_text(rows, i, 13),
        .failed_code = reel_pg_text(rows, i, 14),
        .failed_reason = reel_pg_text(rows, i, 15),
        .is_settled = reel_pg_bool(rows, i, 16),
        .delay_ms = reel_pg_i64(rows, i, 17),
        .created_us = reel_pg_i64(rows, i, 18),
        .started_us = reel_pg_i64(rows, i, 19),
        .finished_us = reel_pg_i64(rows, i, 20),
    };
}

static int read_jobs(struct reel_arena *arena, const struct reel_pg_rows *rows,
                     struct job_list *ret_list)
{
    struct job_row *list = reel_arena_array(arena, rows->n_rows, sizeof(*list));

    if (list == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < rows->n_rows; i++)
        read_job(rows, i, &list[i]);
    *ret_list = (struct job_list){.rows = list, .n = rows->n_rows};
    return REEL_OK;
}

static int add_event(struct reel_pg_conn *conn, struct reel_arena *arena, const char *type,
                     const struct job_row *row)
{
    Job__Job job = JOB__JOB__INIT;

    int rc = view_job(arena, row, &job);
    if (rc != REEL_OK)
        return rc;
    const char *json = view_json(arena, &job.base);
    if (json == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    const reel_pg_param params[] = {
        type, row->job_id, row->video_id, row->user_id, reel_pg_int(arena, row->version), json,
    };
    return reel_pg_exec(conn, arena, INSERT_EVENT, REEL_ARRAY_SIZE(params), params, NULL);
}

static int insert_job(struct reel_pg_conn *conn, struct reel_arena *arena,
                      const struct job_new *job, struct job_row *ret_row, bool *ret_created)
{
    const char *state = job_state_name(job->delay_ms > 0 ? JOB_DELAYED : JOB_WAITING);
    const reel_pg_param params[] = {
        job->job_id,
        job->queue_id,
        job->type,
        job->video_id,
        job->user_id,
        job->request,
        reel_pg_int(arena, job->priority),
        reel_pg_int(arena, job->max_attempts),
        state,
        reel_pg_int(arena, job->delay_ms),
    };
    struct reel_pg_rows rows;

    int rc = reel_pg_exec(conn, arena, INSERT_JOB, REEL_ARRAY_SIZE(params), params, &rows);
    if (rc != REEL_OK)
        return rc;
    *ret_created = rows.n_rows == 1;
    if (*ret_created) {
        read_job(&rows, 0, ret_row);
        return add_event(conn, arena, "job.created", ret_row);
    }
    rc = reel_pg_exec(conn, arena, SELECT_JOB, 1, params, &rows);
    if (rc == REEL_OK && rows.n_rows == 0)
        return REEL_ABORTED;
    if (rc == REEL_OK)
        read_job(&rows, 0, ret_row);
    return rc;
}

int store_job_insert(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                     const struct job_new *job, struct job_row *ret_row, bool *ret_created)
{
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;

    int rc = reel_pg_take(pg, deadline_us, &conn);
    if (rc == REEL_OK)
        rc = reel_pg_begin(conn);
    if (rc == REEL_OK)
        rc = insert_job(conn, arena, job, ret_row, ret_created);
    if (rc == REEL_OK)
        rc = reel_pg_commit(conn);
    return rc;
}

int store_job_get(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                  const char *job_id, const char *user_id, struct job_row *ret_row)
{
    struct reel_pg_rows rows;

    int rc = reel_pg_query(pg, deadline_us, arena, SELECT_JOB, 1, &job_id, &rows);
    if (rc != REEL_OK)
        return rc;
    if (rows.n_rows == 0)
        return REEL_NOT_FOUND;
    read_job(&rows, 0, ret_row);
    return user_id == NULL || strcmp(user_id, ret_row->user_id) == 0 ? REEL_OK : REEL_NOT_FOUND;
}

// Only the run that holds a version can end the job from it, so an end one version later is this
// very change, recorded by a commit whose answer was lost.
static bool is_done_already(const struct job_change *change, const struct job_row *row)
{
    return change->from_version != 0 && row->version == change->from_version + 1 &&
           row->state == change->to && job_state_is_terminal(change->to);
}

static int update_job(struct reel_pg_conn *conn, struct reel_arena *arena,
                      const struct job_change *change, struct job_row *row)
{
    bool again = change->new_generation;
    int32_t attempts = again ? 0 : row->attempts_made + (change->count_attempt ? 1 : 0);
    int32_t crashes = again ? 0 : row->crashes + (change->count_crash ? 1 : 0);
    const reel_pg_param params[] = {
        change->job_id,
        reel_pg_int(arena, row->version),
        job_state_name(change->to),
        reel_pg_int(arena, row->generation + (again ? 1 : 0)),
        reel_pg_int(arena, attempts),
        reel_pg_int(arena, crashes),
        change->result,
        change->failed_code,
        change->failed_reason,
        change->queue_id,
        reel_pg_int(arena, change->delay_ms),
        job_state_name(row->state),
    };
    struct reel_pg_rows rows;

    int rc = reel_pg_exec(conn, arena, UPDATE_JOB, REEL_ARRAY_SIZE(params), params, &rows);
    if (rc != REEL_OK)
        return rc;
    if (rows.n_rows != 1)
        return REEL_ABORTED;
    read_job(&rows, 0, row);
    return add_event(conn, arena, job_event_type(change->to), row);
}

static int change_job(struct reel_pg_conn *conn, struct reel_arena *arena,
                      const struct job_change *change, struct job_row *ret_row)
{
    struct reel_pg_rows rows;

    int rc = reel_pg_exec(conn, arena, SELECT_JOB " FOR UPDATE", 1, &change->job_id, &rows);
    if (rc != REEL_OK)
        return rc;
    if (rows.n_rows == 0)
        return REEL_NOT_FOUND;
    read_job(&rows, 0, ret_row);
    if (change->user_id != NULL && strcmp(change->user_id, ret_row->user_id) != 0)
        return REEL_NOT_FOUND;
    if (is_done_already(change, ret_row))
        return REEL_OK;
    if (change->from_version != 0 && change->from_version != ret_row->version)
        return REEL_ABORTED;
    if (!job_state_may_move(ret_row->state, change->to))
        return REEL_FAILED_PRECONDITION;
    return update_job(conn, arena, change, ret_row);
}

int store_job_change(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                     const struct job_change *change, struct job_row *ret_row)
{
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;

    int rc = reel_pg_take(pg, deadline_us, &conn);
    if (rc == REEL_OK)
        rc = reel_pg_begin(conn);
    if (rc == REEL_OK)
        rc = change_job(conn, arena, change, ret_row);
    if (rc == REEL_OK)
        rc = reel_pg_commit(conn);
    return rc;
}

int store_job_settled(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                      const char *job_id, int32_t version)
{
    const reel_pg_param params[] = {job_id, reel_pg_int(arena, version)};

    return reel_pg_query(
        pg, deadline_us, arena,
        "UPDATE job_history SET is_settled = true WHERE job_id = $1 AND version = $2", 2, params,
        NULL);
}

static int query_jobs(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                      const char *sql, size_t n_params, const reel_pg_param *params,
                      struct job_list *ret_list)
{
    struct reel_pg_rows rows;

    int rc = reel_pg_query(pg, deadline_us, arena, sql, n_params, params, &rows);
    return rc == REEL_OK ? read_jobs(arena, &rows, ret_list) : rc;
}

int store_job_list(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                   const struct job_filter *filter, struct job_list *ret_list)
{
    const reel_pg_param params[] = {
        filter->user_id,
        filter->state,
        filter->video_id,
        filter->before,
        reel_pg_int(arena, filter->limit),
    };

    return query_jobs(pg, deadline_us, arena, SELECT_LIST, REEL_ARRAY_SIZE(params), params,
                      ret_list);
}

int store_job_list_open(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                        const char *after, int32_t limit, struct job_list *ret_list)
{
    const reel_pg_param params[] = {after, reel_pg_int(arena, limit)};

    return query_jobs(pg, deadline_us, arena, SELECT_OPEN, 2, params, ret_list);
}

int store_job_list_of_video(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                            const char *video_id, struct job_list *ret_list)
{
    return query_jobs(pg, deadline_us, arena, SELECT_VIDEO, 1, &video_id, ret_list);
}

static void mark_stale(struct job_fence *fences, size_t n, const char *job_id)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fences[i].job_id, job_id) == 0)
            fences[i].is_stale = true;
    }
}

int store_check_fences(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                       struct job_fence *fences, size_t n)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf ids = {0};
    REEL_AUTO(reel_buf_fini) struct reel_buf versions = {0};
    struct reel_pg_rows rows;

    reel_buf_init(&ids, 64 * 1024);
    reel_buf_init(&versions, 64 * 1024);
    for (size_t i = 0; i < n; i++) {
        reel_buf_addf(&ids, "%c%s", i == 0 ? '{' : ',', fences[i].job_id);
        reel_buf_addf(&versions, "%c%d", i == 0 ? '{' : ',', fences[i].version);
    }
    reel_buf_adds(&ids, "}");
    reel_buf_adds(&versions, "}");
    if (ids.failed || versions.failed)
        return REEL_RESOURCE_EXHAUSTED;
    const reel_pg_param params[] = {ids.data, versions.data};
    int rc = reel_pg_query(pg, deadline_us, arena, SELECT_STALE, 2, params, &rows);
    for (size_t i = 0; rc == REEL_OK && i < rows.n_rows; i++)
        mark_stale(fences, n, reel_pg_text(&rows, i, 0));
    return rc;
}

int store_count(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                int32_t ret_counts[JOB_N_STATES])
{
    struct reel_pg_rows rows;
    enum job_state state;

    int rc =
        reel_pg_query(pg, deadline_us, arena,
                      "SELECT state, count(*) FROM job_history GROUP BY state", 0, NULL, &rows);
    if (rc != REEL_OK)
        return rc;
    memset(ret_counts, 0, JOB_N_STATES * sizeof(ret_counts[0]));
    for (size_t i = 0; i < rows.n_rows; i++) {
        if (job_state_parse(reel_pg_text(&rows, i, 0), &state))
            ret_counts[state] = (int32_t)reel_pg_i64(&rows, i, 1);
    }
    return REEL_OK;
}

static int read_events(struct reel_arena *arena, const struct reel_pg_rows *rows,
                       struct event_list *ret_list)
{
    struct event_row *list = reel_arena_array(arena, rows->n_rows, sizeof(*list));

    if (list == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < rows->n_rows; i++) {
        list[i] = (struct event_row){
            .seq = reel_pg_i64(rows, i, 0),
            .type = reel_pg_text(rows, i, 1),
            .job_id = reel_pg_text(rows, i, 2),
            .video_id = reel_pg_text(rows, i, 3),
            .user_id = reel_pg_text(rows, i, 4),
            .version = (int32_t)reel_pg_i64(rows, i, 5),
            .job = reel_pg_text(rows, i, 6),
            .at_us = reel_pg_i64(rows, i, 7),
        };
    }
    ret_list->rows = list;
    ret_list->n = rows->n_rows;
    return REEL_OK;
}

// The bounds are read first: events committed between the two statements are then beyond last_seq,
// never missing below it.
int store_events_after(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                       int64_t after_seq, const char *user_id, int32_t limit,
                       struct event_list *ret_list)
{
    const reel_pg_param params[] = {reel_pg_int(arena, after_seq), user_id,
                                    reel_pg_int(arena, limit)};
    struct reel_pg_rows rows;

    int rc = reel_pg_query(pg, deadline_us, arena, SELECT_BOUNDS, 0, NULL, &rows);
    if (rc != REEL_OK)
        return rc;
    ret_list->last_seq = reel_pg_i64(&rows, 0, 0);
    ret_list->oldest_seq = reel_pg_i64(&rows, 0, 1);
    rc = reel_pg_query(pg, deadline_us, arena, SELECT_EVENTS, 3, params, &rows);
    return rc == REEL_OK ? read_events(arena, &rows, ret_list) : rc;
}

int store_events_last(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                      int64_t *ret_seq)
{
    struct reel_pg_rows rows;

    int rc = reel_pg_query(pg, deadline_us, arena, "SELECT last_seq FROM job_event_counter", 0,
                           NULL, &rows);
    if (rc == REEL_OK)
        *ret_seq = reel_pg_i64(&rows, 0, 0);
    return rc;
}

int store_prune(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                int64_t events_age_s, int64_t history_age_s, int64_t *ret_n)
{
    const reel_pg_param events_age = reel_pg_int(arena, events_age_s);
    const reel_pg_param history_age = reel_pg_int(arena, history_age_s);
    struct reel_pg_rows events;
    struct reel_pg_rows history;

    int rc = reel_pg_query(pg, deadline_us, arena, DELETE_EVENTS, 1, &events_age, &events);
    if (rc == REEL_OK)
        rc = reel_pg_query(pg, deadline_us, arena, DELETE_HISTORY, 1, &history_age, &history);
    if (rc == REEL_OK)
        *ret_n = events.affected + history.affected;
    return rc;
}
