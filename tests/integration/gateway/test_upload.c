// SPDX-License-Identifier: Apache-2.0
// Uploads: raw and as a form, limits, back-pressure, clients that leave.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/base.h"
#include "tests/integration/gateway/fixture.h"
#include "tests/integration/gateway/http.h"

enum { FILE_BYTES = 5 * 1024 * 1024 + 3 };

static struct fixture fx;
static unsigned char file[FILE_BYTES];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILE_BYTES; i++)
        file[i] = (unsigned char)(i * 7 + i / 251);
    fixture_prepare(&fx);
    fx.config.max_upload_bytes = 6 * 1024 * 1024;
    fixture_start(&fx);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fx);
    return 0;
}

static int begin(const char *headers)
{
    char head[4096];
    int len =
        snprintf(head, sizeof(head),
                 "POST /api/videos/upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s%s\r\n",
                 fx.bearer, headers);
    int fd = http_connect(fx.port);
    atomic_store(&fx.services.uploaded_bytes, 0);
    http_send(fd, head, (size_t)len);
    return fd;
}

static void expect(int fd, int status, const char *text)
{
    struct http_response response = http_read(fd, 8000);
    if (response.status != status || (text && !strstr(response.raw, text)))
        fail_msg("wanted %d with '%s', got: %s", status, text ? text : "", response.raw);
    http_free(&response);
    close(fd);
}

static void expect_file(size_t len)
{
    assert_int_equal(atomic_load(&fx.services.uploaded_bytes), len);
    assert_true(atomic_load(&fx.services.uploaded_hash) == services_hash(0, file, len));
}

static void a_raw_body_arrives_whole(void **state)
{
    (void)state;
    char headers[128];
    snprintf(headers, sizeof(headers), "filename: caf%%C3%%A9.mp4\r\nContent-Length: %d\r\n",
             FILE_BYTES);
    int fd = begin(headers);
    http_send(fd, (const char *)file, FILE_BYTES);
    expect(fd, 201, "\"name\":\"caf\xc3\xa9.mp4\"");
    expect_file(FILE_BYTES);
    fd = begin("filename: a.mp4\r\nContent-Type: video/mp4\r\nContent-Length: 1\r\n");
    http_send(fd, (const char *)file, 1);
    expect(fd, 201, "Location: /api/videos/");
    expect_file(1);
}

static void a_chunked_body_arrives_whole(void **state)
{
    (void)state;
    char line[32];
    int fd = begin("filename: a.mp4\r\nTransfer-Encoding: chunked\r\n");
    for (size_t at = 0, n = 1; at < FILE_BYTES; at += n, n = n * 3 + 1) {
        if (n > FILE_BYTES - at)
            n = FILE_BYTES - at;
        http_send(fd, line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", n));
        http_send(fd, (const char *)file + at, n);
        http_send(fd, "\r\n", 2);
    }
    http_send(fd, "0\r\n\r\n", 5);
    expect(fd, 201, NULL);
    expect_file(FILE_BYTES);
}

static void a_form_arrives_whole(void **state)
{
    (void)state;
    static const char head[] =
        "--XyZ\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nhi\r\n"
        "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"f.mp4\"\r\nContent-Type: video/mp4\r\n\r\n";
    static const char tail[] = "\r\n--XyZ--\r\n";
    char headers[160];
    snprintf(headers, sizeof(headers),
             "Content-Type: multipart/form-data; boundary=XyZ\r\nContent-Length: %zu\r\n",
             sizeof(head) - 1 + FILE_BYTES + sizeof(tail) - 1);
    int fd = begin(headers);
    http_send(fd, head, sizeof(head) - 1);
    http_send(fd, (const char *)file, FILE_BYTES);
    http_send(fd, tail, sizeof(tail) - 1);
    expect(fd, 201, "\"name\":\"f.mp4\"");
    expect_file(FILE_BYTES);
}

static void expect_name(const char *filename, int status, const char *text)
{
    char head[512];
    snprintf(head, sizeof(head), "filename: %s\r\nContent-Length: 5\r\n\r\nhello", filename);
    expect(begin(head), status, text);
}

static void names_with_control_characters_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"a%00b.mp4", "%00",     "a%0ab", "a%0D%0Ab",
                                        "a%1fb",     "a%7Fb",   "%ff",   "a%c2%85b",
                                        "a%00%zz",   "100%%00", "%7f%"};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(names); i++)
        expect_name(names[i], 400, "The `filename` header must be (percent-encoded) UTF-8");
    expect_name("a%2500b.mp4", 201, "\"name\":\"a%00b.mp4\"");
    expect_name("100% sure.mp4", 201, "\"name\":\"100% sure.mp4\"");
    expect_name("100%.mp4", 201, "\"name\":\"100%.mp4\"");
}

static void names_that_nobody_can_see_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"%20", "%20%C2%A0", "%E2%80%8B", "\xe2\x80\x8b",
                                        "%E3%85%A4%EF%B8%8F%F3%A0%81%81"};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(names); i++)
        expect_name(names[i], 400, "The `filename` header must have at least one visible");
    expect(
        begin("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 77\r\n\r\n"
              "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\xe2\x80\x8b\"\r\n\r\n"
              "hello\r\n--b--"),
        400, "form's file must have at least one visible");
    expect_name("%E2%80%8Bx", 201, NULL);
}

static void bad_uploads_are_refused_by_name(void **state)
{
    (void)state;
    expect(begin("filename: a.mp4\r\n"), 411, NULL);
    expect(begin("filename: a.mp4\r\nContent-Length: 0\r\n"), 400, "empty");
    expect(begin("Content-Length: 5\r\n\r\nhello"), 400, "filename");
    expect(begin("filename: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
           415, NULL);
    expect(begin("Content-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n{}"), 400,
           "boundary");
    expect(begin("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5\r\n\r\n--b--"),
           400, "no file");
    expect(begin("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5\r\n\r\nhello"),
           400, "closing boundary");
    expect(begin("filename: refused.mp4\r\nContent-Length: 5\r\n\r\nhello"), 400,
           "This is no video.");
}

static void too_large_names_both_numbers(void **state)
{
    (void)state;
    char line[32];
    expect(begin("filename: a\r\nContent-Length: 99999999\r\n"), 413,
           "99999999 bytes; at most 6291456");
    int fd = begin("filename: a\r\nTransfer-Encoding: chunked\r\n");
    for (int i = 0; i < 7 * 16; i++) {
        http_send(fd, line, (size_t)snprintf(line, sizeof(line), "%x\r\n", 65536));
        http_send(fd, (const char *)file, 65536);
        http_send(fd, "\r\n", 2);
    }
    expect(fd, 413, "6291456");
}

// What is not the file counts as well: nobody holds a thread with a form that never ends.
static void an_endless_form_ends(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n",
        "--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\nx\r\n--b--\r\n"};
    for (size_t k = 0; k < REEL_ARRAY_SIZE(heads); k++) {
        char line[256];
        int fd = begin("Content-Type: multipart/form-data; boundary=b\r\n"
                       "Transfer-Encoding: chunked\r\n");
        int len = snprintf(line, sizeof(line), "%zx\r\n%s\r\n", strlen(heads[k]), heads[k]);
        if (*heads[k])
            http_send(fd, line, (size_t)len);
        for (int i = 0; i < 7 * 16; i++) {
            http_send(fd, "10000\r\n", 7);
            http_send(fd, (const char *)file, 65536);
            http_send(fd, "\r\n", 2);
        }
        http_send(fd, "0\r\n\r\n", 5);
        expect(fd, 413, "more than 6291456 bytes");
    }
}

static void a_refused_upload_is_not_asked_to_continue(void **state)
{
    (void)state;
    int fd = begin("filename: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n");
    struct http_response response = http_read(fd, 3000);
    assert_int_equal(response.status, 413);
    assert_null(strstr(response.raw, "100 Continue"));
    http_free(&response);
    close(fd);
    fd = begin("filename: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n");
    response = http_read(fd, 300);
    assert_non_null(strstr(response.raw, "100 Continue"));
    http_free(&response);
    http_send(fd, (const char *)file, 5);
    expect(fd, 201, NULL);
}

static bool one_more_cancelled(void *arg)
{
    return atomic_load(&fx.services.uploads_cancelled) > *(int *)arg;
}

static bool is_being_uploaded(void *arg)
{
    (void)arg;
    return atomic_load(&fx.services.uploaded_bytes) > 0;
}

static void a_client_that_leaves_cancels_the_upload(void **state)
{
    (void)state;
    int before = atomic_load(&fx.services.uploads_cancelled);
    atomic_store(&fx.services.uploaded_bytes, 0);
    int fd = begin("filename: a\r\nContent-Length: 5000000\r\n");
    http_send(fd, (const char *)file, 1000000);
    // A call that is cancelled before a thread has taken it never begins.
    fixture_wait(is_being_uploaded, NULL);
    close(fd);
    fixture_wait(one_more_cancelled, &before);
}

static void a_slow_service_stops_the_client(void **state)
{
    (void)state;
    int before = atomic_load(&fx.services.uploads_cancelled);
    size_t sent = 0;
    const struct timeval timeout = {.tv_usec = 500000};
    atomic_store(&fx.services.upload_stuck, true);
    int fd = begin("filename: a\r\nTransfer-Encoding: chunked\r\n");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    http_send(fd, "5fffff\r\n", 8);
    while (sent < 0x5fffff) {
        ssize_t n = send(fd, file, sizeof(file) < 0x5fffff - sent ? sizeof(file) : 0x5fffff - sent,
                         MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    // Others are served meanwhile, and the client's end reaches the service through the wait.
    struct http_response response = http_ask(fx.port, "GET", "/health", "", NULL);
    assert_int_equal(response.status, 200);
    http_free(&response);
    // With a reset: an orderly end would wait in line behind the bytes that nobody takes.
    const struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    fixture_wait(one_more_cancelled, &before);
    atomic_store(&fx.services.upload_stuck, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_body_arrives_whole),
        cmocka_unit_test(a_chunked_body_arrives_whole),
        cmocka_unit_test(a_form_arrives_whole),
        cmocka_unit_test(names_with_control_characters_are_refused),
        cmocka_unit_test(names_that_nobody_can_see_are_refused),
        cmocka_unit_test(bad_uploads_are_refused_by_name),
        cmocka_unit_test(too_large_names_both_numbers),
        cmocka_unit_test(an_endless_form_ends),
        cmocka_unit_test(a_refused_upload_is_not_asked_to_continue),
        cmocka_unit_test(a_client_that_leaves_cancels_the_upload),
        cmocka_unit_test(a_slow_service_stops_the_client),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
