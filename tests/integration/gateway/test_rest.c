// SPDX-License-Identifier: Apache-2.0
// JSON routes: shapes, statuses, headers, sign-in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/gateway/fixture.h"
#include "tests/integration/gateway/http.h"

#define JSON "Content-Type: application/json\r\n"
#define ID   "0190f5fe-7c00-7a00-8000-000000000001"

static struct fixture fx;

static int setup(void **state)
{
    (void)state;
    fixture_prepare(&fx);
    fixture_start(&fx);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fx);
    return 0;
}

static void expect(struct http_response response, int status, const char *text)
{
    if (response.status != status || (text && !strstr(response.raw, text)))
        fail_msg("wanted %d with '%s', got: %s", status, text ? text : "", response.raw);
    if (status >= 400)
        assert_non_null(strstr(response.raw, "application/problem+json"));
    http_free(&response);
}

static struct http_response signed_in(const char *method, const char *target, const char *headers,
                                      const char *body)
{
    char lines[2048];
    snprintf(lines, sizeof(lines), "%s%s", fx.bearer, headers);
    return http_ask(fx.port, method, target, lines, body);
}

static void keys_that_are_none_let_nobody_in(void **state)
{
    (void)state;
    atomic_store(&fx.services.keys_broken, true);
    expect(signed_in("GET", "/api/auth/user", "", NULL), 503, "Retry-After: 1");
    atomic_store(&fx.services.keys_broken, false);
    expect(signed_in("GET", "/api/auth/user", "", NULL), 200, NULL);
}

static void public_routes_need_no_token(void **state)
{
    (void)state;
    expect(
        http_ask(fx.port, "POST", "/api/auth/register", JSON,
                 "{\"username\":\"anna\",\"email\":\"a@example.org\",\"password\":\"12345678\"}"),
        201, "\"username\":\"anna\"");
    expect(
        http_ask(fx.port, "POST", "/api/auth/register", JSON,
                 "{\"username\":\"taken\",\"email\":\"a@example.org\",\"password\":\"12345678\"}"),
        409, "\"error\":\"The name is taken. Choose another.\"");
}

static void login_sets_the_cookie_and_logout_clears_it(void **state)
{
    (void)state;
    char cookie[1400];
    struct http_response response =
        http_ask(fx.port, "POST", "/api/auth/login", JSON,
                 "{\"username\":\"anna\",\"password\":\"right password\"}");
    assert_int_equal(response.status, 200);
    assert_true(http_header(&response, "Set-Cookie", cookie, sizeof(cookie)));
    assert_non_null(strstr(cookie, "token=ey"));
    assert_non_null(strstr(cookie, "; HttpOnly; SameSite=Lax"));
    assert_non_null(strstr(cookie, "Max-Age=300"));
    assert_null(strstr(cookie, "Secure"));
    http_free(&response);
    expect(http_ask(fx.port, "POST", "/api/auth/login", JSON,
                    "{\"username\":\"anna\",\"password\":\"wrong\"}"),
           401, "Name or password is wrong.");
    response = signed_in("DELETE", "/api/auth/logout", "", NULL);
    assert_true(http_header(&response, "Set-Cookie", cookie, sizeof(cookie)));
    assert_non_null(strstr(cookie, "token=; Path=/; Max-Age=0"));
    http_free(&response);
}

static const char *login_as(const char *agent)
{
    char headers[1024];
    snprintf(headers, sizeof(headers), JSON "%s%s%s", agent ? "User-Agent: " : "",
             agent ? agent : "", agent ? "\r\n" : "");
    expect(http_ask(fx.port, "POST", "/api/auth/login", headers,
                    "{\"username\":\"anna\",\"password\":\"right password\"}"),
           200, NULL);
    return fx.services.user_agent;
}

// Whatever it is, it must not make the call fail.
static void a_session_knows_its_browser(void **state)
{
    (void)state;
    char long_agent[600];
    assert_string_equal(login_as("Mozilla/5.0 (X11; Linux)"), "Mozilla/5.0 (X11; Linux)");
    assert_string_equal(login_as("a\tb\xc3\xa9\xff c"), "ab c");
    assert_string_equal(login_as("\xff"), "");
    assert_string_equal(login_as(NULL), "none");
    memset(long_agent, 'a', sizeof(long_agent) - 1);
    long_agent[sizeof(long_agent) - 1] = '\0';
    assert_int_equal(strlen(login_as(long_agent)), 256);
}

static void a_refusal_by_a_service_has_the_headers_of_its_own_quota(void **state)
{
    (void)state;
    char value[128];
    struct http_response response =
        http_ask(fx.port, "POST", "/api/auth/login", JSON,
                 "{\"username\":\"anna\",\"password\":\"guessed too often\"}");
    assert_int_equal(response.status, 429);
    assert_true(http_header(&response, "Retry-After", value, sizeof(value)));
    assert_string_equal(value, "900");
    assert_true(http_header(&response, "RateLimit-Policy", value, sizeof(value)));
    assert_string_equal(value, "\"login\";q=10;w=900");
    assert_true(http_header(&response, "RateLimit", value, sizeof(value)));
    assert_string_equal(value, "\"login\";r=0;t=900");
    assert_non_null(strstr(response.body, "http-problem-types#quota-exceeded"));
    assert_non_null(strstr(response.body, "\"violated-policies\":[\"login\"]"));
    assert_non_null(strstr(response.body, "\"detail\":\"Too many wrong passwords.\""));
    http_free(&response);

    // A service that is merely busy: what the gateway's own quota has left would contradict it.
    response = http_ask(fx.port, "POST", "/api/auth/login", JSON,
                        "{\"username\":\"anna\",\"password\":\"guessed\"}");
    assert_int_equal(response.status, 429);
    assert_true(http_header(&response, "Retry-After", value, sizeof(value)));
    assert_false(http_header(&response, "RateLimit", value, sizeof(value)));
    assert_false(http_header(&response, "RateLimit-Policy", value, sizeof(value)));
    http_free(&response);
}

static void a_private_route_wants_a_valid_token(void **state)
{
    (void)state;
    char expired[1025], lines[1200];
    expect(signed_in("GET", "/api/auth/user", "X-Request-Id: my-request-1\r\n", NULL), 200,
           "\"username\":\"my-request-1\"");
    expect(http_ask(fx.port, "GET", "/api/auth/user", "", NULL), 401, "WWW-Authenticate: Bearer");
    expect(http_ask(fx.port, "GET", "/api/auth/user", "Authorization: Bearer x.y.z\r\n", NULL), 401,
           "error=\"invalid_token\"");
    expect(http_ask(fx.port, "GET", "/api/auth/user", "Authorization: Basic eDp5\r\n", NULL), 401,
           NULL);
    services_token(&fx.services, fx.services.user_id, -120, expired);
    snprintf(lines, sizeof(lines), "Authorization: Bearer %s\r\n", expired);
    expect(http_ask(fx.port, "GET", "/api/auth/user", lines, NULL), 401, "invalid_token");
    // A forged last character.
    snprintf(lines, sizeof(lines), "Authorization: Bearer %.*sA\r\n", (int)strlen(fx.token) - 1,
             fx.token);
    if (fx.token[strlen(fx.token) - 1] != 'A')
        expect(http_ask(fx.port, "GET", "/api/auth/user", lines, NULL), 401, "invalid_token");
}

static void a_cookie_may_write_only_from_our_own_pages(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"", 200},
        {"Sec-Fetch-Site: same-origin\r\n", 200},
        {"Sec-Fetch-Site: cross-site\r\n", 403},
        {"Sec-Fetch-Site: same-site\r\n", 403},
        {"Origin: http://reel.test\r\n", 200},
        {"Origin: https://evil.example\r\n", 403},
        {"Origin: null\r\n", 403},
        {"Origin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n", 200},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        char lines[1400];
        snprintf(lines, sizeof(lines), "Cookie: a=b; token=%s\r\n%s", fx.token, cases[i].headers);
        expect(http_ask(fx.port, "POST", "/api/auth/logout", lines, NULL), cases[i].status, NULL);
        expect(http_ask(fx.port, "GET", "/api/auth/user", lines, NULL), 200, NULL);
    }
}

static void bodies_that_do_not_fit_are_named(void **state)
{
    (void)state;
    static char large[70 * 1024];
    memset(large, ' ', sizeof(large) - 1);
    const char *login = "/api/auth/login";
    expect(http_ask(fx.port, "POST", login, JSON, "{\"username\":"), 400, "\"pointer\":\"#\"");
    expect(http_ask(fx.port, "POST", login, JSON, ""), 400, NULL);
    expect(http_ask(fx.port, "POST", login, JSON, "{\"usrname\":\"x\"}"), 400, "usrname");
    expect(http_ask(fx.port, "POST", login, JSON, "{\"username\":5}"), 400, "#/username");
    expect(http_ask(fx.port, "POST", login, "Content-Type: text/plain\r\n", "{}"), 415, NULL);
    expect(http_ask(fx.port, "POST", login, JSON, large), 413, "65536");
    expect(http_ask(fx.port, "POST", "/api/auth/login?username=x", JSON, "{}"), 400, NULL);
    expect(http_ask(fx.port, "POST", "/api/auth/register", JSON,
                    "{\"username\":\"a\",\"email\":\"b\",\"password\":\"c\"}"),
           422, "#/email");
}

static void path_and_query_fill_the_request(void **state)
{
    (void)state;
    expect(signed_in("GET", "/api/videos?cursor=a%20b%2B+c&limit=5", "", NULL), 200,
           "\"nextCursor\":\"a b+ c\"");
    expect(signed_in("GET", "/api/videos/videos", "", NULL), 200, "\"videos\":[]");
    expect(signed_in("GET", "/api/videos?nope=1", "", NULL), 400, "\"parameter\":\"nope\"");
    expect(signed_in("GET", "/api/videos?limit=x", "", NULL), 400, "\"parameter\":\"limit\"");
    expect(signed_in("GET", "/api/videos?limit=1000", "", NULL), 422, "\"parameter\":\"limit\"");
    expect(signed_in("GET", "/api/videos/" ID, "", NULL), 404, ID);
    expect(signed_in("GET", "/api/videos/" ID "?videoId=" ID, "", NULL), 400, NULL);
    expect(signed_in("GET", "/api/videos/not-a-uuid", "", NULL), 422, NULL);
}

static void an_operation_answers_202_with_a_location(void **state)
{
    (void)state;
    expect(signed_in("POST", "/api/videos/resize", JSON,
                     "{\"videoId\":\"" ID "\",\"width\":320,\"height\":240}"),
           202, "Location: /api/jobs/status/" ID);
}

static void faults_tell_the_client_nothing(void **state)
{
    (void)state;
    struct http_response response = signed_in(
        "POST", "/api/videos/resize", JSON, "{\"videoId\":\"" ID "\",\"width\":16,\"height\":240}");
    assert_int_equal(response.status, 500);
    assert_null(strstr(response.raw, "secret"));
    assert_non_null(strstr(response.raw, "requestId"));
    http_free(&response);
}

static void unknown_routes_and_verbs(void **state)
{
    (void)state;
    expect(http_ask(fx.port, "GET", "/nope", "", NULL), 404, "/nope");
    expect(signed_in("PUT", "/api/videos/upload", "", NULL), 405, "Allow: POST, OPTIONS");
    expect(http_ask(fx.port, "OPTIONS", "/api/auth/login", "", NULL), 204, "Allow: POST, OPTIONS");
    expect(http_ask(fx.port, "OPTIONS", "*", "", NULL), 204, NULL);
    struct http_response response = signed_in("HEAD", "/api/auth/user", "", NULL);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body_len, 0);
    http_free(&response);
}

static void allowed_origins_may_read_replies(void **state)
{
    (void)state;
    struct http_response response =
        http_ask(fx.port, "OPTIONS", "/api/auth/login",
                 "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n", NULL);
    assert_int_equal(response.status, 204);
    assert_non_null(strstr(response.raw, "Access-Control-Allow-Origin: https://app.example"));
    assert_non_null(strstr(response.raw, "Access-Control-Max-Age"));
    assert_non_null(strstr(response.raw, "Vary: Origin"));
    http_free(&response);
    response = http_ask(fx.port, "GET", "/health", "Origin: https://evil.example\r\n", NULL);
    assert_null(strstr(response.raw, "Access-Control-Allow-Origin"));
    assert_non_null(strstr(response.raw, "Vary: Origin"));
    http_free(&response);
}

static void the_connection_serves_many_requests(void **state)
{
    (void)state;
    static const char one[] = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char refused[] = "POST /api/videos/resize HTTP/1.1\r\nHost: a\r\n"
                                  "Content-Length: 5\r\n\r\nhello";
    static const char last[] = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    int fd = http_connect(fx.port);
    for (int i = 0; i < 10; i++) {
        http_send(fd, one, sizeof(one) - 1);
        http_send(fd, refused, sizeof(refused) - 1);
    }
    http_send(fd, last, sizeof(last) - 1);
    struct http_response response = http_read(fd, 3000);
    assert_int_equal(response.n, 21);
    assert_true(response.closed);
    http_free(&response);
    close(fd);
}

static bool one_more_cancelled(void *arg)
{
    return atomic_load(&fx.services.cancelled) > *(int *)arg;
}

static void a_client_that_leaves_cancels_its_call(void **state)
{
    (void)state;
    char text[1400];
    int before = atomic_load(&fx.services.cancelled);
    int calls = atomic_load(&fx.services.calls);
    int len = snprintf(text, sizeof(text),
                       "GET /api/videos?cursor=slow HTTP/1.1\r\nHost: a\r\n%s\r\n", fx.bearer);
    int fd = http_connect(fx.port);
    http_send(fd, text, (size_t)len);
    while (atomic_load(&fx.services.calls) == calls)
        usleep(2000);
    close(fd);
    fixture_wait(one_more_cancelled, &before);
}

static void operators_see_state_and_metrics(void **state)
{
    (void)state;
    expect(http_ask(fx.port, "GET", "/ready", "", NULL), 200, "\"user\":\"up\"");
    expect(http_ask(fx.port, "GET", "/api/services/status", "", NULL), 200,
           "\"revocations\":\"fresh\"");
    expect(http_ask(fx.port, "GET", "/metrics", "", NULL), 200,
           "reel_http_requests_total{method=\"GET\",route=\"/ready\",status=\"200\"}");
    expect(http_ask(fx.port, "GET", "/openapi.json", "", NULL), 200, "\"openapi\":\"3.1.0\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_are_none_let_nobody_in),
        cmocka_unit_test(public_routes_need_no_token),
        cmocka_unit_test(login_sets_the_cookie_and_logout_clears_it),
        cmocka_unit_test(a_session_knows_its_browser),
        cmocka_unit_test(a_refusal_by_a_service_has_the_headers_of_its_own_quota),
        cmocka_unit_test(a_private_route_wants_a_valid_token),
        cmocka_unit_test(a_cookie_may_write_only_from_our_own_pages),
        cmocka_unit_test(bodies_that_do_not_fit_are_named),
        cmocka_unit_test(path_and_query_fill_the_request),
        cmocka_unit_test(an_operation_answers_202_with_a_location),
        cmocka_unit_test(faults_tell_the_client_nothing),
        cmocka_unit_test(unknown_routes_and_verbs),
        cmocka_unit_test(allowed_origins_may_read_replies),
        cmocka_unit_test(the_connection_serves_many_requests),
        cmocka_unit_test(a_client_that_leaves_cancels_its_call),
        cmocka_unit_test(operators_see_state_and_metrics),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
