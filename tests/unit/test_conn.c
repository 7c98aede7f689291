// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/pg/conn.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/cutter.h"
#include "tests/lib/own_database.h"

static struct own_database *database;

static int64_t in_ms(int ms)
{
    return reel_deadline_in_us(ms * INT64_C(1000));
}

static int open_at(const char *url, int ms, struct reel_pg_conn **ret_conn)
{
    const char *const keywords[] = {"dbname", NULL};
    const char *const values[] = {url, NULL};

    return reel_pg_conn_open(keywords, values, in_ms(ms), ret_conn);
}

static int setup(void **state)
{
    struct reel_pg_conn *conn = NULL;

    assert_int_equal(open_at(own_database_url(database), 20000, &conn), REEL_OK);
    conn->deadline_us = in_ms(20000);
    *state = conn;
    return 0;
}

static int teardown(void **state)
{
    reel_pg_conn_close(*state);
    return 0;
}

// Runs a statement without parameters; its first value as a number, the columns in *ret_columns.
static int run(struct reel_pg_conn *conn, const char *sql, long *ret_value, int *ret_columns)
{
    PGresult *result = NULL;
    int rc = reel_pg_conn_run(conn, sql, 0, NULL, &result);

    if (rc != REEL_OK)
        return rc;
    if (ret_value)
        *ret_value = PQntuples(result) > 0 ? strtol(PQgetvalue(result, 0, 0), NULL, 10) : -1;
    if (ret_columns)
        *ret_columns = PQnfields(result);
    PQclear(result);
    return REEL_OK;
}

static void a_statement_is_prepared_once(void **state)
{
    long n = 0;

    for (int i = 0; i < 3; i++)
        assert_int_equal(run(*state, "SELECT 'once'::text", NULL, NULL), REEL_OK);
    assert_int_equal(run(*state,
                         "SELECT count(*) FROM pg_prepared_statements"
                         " WHERE statement = $$SELECT 'once'::text$$",
                         &n, NULL),
                     REEL_OK);
    assert_int_equal(n, 1);
}

// Texts are told apart by what they say, not by where they are.
static void equal_texts_are_one_statement_and_others_are_not(void **state)
{
    char sql[32] = "SELECT 1";
    long value = 0;

    assert_int_equal(run(*state, sql, &value, NULL), REEL_OK);
    snprintf(sql, sizeof(sql), "SELECT 2");
    assert_int_equal(run(*state, sql, &value, NULL), REEL_OK);
    assert_int_equal(value, 2);
}

static void more_statements_than_the_table_holds_still_run(void **state)
{
    for (int i = 0; i < REEL_PG_MAX_STATEMENTS + 100; i++) {
        char sql[32];
        long value = -1;

        snprintf(sql, sizeof(sql), "SELECT %d", i);
        assert_int_equal(run(*state, sql, &value, NULL), REEL_OK);
        assert_int_equal(value, i);
    }
    assert_int_equal(run(*state, "SELECT 7", NULL, NULL), REEL_OK);
}

static void a_plan_outdated_by_a_schema_change_is_prepared_anew(void **state)
{
    int columns = 0;

    own_database_exec(database, "CREATE TABLE t (a int)");
    assert_int_equal(run(*state, "SELECT * FROM t", NULL, &columns), REEL_OK);
    own_database_exec(database, "ALTER TABLE t ADD COLUMN b int");
    assert_int_equal(run(*state, "SELECT * FROM t", NULL, &columns), REEL_OK);
    assert_int_equal(columns, 2);

    assert_int_equal(reel_pg_conn_simple(*state, "BEGIN"), REEL_OK);
    own_database_exec(database, "ALTER TABLE t ADD COLUMN c int");
    assert_int_equal(run(*state, "SELECT * FROM t", NULL, &columns), REEL_ABORTED);
    assert_int_equal(((struct reel_pg_conn *)*state)->dead_rc, REEL_ABORTED);
}

static void statements_discarded_behind_our_back_are_prepared_anew(void **state)
{
    assert_int_equal(run(*state, "SELECT 1", NULL, NULL), REEL_OK);
    assert_int_equal(reel_pg_conn_simple(*state, "DISCARD ALL"), REEL_OK);
    assert_int_equal(run(*state, "SELECT 1", NULL, NULL), REEL_OK);
}

static void a_failure_leaves_its_text_and_constraint(void **state)
{
    struct reel_pg_conn *conn = *state;

    own_database_exec(database, "CREATE TABLE u (a int CONSTRAINT positive CHECK (a > 0))");
    assert_int_equal(run(conn, "INSERT INTO u VALUES (-1)", NULL, NULL), REEL_FAILED_PRECONDITION);
    assert_string_equal(conn->constraint, "positive");
    assert_non_null(strstr(reel_pg_conn_error(conn), "positive"));
    assert_int_equal(run(conn, "SELECT 1", NULL, NULL), REEL_OK);
    assert_string_equal(conn->constraint, "");
}

static void a_result_larger_than_the_socket_buffers_arrives(void **state)
{
    PGresult *result = NULL;

    assert_int_equal(reel_pg_conn_run(*state, "SELECT repeat('x', 5000000)", 0, NULL, &result),
                     REEL_OK);
    assert_int_equal(PQgetlength(result, 0, 0), 5000000);
    PQclear(result);
}

static void a_parameter_larger_than_the_socket_buffers_leaves(void **state)
{
    char *big = malloc(5000001);
    PGresult *result = NULL;

    memset(big, 'x', 5000000);
    big[5000000] = '\0';
    const reel_pg_param param = big;
    assert_int_equal(reel_pg_conn_run(*state, "SELECT length($1::text)", 1, &param, &result),
                     REEL_OK);
    assert_string_equal(PQgetvalue(result, 0, 0), "5000000");
    PQclear(result);
    free(big);
}

static void a_connection_told_goodbye_is_not_quiet(void **state)
{
    struct reel_pg_conn *conn = *state;
    char sql[64];

    assert_true(reel_pg_conn_is_quiet(conn));
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(conn->pg));
    own_database_exec(database, sql);
    assert_false(reel_pg_conn_is_quiet(conn));
    assert_int_equal(run(conn, "SELECT 1", NULL, NULL), REEL_UNAVAILABLE);
    assert_int_equal(run(conn, "SELECT 1", NULL, NULL), REEL_UNAVAILABLE);
}

static void a_server_that_refuses_is_unavailable(void **state)
{
    static const char *const urls[] = {
        "host=/nonexistent",
        "host=127.0.0.1 port=1",
        "host=127.0.0.1 port=1 dbname=x user=y",
    };
    struct reel_pg_conn *conn = NULL;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(urls); i++)
        assert_int_equal(open_at(urls[i], 5000, &conn), REEL_UNAVAILABLE);
    assert_null(conn);
}

// It accepts and says nothing, as a stopped process does.
static void a_server_that_is_silent_at_connect_costs_no_more_than_the_deadline(void **state)
{
    char dir[] = "/tmp/reel-silent-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct reel_pg_conn *conn = NULL;
    char url[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", dir);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    snprintf(url, sizeof(url), "host=%s port=5432 dbname=x user=x", dir);
    assert_int_equal(open_at(url, 100, &conn), REEL_DEADLINE_EXCEEDED);
    assert_null(conn);
    close(listener);
    unlink(address.sun_path);
    rmdir(dir);
}

static void a_server_that_falls_silent_costs_no_more_than_the_deadline(void **state)
{
    struct cutter *cutter = cutter_start(own_database_url(database), "SELECT 42", CUT_SILENCE);
    struct reel_pg_conn *conn = NULL;

    (void)state;
    assert_int_equal(open_at(cutter_conninfo(cutter), 20000, &conn), REEL_OK);
    conn->deadline_us = in_ms(200);
    assert_int_equal(run(conn, "SELECT 42", NULL, NULL), REEL_DEADLINE_EXCEEDED);
    assert_int_equal(run(conn, "SELECT 1", NULL, NULL), REEL_DEADLINE_EXCEEDED);
    reel_pg_conn_close(conn);
    cutter_stop(cutter);
}

static int create_database(void **state)
{
    (void)state;
    database = own_database_create();
    return 0;
}

static int drop_database(void **state)
{
    (void)state;
    own_database_drop(database);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_statement_is_prepared_once),
        CASE(equal_texts_are_one_statement_and_others_are_not),
        CASE(more_statements_than_the_table_holds_still_run),
        CASE(a_plan_outdated_by_a_schema_change_is_prepared_anew),
        CASE(statements_discarded_behind_our_back_are_prepared_anew),
        CASE(a_failure_leaves_its_text_and_constraint),
        CASE(a_result_larger_than_the_socket_buffers_arrives),
        CASE(a_parameter_larger_than_the_socket_buffers_leaves),
        CASE(a_connection_told_goodbye_is_not_quiet),
        cmocka_unit_test(a_server_that_refuses_is_unavailable),
        cmocka_unit_test(a_server_that_is_silent_at_connect_costs_no_more_than_the_deadline),
        cmocka_unit_test(a_server_that_falls_silent_costs_no_more_than_the_deadline),
    };

    return cmocka_run_group_tests(tests, create_database, drop_database);
}
