// SPDX-License-Identifier: Apache-2.0
#include "svc-user/store.h"

#include <string.h>

#include "libcommon/core/id.h"

#define MICROSECONDS(column) "(extract(epoch FROM " column ") * 1000000)::bigint"
#define USER_COLUMNS                                                                               \
    "u.id, u.username, u.email, " MICROSECONDS("u.created_at") ", " MICROSECONDS("u.updated_at")

enum { N_USER_COLUMNS = 5 };

static int query(const struct store *db, const char *sql, size_t n_params,
                 const reel_pg_param *params, struct reel_pg_rows *ret_rows)
{
    return reel_pg_query(db->pg, db->deadline_us, db->arena, sql, n_params, params, ret_rows);
}

static char *text(const struct reel_pg_rows *rows, size_t row, size_t column)
{
    return (char *)reel_pg_text(rows, row, column);
}

static Google__Protobuf__Timestamp *timestamp(struct reel_arena *arena, int64_t us)
{
    Google__Protobuf__Timestamp *stamp = reel_arena_alloc(arena, sizeof(*stamp));

    if (!stamp)
        return NULL;
    google__protobuf__timestamp__init(stamp);
    stamp->seconds = us / 1000000;
    stamp->nanos = (int32_t)(us % 1000000 * 1000);
    return stamp;
}

// Reads USER_COLUMNS, which start at column `at` of a row.
static int read_user_at(const struct store *db, const struct reel_pg_rows *rows, size_t row,
                        size_t at, User__User **ret_user)
{
    if (row >= rows->n_rows)
        return REEL_NOT_FOUND;

    User__User *user = reel_arena_alloc(db->arena, sizeof(*user));
    if (!user)
        return REEL_RESOURCE_EXHAUSTED;
    user__user__init(user);
    user->id = text(rows, row, at);
    user->username = text(rows, row, at + 1);
    user->email = text(rows, row, at + 2);
    user->created_at = timestamp(db->arena, reel_pg_i64(rows, row, at + 3));
    user->updated_at = timestamp(db->arena, reel_pg_i64(rows, row, at + 4));
    if (!user->created_at || !user->updated_at)
        return REEL_RESOURCE_EXHAUSTED;
    *ret_user = user;
    return REEL_OK;
}

static int read_user(const struct store *db, const struct reel_pg_rows *rows, size_t at,
                     User__User **ret_user)
{
    return read_user_at(db, rows, 0, at, ret_user);
}

static int read_account(const struct store *db, const struct reel_pg_rows *rows,
                        struct store_account *ret_account)
{
    struct store_account account = {0};
    int rc = read_user(db, rows, 0, &account.user);

    if (rc != REEL_OK)
        return rc;
    account.password_hash = text(rows, 0, N_USER_COLUMNS);
    account.password_version = reel_pg_i64(rows, 0, N_USER_COLUMNS + 1);
    *ret_account = account;
    return REEL_OK;
}

int store_user_insert(const struct store *db, const char *id, const User__RegisterRequest *request,
                      const char *password_hash, User__User **ret_user, const char **ret_constraint)
{
    static const char sql[] = "INSERT INTO users AS u (id, username, email, password_hash)"
                              " VALUES ($1, $2, $3, $4) RETURNING " USER_COLUMNS;
    const reel_pg_param params[] = {id, request->username, request->email, password_hash};
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;
    struct reel_pg_rows rows;
    int rc = reel_pg_take(db->pg, db->deadline_us, &conn);

    if (rc == REEL_OK)
        rc = reel_pg_exec(conn, db->arena, sql, REEL_ARRAY_SIZE(params), params, &rows);
    if (rc == REEL_ALREADY_EXISTS)
        *ret_constraint = reel_arena_strdup(db->arena, reel_pg_constraint(conn));
    return rc == REEL_OK ? read_user(db, &rows, 0, ret_user) : rc;
}

int store_user_get(const struct store *db, const char *id, User__User **ret_user)
{
    static const char sql[] = "SELECT " USER_COLUMNS " FROM users u WHERE u.id = $1";
    struct reel_pg_rows rows;
    int rc = query(db, sql, 1, &id, &rows);

    return rc == REEL_OK ? read_user(db, &rows, 0, ret_user) : rc;
}

static reel_pg_param array_of(struct reel_arena *arena, const char *const *ids, size_t n)
{
    char *array = reel_arena_alloc(arena, n * (REEL_ID_LEN + 1) + 2);
    char *at = array;

    if (!array)
        return NULL;
    *at++ = '{';
    for (size_t i = 0; i < n; i++) {
        memcpy(at, ids[i], REEL_ID_LEN);
        at[REEL_ID_LEN] = i + 1 < n ? ',' : '}';
        at += REEL_ID_LEN + 1;
    }
    *at = '\0';
    return array;
}

int store_user_get_many(const struct store *db, const char *const *ids, size_t n,
                        User__User **ret_users)
{
    static const char sql[] = "SELECT " USER_COLUMNS " FROM users u WHERE u.id = ANY ($1::uuid[])";
    const reel_pg_param array = array_of(db->arena, ids, n);
    struct reel_pg_rows rows;
    int rc = array ? query(db, sql, 1, &array, &rows) : REEL_RESOURCE_EXHAUSTED;

    for (size_t row = 0; rc == REEL_OK && row < rows.n_rows; row++) {
        User__User *user;

        rc = read_user_at(db, &rows, row, 0, &user);
        for (size_t i = 0; rc == REEL_OK && i < n; i++) {
            if (strcmp(ids[i], user->id) == 0)
                ret_users[i] = user;
        }
    }
    return rc;
}

int store_user_copy(struct reel_arena *arena, const User__User *user, User__User **ret_copy)
{
    User__User *copy = reel_arena_memdup(arena, user, sizeof(*user));

    if (!copy)
        return REEL_RESOURCE_EXHAUSTED;
    copy->id = reel_arena_strdup(arena, user->id);
    copy->username = reel_arena_strdup(arena, user->username);
    copy->email = reel_arena_strdup(arena, user->email);
    copy->created_at = reel_arena_memdup(arena, user->created_at, sizeof(*user->created_at));
    copy->updated_at = reel_arena_memdup(arena, user->updated_at, sizeof(*user->updated_at));
    if (!copy->id || !copy->username || !copy->email || !copy->created_at || !copy->updated_at)
        return REEL_RESOURCE_EXHAUSTED;
    *ret_copy = copy;
    return REEL_OK;
}

int store_user_account(const struct store *db, const char *id, struct store_account *ret_account)
{
    static const char sql[] =
        "SELECT " USER_COLUMNS ", u.password_hash, u.password_version FROM users u WHERE u.id = $1";
    struct reel_pg_rows rows;
    int rc = query(db, sql, 1, &id, &rows);

    return rc == REEL_OK ? read_account(db, &rows, ret_account) : rc;
}

int store_user_find(const struct store *db, const char *name, struct store_account *ret_account)
{
    // A username has no '@' and an email address has one, so at most one row matches.
    static const char sql[] =
        "SELECT " USER_COLUMNS ", u.password_hash, u.password_version FROM users u"
        " WHERE lower(u.username) = lower($1) OR lower(u.email) = lower($1)";
    struct reel_pg_rows rows;
    int rc = query(db, sql, 1, &name, &rows);

    return rc == REEL_OK ? read_account(db, &rows, ret_account) : rc;
}

#define REVOKED "revoked_at = clock_timestamp(), revoked_xid = pg_current_xact_id()"

static int update_in_transaction(const struct store *db, struct reel_pg_conn *conn, const char *id,
                                 const struct store_user_change *change, User__User **ret_user)
{
    static const char update_sql[] =
        "UPDATE users u SET username = coalesce($2, u.username), email = coalesce($3, u.email),"
        " password_hash = coalesce($4, u.password_hash),"
        " password_version = u.password_version + ($4::text IS NOT NULL)::integer,"
        " updated_at = now()"
        " WHERE u.id = $1 AND ($4::text IS NULL OR u.password_version = $5::integer)"
        " RETURNING " USER_COLUMNS;
    static const char revoke_sql[] =
        "UPDATE sessions SET " REVOKED " WHERE user_id = $1 AND id IS DISTINCT FROM $2::uuid"
        " AND revoked_at IS NULL";
    const reel_pg_param params[] = {id, change->username, change->email, change->password_hash,
                                    reel_pg_int(db->arena, change->if_password_version)};
    const reel_pg_param others[] = {id, change->keep_session_id};
    struct reel_pg_rows rows;
    int rc = reel_pg_exec(conn, db->arena, update_sql, REEL_ARRAY_SIZE(params), params, &rows);

    // With a password, the row was there a moment ago: it is the version that differs.
    if (rc == REEL_OK && rows.n_rows == 0)
        rc = change->password_hash ? REEL_ABORTED : REEL_NOT_FOUND;
    if (rc == REEL_OK && change->password_hash)
        rc = reel_pg_exec(conn, db->arena, revoke_sql, REEL_ARRAY_SIZE(others), others, NULL);
    if (rc == REEL_OK)
        rc = reel_pg_commit(conn);
    return rc == REEL_OK ? read_user(db, &rows, 0, ret_user) : rc;
}

int store_user_update(const struct store *db, const char *id,
                      const struct store_user_change *change, User__User **ret_user,
                      const char **ret_constraint)
{
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;
    int rc = reel_pg_take(db->pg, db->deadline_us, &conn);

    if (rc == REEL_OK)
        rc = reel_pg_begin(conn);
    if (rc == REEL_OK)
        rc = update_in_transaction(db, conn, id, change, ret_user);
    if (rc == REEL_ALREADY_EXISTS)
        *ret_constraint = reel_arena_strdup(db->arena, reel_pg_constraint(conn));
    return rc;
}

int store_user_rehash(const struct store *db, const char *id, const char *old_hash,
                      const char *new_hash)
{
    static const char sql[] =
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
    const reel_pg_param params[] = {id, old_hash, new_hash};

    return query(db, sql, REEL_ARRAY_SIZE(params), params, NULL);
}

int store_session_insert(const struct store *db, const struct store_account *account,
                         const struct store_new_session *session)
{
    // The lock makes a password change that is under way end first, or see and revoke this session.
    static const char sql[] =
        "INSERT INTO sessions (id, user_id, family_hash, refresh_hash, user_agent, expires_at)"
        " SELECT $1::uuid, u.id, $3, $4, $5, now() + make_interval(secs => $6::bigint)"
        " FROM users u WHERE u.id = $2 AND u.password_version = $7::integer FOR SHARE";
    const reel_pg_param params[] = {session->id,
                                    account->user->id,
                                    session->refresh->family_hash,
                                    session->refresh->refresh_hash,
                                    session->user_agent,
                                    reel_pg_int(db->arena, session->ttl_s),
                                    reel_pg_int(db->arena, account->password_version)};
    struct reel_pg_rows rows;
    int rc = query(db, sql, REEL_ARRAY_SIZE(params), params, &rows);

    return rc == REEL_OK && rows.affected == 0 ? REEL_NOT_FOUND : rc;
}

int store_session_rotate(const struct store *db, const struct model_refresh *old,
                         const struct model_refresh *next, int64_t ttl_s,
                         const char **ret_session_id, User__User **ret_user)
{
    static const char sql[] =
        "UPDATE sessions s SET refresh_hash = $3, refreshed_at = now(),"
        " expires_at = now() + make_interval(secs => $4::bigint)"
        " FROM users u"
        " WHERE u.id = s.user_id AND s.family_hash = $1 AND s.refresh_hash = $2"
        " AND s.revoked_at IS NULL AND s.expires_at > now()"
        " RETURNING s.id, " USER_COLUMNS;
    const reel_pg_param params[] = {old->family_hash, old->refresh_hash, next->refresh_hash,
                                    reel_pg_int(db->arena, ttl_s)};
    struct reel_pg_rows rows;
    int rc = query(db, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc == REEL_OK)
        rc = read_user(db, &rows, 1, ret_user);
    if (rc == REEL_OK)
        *ret_session_id = text(&rows, 0, 0);
    return rc;
}

int store_session_revoke_replayed(const struct store *db, const struct model_refresh *replayed,
                                  const char **ret_session_id)
{
    static const char sql[] =
        "UPDATE sessions SET " REVOKED " WHERE family_hash = $1 AND refresh_hash <> $2"
        " AND revoked_at IS NULL AND expires_at > now() RETURNING id";
    const reel_pg_param params[] = {replayed->family_hash, replayed->refresh_hash};
    struct reel_pg_rows rows;
    int rc = query(db, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc == REEL_OK)
        *ret_session_id = rows.n_rows > 0 ? text(&rows, 0, 0) : NULL;
    return rc;
}

int store_session_revoke(const struct store *db, const char *user_id, const char *session_id)
{
    static const char sql[] =
        "UPDATE sessions SET " REVOKED " WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL";
    const reel_pg_param params[] = {session_id, user_id};

    return query(db, sql, REEL_ARRAY_SIZE(params), params, NULL);
}

int store_session_is_live(const struct store *db, const char *session_id, bool *ret_live)
{
    static const char sql[] = "SELECT 1 FROM sessions"
                              " WHERE id = $1 AND revoked_at IS NULL AND expires_at > now()";
    struct reel_pg_rows rows;
    int rc = query(db, sql, 1, &session_id, &rows);

    if (rc == REEL_OK)
        *ret_live = rows.n_rows > 0;
    return rc;
}

int store_session_sweep(const struct store *db, int64_t keep_s, int64_t limit, int64_t *ret_n)
{
    static const char sql[] = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions"
                              " WHERE expires_at < now() - make_interval(secs => $1::bigint)"
                              " OR revoked_at < now() - make_interval(secs => $1::bigint)"
                              " LIMIT $2::bigint FOR UPDATE SKIP LOCKED)";
    const reel_pg_param params[] = {reel_pg_int(db->arena, keep_s), reel_pg_int(db->arena, limit)};
    struct reel_pg_rows rows;
    int rc = query(db, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc == REEL_OK)
        *ret_n = rows.affected;
    return rc;
}

int store_session_revoked(const struct store *db, int64_t life_s, struct store_feed *feed,
                          struct store_revocation **ret_revocations, size_t *ret_n)
{
    // What the last snapshot did not see is new. Time only bounds the scan: a transaction that
    // revokes ends within a minute of it (statement_timeout, idle_in_transaction_session_timeout).
    static const char sql[] =
        "SELECT pg_current_snapshot(), " MICROSECONDS("now()") ", s.id, " MICROSECONDS(
            "s.revoked_at") " FROM (SELECT 1) one LEFT JOIN sessions s"
                            " ON s.revoked_at > least(now(), to_timestamp($2::bigint))"
                            "                   - make_interval(secs => $3::bigint)"
                            " AND NOT pg_visible_in_snapshot(s.revoked_xid, $1::pg_snapshot)"
                            " ORDER BY s.revoked_at";
    const reel_pg_param params[] = {
        feed->snapshot ? feed->snapshot : "1:1:",
        reel_pg_int(db->arena, feed->snapshot ? feed->at_us / 1000000 : INT32_MAX),
        reel_pg_int(db->arena, feed->snapshot ? 120 : life_s),
    };
    struct reel_pg_rows rows;
    int rc = query(db, sql, REEL_ARRAY_SIZE(params), params, &rows);

    if (rc != REEL_OK)
        return rc;
    struct store_revocation *list = reel_arena_array(db->arena, rows.n_rows, sizeof(*list));
    if (!list)
        return REEL_RESOURCE_EXHAUSTED;
    size_t n = 0;
    for (size_t i = 0; i < rows.n_rows; i++) {
        if (reel_pg_text(&rows, i, 2))
            list[n++] = (struct store_revocation){text(&rows, i, 2), reel_pg_i64(&rows, i, 3)};
    }
    *feed = (struct store_feed){text(&rows, 0, 0), reel_pg_i64(&rows, 0, 1)};
    *ret_revocations = list;
    *ret_n = n;
    return REEL_OK;
}
