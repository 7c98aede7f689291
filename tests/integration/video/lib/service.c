// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/video/lib/service.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/json/pbjson.h"
#include "libcommon/storage/beneath.h"
#include "tests/lib/cmocka.h"

enum { ARENA_BYTES = 64 * 1024 * 1024, CHUNK_BYTES = 256 * 1024, WAIT_US = 10 * 1000 * 1000 };

void service_start_video(struct service *service)
{
    assert_int_equal(video_svc_new(&service->config, &service->svc), REEL_OK);
    assert_int_equal(reel_server_start(service->svc->server), REEL_OK);
    assert_true(reel_channel_wait_ready(service->channel, reel_deadline_in_us(WAIT_US)));
    assert_true(reel_channel_wait_ready(service->svc->jobs, reel_deadline_in_us(WAIT_US)));
}

void service_stop_video(struct service *service)
{
    reel_server_drain(service->svc->server, 1000000);
    video_svc_free(service->svc);
    service->svc = NULL;
}

int service_start(void **state)
{
    struct service *service = calloc(1, sizeof(*service));
    char hex[17];

    reel_id_random_hex(hex, 8);
    for (int i = 0; i < 3; i++)
        snprintf(service->urls[i], sizeof(service->urls[i]), "inproc://%s-%d", hex, i);
    strcpy(service->storage_dir, "/tmp/reel-video-XXXXXX");
    assert_non_null(mkdtemp(service->storage_dir));
    service->database = database_create();
    service->jobs = fake_jobs_start(service->urls[1], service->urls[2]);
    service->config = (struct video_config){
        .listen = service->urls[0],
        .job_url = service->urls[1],
        .events_url = service->urls[2],
        .database_url = service->database->url,
        .storage_dir = service->storage_dir,
        .key = "video-key",
        .peers = {{.service = "gateway", .key = "gateway-key", .may_speak_for_users = true},
                  {.service = "tool", .key = "tool-key", .may_speak_for_users = true}},
        .max_upload_bytes = INT64_C(2) << 30,
        .upload_ttl_ms = 3600000,
        .reconcile_ms = 100,
    };
    struct reel_channel_config channel = {
        .url = service->urls[0], .service = "gateway", .key = "gateway-key"};
    assert_int_equal(reel_channel_open(&channel, &service->channel), REEL_OK);
    reel_arena_init(&service->arena, ARENA_BYTES);
    service_start_video(service);
    *state = service;
    return 0;
}

int service_stop(void **state)
{
    struct service *service = *state;

    reel_channel_close(service->channel);
    video_svc_free(service->svc);
    fake_jobs_stop(service->jobs);
    database_drop(service->database);
    assert_int_equal(reel_beneath_remove(AT_FDCWD, service->storage_dir, 8), 0);
    reel_arena_fini(&service->arena);
    free(service);
    return 0;
}

int service_call(struct service *service, unsigned method, const char *user_id, void *ret_response,
                 struct reel_status *ret_status, ...)
{
    const struct reel_method *m = &video_service.methods[method];
    ProtobufCMessage *request = reel_pbjson_new(m->request, &service->arena);
    struct reel_metadata user = {"reel-user-id", user_id};
    struct reel_call_options options = {.deadline_us = reel_deadline_in_us(WAIT_US),
                                        .metadata = &user,
                                        .n_metadata = user_id ? 1 : 0};
    struct reel_pbjson_error error;
    ProtobufCMessage *response;
    va_list args;

    va_start(args, ret_status);
    for (const char *name; (name = va_arg(args, const char *));)
        assert_int_equal(reel_pbjson_set_field(request, &service->arena, name,
                                               va_arg(args, const char *), &error),
                         REEL_OK);
    va_end(args);

    int rc = reel_channel_call(service->channel, m, &options, request, &service->arena, &response,
                               ret_status);
    if (rc == REEL_OK && ret_response)
        *(ProtobufCMessage **)ret_response = response;
    return rc;
}

static int send_part(struct reel_stream *stream, const Video__UploadRequest *request)
{
    static _Thread_local uint8_t packed[CHUNK_BYTES + 1024];
    size_t len = video__upload_request__pack(request, packed);

    return reel_stream_send(stream, packed, len);
}

static int send_file(struct reel_stream *stream, const char *filename, int64_t size_bytes)
{
    static _Thread_local uint8_t bytes[CHUNK_BYTES];
    Video__UploadStart start = VIDEO__UPLOAD_START__INIT;
    Video__UploadRequest request = VIDEO__UPLOAD_REQUEST__INIT;
    int64_t left = size_bytes;
    int rc;

    start.filename = (char *)filename;
    start.size_bytes = -1;
    request.part_case = VIDEO__UPLOAD_REQUEST__PART_START;
    request.start = &start;
    rc = send_part(stream, &request);
    request.part_case = VIDEO__UPLOAD_REQUEST__PART_CHUNK;
    while (rc == REEL_OK && left > 0) {
        size_t n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;

        memset(bytes, (int)(left >> 18), n);
        request.chunk = (ProtobufCBinaryData){n, bytes};
        rc = send_part(stream, &request);
        left -= (int64_t)n;
    }
    return rc == REEL_OK ? reel_stream_half_close(stream) : rc;
}

int service_upload(struct service *service, const char *user_id, const char *filename,
                   int64_t size_bytes, Video__Video **ret_video, struct reel_status *ret_status)
{
    struct reel_metadata user = {"reel-user-id", user_id};
    struct reel_call_options options = {.metadata = &user, .n_metadata = user_id ? 1 : 0};
    struct reel_stream *stream;
    uint8_t *payload = NULL;
    size_t len = 0;
    int rc;

    assert_int_equal(reel_stream_open(service->channel,
                                      &video_service.methods[VIDEO_SERVICE_UPLOAD], &options, NULL,
                                      NULL, &stream),
                     REEL_OK);
    // A refusal may come before all is sent; the answer then tells the code.
    (void)send_file(stream, filename, size_bytes);
    rc = reel_stream_recv(stream, &payload, &len);
    if (rc == REEL_OK && payload && ret_video)
        *ret_video = video__video__unpack(reel_arena_pb(&service->arena), len, payload);
    free(payload);
    if (rc != REEL_OK && ret_status) {
        *ret_status = *reel_stream_status(stream);
        ret_status->message = reel_arena_strdup(&service->arena, ret_status->message);
        ret_status->n_violations = 0;
    }
    reel_stream_close(stream);
    return rc;
}

const char *service_video(struct service *service, const char *user_id)
{
    Video__Video *video = NULL;

    assert_int_equal(service_upload(service, user_id, "clip.mp4", 1000, &video, NULL), REEL_OK);
    assert_non_null(video);
    return video->video_id;
}

void service_await(struct service *service, const char *value, const char *fmt, ...)
{
    int64_t deadline_us = reel_deadline_in_us(WAIT_US);
    char sql[1024];
    char *got = NULL;
    va_list args;

    va_start(args, fmt);
    vsnprintf(sql, sizeof(sql), fmt, args);
    va_end(args);
    do {
        free(got);
        got = database_sql(service->database, "%s", sql);
        if (strcmp(got, value) == 0) {
            free(got);
            return;
        }
        poll(NULL, 0, 10);
    } while (!reel_deadline_passed(deadline_us));
    fail_msg("%s: is '%s', not '%s'", sql, got, value);
}
