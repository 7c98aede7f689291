// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/integration/video/lib/service.h"
#include "tests/lib/cmocka.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static bool file_exists(const struct service *service, const char *key)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", service->storage_dir, key);
    return access(path, F_OK) == 0;
}

static int n_folders(struct service *service)
{
    DIR *dir = opendir(service->storage_dir);
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void an_upload_is_on_disk_when_it_is_answered(void **state)
{
    struct service *service = *state;
    Video__GetVideoResponse *got;
    Video__Video *video;
    char key[64];

    fake_jobs_media(service->jobs, "mov", "hevc", "aac");
    assert_int_equal(
        service_upload(service, SERVICE_USER_A, "../caf\xc3\xa9.MP4", 1000000, &video, NULL),
        REEL_OK);
    assert_string_equal(video->name, "caf\xc3\xa9");
    assert_string_equal(video->extension, "mov");
    assert_int_equal(video->dimensions->width, 640);
    assert_int_equal(video->size_bytes, 1000000);
    assert_int_equal(video->duration_ms, 1000);
    assert_true(video->created_at->seconds > 0);
    snprintf(key, sizeof(key), "%s/original", video->video_id);
    assert_true(file_exists(service, key));
    assert_int_equal(service_call(service, VIDEO_SERVICE_GET_VIDEO, SERVICE_USER_A, &got, NULL,
                                  "videoId", video->video_id, NULL),
                     REEL_OK);
    assert_string_equal(got->video->video_codec, "hevc");
    assert_int_equal(got->n_operations, 0);
}

static void refused_uploads_leave_nothing(void **state)
{
    static const struct {
        int inspect_code;
        const char *video_codec;
        int64_t size_bytes;
        int code;
        const char *says;
    } cases[] = {
        {REEL_OK, "h264", 0, REEL_INVALID_ARGUMENT, "empty"},
        {REEL_INVALID_ARGUMENT, "h264", 10, REEL_INVALID_ARGUMENT, "no video"},
        {REEL_FAILED_PRECONDITION, "h264", 10, REEL_INVALID_ARGUMENT, "no video"},
        {REEL_OK, "", 10, REEL_INVALID_ARGUMENT, "no video track"},
        {REEL_OK, "h264", 2000001, REEL_RESOURCE_EXHAUSTED, "at most 2000000"},
    };
    struct service *service = *state;
    struct reel_status status;

    service->config.max_upload_bytes = 2000000;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        fake_jobs_answer_inspect(service->jobs, cases[i].inspect_code);
        fake_jobs_media(service->jobs, "mp4", cases[i].video_codec, "");
        assert_int_equal(
            service_upload(service, SERVICE_USER_A, "x.mp4", cases[i].size_bytes, NULL, &status),
            cases[i].code);
        assert_non_null(strstr(status.message, cases[i].says));
        assert_int_equal(n_folders(service), 0);
    }
    service_await(service, "0", "SELECT count(*) FROM videos");
}

static void an_upload_needs_the_job_service_and_says_so(void **state)
{
    struct service *service = *state;
    struct reel_status status;

    fake_jobs_stop(service->jobs);
    service->jobs = NULL;
    assert_int_equal(service_upload(service, SERVICE_USER_A, "x.mp4", 10, NULL, &status),
                     REEL_UNAVAILABLE);
    assert_true(status.retry_after_ms > 0);
    assert_int_equal(n_folders(service), 0);
    assert_true(video_svc_is_ready(service->svc));
}

static void an_upload_that_breaks_off_leaves_nothing(void **state)
{
    struct service *service = *state;
    Video__UploadStart start = VIDEO__UPLOAD_START__INIT;
    Video__UploadRequest request = VIDEO__UPLOAD_REQUEST__INIT;
    struct reel_metadata user = {"reel-user-id", SERVICE_USER_A};
    struct reel_call_options options = {.metadata = &user, .n_metadata = 1};
    struct reel_stream *stream;
    uint8_t packed[256];

    start.filename = (char *)"x.mp4";
    start.size_bytes = 1000;
    request.part_case = VIDEO__UPLOAD_REQUEST__PART_START;
    request.start = &start;
    assert_int_equal(reel_stream_open(service->channel,
                                      &video_service.methods[VIDEO_SERVICE_UPLOAD], &options, NULL,
                                      NULL, &stream),
                     REEL_OK);
    assert_int_equal(
        reel_stream_send(stream, packed, video__upload_request__pack(&request, packed)), REEL_OK);
    for (int64_t deadline_us = reel_deadline_in_us(10000000);
         n_folders(service) == 0 && !reel_deadline_passed(deadline_us);)
        poll(NULL, 0, 5);
    assert_int_equal(n_folders(service), 1);
    reel_stream_close(stream);
    for (int64_t deadline_us = reel_deadline_in_us(10000000);
         n_folders(service) > 0 && !reel_deadline_passed(deadline_us);)
        poll(NULL, 0, 5);
    assert_int_equal(n_folders(service), 0);
    service_await(service, "0", "SELECT count(*) FROM videos");
}

static void a_short_upload_is_refused(void **state)
{
    struct service *service = *state;
    Video__UploadStart start = VIDEO__UPLOAD_START__INIT;
    Video__UploadRequest request = VIDEO__UPLOAD_REQUEST__INIT;
    struct reel_metadata user = {"reel-user-id", SERVICE_USER_A};
    struct reel_call_options options = {.metadata = &user, .n_metadata = 1};
    struct reel_stream *stream;
    uint8_t *payload = NULL;
    uint8_t packed[256];
    size_t len;

    start.filename = (char *)"x.mp4";
    start.size_bytes = 1000;
    request.part_case = VIDEO__UPLOAD_REQUEST__PART_START;
    request.start = &start;
    assert_int_equal(reel_stream_open(service->channel,
                                      &video_service.methods[VIDEO_SERVICE_UPLOAD], &options, NULL,
                                      NULL, &stream),
                     REEL_OK);
    assert_int_equal(
        reel_stream_send(stream, packed, video__upload_request__pack(&request, packed)), REEL_OK);
    request.part_case = VIDEO__UPLOAD_REQUEST__PART_CHUNK;
    request.chunk = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    assert_int_equal(
        reel_stream_send(stream, packed, video__upload_request__pack(&request, packed)), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(reel_stream_status(stream)->message, "3 of 1000"));
    reel_stream_close(stream);
}

static int64_t rss_kib(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kib = 0;

    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

static void a_full_disk_refuses_and_recovers(void **state)
{
    struct service *service = *state;
    struct reel_status status;

    service_stop_video(service);
    if (mount("none", service->storage_dir, "tmpfs", 0, "size=4m") < 0) {
        print_message("skipped: mounting a small tmpfs is not permitted: %s\n", strerror(errno));
        service_start_video(service);
        skip();
    }
    service_start_video(service);
    assert_int_equal(service_upload(service, SERVICE_USER_A, "x.mp4", 8 << 20, NULL, &status),
                     REEL_UNAVAILABLE);
    assert_int_equal(n_folders(service), 0);
    assert_int_equal(service_upload(service, SERVICE_USER_A, "x.mp4", 1 << 20, NULL, &status),
                     REEL_OK);

    // What an upload must leave free is not there: it is refused before it has sent anything.
    service_stop_video(service);
    service->config.reserve_bytes = 4 << 20;
    service_start_video(service);
    assert_int_equal(service_upload(service, SERVICE_USER_A, "x.mp4", 10, NULL, &status),
                     REEL_UNAVAILABLE);
    service_stop_video(service);
    assert_int_equal(umount(service->storage_dir), 0);
    service->config.reserve_bytes = 0;
    service_start_video(service);
    service_await(service, "1", "SELECT count(*) FROM videos");
}

struct sampler {
    int64_t peak_kib;
    atomic_bool done;
};

static void *sample_rss(void *arg)
{
    struct sampler *sampler = arg;

    while (!sampler->done) {
        int64_t now = rss_kib();

        if (now > sampler->peak_kib)
            sampler->peak_kib = now;
        poll(NULL, 0, 20);
    }
    return NULL;
}

static void a_large_upload_takes_constant_memory(void **state)
{
    struct service *service = *state;
    int64_t size_bytes = SANITIZED ? INT64_C(32) << 20 : INT64_C(1) << 30;
    struct sampler sampler = {0};
    Video__Video *video;
    pthread_t thread;

    // Warm: the buffers of a stream are there.
    assert_int_equal(service_upload(service, SERVICE_USER_A, "w.mp4", 8 << 20, &video, NULL),
                     REEL_OK);
    int64_t before = rss_kib();
    assert_int_equal(pthread_create(&thread, NULL, sample_rss, &sampler), 0);
    int rc = service_upload(service, SERVICE_USER_A, "big.mp4", size_bytes, &video, NULL);
    sampler.done = true;
    pthread_join(thread, NULL);
    assert_int_equal(rc, REEL_OK);
    assert_int_equal(video->size_bytes, size_bytes);
    print_message("%lld MiB, resident set grew by %lld KiB\n", (long long)(size_bytes >> 20),
                  (long long)(sampler.peak_kib - before));
    if (!SANITIZED)
        assert_true(sampler.peak_kib - before < 32 * 1024);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_upload_is_on_disk_when_it_is_answered, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(refused_uploads_leave_nothing, service_start, service_stop),
        cmocka_unit_test_setup_teardown(an_upload_needs_the_job_service_and_says_so, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(an_upload_that_breaks_off_leaves_nothing, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(a_short_upload_is_refused, service_start, service_stop),
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_and_recovers, service_start,
                                        service_stop),
        cmocka_unit_test_setup_teardown(a_large_upload_takes_constant_memory, service_start,
                                        service_stop),
    };

    (void)argc;
    database_need(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
