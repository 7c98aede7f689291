// SPDX-License-Identifier: Apache-2.0
#include "libcommon/pg/pg.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/pg/conn.h"

enum {
    DEFAULT_CONNECTIONS = 8,
    DEFAULT_STATEMENT_TIMEOUT_MS = 30 * 1000,
    DEFAULT_LOCK_TIMEOUT_MS = 5 * 1000,
    IDLE_IN_TRANSACTION_MS = 60 * 1000,
    // How soon a server notices that the client of a running statement is gone.
    CONNECTION_CHECK_MS = 500,
    MAX_KEYWORDS = 64,
    MAX_OPTIONS = 1024,
};

struct reel_pg {
    struct reel_pool *pool;
    char *url;
    char *application;
    char options[MAX_OPTIONS];
    const char *keywords[MAX_KEYWORDS];
    const char *values[MAX_KEYWORDS];
};

static void free_options(PQconninfoOption **options)
{
    PQconninfoFree(*options);
}

static int pool_open(void *owner, int64_t deadline_us, void **ret_item)
{
    struct reel_pg *pg = owner;
    struct reel_pg_conn *conn = NULL;
    int rc = reel_pg_conn_open(pg->keywords, pg->values, deadline_us, &conn);

    if (rc != REEL_OK)
        return rc;
    conn->pool = pg->pool;
    *ret_item = conn;
    return REEL_OK;
}

static void pool_close(void *item)
{
    reel_pg_conn_close(item);
}

static bool pool_is_alive(void *item)
{
    return reel_pg_conn_is_quiet(item);
}

static const struct reel_pool_ops pool_ops = {
    .open = pool_open,
    .close = pool_close,
    .is_alive = pool_is_alive,
};

// Timeouts go into `options`, in front of what the URL says there, so that the URL can overrule.
static int fill_options(struct reel_pg *pg, const struct reel_pg_config *config)
{
    REEL_AUTO(free_options)
    PQconninfoOption *parsed = PQconninfoParse(config->url, NULL);
    const char *theirs = "";

    if (!parsed)
        return -EINVAL;
    for (PQconninfoOption *option = parsed; option->keyword; option++) {
        if (strcmp(option->keyword, "options") == 0 && option->val)
            theirs = option->val;
    }
    uint32_t statement_ms = config->statement_timeout_ms;
    uint32_t lock_ms = config->lock_timeout_ms;
    int n = snprintf(pg->options, sizeof(pg->options),
                     "-c statement_timeout=%u -c lock_timeout=%u"
                     " -c idle_in_transaction_session_timeout=%d"
                     " -c client_connection_check_interval=%d %s",
                     statement_ms ? statement_ms : DEFAULT_STATEMENT_TIMEOUT_MS,
                     lock_ms ? lock_ms : DEFAULT_LOCK_TIMEOUT_MS, IDLE_IN_TRANSACTION_MS,
                     CONNECTION_CHECK_MS, theirs);
    return n < (int)sizeof(pg->options) ? REEL_OK : -EINVAL;
}

// libpq lets the last of two equal keywords win: defaults stand before the URL, what must hold
// stands after it.
static void fill_keywords(struct reel_pg *pg)
{
    const char *const pairs[][2] = {
        {"connect_timeout", "5"},
        {"tcp_user_timeout", "10000"},
        {"keepalives_idle", "30"},
        {"keepalives_interval", "5"},
        {"keepalives_count", "3"},
        {"gssencmode", "disable"},
        {"fallback_application_name", pg->application},
        {"dbname", pg->url},
        {"options", pg->options},
        {"client_encoding", "UTF8"},
    };

    _Static_assert(REEL_ARRAY_SIZE(pairs) < MAX_KEYWORDS, "room for the terminating NULL");
    for (size_t i = 0; i < REEL_ARRAY_SIZE(pairs); i++) {
        pg->keywords[i] = pairs[i][0];
        pg->values[i] = pairs[i][1];
    }
}

static void free_pg(struct reel_pg **pg)
{
    reel_pg_free(*pg);
}

int reel_pg_new(const struct reel_pg_config *config, struct reel_pg **ret_pg)
{
    REEL_AUTO(free_pg) struct reel_pg *pg = calloc(1, sizeof(*pg));
    unsigned max = config->max_connections ? config->max_connections : DEFAULT_CONNECTIONS;

    if (!pg)
        return -ENOMEM;
    pg->url = strdup(config->url);
    pg->application = strdup(config->application ? config->application : "reelmesh");
    if (!pg->url || !pg->application)
        return -ENOMEM;
    int rc = fill_options(pg, config);
    if (rc == REEL_OK)
        rc = reel_pool_new(&pool_ops, pg, max, &pg->pool);
    if (rc != REEL_OK)
        return rc;
    fill_keywords(pg);
    *ret_pg = REEL_STEAL(&pg);
    return REEL_OK;
}

void reel_pg_free(struct reel_pg *pg)
{
    if (!pg)
        return;
    reel_pool_free(pg->pool);
    free(pg->url);
    free(pg->application);
    free(pg);
}

bool reel_pg_is_up(struct reel_pg *pg, int64_t deadline_us)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    reel_arena_init(&arena, 4096);
    return reel_pg_query(pg, deadline_us, &arena, "SELECT 1", 0, NULL, NULL) == REEL_OK;
}

int reel_pg_take(struct reel_pg *pg, int64_t deadline_us, struct reel_pg_conn **ret_conn)
{
    void *item = NULL;
    int rc = reel_pool_take(pg->pool, deadline_us, &item);

    if (rc != REEL_OK)
        return rc;
    struct reel_pg_conn *conn = item;
    conn->deadline_us = deadline_us;
    conn->constraint[0] = '\0';
    *ret_conn = conn;
    return REEL_OK;
}

// A second is plenty for ROLLBACK; a server that cannot do even that has lost the connection.
static void roll_back(struct reel_pg_conn *conn)
{
    conn->deadline_us = reel_deadline_in_us(1000 * 1000);
    if (reel_pg_conn_simple(conn, "ROLLBACK") != REEL_OK)
        conn->dead_rc = REEL_UNAVAILABLE;
}

void reel_pg_give(struct reel_pg_conn **conn_ptr)
{
    struct reel_pg_conn *conn = REEL_STEAL(conn_ptr);

    if (!conn)
        return;
    if (conn->dead_rc == REEL_OK && reel_pg_conn_in_transaction(conn))
        roll_back(conn);
    reel_pool_give(conn->pool, conn, conn->dead_rc == REEL_OK);
}

static void clear_result(PGresult **result)
{
    PQclear(*result);
}

int reel_pg_exec(struct reel_pg_conn *conn, struct reel_arena *arena, const char *sql,
                 size_t n_params, const reel_pg_param *params, struct reel_pg_rows *ret_rows)
{
    REEL_AUTO(clear_result) PGresult *result = NULL;
    int rc = reel_pg_conn_run(conn, sql, n_params, params, &result);

    if (rc == REEL_OK && ret_rows)
        rc = reel_pg_rows_copy(arena, result, ret_rows);
    return rc;
}

const char *reel_pg_constraint(const struct reel_pg_conn *conn)
{
    return conn->constraint;
}

int reel_pg_begin(struct reel_pg_conn *conn)
{
    return reel_pg_conn_simple(conn, "BEGIN");
}

int reel_pg_commit(struct reel_pg_conn *conn)
{
    // COMMIT of a failed transaction succeeds, as a ROLLBACK: it must not be sent at all.
    if (conn->dead_rc == REEL_OK && PQtransactionStatus(conn->pg) != PQTRANS_INTRANS)
        return REEL_ABORTED;
    return reel_pg_conn_simple(conn, "COMMIT");
}

int reel_pg_query(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                  const char *sql, size_t n_params, const reel_pg_param *params,
                  struct reel_pg_rows *ret_rows)
{
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;
    int rc = reel_pg_take(pg, deadline_us, &conn);

    if (rc != REEL_OK)
        return rc;
    return reel_pg_exec(conn, arena, sql, n_params, params, ret_rows);
}
