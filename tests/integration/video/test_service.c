// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/json/pbjson.h"
#include "svc-video/reconciler.h"
#include "tests/integration/video/lib/service.h"
#include "tests/lib/cmocka.h"

static bool file_exists(const struct service *service, const char *key)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", service->storage_dir, key);
    return access(path, F_OK) == 0;
}

static int n_folders(const struct service *service)
{
    DIR *dir = opendir(service->storage_dir);
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void put_result(const struct service *service, const char *video_id,
                       const char *operation_id, const char *extension, const char *text)
{
    struct reel_storage_file *file;
    char key[128];

    snprintf(key, sizeof(key), "%s/%s.%s", video_id, operation_id, extension);
    assert_int_equal(reel_storage_create(service->svc->storage, key, &file), REEL_OK);
    assert_int_equal(reel_storage_write(file, text, strlen(text)), REEL_OK);
    assert_int_equal(reel_storage_publish(file), REEL_OK);
}

static const char *resize(struct service *service, const char *user_id, const char *video_id)
{
    Video__OperationResponse *response;

    assert_int_equal(service_call(service, VIDEO_SERVICE_RESIZE, user_id, &response, NULL,
                                  "videoId", video_id, "width", "320", "height", "180", NULL),
                     REEL_OK);
    assert_string_equal(response->job_id, response->operation_id);
    return response->operation_id;
}

static bool set(struct service *service, ProtobufCMessage *request, const char *field,
                const char *text)
{
    struct reel_pbjson_error error;

    return reel_pbjson_set_field(request, &service->arena, field, text, &error) == REEL_OK;
}

// Sets what fields there are of those a request may need. Whether any of them names something that
// belongs to somebody.
static bool fill(struct service *service, ProtobufCMessage *request, const char *video_id,
                 const char *operation_id)
{
    static const char *const needed[][2] = {
        {"type", "resize"},          {"width", "64"},        {"height", "64"},
        {"targetFormat", "avi"},     {"params.width", "64"}, {"params.height", "64"},
        {"params.targetFormat", ""}, {"name", "stolen"},
    };
    const char *key = reel_arena_printf(&service->arena, "%s/original", video_id);
    bool names_video = set(service, request, "videoId", video_id);
    bool names_file = set(service, request, "storageKey", key);
    bool names_operation = set(service, request, "operationId", operation_id);

    for (size_t i = 0; i < REEL_ARRAY_SIZE(needed); i++)
        if (!set(service, request, needed[i][0], needed[i][1]))
            continue;
    return names_video || names_file || names_operation;
}

// Calls a method that answers once or streams its answer. The code.
static int ask(struct service *service, const struct reel_method *method,
               const struct reel_call_options *options, const ProtobufCMessage *request)
{
    struct reel_stream *stream;
    ProtobufCMessage *response;
    uint8_t *payload = NULL;
    uint8_t packed[512];
    size_t len;

    if (!method->server_streaming)
        return reel_channel_call(service->channel, method, options, request, &service->arena,
                                 &response, NULL);
    len = protobuf_c_message_pack(request, packed);
    assert_int_equal(reel_stream_open(service->channel, method, options, NULL, NULL, &stream),
                     REEL_OK);
    assert_int_equal(reel_stream_send(stream, packed, len), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    int rc = reel_stream_recv(stream, &payload, &len);
    free(payload);
    reel_stream_close(stream);
    return rc;
}

// Every method whose request names a video, a file or an operation, found by its descriptor: what
// is added to the proto is tried here without a change to this test.
static void strangers_find_nothing_by_any_method(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    const char *operation_id = resize(service, SERVICE_USER_A, video_id);
    const char *key = reel_arena_printf(&service->arena, "%s/original", video_id);
    int n_tried = 0;

    put_result(service, video_id, operation_id, "mp4", "result");
    free(database_sql(service->database, "UPDATE video_operations SET status = 'completed'"));
    for (unsigned i = 0; i < video_service.n_methods; i++) {
        const struct reel_method *method = &video_service.methods[i];
        struct reel_metadata user = {"reel-user-id", SERVICE_USER_B};
        struct reel_call_options options = {.metadata = &user, .n_metadata = 1};
        ProtobufCMessage *request = reel_pbjson_new(method->request, &service->arena);
        bool names_something;

        if (method->client_streaming)
            continue;
        names_something = fill(service, request, video_id, operation_id);

        int rc = ask(service, method, &options, request);
        print_message("%s: %s\n", method->name, reel_code_name(rc));
        assert_int_equal(rc, names_something ? REEL_NOT_FOUND : REEL_OK);
        n_tried += names_something;
    }
    assert_true(n_tried >= 9);
    service_await(service, "clip", "SELECT name FROM videos WHERE deleted_at IS NULL");
    service_await(service, "1", "SELECT count(*) FROM video_operations");
    assert_true(file_exists(service, key));
}

static void nobody_may_do_nothing(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);

    assert_int_equal(service_call(service, VIDEO_SERVICE_LIST_VIDEOS, NULL, NULL, NULL, NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_call(service, VIDEO_SERVICE_LIST_VIDEOS, "' OR 1=1", NULL, NULL, NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_call(service, VIDEO_SERVICE_DELETE_VIDEO, NULL, NULL, NULL, "videoId",
                                  video_id, NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_call(service, VIDEO_SERVICE_RESIZE, NULL, NULL, NULL, "videoId",
                                  video_id, "width", "64", "height", "64", NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_upload(service, NULL, "x.mp4", 10, NULL, NULL), REEL_UNAUTHENTICATED);
}

static void lists_page_and_cursors_belong_to_their_user(void **state)
{
    struct service *service = *state;
    Video__ListVideosResponse *page;
    const char *cursor = "";
    char *tampered;
    int n = 0;

    for (int i = 0; i < 5; i++)
        service_video(service, SERVICE_USER_A);
    service_video(service, SERVICE_USER_B);
    do {
        assert_int_equal(service_call(service, VIDEO_SERVICE_LIST_VIDEOS, SERVICE_USER_A, &page,
                                      NULL, "limit", "2", "cursor", cursor, NULL),
                         REEL_OK);
        n += (int)page->n_videos;
        if (*page->next_cursor)
            cursor = page->next_cursor;
    } while (*page->next_cursor);
    assert_int_equal(n, 5);
    assert_int_equal(page->n_videos, 1);

    assert_int_equal(service_call(service, VIDEO_SERVICE_LIST_VIDEOS, SERVICE_USER_B, NULL, NULL,
                                  "cursor", cursor, NULL),
                     REEL_INVALID_ARGUMENT);
    tampered = reel_arena_strdup(&service->arena, cursor);
    tampered[20] = tampered[20] == '0' ? '1' : '0';
    assert_int_equal(service_call(service, VIDEO_SERVICE_LIST_VIDEOS, SERVICE_USER_A, NULL, NULL,
                                  "cursor", tampered, NULL),
                     REEL_INVALID_ARGUMENT);
    assert_int_equal(service_call(service, VIDEO_SERVICE_LIST_VIDEOS, SERVICE_USER_A, NULL, NULL,
                                  "limit", "101", NULL),
                     REEL_INVALID_ARGUMENT);
}

static void a_rename_is_cleaned(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    Video__Video *video;

    assert_int_equal(service_call(service, VIDEO_SERVICE_UPDATE_VIDEO, SERVICE_USER_A, &video, NULL,
                                  "videoId", video_id, "name", " new\nname ", NULL),
                     REEL_OK);
    assert_string_equal(video->name, "newname");
    assert_int_equal(service_call(service, VIDEO_SERVICE_UPDATE_VIDEO, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, "name", "\n\t", NULL),
                     REEL_INVALID_ARGUMENT);
    assert_int_equal(service_call(service, VIDEO_SERVICE_UPDATE_VIDEO, SERVICE_USER_A, &video, NULL,
                                  "videoId", video_id, NULL),
                     REEL_OK);
    assert_string_equal(video->name, "newname");
}

static void operations_are_enqueued_once(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    const char *id = resize(service, SERVICE_USER_A, video_id);
    Video__OperationResponse *response;

    assert_string_equal(resize(service, SERVICE_USER_A, video_id), id);
    assert_int_equal(fake_jobs_enqueued(service->jobs, id), 1);
    assert_int_equal(fake_jobs_enqueued_in_all(service->jobs), 1);

    assert_int_equal(service_call(service, VIDEO_SERVICE_ENQUEUE_OPERATION, SERVICE_USER_A,
                                  &response, NULL, "videoId", video_id, "type", "resize",
                                  "params.width", "320", "params.height", "180", NULL),
                     REEL_OK);
    assert_string_equal(response->operation_id, id);
    assert_int_equal(fake_jobs_enqueued_in_all(service->jobs), 1);
}

static void impossible_operations_are_refused(void **state)
{
    struct service *service = *state;
    struct reel_status status;
    const char *video_id;

    fake_jobs_media(service->jobs, "mp4", "h264", "");
    video_id = service_video(service, SERVICE_USER_A);
    assert_int_equal(service_call(service, VIDEO_SERVICE_EXTRACT_AUDIO, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, NULL),
                     REEL_FAILED_PRECONDITION);
    assert_int_equal(service_call(service, VIDEO_SERVICE_CONVERT, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, "targetFormat", "mp4", NULL),
                     REEL_FAILED_PRECONDITION);
    assert_int_equal(service_call(service, VIDEO_SERVICE_RESIZE, SERVICE_USER_A, NULL, &status,
                                  "videoId", video_id, "width", "321", "height", "180", NULL),
                     REEL_INVALID_ARGUMENT);
    assert_int_equal(status.n_violations, 1);
    assert_string_equal(status.violations[0].field, "width");
    assert_int_equal(service_call(service, VIDEO_SERVICE_ENQUEUE_OPERATION, SERVICE_USER_A, NULL,
                                  &status, "videoId", video_id, "type", "convert", NULL),
                     REEL_INVALID_ARGUMENT);
    assert_string_equal(status.violations[0].field, "params.targetFormat");
    assert_int_equal(fake_jobs_enqueued_in_all(service->jobs), 0);
    service_await(service, "0", "SELECT count(*) FROM video_operations");
}

static void an_operation_survives_a_job_service_that_is_away(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    const char *id;

    fake_jobs_answer_enqueue(service->jobs, REEL_UNAVAILABLE);
    id = resize(service, SERVICE_USER_A, video_id);
    service_await(service, "pending", "SELECT status FROM video_operations WHERE id = '%s'", id);
    service_stop_video(service);
    service_start_video(service);
    fake_jobs_answer_enqueue(service->jobs, REEL_OK);
    service_await(service, "1",
                  "SELECT count(*) FROM video_operations WHERE enqueued_at IS NOT NULL");
    assert_int_equal(fake_jobs_enqueued(service->jobs, id), 1);
}

static void an_operation_that_is_refused_ends_and_holds_up_no_other(void **state)
{
    struct service *service = *state;
    const char *refused, *good;

    fake_jobs_answer_enqueue(service->jobs, REEL_UNAVAILABLE);
    refused = resize(service, SERVICE_USER_A, service_video(service, SERVICE_USER_A));
    good = resize(service, SERVICE_USER_A, service_video(service, SERVICE_USER_A));
    fake_jobs_refuse(service->jobs, refused);
    fake_jobs_answer_enqueue(service->jobs, REEL_OK);
    service_await(service, "t",
                  "SELECT enqueued_at IS NOT NULL FROM video_operations WHERE id = '%s'", good);
    service_await(service, "failed", "SELECT status FROM video_operations WHERE id = '%s'",
                  refused);
}

static void results_are_served_under_their_names(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    const char *id = resize(service, SERVICE_USER_A, video_id);
    Video__Asset *asset, *again;

    assert_int_equal(service_call(service, VIDEO_SERVICE_GET_ASSET, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, "type", "resize", "dimensions", "320x180",
                                  NULL),
                     REEL_NOT_FOUND);
    put_result(service, video_id, id, "mp4", "0123456789");
    fake_jobs_event(service->jobs, id, "completed", 3, false);
    service_await(service, "completed", "SELECT status FROM video_operations");
    assert_int_equal(service_call(service, VIDEO_SERVICE_GET_ASSET, SERVICE_USER_A, &asset, NULL,
                                  "videoId", video_id, "type", "resize", "dimensions", "320x180",
                                  NULL),
                     REEL_OK);
    assert_string_equal(asset->filename, "clip-320x180.mp4");
    assert_string_equal(asset->content_type, "video/mp4");
    assert_int_equal(asset->size_bytes, 10);
    assert_true(asset->attachment);
    assert_int_equal(service_call(service, VIDEO_SERVICE_GET_ASSET, SERVICE_USER_A, &again, NULL,
                                  "videoId", video_id, "operationId", id, NULL),
                     REEL_OK);
    assert_string_equal(again->etag, asset->etag);
    put_result(service, video_id, id, "mp4", "9876543210");
    assert_int_equal(service_call(service, VIDEO_SERVICE_GET_ASSET, SERVICE_USER_A, &again, NULL,
                                  "videoId", video_id, "operationId", id, NULL),
                     REEL_OK);
    assert_string_not_equal(again->etag, asset->etag);
}

static int read_asset(struct service *service, const char *key, int64_t offset, int64_t length,
                      char *ret_text)
{
    Video__ReadAssetRequest request = VIDEO__READ_ASSET_REQUEST__INIT;
    struct reel_metadata user = {"reel-user-id", SERVICE_USER_A};
    struct reel_call_options options = {.metadata = &user, .n_metadata = 1};
    struct reel_stream *stream;
    uint8_t packed[512];
    uint8_t *payload;
    size_t len;
    int rc;

    request.storage_key = (char *)key;
    request.offset = offset;
    request.length = length;
    *ret_text = '\0';
    assert_int_equal(reel_stream_open(service->channel,
                                      &video_service.methods[VIDEO_SERVICE_READ_ASSET], &options,
                                      NULL, NULL, &stream),
                     REEL_OK);
    len = video__read_asset_request__pack(&request, packed);
    assert_int_equal(reel_stream_send(stream, packed, len), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    while ((rc = reel_stream_recv(stream, &payload, &len)) == REEL_OK && payload) {
        Video__AssetChunk *chunk =
            video__asset_chunk__unpack(reel_arena_pb(&service->arena), len, payload);

        strncat(ret_text, (char *)chunk->data.data, chunk->data.len);
        free(payload);
    }
    reel_stream_close(stream);
    return rc;
}

static void ranges_are_read_and_hostile_keys_are_not(void **state)
{
    static const char *const hostile[] = {
        "../../etc/passwd",
        "/etc/passwd",
        "x",
        "%s",
        "%s/",
        "%s/../%s/original",
        "%s/.tmp",
        "%s/original/x",
        "%s\\original",
        "%s/nothing",
    };
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    const char *key = reel_arena_printf(&service->arena, "%s/%s.mp4", video_id, SERVICE_USER_A);
    char text[64];

    put_result(service, video_id, SERVICE_USER_A, "mp4", "0123456789");
    assert_int_equal(read_asset(service, key, 0, 0, text), REEL_OK);
    assert_string_equal(text, "0123456789");
    assert_int_equal(read_asset(service, key, 3, 4, text), REEL_OK);
    assert_string_equal(text, "3456");
    assert_int_equal(read_asset(service, key, 8, 100, text), REEL_OK);
    assert_string_equal(text, "89");
    assert_int_equal(read_asset(service, key, 10, 0, text), REEL_OK);
    assert_string_equal(text, "");
    assert_int_equal(read_asset(service, key, 11, 0, text), REEL_OUT_OF_RANGE);
    assert_int_equal(read_asset(service, key, -1, 0, text), REEL_OUT_OF_RANGE);
    assert_int_equal(read_asset(service, key, 0, -1, text), REEL_OUT_OF_RANGE);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(hostile); i++) {
        const char *percent = strstr(hostile[i], "%s");
        const char *bad =
            percent ? reel_arena_printf(&service->arena, "%.*s%s%s", (int)(percent - hostile[i]),
                                        hostile[i], video_id, percent + 2)
                    : hostile[i];

        assert_int_equal(read_asset(service, bad, 0, 0, text), REEL_NOT_FOUND);
    }
}

static void deleting_frees_files_cancels_jobs_and_purges(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);

    resize(service, SERVICE_USER_A, video_id);
    assert_int_equal(service_call(service, VIDEO_SERVICE_DELETE_VIDEO, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, NULL),
                     REEL_OK);
    assert_false(file_exists(service, video_id));
    assert_int_equal(fake_jobs_cancelled(service->jobs, video_id), 1);
    assert_int_equal(service_call(service, VIDEO_SERVICE_GET_VIDEO, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, NULL),
                     REEL_NOT_FOUND);
    assert_int_equal(service_call(service, VIDEO_SERVICE_DELETE_VIDEO, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, NULL),
                     REEL_NOT_FOUND);
    free(database_sql(service->database,
                      "UPDATE videos SET deleted_at = now() - interval '1 hour'"));
    service_await(service, "0", "SELECT count(*) FROM videos");
    service_await(service, "0", "SELECT count(*) FROM video_operations");
}

static void a_deletion_that_stopped_half_way_is_finished(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);

    // The row was marked, and then the process died.
    service_stop_video(service);
    free(database_sql(service->database,
                      "UPDATE videos SET deleted_at = now() - interval '1 hour'"));
    assert_true(file_exists(service, video_id));
    service_start_video(service);
    service_await(service, "0", "SELECT count(*) FROM videos");
    assert_false(file_exists(service, video_id));
    assert_int_equal(fake_jobs_cancelled(service->jobs, video_id), 1);
}

// Deeper than anything of ours, so that its removal is refused.
static void make_stubborn(const struct service *service, const char *video_id)
{
    char command[256];

    snprintf(command, sizeof(command), "mkdir -p %s/%s/a/b/c/d/e", service->storage_dir, video_id);
    assert_int_equal(system(command), 0);
}

static void a_folder_that_stays_holds_up_no_other(void **state)
{
    struct service *service = *state;
    const char *stays = service_video(service, SERVICE_USER_A);
    const char *goes = service_video(service, SERVICE_USER_A);
    char abandoned[3][REEL_ID_SIZE];

    make_stubborn(service, stays);
    free(database_sql(service->database,
                      "UPDATE videos SET deleted_at = now() - CASE WHEN id = '%s' THEN 2 ELSE 1 "
                      "END * interval '1 hour'",
                      stays));
    service_await(service, "0", "SELECT count(*) FROM videos WHERE id = '%s'", goes);
    service_await(service, "1", "SELECT count(*) FROM videos");
    for (int i = 0; i < 3; i++) {
        reel_id_new(abandoned[i]);
        put_result(service, abandoned[i], SERVICE_USER_B, "mp4", "x");
    }
    make_stubborn(service, abandoned[0]);
    make_stubborn(service, abandoned[1]);
    service_stop_video(service);
    service->config.upload_ttl_ms = 0;
    service_start_video(service);
    reconciler_run(service->svc, true);
    assert_false(file_exists(service, abandoned[2]));
}

static void files_without_a_row_go_after_their_time(void **state)
{
    struct service *service = *state;
    const char *living = service_video(service, SERVICE_USER_A);
    char abandoned[REEL_ID_SIZE];

    reel_id_new(abandoned);
    put_result(service, abandoned, SERVICE_USER_B, "mp4", "left by a crash");
    // More than one query's worth of them, and one that is none of ours.
    for (int i = 0; i < 250; i++) {
        char more[REEL_ID_SIZE];

        reel_id_new(more);
        put_result(service, more, SERVICE_USER_B, "mp4", "x");
    }
    put_result(service, "not-a-video", SERVICE_USER_B, "mp4", "x");
    service_stop_video(service);
    service_start_video(service);
    reconciler_run(service->svc, true);
    assert_true(file_exists(service, abandoned));

    service_stop_video(service);
    service->config.upload_ttl_ms = 0;
    service_start_video(service);
    reconciler_run(service->svc, true);
    assert_false(file_exists(service, abandoned));
    assert_true(file_exists(service, living));
    assert_true(file_exists(service, "not-a-video"));
    assert_int_equal(n_folders(service), 2);
}

struct racer {
    struct service *service;
    const char *video_id;
    int codes[8];
};

static void *race_resize(void *arg)
{
    struct racer *racer = arg;
    // Calls use the channel alone, and the arena: each thread has its own.
    struct service mine = {.channel = racer->service->channel};

    reel_arena_init(&mine.arena, 1 << 20);
    for (int i = 0; i < 8; i++)
        racer->codes[i] =
            service_call(&mine, VIDEO_SERVICE_RESIZE, SERVICE_USER_A, NULL, NULL, "videoId",
                         racer->video_id, "width", "64", "height", "64", NULL);
    reel_arena_fini(&mine.arena);
    return NULL;
}

static void equal_requests_at_once_make_one_operation(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    struct racer racers[6];
    pthread_t threads[6];

    for (int i = 0; i < 6; i++) {
        racers[i] = (struct racer){service, video_id, {0}};
        assert_int_equal(pthread_create(&threads[i], NULL, race_resize, &racers[i]), 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 8; j++)
            assert_int_equal(racers[i].codes[j], REEL_OK);
    service_await(service, "1", "SELECT count(*) FROM video_operations");
    assert_int_equal(fake_jobs_enqueued_in_all(service->jobs), 1);
}

static void deleting_while_operations_are_asked_for_ends_clean(void **state)
{
    struct service *service = *state;
    const char *video_id = service_video(service, SERVICE_USER_A);
    struct racer racer = {service, video_id, {0}};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, race_resize, &racer), 0);
    assert_int_equal(service_call(service, VIDEO_SERVICE_DELETE_VIDEO, SERVICE_USER_A, NULL, NULL,
                                  "videoId", video_id, NULL),
                     REEL_OK);
    pthread_join(thread, NULL);
    for (int i = 0; i < 8; i++)
        assert_true(racer.codes[i] == REEL_OK || racer.codes[i] == REEL_NOT_FOUND);
    assert_int_equal(racer.codes[7] == REEL_OK && racer.codes[0] == REEL_NOT_FOUND, 0);
    free(database_sql(service->database,
                      "UPDATE videos SET deleted_at = now() - interval '1 hour'"));
    service_await(service, "0", "SELECT count(*) FROM videos");
    assert_false(file_exists(service, video_id));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strangers_find_nothing_by_any_method, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(nobody_may_do_nothing, service_start, service_stop),
        cmocka_unit_test_setup_teardown(lists_page_and_cursors_belong_to_their_user, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(a_rename_is_cleaned, service_start, service_stop),
        cmocka_unit_test_setup_teardown(operations_are_enqueued_once, service_start, service_stop),
        cmocka_unit_test_setup_teardown(impossible_operations_are_refused, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(an_operation_survives_a_job_service_that_is_away,
                                        service_start, service_stop),
        cmocka_unit_test_setup_teardown(an_operation_that_is_refused_ends_and_holds_up_no_other,
                                        service_start, service_stop),
        cmocka_unit_test_setup_teardown(results_are_served_under_their_names, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(ranges_are_read_and_hostile_keys_are_not, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(deleting_frees_files_cancels_jobs_and_purges, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(a_deletion_that_stopped_half_way_is_finished, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(a_folder_that_stays_holds_up_no_other, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(files_without_a_row_go_after_their_time, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(equal_requests_at_once_make_one_operation, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(deleting_while_operations_are_asked_for_ends_clean,
                                        service_start, service_stop),
    };

    (void)argc;
    database_need(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
