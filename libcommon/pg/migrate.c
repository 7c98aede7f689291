// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"
#include "libcommon/pg/conn.h"

// A migration may wait for another replica that is migrating and may rewrite a table.
enum { MIGRATE_TIMEOUT_MS = 10 * 60 * 1000, MIGRATE_ARENA_BYTES = 64 * 1024 };

static const char lock_sql[] = "SELECT pg_advisory_xact_lock(hashtext('reelmesh.migrate'))";

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                " service text NOT NULL,"
                                " name text NOT NULL,"
                                " checksum text NOT NULL,"
                                " applied_at timestamptz NOT NULL DEFAULT now(),"
                                " PRIMARY KEY (service, name))";

static const char same_sql[] = "SELECT checksum = encode(sha256(convert_to($3, 'UTF8')), 'hex')"
                               " FROM schema_migrations WHERE service = $1 AND name = $2";

static const char record_sql[] = "INSERT INTO schema_migrations (service, name, checksum)"
                                 " VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))";

static int begin_locked(struct reel_pg_conn *conn)
{
    int rc = reel_pg_begin(conn);

    return rc == REEL_OK ? reel_pg_conn_simple(conn, lock_sql) : rc;
}

static int ensure_table(struct reel_pg_conn *conn)
{
    int rc = begin_locked(conn);

    if (rc == REEL_OK)
        rc = reel_pg_conn_simple(conn, table_sql);
    return rc == REEL_OK ? reel_pg_commit(conn) : rc;
}

static int apply_one(struct reel_pg_conn *conn, struct reel_arena *arena, const char *service,
                     const struct reel_pg_migration *migration)
{
    const reel_pg_param params[] = {service, migration->name, migration->sql};
    struct reel_pg_rows rows;
    int rc = begin_locked(conn);

    if (rc == REEL_OK)
        rc = reel_pg_exec(conn, arena, same_sql, 3, params, &rows);
    if (rc != REEL_OK)
        return rc;
    if (rows.n_rows > 0) {
        if (reel_pg_bool(&rows, 0, 0))
            return reel_pg_commit(conn);
        reel_log(REEL_LOG_ERROR, "migrate.drift", REEL_FS("service", service),
                 REEL_FS("migration", migration->name));
        return -EINVAL;
    }

    rc = reel_pg_conn_simple(conn, migration->sql);
    // A text that commits by itself could be applied half and not be recorded.
    if (rc == REEL_OK && !reel_pg_conn_in_transaction(conn))
        rc = -EINVAL;
    if (rc == REEL_OK)
        rc = reel_pg_exec(conn, arena, record_sql, 3, params, NULL);
    return rc == REEL_OK ? reel_pg_commit(conn) : rc;
}

static int apply_all(struct reel_pg_conn *conn, const char *service,
                     const struct reel_pg_migration *migrations, size_t n_migrations)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    int rc = ensure_table(conn);

    reel_arena_init(&arena, MIGRATE_ARENA_BYTES);
    for (size_t i = 0; rc == REEL_OK && i < n_migrations; i++) {
        reel_arena_reset(&arena);
        rc = apply_one(conn, &arena, service, &migrations[i]);
        if (rc != REEL_OK)
            reel_log(REEL_LOG_ERROR, "migrate.failed", REEL_FS("service", service),
                     REEL_FS("migration", migrations[i].name),
                     REEL_FS("error", reel_pg_conn_error(conn)));
    }
    return rc;
}

static void free_pg(struct reel_pg **pg)
{
    reel_pg_free(*pg);
}

int reel_pg_migrate(const char *url, const char *service,
                    const struct reel_pg_migration *migrations, size_t n_migrations)
{
    const struct reel_pg_config config = {
        .url = url,
        .application = "reelmesh migrate",
        .max_connections = 1,
        .statement_timeout_ms = MIGRATE_TIMEOUT_MS,
        .lock_timeout_ms = MIGRATE_TIMEOUT_MS,
    };
    REEL_AUTO(free_pg) struct reel_pg *pg = NULL;
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;
    int rc = reel_pg_new(&config, &pg);

    if (rc == REEL_OK)
        rc = reel_pg_take(pg, reel_deadline_in_us(MIGRATE_TIMEOUT_MS * INT64_C(1000)), &conn);
    if (rc != REEL_OK)
        return rc;
    return apply_all(conn, service, migrations, n_migrations);
}
