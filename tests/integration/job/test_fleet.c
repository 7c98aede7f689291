// SPDX-License-Identifier: Apache-2.0
#include <hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/core/err.h"
#include "svc-job/view.h"
#include "tests/integration/job/lib/steps.h"
#include "tests/lib/cmocka.h"

static void a_foreign_producers_job_is_adopted(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "short.mp4"), "resize");
    struct queue_entry entry = {
        .id = "17", .name = "resize", .attempts = 2, .data = view_json(&s->arena, &request->base)};

    assert_int_equal(queue_add(s->queue, patience(), &s->arena, &entry), REEL_OK);
    service_await(s, request->operation_id, "completed");
    assert_string_equal(story(s, request->operation_id), "created started completed");
    // the same operation under another number is not run again
    entry.id = "18";
    assert_int_equal(queue_add(s->queue, patience(), &s->arena, &entry), REEL_OK);
    WAIT_FOR(tap_int(&s->tap, "ZSCORE %s 18", tap_key(&s->tap, "failed")) > 0);
    char *reason = tap_text(&s->tap, "HGET %s failedReason", tap_key(&s->tap, "18"));
    assert_non_null(strstr(reason, "has a job already: 17"));
    free(reason);
}

static void a_foreign_job_that_makes_no_sense_fails_with_a_reason(void **state)
{
    struct service *s = *state;
    static const struct {
        const char *id;
        const char *data;
        const char *reason;
    } cases[] = {
        {"m1", "{\"hello\":1}", "hello"},
        {"m2", "not json", "not a job of this service"},
        {"m3", "{}", "operationId"},
        {"m4", "[]", "not a job of this service"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        const struct queue_entry entry = {
            .id = cases[i].id, .name = "x", .data = cases[i].data, .attempts = 3};
        assert_int_equal(queue_add(s->queue, patience(), &s->arena, &entry), REEL_OK);
        WAIT_FOR(tap_int(&s->tap, "ZSCORE %s %s", tap_key(&s->tap, "failed"), cases[i].id) > 0);
        char *reason = tap_text(&s->tap, "HGET %s failedReason", tap_key(&s->tap, cases[i].id));
        assert_non_null(strstr(reason, cases[i].reason));
        free(reason);
    }
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_history"), 0);
}

// More than a claimer has room for: it could never be answered, and would come back for ever.
static void a_foreign_job_that_is_too_large_fails(void **state)
{
    struct service *s = *state;
    size_t len = 20 << 20;
    char *data = malloc(len + 1);

    memset(data, 'x', len);
    data[len] = '\0';
    const struct queue_entry entry = {.id = "big", .name = "x", .data = data, .attempts = 3};
    assert_int_equal(queue_add(s->queue, patience(), &s->arena, &entry), REEL_OK);
    free(data);
    WAIT_FOR(tap_int(&s->tap, "ZSCORE %s big", tap_key(&s->tap, "failed")) > 0);
    char *reason = tap_text(&s->tap, "HGET %s failedReason", tap_key(&s->tap, "big"));
    assert_non_null(strstr(reason, "not a job of this service"));
    free(reason);
}

static void what_another_fleet_ended_is_taken_over(void **state)
{
    struct service *s = *state;
    struct queue_claim claim;
    struct queue_claim next;

    hold_queue(s, true);
    const char *a = enqueue(s, "short.mp4", "resize");
    const char *b = enqueue(s, "short.mp4", "resize");
    service_end(s, SIGTERM);
    hold_queue(s, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(queue_claim_next(s->queue, patience(), &s->arena, "t", &claim), REEL_OK);
        assert_true(claim.found);
        const struct queue_end end = {.id = claim.job.id,
                                      .token = "t",
                                      .completed = i == 0,
                                      .value = i == 0 ? "{\"sizeBytes\":\"5\"}" : "their reason"};
        assert_int_equal(queue_settle(s->queue, patience(), &s->arena, &end, &next), REEL_OK);
    }
    service_start(s);
    assert_int_equal(service_await(s, a, "completed")->result->size_bytes, 5);
    assert_string_equal(service_await(s, b, "failed")->failed_reason, "their reason");
}

static void a_failed_job_sent_back_at_a_dashboard_runs_again(void **state)
{
    struct service *s = *state;
    const char *video = service_add_video(s, "text.mp4");
    const char *id = service_enqueue(s, service_request(s, video, "resize"));

    service_await(s, id, "failed");
    WAIT_FOR(database_number(s->database, "SELECT count(*) FROM job_history WHERE is_settled") ==
             1);
    tap_do(&s->tap, "ZREM %s %s", tap_key(&s->tap, "failed"), id);
    tap_do(&s->tap, "LPUSH %s %s", tap_key(&s->tap, "wait"), id);
    tap_do(&s->tap, "ZADD %s 0 0", tap_key(&s->tap, "marker"));
    WAIT_FOR(database_number(s->database, "SELECT generation FROM job_history") == 2);
    service_await(s, id, "failed");
    assert_string_equal(story(s, id), "created started failed requeued started failed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, steps_set_up, steps_tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_foreign_producers_job_is_adopted),
        CASE(a_foreign_job_that_makes_no_sense_fails_with_a_reason),
        CASE(a_foreign_job_that_is_too_large_fails),
        CASE(what_another_fleet_ended_is_taken_over),
        CASE(a_failed_job_sent_back_at_a_dashboard_runs_again),
    };

    servers_need(argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
