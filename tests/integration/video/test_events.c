// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/integration/video/lib/service.h"
#include "tests/lib/cmocka.h"

static const char *operation(struct service *service, int width)
{
    const char *video_id = service_video(service, SERVICE_USER_A);
    Video__OperationResponse *response;
    char text[16];

    snprintf(text, sizeof(text), "%d", width);
    assert_int_equal(service_call(service, VIDEO_SERVICE_RESIZE, SERVICE_USER_A, &response, NULL,
                                  "videoId", video_id, "width", text, "height", "180", NULL),
                     REEL_OK);
    return response->operation_id;
}

static void await_status(struct service *service, const char *id, const char *status)
{
    service_await(service, status, "SELECT status FROM video_operations WHERE id = '%s'", id);
}

// Progress is not recorded: what is told before the subscription stands is lost, so it is told
// until it has been heard. Before it comes what a former run says, if there is one.
static void tell_progress(struct service *service, const char *id, int former, int version,
                          double percent, const char *kept)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    int64_t until_us = reel_deadline_in_us(10 * 1000 * 1000);

    for (bool is_kept = false; !is_kept; nanosleep(&pause, NULL)) {
        assert_false(reel_deadline_passed(until_us));
        if (former > 0)
            fake_jobs_progress(service->jobs, id, former, 80);
        fake_jobs_progress(service->jobs, id, version, percent);
        char *text = database_sql(service->database, "SELECT progress FROM video_operations");
        is_kept = strcmp(text, kept) == 0;
        free(text);
    }
}

static void events_move_the_operation(void **state)
{
    struct service *service = *state;
    const char *id = operation(service, 320);

    fake_jobs_event(service->jobs, id, "waiting", 1, false);
    fake_jobs_event(service->jobs, id, "active", 2, false);
    await_status(service, id, "processing");
    tell_progress(service, id, 0, 2, 42.4, "42");
    fake_jobs_event(service->jobs, id, "completed", 3, false);
    await_status(service, id, "completed");
    service_await(service, "5000000000", "SELECT result->>'sizeBytes' FROM video_operations");
    service_await(service, "3", "SELECT job_version FROM video_operations");
}

static void progress_of_a_former_run_is_passed_over(void **state)
{
    struct service *service = *state;
    const char *id = operation(service, 320);

    fake_jobs_event(service->jobs, id, "active", 2, false);
    fake_jobs_event(service->jobs, id, "waiting", 3, false);
    fake_jobs_event(service->jobs, id, "active", 4, false);
    service_await(service, "4", "SELECT job_version FROM video_operations");
    tell_progress(service, id, 2, 4, 10, "10");
}

static void replays_change_nothing(void **state)
{
    struct service *service = *state;
    const char *id = operation(service, 320);
    const char *marker = operation(service, 640);
    char *before, *after;

    fake_jobs_event(service->jobs, id, "active", 2, false);
    fake_jobs_event(service->jobs, id, "failed", 3, false);
    await_status(service, id, "failed");
    before =
        database_sql(service->database,
                     "SELECT video_operations::text FROM video_operations WHERE id = '%s'", id);
    for (int i = 0; i < 3; i++) {
        fake_jobs_replay(service->jobs, 1);
        fake_jobs_replay(service->jobs, 2);
    }
    // The last message on the same socket has passed, so all before it have.
    fake_jobs_event(service->jobs, marker, "active", 2, false);
    await_status(service, marker, "processing");
    after = database_sql(service->database,
                         "SELECT video_operations::text FROM video_operations WHERE id = '%s'", id);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void a_gap_is_read_back(void **state)
{
    struct service *service = *state;
    const char *ids[30];

    for (int i = 0; i < 30; i++)
        ids[i] = operation(service, 64 + 2 * i);
    fake_jobs_event(service->jobs, ids[0], "active", 2, false);
    await_status(service, ids[0], "processing");
    for (int i = 1; i < 29; i++)
        fake_jobs_event(service->jobs, ids[i], "completed", 3, true);
    fake_jobs_event(service->jobs, ids[29], "completed", 3, false);
    service_await(service, "29",
                  "SELECT count(*) FROM video_operations WHERE status = 'completed'");
}

static void events_out_of_order_end_the_same(void **state)
{
    struct service *service = *state;
    const char *id = operation(service, 320);

    fake_jobs_event(service->jobs, id, "waiting", 1, true);
    fake_jobs_event(service->jobs, id, "active", 2, true);
    fake_jobs_event(service->jobs, id, "completed", 3, true);
    fake_jobs_replay(service->jobs, 3);
    fake_jobs_replay(service->jobs, 1);
    fake_jobs_replay(service->jobs, 2);
    await_status(service, id, "completed");
    service_await(service, "3", "SELECT job_version FROM video_operations");
}

static void what_happened_during_a_restart_is_read_back(void **state)
{
    struct service *service = *state;
    const char *first = operation(service, 320);
    const char *second = operation(service, 640);

    fake_jobs_event(service->jobs, first, "active", 2, false);
    await_status(service, first, "processing");
    service_stop_video(service);
    fake_jobs_event(service->jobs, first, "completed", 3, false);
    fake_jobs_event(service->jobs, second, "failed", 3, false);
    service_start_video(service);
    await_status(service, first, "completed");
    await_status(service, second, "failed");
    service_await(service, "told to fail", "SELECT error FROM video_operations WHERE id = '%s'",
                  second);
}

static void an_event_that_reached_nobody_is_found_without_another(void **state)
{
    struct service *service = *state;
    const char *id = operation(service, 320);

    fake_jobs_event(service->jobs, id, "completed", 3, true);
    await_status(service, id, "completed");
}

static void whoever_knows_of_the_end_finds_it(void **state)
{
    struct service *service = *state;
    Video__GetVideoResponse *got;
    char *video_id;

    service_stop_video(service);
    service->config.reconcile_ms = 3600000;
    service_start_video(service);
    const char *id = operation(service, 320);
    // No event comes, but the record has the job's end, and the client has heard of it.
    fake_jobs_event(service->jobs, id, "completed", 3, true);
    video_id = database_sql(service->database, "SELECT video_id FROM video_operations");
    assert_int_equal(service_call(service, VIDEO_SERVICE_GET_VIDEO, SERVICE_USER_A, &got, NULL,
                                  "videoId", video_id, NULL),
                     REEL_OK);
    assert_string_equal(got->operations[0]->status, "completed");
    free(video_id);
}

static const char *again(struct service *service, const char *video_id, const char **ret_status)
{
    Video__OperationResponse *response;

    assert_int_equal(service_call(service, VIDEO_SERVICE_RESIZE, SERVICE_USER_A, &response, NULL,
                                  "videoId", video_id, "width", "320", "height", "180", NULL),
                     REEL_OK);
    *ret_status = response->status;
    return response->operation_id;
}

static void whoever_asks_again_is_told_of_the_end(void **state)
{
    struct service *service = *state;
    const char *status;

    service_stop_video(service);
    service->config.reconcile_ms = 3600000;
    service_start_video(service);
    const char *video_id = service_video(service, SERVICE_USER_A);
    const char *first = again(service, video_id, &status);

    fake_jobs_event(service->jobs, first, "failed", 3, true);
    const char *second = again(service, video_id, &status);
    assert_string_not_equal(second, first);
    assert_string_equal(status, "pending");
    assert_int_equal(fake_jobs_enqueued(service->jobs, second), 1);

    fake_jobs_event(service->jobs, second, "completed", 3, true);
    assert_string_equal(again(service, video_id, &status), second);
    assert_string_equal(status, "completed");
}

static void a_job_that_is_not_known_is_enqueued_again(void **state)
{
    struct service *service = *state;
    const char *id = operation(service, 320);

    assert_int_equal(fake_jobs_enqueued(service->jobs, id), 1);
    fake_jobs_set_state(service->jobs, NULL);
    free(database_sql(service->database,
                      "UPDATE video_operations SET updated_at = now() - interval '1 hour'"));
    service_await(service, "t",
                  "SELECT enqueued_at > created_at + interval '50 ms'"
                  " FROM video_operations");
    assert_true(fake_jobs_enqueued(service->jobs, id) >= 2);
}

static void a_job_that_ended_unheard_is_asked_about(void **state)
{
    struct service *service = *state;
    const char *id = operation(service, 320);

    fake_jobs_set_state(service->jobs, "cancelled");
    free(database_sql(service->database,
                      "UPDATE video_operations SET updated_at = now() - interval '1 hour'"));
    await_status(service, id, "cancelled");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_move_the_operation, service_start, service_stop),
        cmocka_unit_test_setup_teardown(progress_of_a_former_run_is_passed_over, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(replays_change_nothing, service_start, service_stop),
        cmocka_unit_test_setup_teardown(a_gap_is_read_back, service_start, service_stop),
        cmocka_unit_test_setup_teardown(events_out_of_order_end_the_same, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(what_happened_during_a_restart_is_read_back, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(an_event_that_reached_nobody_is_found_without_another,
                                        service_start, service_stop),
        cmocka_unit_test_setup_teardown(whoever_knows_of_the_end_finds_it, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(whoever_asks_again_is_told_of_the_end, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(a_job_that_is_not_known_is_enqueued_again, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(a_job_that_ended_unheard_is_asked_about, service_start,
                                        service_stop),
    };

    (void)argc;
    database_need(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
