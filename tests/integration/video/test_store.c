// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "svc-video/store.h"
#include "tests/integration/video/lib/database.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/cutter.h"

#define USER_A "0190a000-0000-7000-8000-00000000000a"
#define USER_B "0190a000-0000-7000-8000-00000000000b"

enum { WAIT_US = 10 * 1000 * 1000 };

struct fixture {
    struct database *database;
    struct reel_pg *pg;
    struct reel_arena arena;
    struct store db;
};

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    fx->database = database_create();
    struct reel_pg_config config = {.url = fx->database->url, .application = "test"};
    assert_int_equal(reel_pg_new(&config, &fx->pg), REEL_OK);
    reel_arena_init(&fx->arena, 32 << 20);
    fx->db = (struct store){fx->pg, reel_deadline_in_us(WAIT_US), &fx->arena};
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

static Video__Video *new_video(struct fixture *fx, const char *name)
{
    Video__Video *video = reel_arena_alloc(&fx->arena, sizeof(*video));
    Video__Dimensions *dimensions = reel_arena_alloc(&fx->arena, sizeof(*dimensions));

    video__video__init(video);
    video__dimensions__init(dimensions);
    dimensions->width = 1080;
    dimensions->height = 1920;
    video->video_id = reel_arena_alloc(&fx->arena, REEL_ID_SIZE);
    reel_id_new(video->video_id);
    video->name = (char *)name;
    video->extension = (char *)"mp4";
    video->dimensions = dimensions;
    video->duration_ms = 1500;
    video->size_bytes = INT64_C(5000000000);
    video->video_codec = (char *)"h264";
    video->audio_codec = (char *)"";
    video->rotation = 90;
    video->frame_rate = 30000.0 / 1001;
    return video;
}

static const char *add_video(struct fixture *fx, const char *user_id, const char *name)
{
    Video__Video *video = new_video(fx, name);

    assert_int_equal(store_video_insert(&fx->db, user_id, video), REEL_OK);
    return video->video_id;
}

static Video__Operation new_operation(struct fixture *fx, const char *video_id, int32_t width)
{
    Video__Operation operation = VIDEO__OPERATION__INIT;
    Job__OperationParams *params = reel_arena_alloc(&fx->arena, sizeof(*params));

    job__operation_params__init(params);
    params->width = width;
    params->height = 64;
    params->target_format = (char *)"mp4";
    operation.operation_id = reel_arena_alloc(&fx->arena, REEL_ID_SIZE);
    reel_id_new(operation.operation_id);
    operation.video_id = (char *)video_id;
    operation.type = (char *)"resize";
    operation.params = params;
    return operation;
}

static const char *add_operation(struct fixture *fx, const char *user_id, const char *video_id,
                                 int32_t width)
{
    Video__Operation operation = new_operation(fx, video_id, width);
    bool is_new = false;

    assert_int_equal(store_operation_add(&fx->db, user_id, &operation, &is_new), REEL_OK);
    assert_true(is_new);
    return operation.operation_id;
}

static void a_video_comes_back_as_it_went_in(void **state)
{
    struct fixture *fx = *state;
    Video__Video *in = new_video(fx, "caf\xc3\xa9 'quoted' \\ \"name\"");
    Video__Video *out;

    assert_int_equal(store_video_insert(&fx->db, USER_A, in), REEL_OK);
    assert_int_equal(store_video_get(&fx->db, USER_A, in->video_id, &out), REEL_OK);
    assert_string_equal(out->name, "caf\xc3\xa9 'quoted' \\ \"name\"");
    assert_int_equal(out->dimensions->width, 1080);
    assert_int_equal(out->dimensions->height, 1920);
    assert_int_equal(out->size_bytes, INT64_C(5000000000));
    assert_int_equal(out->rotation, 90);
    assert_true(out->frame_rate == 30000.0 / 1001);
    assert_string_equal(out->audio_codec, "");
    assert_true(out->created_at->seconds > 1700000000);
    assert_int_equal(out->created_at->nanos, in->created_at->nanos);
}

static void inserting_twice_changes_nothing(void **state)
{
    struct fixture *fx = *state;
    Video__Video *first = new_video(fx, "once");
    Video__Video again = *first;

    assert_int_equal(store_video_insert(&fx->db, USER_A, first), REEL_OK);
    again.name = (char *)"twice";
    assert_int_equal(store_video_insert(&fx->db, USER_A, &again), REEL_OK);
    assert_string_equal(again.name, "once");
    again = *first;
    assert_int_equal(store_video_insert(&fx->db, USER_B, &again), REEL_NOT_FOUND);
}

// The same store through a proxy that lets `marker` reach PostgreSQL and its answer reach nobody.
static struct store store_behind(struct fixture *fx, struct cutter *cutter, struct reel_pg **ret_pg)
{
    struct reel_pg_config config = {
        .url = cutter_conninfo(cutter), .application = "test", .max_connections = 1};

    assert_int_equal(reel_pg_new(&config, ret_pg), REEL_OK);
    return (struct store){*ret_pg, reel_deadline_in_us(WAIT_US), &fx->arena};
}

static void an_insert_whose_answer_is_lost_can_be_repeated(void **state)
{
    struct fixture *fx = *state;
    struct cutter *cutter = cutter_start(fx->database->url, "cut here", CUT_ANSWER);
    Video__Video *video = new_video(fx, "cut here");
    struct reel_pg *pg;
    struct store db = store_behind(fx, cutter, &pg);
    char *count;

    assert_int_equal(store_video_insert(&db, USER_A, video), REEL_UNAVAILABLE);
    assert_int_equal(store_video_insert(&fx->db, USER_A, video), REEL_OK);
    count = database_sql(fx->database, "SELECT count(*) FROM videos");
    assert_string_equal(count, "1");
    free(count);
    reel_pg_free(pg);
    cutter_stop(cutter);
}

static void an_operation_whose_answer_is_lost_is_found_again(void **state)
{
    struct fixture *fx = *state;
    struct cutter *cutter = cutter_start(fx->database->url, "COMMIT", CUT_ANSWER);
    const char *video_id = add_video(fx, USER_A, "clip");
    Video__Operation lost = new_operation(fx, video_id, 64);
    Video__Operation again = new_operation(fx, video_id, 64);
    const char *id = lost.operation_id;
    struct reel_pg *pg;
    struct store db = store_behind(fx, cutter, &pg);
    bool is_new = true;

    assert_int_equal(store_operation_add(&db, USER_A, &lost, &is_new), REEL_UNAVAILABLE);
    assert_int_equal(store_operation_add(&fx->db, USER_A, &again, &is_new), REEL_OK);
    assert_false(is_new);
    assert_string_equal(again.operation_id, id);
    reel_pg_free(pg);
    cutter_stop(cutter);
}

static void a_strangers_video_is_not_found(void **state)
{
    struct fixture *fx = *state;
    const char *id = add_video(fx, USER_A, "mine");
    const char *operation_id = add_operation(fx, USER_A, id, 64);
    Video__Operation operation = new_operation(fx, id, 128);
    Video__Operation **operations;
    Video__Operation *found;
    Video__Video *video;
    bool is_new;
    size_t n;

    assert_int_equal(store_video_get(&fx->db, USER_B, id, &video), REEL_NOT_FOUND);
    assert_int_equal(store_video_rename(&fx->db, USER_B, id, "theirs", &video), REEL_NOT_FOUND);
    assert_int_equal(store_video_bury(&fx->db, USER_B, id), REEL_NOT_FOUND);
    assert_int_equal(store_operation_add(&fx->db, USER_B, &operation, &is_new), REEL_NOT_FOUND);
    assert_int_equal(store_operation_get(&fx->db, USER_B, id, operation_id, &found),
                     REEL_NOT_FOUND);
    assert_int_equal(store_operation_list(&fx->db, USER_B, id, NULL, &operations, &n), REEL_OK);
    assert_int_equal(n, 0);
    assert_int_equal(store_video_get(&fx->db, USER_A, id, &video), REEL_OK);
    assert_string_equal(video->name, "mine");
}

static void pages_follow_each_other_without_holes(void **state)
{
    struct fixture *fx = *state;
    const char *after_id = NULL;
    int64_t after_us = 0;
    char seen[26] = "";
    Video__Video **page;
    size_t n;

    for (char name[] = "a"; name[0] <= 'y'; name[0]++)
        add_video(fx, USER_A, reel_arena_strdup(&fx->arena, name));
    add_video(fx, USER_B, "Z");
    // Equal times: the id alone decides the order.
    free(
        database_sql(fx->database, "UPDATE videos SET created_at = '2026-01-02' WHERE name > 'm'"));
    do {
        assert_int_equal(store_video_list(&fx->db, USER_A, after_us, after_id, 4, &page, &n),
                         REEL_OK);
        for (size_t i = 0; i < n; i++) {
            assert_null(strchr(seen, page[i]->name[0]));
            strcat(seen, page[i]->name);
        }
        if (n == 0)
            break;
        after_id = page[n - 1]->video_id;
        after_us =
            page[n - 1]->created_at->seconds * 1000000 + page[n - 1]->created_at->nanos / 1000;
        // What is added meanwhile is newer: it neither repeats nor shifts the pages to come.
        add_video(fx, USER_A, "new");
    } while (n == 4);
    assert_int_equal(strlen(seen), 25);
}

static void the_first_page_of_many_uses_the_index(void **state)
{
    struct fixture *fx = *state;
    char *plan;

    free(database_sql(fx->database,
                      "INSERT INTO videos (id, user_id, name, extension, width, height,"
                      " duration_ms, size_bytes, video_codec, audio_codec, rotation, frame_rate,"
                      " created_at) SELECT gen_random_uuid(), '%s', 'v', 'mp4', 1, 1, 1, 1, '', '',"
                      " 0, 0, now() - n * interval '1 second' FROM generate_series(1, 10000) n",
                      USER_A));
    free(database_sql(fx->database, "ANALYZE videos"));
    plan = database_sql(fx->database,
                        "EXPLAIN (FORMAT JSON) SELECT * FROM videos WHERE user_id = '%s' AND"
                        " deleted_at IS NULL AND (created_at, id) < (now(), '%s')"
                        " ORDER BY created_at DESC, id DESC LIMIT 51",
                        USER_A, USER_A);
    assert_non_null(strstr(plan, "videos_page"));
    assert_null(strstr(plan, "\"Sort\""));
    free(plan);
}

static void equal_operations_are_one(void **state)
{
    struct fixture *fx = *state;
    const char *video_id = add_video(fx, USER_A, "clip");
    const char *first = add_operation(fx, USER_A, video_id, 64);
    Video__Operation again = new_operation(fx, video_id, 64);
    bool is_new = true;

    assert_int_equal(store_operation_add(&fx->db, USER_A, &again, &is_new), REEL_OK);
    assert_false(is_new);
    assert_string_equal(again.operation_id, first);
    assert_string_equal(again.status, "pending");
    assert_string_not_equal(add_operation(fx, USER_A, video_id, 66), first);

    free(database_sql(fx->database,
                      "UPDATE video_operations SET status = 'completed'"
                      " WHERE id = '%s'",
                      first));
    again = new_operation(fx, video_id, 64);
    assert_int_equal(store_operation_add(&fx->db, USER_A, &again, &is_new), REEL_OK);
    assert_string_equal(again.status, "completed");

    // One that failed is no reason not to try again.
    free(database_sql(fx->database,
                      "UPDATE video_operations SET status = 'failed'"
                      " WHERE id = '%s'",
                      first));
    assert_string_not_equal(add_operation(fx, USER_A, video_id, 64), first);
}

static struct store_change change_of(const char *id, const char *status, int32_t version,
                                     int64_t seq)
{
    return (struct store_change){
        .operation_id = id, .status = status, .error = "", .version = version, .seq = seq};
}

static bool apply(struct fixture *fx, const struct store_change *change)
{
    bool applied = false;

    assert_int_equal(store_operation_apply(&fx->db, change, &applied), REEL_OK);
    return applied;
}

static void only_newer_versions_are_applied(void **state)
{
    struct fixture *fx = *state;
    const char *video_id = add_video(fx, USER_A, "clip");
    const char *id = add_operation(fx, USER_A, video_id, 64);
    struct store_change started = change_of(id, "processing", 2, 12);
    struct store_change created = change_of(id, "pending", 1, 11);
    struct store_change completed = change_of(id, "completed", 3, 13);
    Job__JobResult result = JOB__JOB_RESULT__INIT;
    Video__Operation *operation;
    int64_t seq;

    result.size_bytes = INT64_C(5000000000);
    result.format = (char *)"mp4";
    completed.result = &result;
    completed.progress = 100;
    assert_true(apply(fx, &started));
    assert_false(apply(fx, &started));
    assert_false(apply(fx, &created));
    assert_true(apply(fx, &completed));
    assert_false(apply(fx, &completed));
    // Nothing takes a completed operation back.
    started.version = 9;
    assert_false(apply(fx, &started));

    assert_int_equal(store_operation_get(&fx->db, USER_A, video_id, id, &operation), REEL_OK);
    assert_string_equal(operation->status, "completed");
    assert_int_equal(operation->progress, 100);
    assert_int_equal(operation->result->size_bytes, INT64_C(5000000000));
    assert_int_equal(operation->params->width, 64);
    assert_int_equal(store_operation_last_seq(&fx->db, &seq), REEL_OK);
    assert_int_equal(seq, 13);
}

static void an_unknown_operation_is_passed_over(void **state)
{
    struct fixture *fx = *state;
    struct store_change change = change_of(USER_A, "completed", 3, 7);
    int64_t seq = -1;

    assert_false(apply(fx, &change));
    assert_int_equal(store_operation_last_seq(&fx->db, &seq), REEL_OK);
    assert_int_equal(seq, 0);
}

static void a_retried_job_takes_its_operation_back(void **state)
{
    struct fixture *fx = *state;
    const char *video_id = add_video(fx, USER_A, "clip");
    const char *id = add_operation(fx, USER_A, video_id, 64);
    struct store_change failed = change_of(id, "failed", 2, 2);
    struct store_change waiting = change_of(id, "pending", 3, 3);
    Video__Operation *operation;

    failed.error = "it broke";
    assert_true(apply(fx, &failed));
    // The same operation asked for anew must not stand in the way of the retried one.
    add_operation(fx, USER_A, video_id, 64);
    assert_true(apply(fx, &waiting));
    assert_int_equal(store_operation_get(&fx->db, USER_A, video_id, id, &operation), REEL_OK);
    assert_string_equal(operation->status, "pending");
    assert_string_equal(operation->error, "");
}

static void progress_moves_in_steps_and_never_back(void **state)
{
    struct fixture *fx = *state;
    const char *video_id = add_video(fx, USER_A, "clip");
    const char *id = add_operation(fx, USER_A, video_id, 64);
    struct store_change started = change_of(id, "processing", 2, 2);
    static const struct {
        int32_t said, kept;
    } steps[] = {{3, 0}, {7, 7}, {9, 7}, {50, 50}, {20, 50}, {100, 100}};
    Video__Operation *operation;

    assert_int_equal(store_operation_progress(&fx->db, id, 0, 50), REEL_OK);
    assert_true(apply(fx, &started));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(steps); i++) {
        assert_int_equal(store_operation_progress(&fx->db, id, started.version, steps[i].said),
                         REEL_OK);
        assert_int_equal(store_operation_get(&fx->db, USER_A, video_id, id, &operation), REEL_OK);
        assert_int_equal(operation->progress, steps[i].kept);
    }
}

static void settling_gives_way_to_an_event_that_came_first(void **state)
{
    struct fixture *fx = *state;
    const char *video_id = add_video(fx, USER_A, "clip");
    const char *id = add_operation(fx, USER_A, video_id, 64);
    struct store_change failed = change_of(id, "failed", 5, 5);
    struct store_change answer = change_of(id, "processing", 0, 0);
    Video__Operation *operation;

    assert_true(apply(fx, &failed));
    assert_int_equal(store_operation_settle(&fx->db, 4, &answer), REEL_OK);
    assert_int_equal(store_operation_get(&fx->db, USER_A, video_id, id, &operation), REEL_OK);
    assert_string_equal(operation->status, "failed");
    assert_int_equal(store_operation_settle(&fx->db, 5, &answer), REEL_OK);
    assert_int_equal(store_operation_get(&fx->db, USER_A, video_id, id, &operation), REEL_OK);
    assert_string_equal(operation->status, "processing");
}

static void unsent_and_stale_operations_are_found(void **state)
{
    struct fixture *fx = *state;
    const char *video_id = add_video(fx, USER_A, "clip");
    const char *id = add_operation(fx, USER_A, video_id, 64);
    struct store_operation *rows;
    size_t n;

    assert_int_equal(store_operation_list_unsent(&fx->db, 60000, &rows, &n), REEL_OK);
    assert_int_equal(n, 0);
    assert_int_equal(store_operation_list_unsent(&fx->db, 0, &rows, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].operation->operation_id, id);
    assert_string_equal(rows[0].user_id, USER_A);
    assert_int_equal(store_operation_list_stale(&fx->db, 0, &rows, &n), REEL_OK);
    assert_int_equal(n, 0);

    assert_int_equal(store_operation_set_enqueued(&fx->db, id, true), REEL_OK);
    assert_int_equal(store_operation_list_unsent(&fx->db, 0, &rows, &n), REEL_OK);
    assert_int_equal(n, 0);
    assert_int_equal(store_operation_list_stale(&fx->db, 0, &rows, &n), REEL_OK);
    assert_int_equal(n, 1);

    assert_int_equal(store_operation_set_enqueued(&fx->db, id, false), REEL_OK);
    assert_int_equal(store_video_bury(&fx->db, USER_A, video_id), REEL_OK);
    assert_int_equal(store_operation_list_unsent(&fx->db, 0, &rows, &n), REEL_OK);
    assert_int_equal(n, 0);
}

static void buried_videos_are_gone_for_users_and_then_purged(void **state)
{
    struct fixture *fx = *state;
    const char *video_id = add_video(fx, USER_A, "clip");
    Video__Operation late = new_operation(fx, video_id, 128);
    Video__Video **videos;
    const char **ids;
    char *count;
    bool is_new;
    size_t n;

    add_operation(fx, USER_A, video_id, 64);
    assert_int_equal(store_video_purge(&fx->db, video_id), REEL_OK);
    assert_int_equal(store_video_bury(&fx->db, USER_A, video_id), REEL_OK);
    assert_int_equal(store_video_bury(&fx->db, USER_A, video_id), REEL_NOT_FOUND);
    assert_int_equal(store_operation_add(&fx->db, USER_A, &late, &is_new), REEL_NOT_FOUND);
    assert_int_equal(store_video_list(&fx->db, USER_A, 0, NULL, 10, &videos, &n), REEL_OK);
    assert_int_equal(n, 0);
    assert_int_equal(store_video_list_buried(&fx->db, 60000, &ids, &n), REEL_OK);
    assert_int_equal(n, 0);
    assert_int_equal(store_video_list_buried(&fx->db, 0, &ids, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_string_equal(ids[0], video_id);
    assert_int_equal(store_video_purge(&fx->db, video_id), REEL_OK);
    count = database_sql(fx->database, "SELECT count(*) FROM video_operations");
    assert_string_equal(count, "0");
    free(count);
}

static void unknown_ids_are_those_without_any_row(void **state)
{
    struct fixture *fx = *state;
    const char *living = add_video(fx, USER_A, "clip");
    const char *buried = add_video(fx, USER_A, "gone");
    const char *asked[] = {living, USER_A, buried};
    const char **ids;
    size_t n;

    assert_int_equal(store_video_bury(&fx->db, USER_A, buried), REEL_OK);
    assert_int_equal(store_video_list_unknown(&fx->db, asked, 3, &ids, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_string_equal(ids[0], USER_A);
}

static void the_role_owns_its_two_tables_and_no_more(void **state)
{
    struct fixture *fx = *state;
    struct reel_pg_rows rows;

    assert_int_equal(reel_pg_query(fx->pg, fx->db.deadline_us, &fx->arena,
                                   "CREATE TABLE more (id integer)", 0, NULL, &rows) != REEL_OK,
                     1);
    assert_int_equal(reel_pg_query(fx->pg, fx->db.deadline_us, &fx->arena,
                                   "TRUNCATE videos CASCADE", 0, NULL, &rows) != REEL_OK,
                     1);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_video_comes_back_as_it_went_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inserting_twice_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_insert_whose_answer_is_lost_can_be_repeated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_operation_whose_answer_is_lost_is_found_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_strangers_video_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_follow_each_other_without_holes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_page_of_many_uses_the_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_operations_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_newer_versions_are_applied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_operation_is_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_retried_job_takes_its_operation_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(progress_moves_in_steps_and_never_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settling_gives_way_to_an_event_that_came_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(unsent_and_stale_operations_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(buried_videos_are_gone_for_users_and_then_purged, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(unknown_ids_are_those_without_any_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_role_owns_its_two_tables_and_no_more, set_up,
                                        tear_down),
    };

    (void)argc;
    database_need(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
