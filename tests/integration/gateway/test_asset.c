// SPDX-License-Identifier: Apache-2.0
// Assets: whole, in ranges, conditional; from the storage directory and over RPC alike.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/base.h"
#include "libcommon/storage/storage.h"
#include "tests/integration/gateway/fixture.h"
#include "tests/integration/gateway/http.h"

#define TARGET "/api/videos/asset?videoId=0190f5fe-7c00-7a00-8000-000000000001&type=original"

static struct fixture fx;
static char storage_dir[96];

static void store_asset(void)
{
    struct reel_storage *storage;
    struct reel_storage_file *stored;
    unsigned char *data = malloc(ASSET_BYTES);
    for (size_t i = 0; i < ASSET_BYTES; i++)
        data[i] = services_asset_byte(i);
    assert_int_equal(reel_storage_new(storage_dir, &storage), 0);
    assert_int_equal(reel_storage_create(storage, "asset/original", &stored), 0);
    assert_int_equal(reel_storage_write(stored, data, ASSET_BYTES), 0);
    assert_int_equal(reel_storage_publish(stored), 0);
    reel_storage_free(storage);
    free(data);
}

static int setup_over_rpc(void **state)
{
    (void)state;
    fixture_prepare(&fx);
    fixture_start(&fx);
    return 0;
}

static int setup_from_storage(void **state)
{
    (void)state;
    fixture_prepare(&fx);
    snprintf(storage_dir, sizeof(storage_dir), "%s/storage", fx.dir);
    fx.config.storage_dir = storage_dir;
    fixture_start(&fx);
    store_asset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fx);
    return 0;
}

static struct http_response get(const char *method, const char *headers)
{
    char lines[2048];
    snprintf(lines, sizeof(lines), "%s%s", fx.bearer, headers);
    return http_ask(fx.port, method, TARGET, lines, NULL);
}

static void expect_bytes(struct http_response response, int status, size_t first, size_t len)
{
    assert_int_equal(response.status, status);
    assert_int_equal(response.body_len, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)response.body[i] != services_asset_byte(first + i))
            fail_msg("byte %zu differs", i);
    http_free(&response);
}

static void the_whole_arrives(void **state)
{
    (void)state;
    expect_bytes(get("GET", ""), 200, 0, ASSET_BYTES);
}

static void ranges_arrive(void **state)
{
    (void)state;
    char value[128];
    struct http_response response = get("GET", "Range: bytes=5-9\r\n");
    assert_true(http_header(&response, "Content-Range", value, sizeof(value)));
    assert_string_equal(value, "bytes 5-9/3145745");
    expect_bytes(response, 206, 5, 5);
    expect_bytes(get("GET", "Range: bytes=-10\r\n"), 206, ASSET_BYTES - 10, 10);
    expect_bytes(get("GET", "Range: bytes=3000000-\r\n"), 206, 3000000, ASSET_BYTES - 3000000);
    expect_bytes(get("GET", "Range: bytes=0-1,5-6\r\n"), 200, 0, ASSET_BYTES);
    expect_bytes(get("GET", "Range: bytes=1-2\r\nIf-Range: \"tag-1\"\r\n"), 206, 1, 2);
    expect_bytes(get("GET", "Range: bytes=1-2\r\nIf-Range: \"old\"\r\n"), 200, 0, ASSET_BYTES);
    response = get("GET", "Range: bytes=3145745-\r\n");
    assert_int_equal(response.status, 416);
    assert_true(http_header(&response, "Content-Range", value, sizeof(value)));
    assert_string_equal(value, "bytes */3145745");
    http_free(&response);
}

static void what_the_client_has_is_not_sent_again(void **state)
{
    (void)state;
    expect_bytes(get("GET", "If-None-Match: W/\"tag-1\"\r\n"), 304, 0, 0);
    expect_bytes(get("GET", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 304, 0, 0);
    expect_bytes(get("GET", "If-None-Match: \"x\"\r\nRange: bytes=0-0\r\n"), 206, 0, 1);
}

static void expect_412(const char *method, const char *headers)
{
    char value[64];
    struct http_response response = get(method, headers);
    assert_int_equal(response.status, 412);
    assert_true(http_header(&response, "ETag", value, sizeof(value)));
    assert_string_equal(value, "\"tag-1\"");
    assert_true(http_header(&response, "Content-Type", value, sizeof(value)));
    assert_string_equal(value, "application/problem+json");
    http_free(&response);
}

static void another_file_than_the_client_wants_is_not_sent(void **state)
{
    (void)state;
    static const char *const failing[] = {
        "If-Match: \"x\"\r\n",
        "If-Match: W/\"tag-1\"\r\n",
        "If-Match: \"x\"\r\nRange: bytes=0-0\r\n",
        "If-Match: \"x\"\r\nIf-None-Match: \"tag-1\"\r\n",
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\nRange: bytes=99999999-\r\n",
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(failing); i++) {
        expect_412("GET", failing[i]);
        expect_412("HEAD", failing[i]);
    }
    expect_bytes(get("GET", "If-Match: \"x\"\r\nIf-Match: \"tag-1\"\r\n"), 200, 0, ASSET_BYTES);
    expect_bytes(get("GET", "If-Match: *\r\nRange: bytes=0-4\r\n"), 206, 0, 5);
    expect_bytes(get("GET", "If-Match: \"tag-1\"\r\nIf-Unmodified-Since: "
                            "Sun, 06 Nov 1994 08:49:36 GMT\r\nRange: bytes=1-1\r\n"),
                 206, 1, 1);
    expect_bytes(get("GET", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                            "Range: bytes=2-2\r\n"),
                 206, 2, 1);
    expect_bytes(get("GET", "If-Match: \"tag-1\"\r\nIf-None-Match: \"x\"\r\n"
                            "If-None-Match: \"tag-1\"\r\n"),
                 304, 0, 0);
}

static void head_tells_without_sending(void **state)
{
    (void)state;
    char value[64];
    struct http_response response = get("HEAD", "Range: bytes=0-4\r\n");
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body_len, 0);
    assert_true(http_header(&response, "Content-Length", value, sizeof(value)));
    assert_string_equal(value, "3145745");
    http_free(&response);
}

static void the_name_cannot_split_the_header(void **state)
{
    (void)state;
    char value[256];
    struct http_response response = get("HEAD", "");
    assert_true(http_header(&response, "Content-Disposition", value, sizeof(value)));
    assert_string_equal(value, "attachment; filename=\"a _b___X: y__.mp4\"; "
                               "filename*=UTF-8''a%20%22b%22%0D%0AX%3A%20y%C3%A9.mp4");
    assert_false(http_header(&response, "X", value, sizeof(value)));
    assert_true(http_header(&response, "Content-Security-Policy", value, sizeof(value)));
    assert_non_null(strstr(value, "sandbox"));
    assert_true(http_header(&response, "Cache-Control", value, sizeof(value)));
    assert_string_equal(value, "private, no-cache");
    http_free(&response);
}

static void clients_that_leave_do_no_harm(void **state)
{
    (void)state;
    char text[2048];
    int len =
        snprintf(text, sizeof(text), "GET " TARGET " HTTP/1.1\r\nHost: a\r\n%s\r\n", fx.bearer);
    for (int i = 0; i < 30; i++) {
        int fd = http_connect(fx.port);
        http_send(fd, text, (size_t)len);
        if (i % 2) {
            char byte;
            assert_int_equal(read(fd, &byte, 1), 1);
        }
        close(fd);
    }
    expect_bytes(get("GET", ""), 200, 0, ASSET_BYTES);
}

#define CASES                                                                                      \
    cmocka_unit_test(the_whole_arrives), cmocka_unit_test(ranges_arrive),                          \
        cmocka_unit_test(what_the_client_has_is_not_sent_again),                                   \
        cmocka_unit_test(another_file_than_the_client_wants_is_not_sent),                          \
        cmocka_unit_test(head_tells_without_sending),                                              \
        cmocka_unit_test(the_name_cannot_split_the_header),                                        \
        cmocka_unit_test(clients_that_leave_do_no_harm)

int main(void)
{
    const struct CMUnitTest over_rpc[] = {CASES};
    const struct CMUnitTest from_storage[] = {CASES};
    int failed = cmocka_run_group_tests(over_rpc, setup_over_rpc, teardown);
    return failed + cmocka_run_group_tests(from_storage, setup_from_storage, teardown);
}
