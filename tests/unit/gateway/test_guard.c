// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/guard.h"
#include "libcommon/core/base.h"

enum { MAX_HEADERS = 128 };

struct head {
    struct guard_header headers[MAX_HEADERS];
    struct guard_request req;
};

// Builds a request head from "Name: value" lines.
static void head_build(struct head *head, const char *method, const char *target,
                       const char *const *lines)
{
    size_t n = 0;
    for (; lines[n]; n++) {
        const char *colon = strchr(lines[n], ':');
        head->headers[n].name = lines[n];
        head->headers[n].name_len = (size_t)(colon - lines[n]);
        head->headers[n].value = colon + 1 + strspn(colon + 1, " ");
        head->headers[n].value_len = strlen(head->headers[n].value);
    }
    head->req = (struct guard_request){method, target, "HTTP/1.1", head->headers, n};
}

static unsigned status_of(const char *method, const char *target, const char *const *lines)
{
    struct head head;
    struct guard_verdict verdict = {0};
    head_build(&head, method, target, lines);
    return guard_check(&head.req, &verdict) == 0 ? 0 : verdict.status;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})
static const char *const plain[] = {"Host: reel.test", NULL};

static void ordinary_requests_pass(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET", "/api/videos?limit=5&cursor=a%20b", plain), 0);
    assert_int_equal(status_of("POST", "/x", LINES("Host: a:3000", "Content-Length: 12")), 0);
    assert_int_equal(
        status_of("POST", "/x", LINES("Host: [::1]:3000", "Transfer-Encoding: Chunked")), 0);
    assert_int_equal(status_of("OPTIONS", "*", plain), 0);
    assert_int_equal(status_of("GET", "http://reel.test/x?y", plain), 0);
    assert_int_equal(status_of("GET", "/%C3%A9/..a/a../...", plain), 0);
    assert_int_equal(status_of("PUT", "/x", LINES("Host: a", "Expect: 100-continue")), 0);
}

static void ambiguous_framing_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][5] = {
        {"Host: a", "Host: a"},
        {"Accept: b"},
        {"Host: a", "Content-Length: 5", "Content-Length: 5"},
        {"Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"},
        {"Host: a", "Transfer-Encoding: chunked", "transfer-encoding: chunked"},
        {"Host: a", "Transfer-Encoding: gzip, chunked"},
        {"Host: a", "Transfer-Encoding: xchunked"},
        {"Host: a", "Transfer-Encoding: identity"},
        {"Host: a", "Content-Length: +5"},
        {"Host: a", "Content-Length: 5,5"},
        {"Host: a", "Content-Length: 0x5"},
        {"Host: a", "Content-Length: "},
        {"Host: a", "Content-Length: 9999999999999999999"},
        {"Host: a b"},
        {"Host: a/b"},
        {"Host: "},
        {"Host: a", "X y: 1"},
        {"Host: a", "X: a\x01"},
        {"Host: a", "X: a\rb"},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_int_equal(status_of("POST", "/x", cases[i]), 400);
}

static void http_1_0_may_not_chunk(void **state)
{
    (void)state;
    struct head head;
    struct guard_verdict verdict;
    head_build(&head, "POST", "/x", LINES("Transfer-Encoding: chunked"));
    head.req.version = "HTTP/1.0";
    assert_int_equal(guard_check(&head.req, &verdict), -1);
    head_build(&head, "POST", "/x", LINES("Content-Length: 4"));
    head.req.version = "HTTP/1.0";
    assert_int_equal(guard_check(&head.req, &verdict), 0);
    head.req.version = "HTTP/1.2";
    assert_int_equal(guard_check(&head.req, &verdict), -1);
}

static void odd_methods_and_targets_are_refused(void **state)
{
    (void)state;
    static const char *const methods[] = {"get", "Get", "BREW", "CONNECT", "TRACE", "GETX", ""};
    static const char *const targets[] = {
        "",
        "x",
        "*",
        "/a/../b",
        "/a/./b",
        "/..",
        "/a/%2e%2e/b",
        "/a/%2E/b",
        "/a/.%2e",
        "/a%2fb",
        "/a%5cb",
        "/a%00b",
        "/a%0ab",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a#b",
        "/a?b#c",
        "/a?b=%00",
        "/a?b=%g0",
        "/a\\b",
        "/a\x01",
        "http://other/x",
        "http://",
        "ftp://reel.test/x",
        "http://reel.test@other/",
        "/a?b\x7f",
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(methods); i++)
        assert_int_equal(status_of(methods[i], "/x", plain), 400);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(targets); i++)
        assert_int_equal(status_of("GET", targets[i], plain), 400);
}

static void limits_are_named_by_status(void **state)
{
    (void)state;
    static char target[GUARD_MAX_TARGET + 2];
    static char value[GUARD_MAX_HEADER_BYTES + 8] = "X: ";
    const char *many[MAX_HEADERS] = {"Host: a"};
    memset(target, 'a', sizeof(target) - 1);
    target[0] = '/';
    assert_int_equal(status_of("GET", target, plain), 414);
    target[GUARD_MAX_TARGET] = '\0';
    assert_int_equal(status_of("GET", target, plain), 0);
    for (size_t i = 1; i <= GUARD_MAX_HEADERS; i++)
        many[i] = "X: y";
    assert_int_equal(status_of("GET", "/", many), 431);
    memset(value + 3, 'v', sizeof(value) - 4);
    assert_int_equal(status_of("GET", "/", LINES("Host: a", value)), 431);
    assert_int_equal(status_of("GET", "/", LINES("Host: a", "Expect: 200-maybe")), 417);
}

static void origin_form_drops_the_authority(void **state)
{
    (void)state;
    assert_string_equal(guard_origin_form("/a?b"), "/a?b");
    assert_string_equal(guard_origin_form("http://h:1/a?b"), "/a?b");
    assert_string_equal(guard_origin_form("HTTPS://h"), "/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_requests_pass),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(http_1_0_may_not_chunk),
        cmocka_unit_test(odd_methods_and_targets_are_refused),
        cmocka_unit_test(limits_are_named_by_status),
        cmocka_unit_test(origin_form_drops_the_authority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
