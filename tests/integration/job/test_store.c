// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "svc-job/store.h"
#include "tests/integration/job/lib/servers.h"
#include "tests/lib/cmocka.h"

#define USER_A  "0190a000-0000-7000-8000-00000000000a"
#define USER_B  "0190a000-0000-7000-8000-00000000000b"
#define VIDEO   "0190a000-0000-7000-8000-0000000000ff"
#define UNKNOWN "0190a000-0000-7000-8000-000000000bad"

enum { WAIT_US = 10 * 1000 * 1000, WRITERS = 6, MOVES = 25 };

struct fixture {
    struct database *database;
    struct reel_pg *pg;
    struct reel_arena arena;
};

static int64_t soon(void)
{
    return reel_deadline_in_us(WAIT_US);
}

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    fx->database = database_create();
    const struct reel_pg_config config = {.url = fx->database->url, .application = "test"};
    assert_int_equal(reel_pg_new(&config, &fx->pg), REEL_OK);
    reel_arena_init(&fx->arena, 64 << 20);
    *state = fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;

    reel_pg_free(fx->pg);
    database_drop(fx->database);
    reel_arena_fini(&fx->arena);
    free(fx);
    return 0;
}

static struct job_new new_job(struct fixture *fx, const char *user_id)
{
    char *id = reel_arena_alloc(&fx->arena, REEL_ID_SIZE);

    reel_id_new(id);
    return (struct job_new){
        .job_id = id,
        .queue_id = id,
        .type = "resize",
        .video_id = VIDEO,
        .user_id = user_id,
        .request = "{\"type\":\"resize\",\"params\":{\"width\":320,\"height\":240}}",
        .priority = 5,
        .max_attempts = 3,
    };
}

static struct job_row insert(struct fixture *fx, const struct job_new *job)
{
    struct job_row row;
    bool created;

    assert_int_equal(store_job_insert(fx->pg, soon(), &fx->arena, job, &row, &created), REEL_OK);
    assert_true(created);
    return row;
}

static struct job_row add(struct fixture *fx, const char *user_id)
{
    const struct job_new job = new_job(fx, user_id);

    return insert(fx, &job);
}

static int move(struct fixture *fx, struct job_row *row, enum job_state to)
{
    const struct job_change change = {
        .job_id = row->job_id, .from_version = row->version, .to = to};

    return store_job_change(fx->pg, soon(), &fx->arena, &change, row);
}

static struct event_list events(struct fixture *fx, int64_t after)
{
    struct event_list list;

    assert_int_equal(store_events_after(fx->pg, soon(), &fx->arena, after, NULL, 1000, &list),
                     REEL_OK);
    return list;
}

static void a_new_job_is_recorded_with_its_event(void **state)
{
    struct fixture *fx = *state;
    struct job_row row = add(fx, USER_A);

    assert_int_equal(row.state, JOB_WAITING);
    assert_int_equal(row.version, 1);
    assert_int_equal(row.generation, 1);
    assert_int_equal(row.max_attempts, 3);
    assert_string_equal(row.user_id, USER_A);
    assert_true(row.created_us > 0);
    assert_int_equal(row.finished_us, 0);
    struct event_list list = events(fx, 0);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.last_seq, 1);
    assert_int_equal(list.oldest_seq, 1);
    assert_string_equal(list.rows[0].type, "job.created");
    assert_int_equal(list.rows[0].version, 1);
    assert_non_null(strstr(list.rows[0].job, "\"width\":320"));
}

static void the_second_insert_finds_the_first(void **state)
{
    struct fixture *fx = *state;
    struct job_new job = new_job(fx, USER_A);
    struct job_row row = insert(fx, &job);
    bool created = true;

    assert_int_equal(move(fx, &row, JOB_ACTIVE), REEL_OK);
    job.user_id = USER_B;
    assert_int_equal(store_job_insert(fx->pg, soon(), &fx->arena, &job, &row, &created), REEL_OK);
    assert_false(created);
    assert_int_equal(row.state, JOB_ACTIVE);
    assert_string_equal(row.user_id, USER_A);
    assert_int_equal(events(fx, 0).n, 2);
}

static void a_delayed_job_knows_how_long(void **state)
{
    struct fixture *fx = *state;
    struct job_new job = new_job(fx, USER_A);

    job.delay_ms = 60000;
    struct job_row row = insert(fx, &job);
    assert_int_equal(row.state, JOB_DELAYED);
    assert_in_range(row.delay_ms, 50000, 60000);
}

static void a_move_raises_the_version_and_fences(void **state)
{
    struct fixture *fx = *state;
    struct job_row row = add(fx, USER_A);
    struct job_row late = row;

    assert_int_equal(move(fx, &row, JOB_ACTIVE), REEL_OK);
    assert_int_equal(row.version, 2);
    assert_true(row.started_us > 0);
    assert_int_equal(move(fx, &late, JOB_COMPLETED), REEL_ABORTED);
    assert_int_equal(move(fx, &row, JOB_ACTIVE), REEL_OK);
    assert_int_equal(row.version, 3);
    assert_int_equal(events(fx, 0).n, 3);
}

static void an_end_is_final_and_can_be_repeated(void **state)
{
    struct fixture *fx = *state;
    struct job_row row = add(fx, USER_A);

    assert_int_equal(move(fx, &row, JOB_ACTIVE), REEL_OK);
    const struct job_change end = {.job_id = row.job_id,
                                   .from_version = row.version,
                                   .to = JOB_COMPLETED,
                                   .count_attempt = true,
                                   .result = "{\"sizeBytes\":\"7\"}"};
    assert_int_equal(store_job_change(fx->pg, soon(), &fx->arena, &end, &row), REEL_OK);
    assert_int_equal(row.attempts_made, 1);
    assert_true(row.finished_us > 0);
    // the answer of the commit was lost: the same change again
    assert_int_equal(store_job_change(fx->pg, soon(), &fx->arena, &end, &row), REEL_OK);
    assert_int_equal(row.version, 3);
    assert_int_equal(events(fx, 0).n, 3);
    for (int to = 0; to < JOB_N_STATES; to++) {
        struct job_row copy = row;
        assert_int_equal(move(fx, &copy, (enum job_state)to), REEL_FAILED_PRECONDITION);
        assert_int_equal(copy.state, JOB_COMPLETED);
    }
}

static void a_new_generation_starts_from_zero(void **state)
{
    struct fixture *fx = *state;
    struct job_row row = add(fx, USER_A);

    assert_int_equal(move(fx, &row, JOB_ACTIVE), REEL_OK);
    const struct job_change fail = {.job_id = row.job_id,
                                    .from_version = row.version,
                                    .to = JOB_FAILED,
                                    .count_attempt = true,
                                    .count_crash = true,
                                    .failed_code = "CRASHED",
                                    .failed_reason = "it fell"};
    assert_int_equal(store_job_change(fx->pg, soon(), &fx->arena, &fail, &row), REEL_OK);
    assert_int_equal(row.crashes, 1);
    assert_int_equal(store_job_settled(fx->pg, soon(), &fx->arena, row.job_id, row.version),
                     REEL_OK);
    const struct job_change again = {.job_id = row.job_id,
                                     .from_version = row.version,
                                     .to = JOB_WAITING,
                                     .new_generation = true};
    assert_int_equal(store_job_change(fx->pg, soon(), &fx->arena, &again, &row), REEL_OK);
    assert_int_equal(row.generation, 2);
    assert_int_equal(row.attempts_made, 0);
    assert_int_equal(row.crashes, 0);
    assert_false(row.is_settled);
    assert_null(row.failed_reason);
    assert_int_equal(row.finished_us, 0);
}

static void a_stranger_finds_nothing(void **state)
{
    struct fixture *fx = *state;
    struct job_row row = add(fx, USER_A);
    struct job_row other;
    const struct job_change cancel = {.job_id = row.job_id, .user_id = USER_B, .to = JOB_CANCELLED};

    assert_int_equal(store_job_get(fx->pg, soon(), &fx->arena, row.job_id, USER_B, &other),
                     REEL_NOT_FOUND);
    assert_int_equal(store_job_get(fx->pg, soon(), &fx->arena, UNKNOWN, NULL, &other),
                     REEL_NOT_FOUND);
    assert_int_equal(store_job_change(fx->pg, soon(), &fx->arena, &cancel, &other), REEL_NOT_FOUND);
    assert_int_equal(store_job_get(fx->pg, soon(), &fx->arena, row.job_id, USER_A, &other),
                     REEL_OK);
    assert_int_equal(other.state, JOB_WAITING);
}

static void the_history_has_pages_and_filters(void **state)
{
    struct fixture *fx = *state;
    struct job_list list;
    struct job_filter filter = {.user_id = USER_A, .limit = 3};
    struct job_row rows[5];

    for (int i = 0; i < 5; i++)
        rows[i] = add(fx, USER_A);
    add(fx, USER_B);
    assert_int_equal(move(fx, &rows[1], JOB_ACTIVE), REEL_OK);
    assert_int_equal(store_job_list(fx->pg, soon(), &fx->arena, &filter, &list), REEL_OK);
    assert_int_equal(list.n, 3);
    assert_string_equal(list.rows[0].job_id, rows[4].job_id);
    filter.before = list.rows[2].job_id;
    assert_int_equal(store_job_list(fx->pg, soon(), &fx->arena, &filter, &list), REEL_OK);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.rows[1].job_id, rows[0].job_id);
    filter = (struct job_filter){.state = "active", .limit = 10};
    assert_int_equal(store_job_list(fx->pg, soon(), &fx->arena, &filter, &list), REEL_OK);
    assert_int_equal(list.n, 1);
    filter = (struct job_filter){.video_id = UNKNOWN, .limit = 10};
    assert_int_equal(store_job_list(fx->pg, soon(), &fx->arena, &filter, &list), REEL_OK);
    assert_int_equal(list.n, 0);
}

static void fences_tell_which_runs_are_over(void **state)
{
    struct fixture *fx = *state;
    struct job_row a = add(fx, USER_A);
    struct job_row b = add(fx, USER_A);
    struct job_fence fences[3] = {{.job_id = a.job_id, .version = 1},
                                  {.job_id = b.job_id, .version = 1},
                                  {.job_id = UNKNOWN, .version = 1}};

    assert_int_equal(move(fx, &b, JOB_CANCELLED), REEL_OK);
    assert_int_equal(store_check_fences(fx->pg, soon(), &fx->arena, fences, 3), REEL_OK);
    assert_false(fences[0].is_stale);
    assert_true(fences[1].is_stale);
    assert_true(fences[2].is_stale);
}

static void only_settled_down_open_jobs_are_compared(void **state)
{
    struct fixture *fx = *state;
    struct job_row old = add(fx, USER_A);
    struct job_row ended = add(fx, USER_A);
    struct job_list list;

    add(fx, USER_A);
    assert_int_equal(move(fx, &ended, JOB_CANCELLED), REEL_OK);
    free(database_sql(fx->database,
                      "UPDATE job_history SET updated_at = now() - interval '1 minute' "
                      "WHERE job_id IN ('%s', '%s')",
                      old.job_id, ended.job_id));
    assert_int_equal(store_job_list_open(fx->pg, soon(), &fx->arena, NULL, 10, &list), REEL_OK);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.rows[0].job_id, old.job_id);
    assert_int_equal(store_job_list_open(fx->pg, soon(), &fx->arena, old.job_id, 10, &list),
                     REEL_OK);
    assert_int_equal(list.n, 0);
    assert_int_equal(store_job_list_of_video(fx->pg, soon(), &fx->arena, VIDEO, &list), REEL_OK);
    assert_int_equal(list.n, 2);
}

static void pruning_keeps_the_numbers_and_open_jobs(void **state)
{
    struct fixture *fx = *state;
    struct job_row open = add(fx, USER_A);
    struct job_row ended = add(fx, USER_A);
    int64_t n = 0;
    int32_t counts[JOB_N_STATES];

    assert_int_equal(move(fx, &ended, JOB_CANCELLED), REEL_OK);
    free(database_sql(fx->database,
                      "UPDATE job_history SET finished_at = now() - interval '1 year' "
                      "WHERE finished_at IS NOT NULL"));
    free(database_sql(fx->database, "UPDATE job_events SET at = now() - interval '1 hour'"));
    assert_int_equal(store_prune(fx->pg, soon(), &fx->arena, 60, 3600, &n), REEL_OK);
    assert_int_equal(n, 4);
    struct event_list list = events(fx, 0);
    assert_int_equal(list.n, 0);
    assert_int_equal(list.last_seq, 3);
    assert_int_equal(list.oldest_seq, 4);
    assert_int_equal(move(fx, &open, JOB_ACTIVE), REEL_OK);
    list = events(fx, 0);
    assert_int_equal(list.rows[0].seq, 4);
    assert_int_equal(list.oldest_seq, 4);
    assert_int_equal(store_count(fx->pg, soon(), &fx->arena, counts), REEL_OK);
    assert_int_equal(counts[JOB_ACTIVE], 1);
    assert_int_equal(counts[JOB_CANCELLED], 0);
}

struct writer {
    struct fixture *fx;
    const char *job_id;
    pthread_t thread;
    int failures;
};

static void *write_moves(void *arg)
{
    struct writer *w = arg;
    struct reel_arena arena;
    struct job_row row;

    reel_arena_init(&arena, 1 << 20);
    for (int i = 0; i < MOVES; i++) {
        const struct job_change change = {.job_id = w->job_id, .to = JOB_ACTIVE};
        if (store_job_change(w->fx->pg, soon(), &arena, &change, &row) != REEL_OK)
            w->failures++;
        reel_arena_reset(&arena);
    }
    reel_arena_fini(&arena);
    return NULL;
}

// A reader that follows by number must never see a later number before an earlier one.
static void numbers_become_visible_in_order(void **state)
{
    struct fixture *fx = *state;
    struct writer writers[WRITERS];
    int64_t seen = WRITERS;

    for (int i = 0; i < WRITERS; i++)
        writers[i] = (struct writer){.fx = fx, .job_id = add(fx, USER_A).job_id};
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&writers[i].thread, NULL, write_moves, &writers[i]);
    int64_t give_up_us = reel_deadline_in_us(60 * 1000 * 1000);
    while (seen < WRITERS + WRITERS * MOVES && !reel_deadline_passed(give_up_us)) {
        struct event_list list = events(fx, seen);
        for (size_t i = 0; i < list.n; i++)
            assert_int_equal(list.rows[i].seq, ++seen);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].failures, 0);
    }
    assert_int_equal(seen, WRITERS + WRITERS * MOVES);
}

static void racing_ends_have_one_winner(void **state)
{
    struct fixture *fx = *state;

    for (int i = 0; i < 10; i++) {
        struct job_row row = add(fx, USER_A);
        assert_int_equal(move(fx, &row, JOB_ACTIVE), REEL_OK);
        struct job_row other = row;
        const struct job_change cancel = {.job_id = row.job_id, .to = JOB_CANCELLED};
        assert_int_equal(store_job_change(fx->pg, soon(), &fx->arena, &cancel, &other), REEL_OK);
        assert_int_equal(move(fx, &row, JOB_COMPLETED), REEL_ABORTED);
        assert_int_equal(row.state, JOB_CANCELLED);
    }
}

static void the_service_has_no_more_rights_than_it_needs(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(database_number(fx->database,
                                     "SELECT count(*) FROM pg_tables WHERE tableowner "
                                     "= 'reel_job'"),
                     0);
    assert_int_equal(
        database_number(
            fx->database,
            "SELECT has_table_privilege('reel_job', 'job_event_counter', 'DELETE')::int "
            "+ has_table_privilege('reel_job', 'job_history', 'TRUNCATE')::int"),
        0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_job_is_recorded_with_its_event),
        CASE(the_second_insert_finds_the_first),
        CASE(a_delayed_job_knows_how_long),
        CASE(a_move_raises_the_version_and_fences),
        CASE(an_end_is_final_and_can_be_repeated),
        CASE(a_new_generation_starts_from_zero),
        CASE(a_stranger_finds_nothing),
        CASE(the_history_has_pages_and_filters),
        CASE(fences_tell_which_runs_are_over),
        CASE(only_settled_down_open_jobs_are_compared),
        CASE(pruning_keeps_the_numbers_and_open_jobs),
        CASE(numbers_become_visible_in_order),
        CASE(racing_ends_have_one_winner),
        CASE(the_service_has_no_more_rights_than_it_needs),
    };

    (void)argc;
    servers_need(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
