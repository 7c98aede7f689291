// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/pg/pg.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/cutter.h"
#include "tests/lib/own_database.h"

static struct own_database *database;

struct fixture {
    const char *url;
    struct reel_pg *pg;
    struct reel_arena arena;
};

static int64_t in_ms(int ms)
{
    return reel_deadline_in_us(ms * INT64_C(1000));
}

static struct reel_pg *new_pool(const char *url, unsigned max_connections, uint32_t lock_ms)
{
    const struct reel_pg_config config = {
        .url = url,
        .application = "test_pg",
        .max_connections = max_connections,
        .lock_timeout_ms = lock_ms,
    };
    struct reel_pg *pg = NULL;

    assert_int_equal(reel_pg_new(&config, &pg), REEL_OK);
    return pg;
}

static void exec_ok(struct fixture *f, const char *sql)
{
    assert_int_equal(reel_pg_query(f->pg, in_ms(5000), &f->arena, sql, 0, NULL, NULL), REEL_OK);
}

static int64_t count(struct fixture *f, const char *sql)
{
    struct reel_pg_rows rows;

    assert_int_equal(reel_pg_query(f->pg, in_ms(5000), &f->arena, sql, 0, NULL, &rows), REEL_OK);
    return reel_pg_i64(&rows, 0, 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->url = own_database_url(database);
    reel_arena_init(&f->arena, 1 << 20);
    f->pg = new_pool(f->url, 4, 0);
    exec_ok(f, "DROP TABLE IF EXISTS test_pg");
    exec_ok(f, "CREATE TABLE test_pg (id int PRIMARY KEY, name text UNIQUE,"
               " n int CHECK (n >= 0), parent int REFERENCES test_pg (id))");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    exec_ok(f, "DROP TABLE IF EXISTS test_pg");
    reel_pg_free(f->pg);
    reel_arena_fini(&f->arena);
    free(f);
    return 0;
}

static void values_come_back_as_text_with_nulls(void **state)
{
    struct fixture *f = *state;
    const reel_pg_param params[] = {reel_pg_int(&f->arena, INT64_MIN), NULL, "käse"};
    struct reel_pg_rows rows;

    assert_int_equal(reel_pg_query(f->pg, in_ms(5000), &f->arena,
                                   "SELECT $1::bigint, $2::text, $3::text, true, 1.5::float8", 3,
                                   params, &rows),
                     REEL_OK);
    assert_int_equal(rows.n_rows, 1);
    assert_int_equal(rows.n_columns, 5);
    assert_true(reel_pg_i64(&rows, 0, 0) == INT64_MIN);
    assert_null(reel_pg_text(&rows, 0, 1));
    assert_int_equal(reel_pg_i64(&rows, 0, 1), 0);
    assert_false(reel_pg_bool(&rows, 0, 1));
    assert_string_equal(reel_pg_text(&rows, 0, 2), "käse");
    assert_true(reel_pg_bool(&rows, 0, 3));
    assert_true(reel_pg_f64(&rows, 0, 4) == 1.5);
}

static void affected_rows_are_counted(void **state)
{
    struct fixture *f = *state;
    struct reel_pg_rows rows;

    assert_int_equal(reel_pg_query(f->pg, in_ms(5000), &f->arena,
                                   "INSERT INTO test_pg (id) VALUES (1), (2), (3)", 0, NULL, &rows),
                     REEL_OK);
    assert_int_equal(rows.affected, 3);
    assert_int_equal(rows.n_rows, 0);
}

static void sqlstates_become_outcomes(void **state)
{
    static const struct {
        const char *sql;
        int rc;
        const char *constraint;
    } cases[] = {
        {"INSERT INTO test_pg (id, name) VALUES (2, 'a')", REEL_ALREADY_EXISTS, "test_pg_name_key"},
        {"INSERT INTO test_pg (id) VALUES (1)", REEL_ALREADY_EXISTS, "test_pg_pkey"},
        {"INSERT INTO test_pg (id, n) VALUES (3, -1)", REEL_FAILED_PRECONDITION, "test_pg_n_check"},
        {"INSERT INTO test_pg (id, parent) VALUES (3, 99)", REEL_FAILED_PRECONDITION,
         "test_pg_parent_fkey"},
        {"SELECT 'x'::int", REEL_INVALID_ARGUMENT, ""},
        {"SELECT 99999999999::int", REEL_INVALID_ARGUMENT, ""},
        {"SELECT nonsense", -EPROTO, ""},
        {"SELECT 1 / 0", REEL_INVALID_ARGUMENT, ""},
    };
    struct fixture *f = *state;
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;

    exec_ok(f, "INSERT INTO test_pg (id, name) VALUES (1, 'a')");
    assert_int_equal(reel_pg_take(f->pg, in_ms(5000), &conn), REEL_OK);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        assert_int_equal(reel_pg_exec(conn, &f->arena, cases[i].sql, 0, NULL, NULL), cases[i].rc);
        assert_string_equal(reel_pg_constraint(conn), cases[i].constraint);
    }
    assert_int_equal(reel_pg_exec(conn, &f->arena, "SELECT 1", 0, NULL, NULL), REEL_OK);
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    static const char *const bad[] = {"\xff", "\xc3", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80",
                                      "\xc0\x80"};
    struct fixture *f = *state;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_int_equal(
            reel_pg_query(f->pg, in_ms(5000), &f->arena, "SELECT $1::text", 1, &bad[i], NULL),
            REEL_INVALID_ARGUMENT);
}

static void hostile_text_stays_data(void **state)
{
    static const char *const hostile[] = {"'; DROP TABLE test_pg; --", "$1", "\\", "%s%n", "\x01"};
    struct fixture *f = *state;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(hostile); i++) {
        struct reel_pg_rows rows;

        assert_int_equal(
            reel_pg_query(f->pg, in_ms(5000), &f->arena, "SELECT $1::text", 1, &hostile[i], &rows),
            REEL_OK);
        assert_string_equal(reel_pg_text(&rows, 0, 0), hostile[i]);
    }
    assert_int_equal(count(f, "SELECT count(*) FROM test_pg"), 0);
}

static void rows_beyond_the_arena_are_refused(void **state)
{
    struct fixture *f = *state;
    REEL_AUTO(reel_arena_fini) struct reel_arena small;
    struct reel_pg_rows rows;

    reel_arena_init(&small, 8192);
    assert_int_equal(reel_pg_query(f->pg, in_ms(5000), &small,
                                   "SELECT repeat('x', 100) FROM generate_series(1, 1000)", 0, NULL,
                                   &rows),
                     REEL_RESOURCE_EXHAUSTED);
}

static void an_open_transaction_is_rolled_back_when_given_back(void **state)
{
    struct fixture *f = *state;
    struct reel_pg_conn *conn = NULL;

    assert_int_equal(reel_pg_take(f->pg, in_ms(5000), &conn), REEL_OK);
    assert_int_equal(reel_pg_begin(conn), REEL_OK);
    assert_int_equal(
        reel_pg_exec(conn, &f->arena, "INSERT INTO test_pg (id) VALUES (1)", 0, NULL, NULL),
        REEL_OK);
    reel_pg_give(&conn);
    assert_null(conn);
    assert_int_equal(count(f, "SELECT count(*) FROM test_pg"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM pg_stat_activity"
                              " WHERE application_name = 'test_pg' AND datname = current_database()"
                              " AND state LIKE 'idle in transaction%'"),
                     0);
}

static void commit_of_a_failed_transaction_is_aborted(void **state)
{
    struct fixture *f = *state;
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;

    assert_int_equal(reel_pg_take(f->pg, in_ms(5000), &conn), REEL_OK);
    assert_int_equal(reel_pg_begin(conn), REEL_OK);
    assert_int_equal(reel_pg_exec(conn, &f->arena, "SELECT 1 / 0", 0, NULL, NULL),
                     REEL_INVALID_ARGUMENT);
    assert_int_equal(reel_pg_exec(conn, &f->arena, "SELECT 1", 0, NULL, NULL), REEL_ABORTED);
    assert_int_equal(reel_pg_commit(conn), REEL_ABORTED);
}

static void a_committed_transaction_is_seen_by_others(void **state)
{
    struct fixture *f = *state;
    REEL_AUTO(reel_pg_give) struct reel_pg_conn *conn = NULL;

    assert_int_equal(reel_pg_take(f->pg, in_ms(5000), &conn), REEL_OK);
    assert_int_equal(reel_pg_begin(conn), REEL_OK);
    assert_int_equal(
        reel_pg_exec(conn, &f->arena, "INSERT INTO test_pg (id) VALUES (1)", 0, NULL, NULL),
        REEL_OK);
    assert_int_equal(reel_pg_commit(conn), REEL_OK);
    assert_int_equal(count(f, "SELECT count(*) FROM test_pg"), 1);
}

static void a_held_lock_ends_in_aborted(void **state)
{
    struct fixture *f = *state;
    struct reel_pg *impatient = new_pool(f->url, 1, 50);
    struct reel_pg_conn *holder = NULL;

    exec_ok(f, "INSERT INTO test_pg (id, n) VALUES (1, 0)");
    assert_int_equal(reel_pg_take(f->pg, in_ms(5000), &holder), REEL_OK);
    assert_int_equal(reel_pg_begin(holder), REEL_OK);
    assert_int_equal(reel_pg_exec(holder, &f->arena, "UPDATE test_pg SET n = 1", 0, NULL, NULL),
                     REEL_OK);
    assert_int_equal(reel_pg_query(impatient, in_ms(10000), &f->arena, "UPDATE test_pg SET n = 2",
                                   0, NULL, NULL),
                     REEL_ABORTED);
    reel_pg_give(&holder);
    assert_int_equal(reel_pg_query(impatient, in_ms(10000), &f->arena, "UPDATE test_pg SET n = 2",
                                   0, NULL, NULL),
                     REEL_OK);
    reel_pg_free(impatient);
}

static void the_deadline_ends_a_statement_on_both_sides(void **state)
{
    struct fixture *f = *state;
    const int64_t start_us = reel_clock_mono_us();
    int64_t running = 1;

    assert_int_equal(
        reel_pg_query(f->pg, in_ms(100), &f->arena, "SELECT pg_sleep(20)", 0, NULL, NULL),
        REEL_DEADLINE_EXCEEDED);
    assert_true(reel_clock_mono_us() - start_us >= 100 * 1000);
    // The server notices the closed socket by itself.
    for (int64_t until = in_ms(10000); running > 0 && !reel_deadline_passed(until);)
        running = count(f, "SELECT count(*) FROM pg_stat_activity"
                           " WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'");
    assert_int_equal(running, 0);
    assert_true(reel_clock_mono_us() - start_us < 15 * 1000 * 1000);
}

static void a_lease_past_its_deadline_sends_nothing(void **state)
{
    struct fixture *f = *state;
    struct reel_pg_conn *conn = NULL;

    assert_int_equal(reel_pg_take(f->pg, in_ms(500), &conn), REEL_OK);
    assert_int_equal(reel_pg_exec(conn, &f->arena, "SELECT pg_sleep(20)", 0, NULL, NULL),
                     REEL_DEADLINE_EXCEEDED);
    assert_int_equal(
        reel_pg_exec(conn, &f->arena, "INSERT INTO test_pg (id) VALUES (1)", 0, NULL, NULL),
        REEL_DEADLINE_EXCEEDED);
    reel_pg_give(&conn);
    assert_int_equal(count(f, "SELECT count(*) FROM test_pg"), 0);
}

static void an_exhausted_pool_answers_by_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct reel_pg *small = new_pool(f->url, 1, 0);
    struct reel_pg_conn *held = NULL;
    struct reel_pg_conn *second = NULL;

    assert_int_equal(reel_pg_take(small, in_ms(5000), &held), REEL_OK);
    assert_int_equal(reel_pg_take(small, in_ms(50), &second), REEL_DEADLINE_EXCEEDED);
    assert_null(second);
    reel_pg_give(&held);
    assert_int_equal(reel_pg_take(small, in_ms(50), &second), REEL_OK);
    reel_pg_give(&second);
    reel_pg_free(small);
}

static void *kill_sleepers(void *arg)
{
    struct fixture *f = arg;
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    struct reel_pg_rows rows = {0};

    reel_arena_init(&arena, 1 << 20);
    for (int64_t until = in_ms(10000); rows.n_rows == 0 && !reel_deadline_passed(until);) {
        reel_arena_reset(&arena);
        if (reel_pg_query(f->pg, in_ms(5000), &arena,
                          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'",
                          0, NULL, &rows) != REEL_OK)
            break;
    }
    return NULL;
}

static void a_backend_killed_in_mid_statement_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct reel_pg_conn *conn = NULL;
    pthread_t killer;

    assert_int_equal(reel_pg_take(f->pg, in_ms(20000), &conn), REEL_OK);
    assert_int_equal(pthread_create(&killer, NULL, kill_sleepers, f), 0);
    assert_int_equal(reel_pg_exec(conn, &f->arena, "SELECT pg_sleep(30)", 0, NULL, NULL),
                     REEL_UNAVAILABLE);
    pthread_join(killer, NULL);
    assert_int_equal(reel_pg_exec(conn, &f->arena, "SELECT 1", 0, NULL, NULL), REEL_UNAVAILABLE);
    reel_pg_give(&conn);
    exec_ok(f, "SELECT 1");
}

static void idle_connections_killed_by_a_restart_are_replaced_unseen(void **state)
{
    struct fixture *f = *state;
    struct reel_pg *idle = new_pool(f->url, 4, 0);
    struct reel_pg_conn *conns[4] = {0};

    for (int i = 0; i < 4; i++)
        assert_int_equal(reel_pg_take(idle, in_ms(5000), &conns[i]), REEL_OK);
    for (int i = 0; i < 4; i++)
        reel_pg_give(&conns[i]);
    // With a timeout pg_terminate_backend waits until the backend is gone.
    exec_ok(f, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
               " WHERE application_name = 'test_pg' AND datname = current_database() AND pid <> "
               "pg_backend_pid()");
    for (int i = 0; i < 4; i++)
        assert_int_equal(reel_pg_query(idle, in_ms(5000), &f->arena, "SELECT 1", 0, NULL, NULL),
                         REEL_OK);
    reel_pg_free(idle);
}

static void a_server_that_is_away_is_unavailable_at_once(void **state)
{
    struct fixture *f = *state;
    struct reel_pg *away = new_pool("postgresql://nobody@/x?host=/nonexistent", 4, 0);
    struct reel_pg_conn *conn = NULL;

    for (int i = 0; i < 100; i++)
        assert_int_equal(reel_pg_take(away, in_ms(60000), &conn), REEL_UNAVAILABLE);
    assert_false(reel_pg_is_up(away, in_ms(1000)));
    assert_true(reel_pg_is_up(f->pg, in_ms(5000)));
    reel_pg_free(away);
}

static void a_bad_url_is_refused(void **state)
{
    const struct reel_pg_config config = {.url = "postgresql://a b:c:d/?nonsense=1"};
    struct reel_pg *pg = NULL;

    (void)state;
    assert_int_equal(reel_pg_new(&config, &pg), -EINVAL);
    assert_null(pg);
}

// Inserts a row in a transaction whose COMMIT the proxy cuts off.
static int insert_through(struct fixture *f, struct cutter *cutter)
{
    struct reel_pg *pg = new_pool(cutter_conninfo(cutter), 1, 0);
    struct reel_pg_conn *conn = NULL;

    assert_int_equal(reel_pg_take(pg, in_ms(5000), &conn), REEL_OK);
    assert_int_equal(reel_pg_begin(conn), REEL_OK);
    assert_int_equal(
        reel_pg_exec(conn, &f->arena, "INSERT INTO test_pg (id) VALUES (1)", 0, NULL, NULL),
        REEL_OK);
    int rc = reel_pg_commit(conn);
    reel_pg_give(&conn);
    reel_pg_free(pg);
    return rc;
}

static void a_commit_whose_answer_is_cut_off_is_unavailable_and_done(void **state)
{
    struct fixture *f = *state;
    struct cutter *cutter = cutter_start(f->url, "COMMIT", CUT_ANSWER);
    int64_t seen = 0;

    assert_int_equal(insert_through(f, cutter), REEL_UNAVAILABLE);
    for (int64_t until = in_ms(5000); seen == 0 && !reel_deadline_passed(until);)
        seen = count(f, "SELECT count(*) FROM test_pg");
    assert_int_equal(seen, 1);
    cutter_stop(cutter);
}

static void a_commit_that_is_cut_off_itself_is_unavailable_and_not_done(void **state)
{
    struct fixture *f = *state;
    struct cutter *cutter = cutter_start(f->url, "COMMIT", CUT_REQUEST);

    assert_int_equal(insert_through(f, cutter), REEL_UNAVAILABLE);
    cutter_stop(cutter);
    assert_int_equal(count(f, "SELECT count(*) FROM test_pg"), 0);
}

struct worker {
    struct reel_pg *pg;
    unsigned n_ok;
};

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    reel_arena_init(&arena, 1 << 16);
    for (int i = 0; i < 50; i++) {
        struct reel_pg_rows rows;
        const reel_pg_param param = reel_pg_int(&arena, i);

        if (reel_pg_query(w->pg, in_ms(30000), &arena, "SELECT $1::int", 1, &param, &rows) ==
                REEL_OK &&
            reel_pg_i64(&rows, 0, 0) == i)
            w->n_ok++;
        reel_arena_reset(&arena);
    }
    return NULL;
}

static void many_threads_share_few_connections(void **state)
{
    struct fixture *f = *state;
    struct worker workers[16];
    pthread_t threads[16];

    for (int i = 0; i < 16; i++) {
        workers[i] = (struct worker){.pg = f->pg};
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].n_ok, 50);
    }
    assert_true(count(f,
                      "SELECT count(*) FROM pg_stat_activity"
                      " WHERE application_name = 'test_pg' AND datname = current_database()") <= 4);
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
        CASE(values_come_back_as_text_with_nulls),
        CASE(affected_rows_are_counted),
        CASE(sqlstates_become_outcomes),
        CASE(text_that_is_not_utf8_is_refused),
        CASE(hostile_text_stays_data),
        CASE(rows_beyond_the_arena_are_refused),
        CASE(an_open_transaction_is_rolled_back_when_given_back),
        CASE(commit_of_a_failed_transaction_is_aborted),
        CASE(a_committed_transaction_is_seen_by_others),
        CASE(a_held_lock_ends_in_aborted),
        CASE(the_deadline_ends_a_statement_on_both_sides),
        CASE(a_lease_past_its_deadline_sends_nothing),
        CASE(an_exhausted_pool_answers_by_the_deadline),
        CASE(a_backend_killed_in_mid_statement_is_unavailable),
        CASE(idle_connections_killed_by_a_restart_are_replaced_unseen),
        CASE(a_server_that_is_away_is_unavailable_at_once),
        CASE(a_bad_url_is_refused),
        CASE(a_commit_whose_answer_is_cut_off_is_unavailable_and_done),
        CASE(a_commit_that_is_cut_off_itself_is_unavailable_and_not_done),
        CASE(many_threads_share_few_connections),
    };

    return cmocka_run_group_tests(tests, create_database, drop_database);
}
