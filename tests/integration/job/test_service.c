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

static void a_job_is_done_and_told(void **state)
{
    struct service *s = *state;
    const char *video = service_add_video(s, "short.mp4");
    const char *id = service_enqueue(s, service_request(s, video, "resize"));
    Job__Job *job = service_await(s, id, "completed");

    assert_true(job->progress == 100);
    assert_int_equal(job->attempts_made, 1);
    assert_int_equal(job->max_attempts, 3);
    assert_int_equal(job->result->width, 64);
    assert_int_equal(job->result->height, 48);
    assert_in_range(job->result->duration_ms, 900, 1200);
    assert_true(job->result->size_bytes > 0);
    assert_string_equal(job->result->video_codec, "h264");
    assert_non_null(job->started_at);
    assert_non_null(job->finished_at);
    assert_true(has_output(s, video, id));
    assert_string_equal(story(s, id), "created started completed");
    WAIT_FOR(heard(s, "job.created", id) == 1);
    WAIT_FOR(heard(s, "job.started", id) == 1);
    WAIT_FOR(heard(s, "job.completed", id) == 1);
    WAIT_FOR(tap_int(&s->tap, "ZSCORE %s %s", tap_key(&s->tap, "completed"), id) > 0);
    tap_check(&s->tap);
}

static void every_type_of_operation_works(void **state)
{
    struct service *s = *state;
    const char *convert = enqueue(s, "short.mp4", "convert");
    const char *audio = enqueue(s, "short.mp4", "extract_audio");

    assert_string_equal(service_await(s, convert, "completed")->result->format, "mkv");
    Job__Job *job = service_await(s, audio, "completed");
    assert_string_equal(job->result->audio_codec, "aac");
    assert_string_equal(job->result->video_codec, "");
}

static void enqueueing_twice_is_one_job(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "short.mp4"), "resize");
    struct reel_call_options options = service_options(NULL);
    Job__EnqueueResponse *response;

    service_enqueue(s, request);
    service_enqueue(s, request);
    service_await(s, request->operation_id, "completed");
    service_enqueue(s, request);
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_history"), 1);
    assert_string_equal(story(s, request->operation_id), "created started completed");
    request->user_id = (char *)USER_B;
    assert_int_equal(job_service_enqueue(s->channel, &options, request, &s->arena, &response, NULL),
                     REEL_ALREADY_EXISTS);
}

static void bad_requests_are_refused(void **state)
{
    struct service *s = *state;
    struct reel_call_options options = service_options(NULL);
    Job__EnqueueResponse *response;
    struct reel_status status;
    const char *video = service_add_video(s, "short.mp4");
    Job__EnqueueRequest *bad[6];

    for (int i = 0; i < 6; i++)
        bad[i] = service_request(s, video, i == 3 ? "convert" : "resize");
    bad[0]->input_key = (char *)"../../etc/passwd";
    bad[1]->output_key = (char *)"0190a000-0000-7000-8000-00000000dead/original";
    bad[2]->params = NULL;
    bad[3]->params->target_format = (char *)"";
    bad[4]->output_key = bad[4]->input_key;
    bad[5]->output_key = reel_arena_printf(&s->arena, "%s/%s.mp4", video, bad[4]->operation_id);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(
            job_service_enqueue(s->channel, &options, bad[i], &s->arena, &response, &status),
            REEL_INVALID_ARGUMENT);
        assert_int_equal(status.n_violations, 1);
    }
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_history"), 0);
}

static void what_cannot_succeed_fails_at_once(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *gone = service_request(s, service_add_video(s, "short.mp4"), "resize");
    const char *text = enqueue(s, "text.mp4", "resize");
    const char *mute = enqueue(s, "mute.mp4", "extract_audio");

    gone->input_key = reel_arena_printf(&s->arena, "%s/nothing", gone->video_id);
    service_enqueue(s, gone);
    Job__Job *job = service_await(s, text, "failed");
    assert_string_equal(job->failed_code, "INVALID_INPUT");
    assert_int_equal(job->attempts_made, 1);
    assert_true(job->failed_reason[0] != '\0');
    assert_string_equal(service_await(s, mute, "failed")->failed_code, "NO_AUDIO");
    assert_string_equal(service_await(s, gone->operation_id, "failed")->failed_code,
                        "INVALID_INPUT");
    assert_string_equal(story(s, text), "created started failed");
    WAIT_FOR(tap_int(&s->tap, "ZCARD %s", tap_key(&s->tap, "failed")) == 3);
    WAIT_FOR(database_number(s->database, "SELECT count(*) FROM job_history WHERE is_settled") ==
             3);
}

static void a_queued_job_is_cancelled(void **state)
{
    struct service *s = *state;
    Job__Job *job;

    hold_queue(s, true);
    const char *id = enqueue(s, "short.mp4", "resize");
    assert_int_equal(cancel(s, id, USER_A, &job), REEL_OK);
    assert_string_equal(job->state, "cancelled");
    assert_int_equal(cancel(s, id, USER_A, &job), REEL_OK);
    assert_int_equal(tap_int(&s->tap, "EXISTS %s", tap_key(&s->tap, id)), 0);
    hold_queue(s, false);
    assert_string_equal(story(s, id), "created cancelled");
    assert_int_equal(retry(s, id, USER_A, &job), REEL_OK);
    service_await(s, id, "completed");
    assert_int_equal(cancel(s, id, USER_A, &job), REEL_FAILED_PRECONDITION);
    assert_int_equal(retry(s, id, USER_A, &job), REEL_FAILED_PRECONDITION);
}

static void a_running_job_is_cancelled_within_a_second(void **state)
{
    struct service *s = *state;
    const char *video = service_add_video(s, "long.mp4");
    Job__EnqueueRequest *request = service_request(s, video, "convert");
    Job__Job *job;

    request->params->target_format = (char *)"webm";
    const char *id = service_enqueue(s, request);
    WAIT_FOR(heard(s, "job.progress", id) > 0);
    assert_int_equal(count_workers(s), 1);
    int64_t begun_us = reel_clock_mono_us();
    assert_int_equal(cancel(s, id, USER_A, &job), REEL_OK);
    assert_string_equal(job->state, "cancelled");
    WAIT_FOR(count_workers(s) == 0);
    print_message("gone after %ld ms\n", (long)(reel_clock_mono_us() - begun_us) / 1000);
    WAIT_FOR(tap_int(&s->tap, "ZSCORE %s %s", tap_key(&s->tap, "failed"), id) > 0);
    assert_false(has_output(s, video, id));
    assert_string_equal(story(s, id), "created started cancelled");
    WAIT_FOR(database_number(s->database, "SELECT count(*) FROM job_history WHERE is_settled") ==
             1);
    tap_check(&s->tap);
}

static void a_videos_jobs_are_cancelled_together(void **state)
{
    struct service *s = *state;
    struct reel_call_options options = service_options(NULL);
    Job__CancelForVideoRequest request = JOB__CANCEL_FOR_VIDEO_REQUEST__INIT;
    Job__CancelForVideoResponse *response;

    hold_queue(s, true);
    request.video_id = service_add_video(s, "short.mp4");
    const char *a = service_enqueue(s, service_request(s, request.video_id, "resize"));
    const char *b = service_enqueue(s, service_request(s, request.video_id, "extract_audio"));
    const char *other = enqueue(s, "short.mp4", "resize");
    assert_int_equal(
        job_service_cancel_for_video(s->channel, &options, &request, &s->arena, &response, NULL),
        REEL_OK);
    assert_int_equal(response->cancelled, 2);
    hold_queue(s, false);
    service_await(s, other, "completed");
    service_await(s, a, "cancelled");
    service_await(s, b, "cancelled");
}

static void a_stranger_sees_and_moves_nothing(void **state)
{
    struct service *s = *state;
    struct reel_call_options options = service_options(USER_B);
    Job__ListHistoryRequest request = JOB__LIST_HISTORY_REQUEST__INIT;
    Job__ListHistoryResponse *history;
    Job__Job *job;
    int rc;

    hold_queue(s, true);
    const char *id = enqueue(s, "short.mp4", "resize");
    service_status(s, id, USER_B, &rc);
    assert_int_equal(rc, REEL_NOT_FOUND);
    service_status(s, id, NULL, &rc);
    assert_int_equal(rc, REEL_UNAUTHENTICATED);
    assert_int_equal(cancel(s, id, USER_B, &job), REEL_NOT_FOUND);
    assert_int_equal(retry(s, id, USER_B, &job), REEL_NOT_FOUND);
    assert_int_equal(
        job_service_list_history(s->channel, &options, &request, &s->arena, &history, NULL),
        REEL_OK);
    assert_int_equal(history->n_jobs, 0);
}

static void the_history_and_the_counts_are_right(void **state)
{
    struct service *s = *state;
    struct reel_call_options options = service_options(USER_A);
    Job__ListHistoryRequest request = JOB__LIST_HISTORY_REQUEST__INIT;
    Job__ListHistoryResponse *history;
    Job__GetQueueStatsRequest ask = JOB__GET_QUEUE_STATS_REQUEST__INIT;
    Job__GetQueueStatsResponse *stats;

    const char *done = enqueue(s, "short.mp4", "resize");
    service_await(s, done, "completed");
    WAIT_FOR(tap_int(&s->tap, "ZCARD %s", tap_key(&s->tap, "completed")) == 1);
    hold_queue(s, true);
    enqueue(s, "short.mp4", "resize");
    enqueue(s, "short.mp4", "resize");
    request.limit = 2;
    assert_int_equal(
        job_service_list_history(s->channel, &options, &request, &s->arena, &history, NULL),
        REEL_OK);
    assert_int_equal(history->n_jobs, 2);
    request.cursor = history->next_cursor;
    assert_int_equal(
        job_service_list_history(s->channel, &options, &request, &s->arena, &history, NULL),
        REEL_OK);
    assert_int_equal(history->n_jobs, 1);
    assert_string_equal(history->jobs[0]->job_id, done);
    assert_string_equal(history->next_cursor, "");
    request.state = (char *)"nonsense";
    assert_int_equal(
        job_service_list_history(s->channel, &options, &request, &s->arena, &history, NULL),
        REEL_INVALID_ARGUMENT);
    assert_int_equal(
        job_service_get_queue_stats(s->channel, &options, &ask, &s->arena, &stats, NULL), REEL_OK);
    assert_int_equal(stats->stats->waiting, 2);
    assert_int_equal(stats->stats->completed, 1);
    assert_int_equal(stats->stats->total, 3);
    assert_int_equal(stats->concurrency, 5);
    assert_string_equal(stats->queue, s->tap.name);
}

static void a_file_is_inspected_past_the_queue(void **state)
{
    struct service *s = *state;
    struct reel_call_options options = service_options(NULL);
    Job__InspectRequest request = JOB__INSPECT_REQUEST__INIT;
    Job__InspectResponse *facts;
    struct reel_status status;
    const char *video = service_add_video(s, "short.mp4");

    hold_queue(s, true);
    request.input_key = reel_arena_printf(&s->arena, "%s/original", video);
    request.thumbnail_key = reel_arena_printf(&s->arena, "%s/thumbnail.jpg", video);
    assert_int_equal(job_service_inspect(s->channel, &options, &request, &s->arena, &facts, NULL),
                     REEL_OK);
    assert_string_equal(facts->format, "mp4");
    assert_int_equal(facts->width, 160);
    assert_int_equal(facts->height, 120);
    assert_string_equal(facts->audio_codec, "aac");
    assert_true(facts->thumbnail_made);
    assert_int_equal(
        access(reel_arena_printf(&s->arena, "%s/storage/%s/thumbnail.jpg", s->dir, video), F_OK),
        0);
    request.input_key =
        reel_arena_printf(&s->arena, "%s/original", service_add_video(s, "text.mp4"));
    assert_int_equal(
        job_service_inspect(s->channel, &options, &request, &s->arena, &facts, &status),
        REEL_INVALID_ARGUMENT);
    assert_int_equal(status.n_violations, 1);
    assert_string_equal(status.violations[0].description, "INVALID_INPUT");
    request.input_key = reel_arena_printf(&s->arena, "%s/nothing", video);
    assert_int_equal(
        job_service_inspect(s->channel, &options, &request, &s->arena, &facts, &status),
        REEL_NOT_FOUND);
}

static void events_can_be_read_back_by_number(void **state)
{
    struct service *s = *state;
    const char *id = enqueue(s, "short.mp4", "resize");

    service_await(s, id, "completed");
    Job__ListEventsResponse *list = list_events(s, 1);
    assert_int_equal(list->n_events, 2);
    assert_int_equal(list->events[0]->seq, 2);
    assert_int_equal(list->last_seq, 3);
    assert_int_equal(list->oldest_seq, 1);
    assert_string_equal(list->events[1]->user_id, USER_A);
    assert_string_equal(list->events[1]->job->state, "completed");
    assert_int_equal(list->events[1]->job->result->width, 64);
    assert_int_equal(list_events(s, 3)->n_events, 0);
}

static void progress_is_monotone_and_steady(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "long.mp4"), "resize");
    double last = 0;
    size_t n = 0;

    request->params->width = 320;
    request->params->height = 180;
    const char *id = service_enqueue(s, request);
    service_await(s, id, "completed");
    WAIT_FOR(heard(s, "job.completed", id) == 1);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_seen; i++) {
        double percent;
        if (sscanf(s->seen[i], "job.progress %*s %*s %lf", &percent) != 1)
            continue;
        assert_true(percent >= last && percent <= 100);
        last = percent;
        n++;
    }
    pthread_mutex_unlock(&s->lock);
    print_message("%zu announcements\n", n);
    assert_true(n > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, steps_set_up, steps_tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_job_is_done_and_told),
        CASE(every_type_of_operation_works),
        CASE(enqueueing_twice_is_one_job),
        CASE(bad_requests_are_refused),
        CASE(what_cannot_succeed_fails_at_once),
        CASE(a_queued_job_is_cancelled),
        CASE(a_running_job_is_cancelled_within_a_second),
        CASE(a_videos_jobs_are_cancelled_together),
        CASE(a_stranger_sees_and_moves_nothing),
        CASE(the_history_and_the_counts_are_right),
        CASE(a_file_is_inspected_past_the_queue),
        CASE(events_can_be_read_back_by_number),
        CASE(progress_is_monotone_and_steady),
    };

    servers_need(argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
