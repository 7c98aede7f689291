// SPDX-License-Identifier: Apache-2.0
// Raw HTTP/1.1 that no proper client sends. Whatever the first request is, what hides behind it
// must never be served: the smuggled request asks for a path that answers 404, so a second reply or
// a 404 gives it away.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "tests/integration/gateway/fixture.h"
#include "tests/integration/gateway/http.h"

#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST     "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
#define GET      "GET /health HTTP/1.1\r\nHost: a\r\n"

static struct fixture fx;

static int setup(void **state)
{
    (void)state;
    fixture_prepare(&fx);
    fx.config.header_timeout_ms = 1000;
    fx.config.rate_window_ms = 1000;
    fixture_start(&fx);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fx);
    return 0;
}

struct payload {
    const char *text;
    size_t len;
};

#define P(text_)                                                                                   \
    {                                                                                              \
        text_, sizeof(text_) - 1                                                                   \
    }

// Ambiguous or malformed: one refusal at most, then the end of the connection.
static const struct payload refused[] = {
    // two lengths
    P(POST "Content-Length: 0\r\nContent-Length: 36\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 36\r\nContent-Length: 0\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" SMUGGLED),
    P(POST "Content-Length: 0, 36\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 5, 5\r\n\r\nhello" SMUGGLED),
    // a length that is no plain number
    P(POST "Content-Length: +0\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: -1\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 0x0\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 0 0\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: \r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 1e1\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 18446744073709551616\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 99999999999999999999\r\n\r\n" SMUGGLED),
    // both framings
    P(POST "Content-Length: 36\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    // odd transfer encodings
    P(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: identity\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding:\x0b"
           "chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: \r\n chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding:\r\n\r\n" SMUGGLED),
    P("POST /api/auth/login HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n"
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    // white space where none may be
    P(POST "Content-Length : 0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST " Content-Length: 0\r\n\r\n" SMUGGLED),
    P(POST "Content Length: 0\r\n\r\n" SMUGGLED),
    P(POST "X: a\r\n Content-Length: 36\r\n\r\n" SMUGGLED),
    P(GET "X: a\r\n b\r\n\r\n" SMUGGLED),
    P(GET " X: a\r\n\r\n" SMUGGLED),
    P(GET "\tX: a\r\n\r\n" SMUGGLED),
    // line ends
    P("GET /health HTTP/1.1\nHost: a\n\n" SMUGGLED),
    P(GET "X: a\n\n" SMUGGLED),
    P(GET "X: a\nY: b\r\n\r\n" SMUGGLED),
    P(GET "X: a\rY: b\r\n\r\n" SMUGGLED),
    P(GET "X: a\r\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    // NUL and control bytes
    P(GET "X: a\0b\r\n\r\n" SMUGGLED),
    P(GET "X\0: a\r\n\r\n" SMUGGLED),
    P("GET /health\0 HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /heal%00th HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P(GET "X: a\x01\r\n\r\n" SMUGGLED),
    P(GET "X\x7f: a\r\n\r\n" SMUGGLED),
    P(GET ": a\r\n\r\n" SMUGGLED),
    P(GET "no colon\r\n\r\n" SMUGGLED),
    // hosts
    P("GET /health HTTP/1.1\r\n\r\n" SMUGGLED),
    P("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" SMUGGLED),
    P("GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n" SMUGGLED),
    P("GET /health HTTP/1.1\r\nHost: a b\r\n\r\n" SMUGGLED),
    P("GET http://other/health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET http://a@other/health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    // methods, targets and versions
    P("get /health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("BREW /health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("TRACE /health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /x/../health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /x/%2e%2e/health HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /x%2f..%2fhealth HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /x%5chealth HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /health#x HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /health HTTP/2.0\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /health HTTP/1.2\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /health http/1.1\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /health HTTP/1.1x\r\nHost: a\r\n\r\n" SMUGGLED),
    P("GET /health\r\nHost: a\r\n\r\n" SMUGGLED),
    P("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" SMUGGLED),
    P("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" SMUGGLED),
    // chunks
    P(POST "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n1 \r\nZ\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n1\nZ\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n1\r\nZZ\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nZ\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n" SMUGGLED),
};

// Well-formed, but the body is where the second request seems to be: it must stay a body.
static const struct payload swallowed[] = {
    P(POST "Content-Length: 35\r\nConnection: close\r\n\r\n" SMUGGLED),
    P(POST "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n23\r\n" SMUGGLED
           "\r\n0\r\n\r\n"),
    P("GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\nConnection: "
      "close\r\n\r\n" SMUGGLED),
    P(POST "Content-Length: 35\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n" SMUGGLED),
    P("GET /nope2 HTTP/1.0\r\nHost: a\r\n\r\n" SMUGGLED),
};

static void check(const struct payload *payload, size_t index, bool must_refuse)
{
    struct http_response response = http_raw(fx.port, payload->text, payload->len);
    bool leaked = response.n > 1 || strstr(response.raw, "/smuggled") != NULL;
    bool refusal = response.status == 0 || response.status >= 400;
    if (leaked || !response.closed || (must_refuse && !refusal))
        fail_msg("payload %zu: %s", index, response.raw);
    http_free(&response);
}

static void ambiguous_requests_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(refused); i++)
        check(&refused[i], i, true);
}

static void a_body_is_never_a_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(swallowed); i++)
        check(&swallowed[i], i, false);
}

static void requests_cut_into_bytes_mean_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(refused); i += 9) {
        int fd = http_connect(fx.port);
        for (size_t at = 0; at < refused[i].len; at++)
            http_send(fd, refused[i].text + at, 1);
        struct http_response response = http_read(fd, 5000);
        assert_true(response.n <= 1);
        assert_null(strstr(response.raw, "/smuggled"));
        http_free(&response);
        close(fd);
    }
}

static void floods_are_cut_short(void **state)
{
    (void)state;
    static char text[128 * 1024];
    size_t n = (size_t)sprintf(text, "GET /");
    memset(text + n, 'a', 100 * 1024);
    struct http_response response = http_raw(fx.port, text, n + 100 * 1024);
    assert_true(response.status == 0 || response.status >= 400);
    assert_true(response.closed);
    http_free(&response);

    n = (size_t)sprintf(text, GET);
    for (int i = 0; i < 3000; i++)
        n += (size_t)sprintf(text + n, "X%d: y\r\n", i);
    n += (size_t)sprintf(text + n, "\r\n");
    response = http_raw(fx.port, text, n);
    assert_int_equal(response.status, 431);
    assert_true(response.closed);
    http_free(&response);
}

// Drips a byte every 100 ms: always active, never done. An absolute deadline ends it all the same.
static int64_t drip_ms(const char *start, const char *drop)
{
    int fd = http_connect(fx.port);
    int64_t begun_us = reel_clock_mono_us();
    http_send(fd, start, strlen(start));
    struct http_response response;
    do {
        http_send(fd, drop, 1);
        response = http_read(fd, 100);
        bool closed = response.closed;
        http_free(&response);
        if (closed)
            break;
    } while (reel_clock_mono_us() - begun_us < 20000000);
    close(fd);
    return (reel_clock_mono_us() - begun_us) / 1000;
}

static void drips_are_cut_by_an_absolute_deadline(void **state)
{
    (void)state;
    assert_true(drip_ms("GET /health HTTP/1.1\r\nHost: a\r\nX: ", "x") < 10000);
    assert_true(drip_ms("GE", "x") < 10000);
    assert_true(drip_ms(POST "Content-Length: 60000\r\n\r\n", " ") < 10000);
}

static void idle_connections_starve_nobody(void **state)
{
    (void)state;
    enum { IDLE = 150 };
    int fds[IDLE];
    for (int i = 0; i < IDLE; i++) {
        fds[i] = http_connect(fx.port);
        http_send(fds[i], "GET /he", (size_t)(i % 2 ? 7 : 0));
    }
    for (int i = 0; i < 20; i++) {
        struct http_response response = http_ask(fx.port, "GET", "/health", "", NULL);
        assert_int_equal(response.status, 200);
        http_free(&response);
    }
    for (int i = 0; i < IDLE; i++) {
        struct http_response response = http_read(fds[i], 10000);
        assert_true(response.closed);
        http_free(&response);
        close(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ambiguous_requests_end_the_connection),
        cmocka_unit_test(a_body_is_never_a_request),
        cmocka_unit_test(requests_cut_into_bytes_mean_the_same),
        cmocka_unit_test(floods_are_cut_short),
        cmocka_unit_test(drips_are_cut_by_an_absolute_deadline),
        cmocka_unit_test(idle_connections_starve_nobody),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
