// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: a bounded pool of connections, statements prepared on first use, every wait bounded
// by a deadline. Statements are static text with $n parameters, sent with PQexecPrepared's
// protocol; never built from user text.
//
// A lease whose deadline passes while a statement runs loses its connection, and the server cancels
// the statement within half a second of that. A connection found dead is replaced; when the server
// is away, takers are told so at once between reconnection attempts (libcommon/core/pool.h).
//
// A pool is shared by all threads; a lease belongs to one thread. Results are copied into an arena:
// nothing of libpq leaves this module.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/err.h"

struct reel_pg;
struct reel_pg_conn;

struct reel_pg_config {
    const char *url;               // libpq connection string or URI
    const char *application;       // application_name
    unsigned max_connections;      // 0 is 8
    uint32_t statement_timeout_ms; // server-side; 0 is 30,000
    uint32_t lock_timeout_ms;      // server-side; 0 is 5,000
};

// Host names in the URL are resolved when connecting, by the system's resolver, which no deadline
// of ours bounds.
//
// Creates a pool; connects lazily, so it succeeds while the database is away. Strings are copied.
// -EINVAL when the URL cannot be parsed.
int reel_pg_new(const struct reel_pg_config *config, struct reel_pg **ret_pg) REEL_MUST_CHECK;

// Closes every connection and frees. No lease may be out. NULL is fine.
void reel_pg_free(struct reel_pg *pg);

// Whether a connection can be had and answers within the deadline: for readiness.
bool reel_pg_is_up(struct reel_pg *pg, int64_t deadline_us);

// Takes a connection, waiting for a free one until the deadline. REEL_UNAVAILABLE when the database
// cannot be reached, REEL_DEADLINE_EXCEEDED when none came free.
int reel_pg_take(struct reel_pg *pg, int64_t deadline_us,
                 struct reel_pg_conn **ret_conn) REEL_MUST_CHECK;

// Gives it back, rolling back an open transaction. Fits REEL_AUTO: takes a pointer to the pointer;
// NULL inside is fine.
void reel_pg_give(struct reel_pg_conn **conn);

// A parameter: text form, or NULL for SQL NULL. Numbers through the helpers below.
typedef const char *reel_pg_param;

// Formats an integer parameter in the arena.
reel_pg_param reel_pg_int(struct reel_arena *arena, int64_t value);

// A row set in an arena. Values are text, NULL for SQL NULL.
struct reel_pg_rows {
    size_t n_rows;
    size_t n_columns;
    int64_t affected;    // rows changed by INSERT, UPDATE, DELETE
    const char **values; // n_rows * n_columns
};

// The value at a row and column, or NULL for SQL NULL.
const char *reel_pg_text(const struct reel_pg_rows *rows, size_t row, size_t column);

// The value as an integer; 0 for SQL NULL.
int64_t reel_pg_i64(const struct reel_pg_rows *rows, size_t row, size_t column);

// The value as a floating-point number; 0 for SQL NULL.
double reel_pg_f64(const struct reel_pg_rows *rows, size_t row, size_t column);

// The value as a boolean (t or f); false for SQL NULL.
bool reel_pg_bool(const struct reel_pg_rows *rows, size_t row, size_t column);

// Runs one statement. Outcomes: REEL_ALREADY_EXISTS (unique violation; reel_pg_constraint names
// it), REEL_FAILED_PRECONDITION (foreign key, check), REEL_ABORTED (serialization, deadlock, lock
// timeout), REEL_DEADLINE_EXCEEDED, REEL_UNAVAILABLE (connection lost: whether it took effect is
// not known), REEL_INVALID_ARGUMENT (text the database refuses). `ret_rows` may be NULL.
int reel_pg_exec(struct reel_pg_conn *conn, struct reel_arena *arena, const char *sql,
                 size_t n_params, const reel_pg_param *params,
                 struct reel_pg_rows *ret_rows) REEL_MUST_CHECK;

// The constraint that the last REEL_ALREADY_EXISTS or REEL_FAILED_PRECONDITION named, or "".
const char *reel_pg_constraint(const struct reel_pg_conn *conn);

// Starts a transaction (READ COMMITTED).
int reel_pg_begin(struct reel_pg_conn *conn) REEL_MUST_CHECK;

// Commits. REEL_UNAVAILABLE, REEL_DEADLINE_EXCEEDED: the outcome is not known; repeat the
// transaction only if it is idempotent.
int reel_pg_commit(struct reel_pg_conn *conn) REEL_MUST_CHECK;

// Take, exec and give in one, for a single statement.
int reel_pg_query(struct reel_pg *pg, int64_t deadline_us, struct reel_arena *arena,
                  const char *sql, size_t n_params, const reel_pg_param *params,
                  struct reel_pg_rows *ret_rows) REEL_MUST_CHECK;

// A migration: applied once, in order, in a transaction; its checksum is recorded.
struct reel_pg_migration {
    const char *name; // "0001_users"
    const char *sql;
};

// Applies what is missing for `service`, under an advisory lock; records it in schema_migrations.
// -EINVAL when an applied migration's text has changed (drift), naming it in the log.
int reel_pg_migrate(const char *url, const char *service,
                    const struct reel_pg_migration *migrations,
                    size_t n_migrations) REEL_MUST_CHECK;
