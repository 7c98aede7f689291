// SPDX-License-Identifier: Apache-2.0
#include <hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "svc-job/view.h"
#include "tests/integration/job/lib/service.h"
#include "tests/lib/cmocka.h"

enum { WAIT_US = 30 * 1000 * 1000 };

static int set_up(void **state)
{
    *state = service_new();
    return 0;
}

static int tear_down(void **state)
{
    service_free(*state);
    return 0;
}

static void nap(void)
{
    const struct timespec ts = {.tv_nsec = 20 * 1000 * 1000};

    nanosleep(&ts, NULL);
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        int64_t until_us_ = reel_deadline_in_us(WAIT_US);                                          \
        while (!(condition) && !reel_deadline_passed(until_us_))                                   \
            nap();                                                                                 \
        assert_true(condition);                                                                    \
    } while (0)

static const char *enqueue(struct service *s, const char *clip, const char *type)
{
    return service_enqueue(s, service_request(s, service_add_video(s, clip), type));
}

static bool has_output(struct service *s, const char *video_id, const char *job_id)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/storage/%s/%s.mp4", s->dir, video_id, job_id);
    return access(path, F_OK) == 0;
}

static void hold_queue(struct service *s, bool hold)
{
    const char *meta = tap_key(&s->tap, "meta");

    if (hold)
        freeReplyObject(tap_run(&s->tap, "HSET %s paused 1", meta));
    else
        freeReplyObject(tap_run(&s->tap, "HDEL %s paused", meta));
    freeReplyObject(hold ? tap_run(&s->tap, "DEL %s", tap_key(&s->tap, "marker"))
                         : tap_run(&s->tap, "ZADD %s 0 0", tap_key(&s->tap, "marker")));
}

static int cancel(struct service *s, const char *job_id, const char *user_id, Job__Job **ret_job)
{
    struct reel_call_options options = service_options(user_id);
    Job__CancelRequest request = JOB__CANCEL_REQUEST__INIT;

    request.job_id = (char *)job_id;
    return job_service_cancel(s->channel, &options, &request, &s->arena, ret_job, NULL);
}

static int retry(struct service *s, const char *job_id, const char *user_id, Job__Job **ret_job)
{
    struct reel_call_options options = service_options(user_id);
    Job__RetryRequest request = JOB__RETRY_REQUEST__INIT;

    request.job_id = (char *)job_id;
    return job_service_retry(s->channel, &options, &request, &s->arena, ret_job, NULL);
}

static Job__ListEventsResponse *list_events(struct service *s, int64_t after)
{
    struct reel_call_options options = service_options(NULL);
    Job__ListEventsRequest request = JOB__LIST_EVENTS_REQUEST__INIT;
    Job__ListEventsResponse *response = NULL;

    request.after_seq = after;
    assert_int_equal(
        job_service_list_events(s->channel, &options, &request, &s->arena, &response, NULL),
        REEL_OK);
    return response;
}

// The types of a job's recorded events, joined by spaces.
static const char *story(struct service *s, const char *job_id)
{
    Job__ListEventsResponse *list = list_events(s, 0);
    const char *text = "";
    int32_t version = 0;

    for (size_t i = 0; i < list->n_events; i++) {
        if (strcmp(list->events[i]->job_id, job_id) != 0)
            continue;
        assert_true(list->events[i]->version > version);
        version = list->events[i]->version;
        text = reel_arena_printf(&s->arena, "%s%s%s", text, text[0] != '\0' ? " " : "",
                                 list->events[i]->type + strlen("job."));
    }
    return text;
}

static size_t heard(struct service *s, const char *type, const char *job_id)
{
    return service_heard(s, reel_arena_printf(&s->arena, "%s %s", type, job_id));
}

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
    Job__EnqueueRequest *bad[4];

    for (int i = 0; i < 4; i++)
        bad[i] = service_request(s, video, i == 3 ? "convert" : "resize");
    bad[0]->input_key = (char *)"../../etc/passwd";
    bad[1]->output_key = (char *)"0190a000-0000-7000-8000-00000000dead/original";
    bad[2]->params = NULL;
    bad[3]->params->target_format = (char *)"";
    for (int i = 0; i < 4; i++) {
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

static long count_workers(struct service *s)
{
    char command[160];
    char text[32] = "";

    // the zygote is the service's only child, its children are the workers
    snprintf(command, sizeof(command), "pgrep -P $(pgrep -P %d | head -1) | wc -l", (int)s->pid);
    FILE *out = popen(command, "r");
    assert_non_null(fgets(text, sizeof(text), out));
    pclose(out);
    return strtol(text, NULL, 10);
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

static void a_lost_redis_loses_no_job(void **state)
{
    struct service *s = *state;
    const char *ids[6];

    hold_queue(s, true);
    for (int i = 0; i < 6; i++)
        ids[i] = enqueue(s, "short.mp4", "resize");
    redisReply *keys = tap_run(&s->tap, "KEYS %s*", s->tap.prefix);
    for (size_t i = 0; i < keys->elements; i++)
        freeReplyObject(tap_run(&s->tap, "DEL %s", keys->element[i]->str));
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
        freeReplyObject(tap_run(&s->tap, "DEL %s", keys->element[i]->str));
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

static void a_foreign_producers_job_is_adopted(void **state)
{
    struct service *s = *state;
    Job__EnqueueRequest *request = service_request(s, service_add_video(s, "short.mp4"), "resize");
    struct queue_entry entry = {
        .id = "17", .name = "resize", .attempts = 2, .data = view_json(&s->arena, &request->base)};

    assert_int_equal(queue_add(s->queue, reel_deadline_in_us(WAIT_US), &s->arena, &entry), REEL_OK);
    service_await(s, request->operation_id, "completed");
    assert_string_equal(story(s, request->operation_id), "created started completed");
    // the same operation under another number is not run again
    entry.id = "18";
    assert_int_equal(queue_add(s->queue, reel_deadline_in_us(WAIT_US), &s->arena, &entry), REEL_OK);
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
        assert_int_equal(queue_add(s->queue, reel_deadline_in_us(WAIT_US), &s->arena, &entry),
                         REEL_OK);
        WAIT_FOR(tap_int(&s->tap, "ZSCORE %s %s", tap_key(&s->tap, "failed"), cases[i].id) > 0);
        char *reason = tap_text(&s->tap, "HGET %s failedReason", tap_key(&s->tap, cases[i].id));
        assert_non_null(strstr(reason, cases[i].reason));
        free(reason);
    }
    assert_int_equal(database_number(s->database, "SELECT count(*) FROM job_history"), 0);
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
        assert_int_equal(
            queue_claim_next(s->queue, reel_deadline_in_us(WAIT_US), &s->arena, "t", &claim),
            REEL_OK);
        assert_true(claim.found);
        const struct queue_end end = {.id = claim.job.id,
                                      .token = "t",
                                      .completed = i == 0,
                                      .value = i == 0 ? "{\"sizeBytes\":\"5\"}" : "their reason"};
        assert_int_equal(
            queue_settle(s->queue, reel_deadline_in_us(WAIT_US), &s->arena, &end, &next), REEL_OK);
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
    freeReplyObject(tap_run(&s->tap, "ZREM %s %s", tap_key(&s->tap, "failed"), id));
    freeReplyObject(tap_run(&s->tap, "LPUSH %s %s", tap_key(&s->tap, "wait"), id));
    freeReplyObject(tap_run(&s->tap, "ZADD %s 0 0", tap_key(&s->tap, "marker")));
    WAIT_FOR(database_number(s->database, "SELECT generation FROM job_history") == 2);
    service_await(s, id, "failed");
    assert_string_equal(story(s, id), "created started failed requeued started failed");
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
    WAIT_FOR(heard(s, "job.started", id) >= 2);
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
        WAIT_FOR(heard(s, "job.started", id) == i);
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        CASE(a_lost_redis_loses_no_job),
        CASE(a_redis_that_forgets_running_jobs_has_them_run_once_for_the_record),
        CASE(enqueueing_works_while_redis_is_away),
        CASE(a_killed_service_loses_nothing),
        CASE(a_job_that_ended_before_redis_knew_is_settled_unrun),
        CASE(a_foreign_producers_job_is_adopted),
        CASE(a_foreign_job_that_makes_no_sense_fails_with_a_reason),
        CASE(what_another_fleet_ended_is_taken_over),
        CASE(a_failed_job_sent_back_at_a_dashboard_runs_again),
        CASE(a_stopping_service_hands_its_jobs_back),
        CASE(a_stopping_service_lets_jobs_finish),
        CASE(a_dead_worker_costs_an_attempt_and_the_second_the_job),
        CASE(events_can_be_read_back_by_number),
        CASE(progress_is_monotone_and_steady),
    };

    servers_need(argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
