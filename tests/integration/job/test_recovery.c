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

static void a_lost_redis_loses_no_job(void **state)
{
    struct service *s = *state;
    const char *ids[6];

    hold_queue(s, true);
    for (int i = 0; i < 6; i++)
        ids[i] = enqueue(s, "short.mp4", "resize");
    redisReply *keys = tap_run(&s->tap, "KEYS %s*", s->tap.prefix);
    for (size_t i = 0; i < keys->elements; i++)
        tap_do(&s->tap, "DEL %s", keys->element[i]->str);
    freeReplyObject(keys);
    for (int i = 0; i < 6; i++)
        service_await(s, ids[i], "completed");
    assert_int_equal(tap_int(&s->tap, "HGET %s concurrency", tap_key(&s->tap, "meta")), 5);
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_events "
                                                  "WHERE type = 'job.completed'"),
                     6);
}

static void a_redis_that_forgets_running_jobs_has_them_run_once_for_the_record(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "long.mp4"), "resize");
    const char *id = service_enqueue(s, request);

    WAIT_FOR(heard(s, "job.progress", id) > 0);
    redisReply *keys = tap_run(&s->tap, "KEYS %s*", s->tap.prefix);
    for (size_t i = 0; i < keys->elements; i++)
        tap_do(&s->tap, "DEL %s", keys->element[i]->str);
    freeReplyObject(keys);
    service_await(s, id, "completed");
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_events "
                                                  "WHERE type = 'job.completed'"),
                     1);
}

static void enqueueing_works_while_redis_is_away(void **state)
{
    struct service *s = *state;

    service_end(s, SIGTERM);
    service_cut_redis(s, true);
    service_start(s);
    const char *id = enqueue(s, "short.mp4", "resize");
    int rc;
    assert_string_equal(service_status(s, id, USER_A, &rc)->state, "waiting");
    service_cut_redis(s, false);
    service_await(s, id, "completed");
}

static void a_killed_service_loses_nothing(void **state)
{
    struct service *s = *state;
    const char *ids[8];
    unsigned seed = (unsigned)reel_clock_wall_us();

    print_message("seed %u\n", seed);
    for (int i = 0; i < 8; i++)
        ids[i] = enqueue(s, i % 2 == 0 ? "long.mp4" : "short.mp4", "resize");
    for (int kills = 0; kills < 4; kills++) {
        const struct timespec ts = {.tv_nsec = rand_r(&seed) % 900 * 1000000L};
        nanosleep(&ts, NULL);
        assert_int_equal(service_end(s, SIGKILL), -1);
        service_start(s);
    }
    for (int i = 0; i < 8; i++)
        service_await(s, ids[i], "completed");
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_events "
                                                  "WHERE type = 'job.completed'"),
                     8);
    WAIT_FOR(tap_int(&s->tap, "ZCARD %s", tap_key(&s->tap, "completed")) == 8);
    WAIT_FOR(tap_int(&s->tap, "LLEN %s", tap_key(&s->tap, "active")) == 0);
    tap_check(&s->tap);
}

static void a_killed_services_jobs_run_again_long_before_their_locks_expire(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "long.mp4"), "convert");
    Job__Job *job;

    service_end(s, SIGTERM);
    s->lock_ms = 600 * 1000;
    service_start(s);
    request->params->target_format = (char *)"webm";
    const char *id = service_enqueue(s, request);
    WAIT_FOR(recorded(s, "job.started", id) == 1);
    int64_t begun_us = reel_clock_mono_us();
    assert_int_equal(service_end(s, SIGKILL), -1);
    service_start(s);
    WAIT_FOR(recorded(s, "job.started", id) == 2);
    print_message("started again after %ld ms\n", (long)(reel_clock_mono_us() - begun_us) / 1000);
    char *stalled = tap_text(&s->tap, "HGET %s stc", tap_key(&s->tap, id));
    assert_string_equal(stalled, "1");
    free(stalled);
    tap_check(&s->tap);
    assert_int_equal(cancel(s, id, USER_A, &job), REEL_OK);
}

static void a_job_that_ended_before_redis_knew_is_settled_unrun(void **state)
{
    struct service *s = *state;
    const char *video = service_add_video(s, "short.mp4");

    hold_queue(s, true);
    const char *id = service_enqueue(s, service_request(s, video, "resize"));
    free(database_sql(s->database,
                      "UPDATE job_history SET state = 'completed', finished_at = now(), "
                      "result = '{\"storageKey\":\"k\",\"sizeBytes\":\"9\"}', version = 9"));
    hold_queue(s, false);
    WAIT_FOR(tap_int(&s->tap, "ZSCORE %s %s", tap_key(&s->tap, "completed"), id) > 0);
    char *value = tap_text(&s->tap, "HGET %s returnvalue", tap_key(&s->tap, id));
    assert_non_null(strstr(value, "\"sizeBytes\":\"9\""));
    free(value);
    assert_false(has_output(s, video, id));
    assert_int_equal(database_number(s->database, "SELECT version FROM job_history"), 9);
}

// As an enqueue or the reconciler does that has read the row just before the job was cancelled.
static void a_cancelled_job_that_is_added_again_stays_cancelled(void **state)
{
    struct service *s = *state;
    const char *video = service_add_video(s, "short.mp4");
    Job__EnqueueRequest *request = service_request(s, video, "resize");
    struct reel_storage_file *left;
    Job__Job *job;

    hold_queue(s, true);
    const char *id = service_enqueue(s, request);
    assert_int_equal(cancel(s, id, USER_A, &job), REEL_OK);
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_history "
                                                  "WHERE is_settled"),
                     1);
    // and what an attempt had published before a crash goes with it
    assert_int_equal(reel_storage_create(s->storage, request->output_key, &left), REEL_OK);
    assert_int_equal(reel_storage_publish(left), REEL_OK);
    const struct queue_entry entry = {.id = id,
                                      .name = "resize",
                                      .attempts = 3,
                                      .generation = 1,
                                      .data = view_json(&s->arena, &request->base)};
    assert_int_equal(queue_add(s->queue, patience(), &s->arena, &entry), REEL_OK);
    hold_queue(s, false);
    WAIT_FOR(tap_int(&s->tap, "ZSCORE %s %s", tap_key(&s->tap, "failed"), id) > 0);
    assert_string_equal(story(s, id), "created cancelled");
    assert_false(has_output(s, video, id));
    assert_int_equal(retry(s, id, USER_A, &job), REEL_OK);
    service_await(s, id, "completed");
    tap_check(&s->tap);
}

static void a_retried_job_of_another_producer_survives_a_crash_before_redis_knew(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "short.mp4"), "resize");
    const char *input = reel_arena_printf(&s->arena, "%s/storage/%s", s->dir, request->input_key);
    const char *away = reel_arena_printf(&s->arena, "%s.away", input);
    struct queue_entry entry = {
        .id = "17", .name = "resize", .attempts = 1, .data = view_json(&s->arena, &request->base)};

    assert_int_equal(rename(input, away), 0);
    assert_int_equal(queue_add(s->queue, patience(), &s->arena, &entry), REEL_OK);
    tap_do(&s->tap, "HDEL %s rgen", tap_key(&s->tap, "17"));
    service_await(s, request->operation_id, "failed");
    WAIT_FOR(database_number(s->database, "SELECT count(*) FROM job_history WHERE is_settled") ==
             1);
    service_end(s, SIGTERM);
    assert_int_equal(rename(away, input), 0);
    free(database_sql(s->database, "UPDATE job_history SET state = 'waiting', generation = 2, "
                                   "version = version + 1, is_settled = false"));
    service_start(s);
    service_await(s, request->operation_id, "completed");
}

static void a_stopping_service_hands_its_jobs_back(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "long.mp4"), "convert");

    s->grace_ms = 0;
    service_end(s, SIGTERM);
    service_start(s);
    request->params->target_format = (char *)"webm";
    const char *id = service_enqueue(s, request);
    WAIT_FOR(heard(s, "job.progress", id) > 0);
    assert_int_equal(service_end(s, SIGTERM), 0);
    assert_int_equal(tap_int(&s->tap, "LLEN %s", tap_key(&s->tap, "wait")), 1);
    assert_int_equal(tap_int(&s->tap, "LLEN %s", tap_key(&s->tap, "active")), 0);
    assert_int_equal(database_number(s->database,
                                     "SELECT attempts_made FROM job_history WHERE state = "
                                     "'waiting'"),
                     0);
    tap_check(&s->tap);
    service_start(s);
    WAIT_FOR(recorded(s, "job.started", id) >= 2);
    Job__Job *job;
    assert_int_equal(cancel(s, id, USER_A, &job), REEL_OK);
}

static void a_stopping_service_lets_jobs_finish(void **state)
{
    struct service *s = *state;
    const char *id = enqueue(s, "short.mp4", "resize");

    WAIT_FOR(heard(s, "job.started", id) == 1);
    assert_int_equal(service_end(s, SIGTERM), 0);
    assert_int_equal(
        database_number(s->database, "SELECT count(*) FROM job_history WHERE state = 'completed'"),
        1);
}

static void a_dead_worker_costs_an_attempt_and_the_second_the_job(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "long.mp4"), "convert");
    char command[160];

    request->params->target_format = (char *)"webm";
    const char *id = service_enqueue(s, request);
    for (size_t i = 1; i <= 2; i++) {
        WAIT_FOR(recorded(s, "job.started", id) == (long)i);
        WAIT_FOR(count_workers(s) == 1);
        snprintf(command, sizeof(command), "kill -SEGV $(pgrep -P $(pgrep -P %d | head -1))",
                 (int)s->pid);
        assert_int_equal(system(command), 0);
    }
    Job__Job *job = service_await(s, id, "failed");
    assert_string_equal(job->failed_code, "CRASHED");
    assert_int_equal(job->attempts_made, 2);
    assert_string_equal(story(s, id), "created started requeued started failed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, steps_set_up, steps_tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_lost_redis_loses_no_job),
        CASE(a_redis_that_forgets_running_jobs_has_them_run_once_for_the_record),
        CASE(enqueueing_works_while_redis_is_away),
        CASE(a_killed_service_loses_nothing),
        CASE(a_killed_services_jobs_run_again_long_before_their_locks_expire),
        CASE(a_job_that_ended_before_redis_knew_is_settled_unrun),
        CASE(a_cancelled_job_that_is_added_again_stays_cancelled),
        CASE(a_retried_job_of_another_producer_survives_a_crash_before_redis_knew),
        CASE(a_stopping_service_hands_its_jobs_back),
        CASE(a_stopping_service_lets_jobs_finish),
        CASE(a_dead_worker_costs_an_attempt_and_the_second_the_job),
    };

    servers_need(argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
