// SPDX-License-Identifier: Apache-2.0
#include <libpq-fe.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/pg/conn.h"
#include "tests/lib/cmocka.h"

enum { N_ROWS = 2, N_COLUMNS = 4 };

// Two rows: ("-7", "1.5", "t", ""), (NULL, NULL, NULL, "text").
static PGresult *make_result(void)
{
    static const char *const values[N_ROWS][N_COLUMNS] = {{"-7", "1.5", "t", ""},
                                                          {NULL, NULL, NULL, "text"}};
    PGresAttDesc columns[N_COLUMNS] = {0};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    for (int c = 0; c < N_COLUMNS; c++)
        columns[c].name = (char *)(uintptr_t) "c";
    assert_true(PQsetResultAttrs(result, N_COLUMNS, columns));
    for (int r = 0; r < N_ROWS; r++) {
        for (int c = 0; c < N_COLUMNS; c++) {
            char *value = (char *)(uintptr_t)values[r][c];

            assert_true(PQsetvalue(result, r, c, value, value ? (int)strlen(value) : -1));
        }
    }
    return result;
}

static void values_outlive_the_result(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    struct reel_pg_rows rows;
    PGresult *result = make_result();

    (void)state;
    reel_arena_init(&arena, 4096);
    assert_int_equal(reel_pg_rows_copy(&arena, result, &rows), REEL_OK);
    PQclear(result);
    assert_true(rows.n_rows == N_ROWS && rows.n_columns == N_COLUMNS);
    assert_int_equal(reel_pg_i64(&rows, 0, 0), -7);
    assert_true(reel_pg_f64(&rows, 0, 1) == 1.5);
    assert_true(reel_pg_bool(&rows, 0, 2));
    assert_string_equal(reel_pg_text(&rows, 0, 3), "");
    assert_string_equal(reel_pg_text(&rows, 1, 3), "text");
}

static void null_is_null_or_zero(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    struct reel_pg_rows rows;
    PGresult *result = make_result();

    (void)state;
    reel_arena_init(&arena, 4096);
    assert_int_equal(reel_pg_rows_copy(&arena, result, &rows), REEL_OK);
    PQclear(result);
    assert_null(reel_pg_text(&rows, 1, 0));
    assert_int_equal(reel_pg_i64(&rows, 1, 0), 0);
    assert_true(reel_pg_f64(&rows, 1, 1) == 0);
    assert_false(reel_pg_bool(&rows, 1, 2));
}

static void a_full_arena_is_resource_exhausted(void **state)
{
    PGresult *result = make_result();
    struct reel_pg_rows rows = {.n_rows = 99};
    int rc = REEL_RESOURCE_EXHAUSTED;

    (void)state;
    for (size_t cap = 0; rc == REEL_RESOURCE_EXHAUSTED; cap++) {
        REEL_AUTO(reel_arena_fini) struct reel_arena arena;

        reel_arena_init(&arena, cap);
        rc = reel_pg_rows_copy(&arena, result, &rows);
        assert_true(rc == REEL_OK || rows.n_rows == 99);
    }
    assert_int_equal(rc, REEL_OK);
    PQclear(result);
}

struct row {
    const char *sqlstate;
    int rc;
};

static void sqlstates_are_outcomes(void **state)
{
    static const struct row rows[] = {
        {NULL, REEL_UNAVAILABLE},
        {"23505", REEL_ALREADY_EXISTS},
        {"23503", REEL_FAILED_PRECONDITION},
        {"22021", REEL_INVALID_ARGUMENT},
        {"40001", REEL_ABORTED},
        {"40P01", REEL_ABORTED},
        {"55P03", REEL_ABORTED},
        {"57014", REEL_DEADLINE_EXCEEDED},
        {"57P01", REEL_UNAVAILABLE},
        {"08006", REEL_UNAVAILABLE},
        {"25006", REEL_UNAVAILABLE},
        {"53300", REEL_UNAVAILABLE},
        {"53100", REEL_RESOURCE_EXHAUSTED},
    };
    static const char *const faults[] = {"", "42601", "42P01", "42501", "XX000", "55006", "54001"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(rows); i++)
        assert_int_equal(reel_pg_outcome_of(rows[i].sqlstate), rows[i].rc);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(faults); i++)
        assert_true(reel_pg_outcome_of(faults[i]) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_outlive_the_result),
        cmocka_unit_test(null_is_null_or_zero),
        cmocka_unit_test(a_full_arena_is_resource_exhausted),
        cmocka_unit_test(sqlstates_are_outcomes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
