// SPDX-License-Identifier: Apache-2.0
// Private to libcommon/pg: one connection, its waits and its prepared statements.
#pragma once

#include "libcommon/core/pool.h"
#include "libcommon/pg/pg.h"

struct pg_conn; // libpq's PGconn
struct pg_result;

// A statement this connection has prepared under the name "s<index>".
struct reel_pg_statement {
    uint64_t hash;
    char *sql;
};

enum { REEL_PG_MAX_STATEMENTS = 512, REEL_PG_CONSTRAINT_SIZE = 64 };

struct reel_pg_conn {
    struct reel_pool *pool; // where give puts it
    struct pg_conn *pg;
    int64_t deadline_us; // of the present lease
    int dead_rc;         // why the connection is of no further use; REEL_OK while it is
    unsigned n_statements;
    struct reel_pg_statement statements[REEL_PG_MAX_STATEMENTS]; // open addressing by hash
    char constraint[REEL_PG_CONSTRAINT_SIZE];
};

// Connects with libpq's keyword arrays (NULL-terminated, borrowed). REEL_UNAVAILABLE when the
// server refuses or takes longer than 5 s, REEL_DEADLINE_EXCEEDED when the deadline comes earlier.
int reel_pg_conn_open(const char *const *keywords, const char *const *values, int64_t deadline_us,
                      struct reel_pg_conn **ret_conn) REEL_MUST_CHECK;

// Closes at once. A statement that still runs is cancelled by the server, which notices the closed
// socket within client_connection_check_interval.
void reel_pg_conn_close(struct reel_pg_conn *conn);

// Whether an idle connection has heard nothing from its server: whatever waits to be read is a
// goodbye, or at least a surprise. Never blocks.
bool reel_pg_conn_is_quiet(struct reel_pg_conn *conn);

// What libpq says of the last failure, "" when there was none. Borrowed until the next statement.
const char *reel_pg_conn_error(const struct reel_pg_conn *conn);

// Runs the text (several statements may be in it) by the simple protocol; rows are dropped.
int reel_pg_conn_simple(struct reel_pg_conn *conn, const char *sql) REEL_MUST_CHECK;

// Runs a prepared statement, preparing it first where needed. *ret_result is the caller's to clear
// with PQclear, NULL on failure.
int reel_pg_conn_run(struct reel_pg_conn *conn, const char *sql, size_t n_params,
                     const reel_pg_param *params, struct pg_result **ret_result) REEL_MUST_CHECK;

// Whether a transaction is open (also a failed one).
bool reel_pg_conn_in_transaction(const struct reel_pg_conn *conn);

// The outcome or fault that a SQLSTATE stands for; NULL is REEL_UNAVAILABLE.
int reel_pg_outcome_of(const char *sqlstate);

// Copies a result into the arena. REEL_RESOURCE_EXHAUSTED when it does not fit.
int reel_pg_rows_copy(struct reel_arena *arena, const struct pg_result *result,
                      struct reel_pg_rows *ret_rows) REEL_MUST_CHECK;
