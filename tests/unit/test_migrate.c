// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>

#include "libcommon/core/clock.h"
#include "libcommon/pg/pg.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/own_database.h"

static const struct reel_pg_migration first = {
    "0001_first", "CREATE TABLE a (n int);\nINSERT INTO a VALUES (1);"};
static const struct reel_pg_migration second = {"0002_second", "INSERT INTO a VALUES (2);"};

static int setup(void **state)
{
    *state = own_database_create();
    return 0;
}

static int teardown(void **state)
{
    own_database_drop(*state);
    return 0;
}

static int migrate(struct own_database *db, const struct reel_pg_migration *migrations, size_t n)
{
    return reel_pg_migrate(own_database_url(db), "test", migrations, n);
}

static int64_t number(struct own_database *db, const char *sql)
{
    const struct reel_pg_config config = {.url = own_database_url(db), .max_connections = 1};
    struct reel_arena arena;
    struct reel_pg *pg = NULL;
    struct reel_pg_rows rows;

    reel_arena_init(&arena, 4096);
    assert_int_equal(reel_pg_new(&config, &pg), REEL_OK);
    assert_int_equal(reel_pg_query(pg, reel_deadline_in_us(5000000), &arena, sql, 0, NULL, &rows),
                     REEL_OK);
    int64_t value = reel_pg_i64(&rows, 0, 0);
    reel_pg_free(pg);
    reel_arena_fini(&arena);
    return value;
}

static void each_is_applied_once_in_order(void **state)
{
    const struct reel_pg_migration both[] = {first, second};

    assert_int_equal(migrate(*state, both, 1), REEL_OK);
    assert_int_equal(number(*state, "SELECT count(*) FROM a"), 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(migrate(*state, both, 2), REEL_OK);
    assert_int_equal(number(*state, "SELECT count(*) FROM a"), 2);
    assert_int_equal(number(*state, "SELECT count(*) FROM schema_migrations"), 2);
}

static void services_do_not_see_each_others(void **state)
{
    const struct reel_pg_migration other = {"0001_first", "CREATE TABLE b (n int)"};

    assert_int_equal(migrate(*state, &first, 1), REEL_OK);
    assert_int_equal(reel_pg_migrate(own_database_url(*state), "other", &other, 1), REEL_OK);
    assert_int_equal(number(*state, "SELECT count(*) FROM b"), 0);
}

static void a_changed_text_is_refused(void **state)
{
    const struct reel_pg_migration changed[] = {{"0001_first", "CREATE TABLE a (n int, more int);"},
                                                second};

    assert_int_equal(migrate(*state, &first, 1), REEL_OK);
    assert_int_equal(migrate(*state, changed, 2), -EINVAL);
    assert_int_equal(number(*state, "SELECT count(*) FROM a"), 1);
}

static void a_failing_one_leaves_nothing_behind(void **state)
{
    const struct reel_pg_migration broken[] = {
        first, {"0002_broken", "INSERT INTO a VALUES (2); CREATE TABLE c (n int); SELECT 1 / 0;"}};

    assert_int_equal(migrate(*state, broken, 2), REEL_INVALID_ARGUMENT);
    assert_int_equal(number(*state, "SELECT count(*) FROM a"), 1);
    assert_int_equal(number(*state, "SELECT count(*) FROM schema_migrations"), 1);
    assert_int_equal(number(*state, "SELECT count(*) FROM pg_tables WHERE tablename = 'c'"), 0);
}

static void one_that_commits_by_itself_is_refused(void **state)
{
    const struct reel_pg_migration sly = {"0001_sly", "CREATE TABLE d (n int); COMMIT;"};

    assert_int_not_equal(migrate(*state, &sly, 1), REEL_OK);
    assert_int_equal(number(*state, "SELECT count(*) FROM schema_migrations"), 0);
}

static void a_database_that_is_away_is_unavailable(void **state)
{
    (void)state;
    assert_int_equal(reel_pg_migrate("host=/nonexistent", "test", &first, 1), REEL_UNAVAILABLE);
}

static void *migrate_thread(void *db)
{
    const struct reel_pg_migration both[] = {first, second};

    return migrate(db, both, 2) == REEL_OK ? NULL : db;
}

static void replicas_that_migrate_together_apply_once(void **state)
{
    pthread_t threads[6];

    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_thread, *state), 0);
    for (int i = 0; i < 6; i++) {
        void *failed = *state;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(number(*state, "SELECT count(*) FROM a"), 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_is_applied_once_in_order),
        CASE(services_do_not_see_each_others),
        CASE(a_changed_text_is_refused),
        CASE(a_failing_one_leaves_nothing_behind),
        CASE(one_that_commits_by_itself_is_refused),
        CASE(a_database_that_is_away_is_unavailable),
        CASE(replicas_that_migrate_together_apply_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
