// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/pg/conn.h"

struct sqlstate_row {
    const char *prefix; // a whole SQLSTATE or the first two characters, its class
    int rc;
};

// The first match counts: single states stand before their class.
static const struct sqlstate_row sqlstates[] = {
    {"23505", REEL_ALREADY_EXISTS},     // unique_violation
    {"23", REEL_FAILED_PRECONDITION},   // the other integrity constraints
    {"22", REEL_INVALID_ARGUMENT},      // data exceptions: encoding, range, length, syntax
    {"40", REEL_ABORTED},               // serialization failure, deadlock
    {"55P03", REEL_ABORTED},            // lock_not_available
    {"25P02", REEL_ABORTED},            // the transaction has failed earlier
    {"25006", REEL_UNAVAILABLE},        // read-only: a standby answers, a fail-over is going on
    {"57014", REEL_DEADLINE_EXCEEDED},  // query_canceled: statement_timeout
    {"57", REEL_UNAVAILABLE},           // shutdown, crash, starting up
    {"08", REEL_UNAVAILABLE},           // connection exceptions
    {"25P03", REEL_UNAVAILABLE},        // idle_in_transaction_session_timeout
    {"53300", REEL_UNAVAILABLE},        // too_many_connections
    {"53", REEL_RESOURCE_EXHAUSTED},    // disk full, out of memory
    {"54000", REEL_RESOURCE_EXHAUSTED}, // program_limit_exceeded
};

int reel_pg_outcome_of(const char *sqlstate)
{
    if (!sqlstate)
        return REEL_UNAVAILABLE;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(sqlstates); i++) {
        if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
            return sqlstates[i].rc;
    }
    return -EPROTO;
}

int reel_pg_rows_copy(struct reel_arena *arena, const struct pg_result *result,
                      struct reel_pg_rows *ret_rows)
{
    size_t n_rows = (size_t)PQntuples(result);
    size_t n_columns = (size_t)PQnfields(result);
    const char **values = reel_arena_array(arena, n_rows * n_columns, sizeof(*values));

    if (!values)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < n_rows * n_columns; i++) {
        int row = (int)(i / n_columns);
        int column = (int)(i % n_columns);

        if (PQgetisnull(result, row, column))
            continue;
        values[i] = reel_arena_strndup(arena, PQgetvalue(result, row, column),
                                       (size_t)PQgetlength(result, row, column));
        if (!values[i])
            return REEL_RESOURCE_EXHAUSTED;
    }
    *ret_rows = (struct reel_pg_rows){
        .n_rows = n_rows,
        .n_columns = n_columns,
        .affected = strtoll(PQcmdTuples((PGresult *)result), NULL, 10),
        .values = values,
    };
    return REEL_OK;
}

const char *reel_pg_text(const struct reel_pg_rows *rows, size_t row, size_t column)
{
    if (row >= rows->n_rows || column >= rows->n_columns)
        abort();
    return rows->values[row * rows->n_columns + column];
}

int64_t reel_pg_i64(const struct reel_pg_rows *rows, size_t row, size_t column)
{
    const char *text = reel_pg_text(rows, row, column);

    return text ? strtoll(text, NULL, 10) : 0;
}

double reel_pg_f64(const struct reel_pg_rows *rows, size_t row, size_t column)
{
    const char *text = reel_pg_text(rows, row, column);

    return text ? strtod(text, NULL) : 0;
}

bool reel_pg_bool(const struct reel_pg_rows *rows, size_t row, size_t column)
{
    const char *text = reel_pg_text(rows, row, column);

    return text && text[0] == 't';
}

reel_pg_param reel_pg_int(struct reel_arena *arena, int64_t value)
{
    return reel_arena_printf(arena, "%lld", (long long)value);
}
