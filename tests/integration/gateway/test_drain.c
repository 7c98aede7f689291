// SPDX-License-Identifier: Apache-2.0
// What clients see of a gateway that ends: answers, each of them whole, and then a closed port.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <pthread.h>
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

enum { GRACE_US = 30000000, CLIENTS = 8, WAIT_MS = 10000 };

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

static void *drain(void *arg)
{
    gateway_drain(fx.gw, *(int64_t *)arg);
    return NULL;
}

static pthread_t start_drain(int64_t grace_us)
{
    static int64_t kept_us;
    pthread_t thread;
    kept_us = grace_us;
    assert_int_equal(pthread_create(&thread, NULL, drain, &kept_us), 0);
    return thread;
}

// A connection of our own, or the errno of its refusal, negative.
static int try_connect(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)fx.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static bool is_refusing(void *arg)
{
    (void)arg;
    return atomic_load(&fx.gw->refusing);
}

static bool port_is_closed(void *arg)
{
    int fd = try_connect();
    (void)arg;
    if (fd >= 0)
        close(fd);
    return fd == -ECONNREFUSED;
}

static bool nothing_is_connected(void *arg)
{
    (void)arg;
    return conns_count(fx.gw->conns) == 0;
}

static bool upload_is_in_flight(void *arg)
{
    (void)arg;
    return atomic_load(&fx.services.calls) > 0;
}

static bool three_are_in_flight(void *arg)
{
    (void)arg;
    return atomic_load(&fx.services.calls) == 3;
}

static bool grace_is_over(void *arg)
{
    (void)arg;
    return atomic_load(&fx.gw->grace_is_over);
}

static void ask(int fd, const char *method, const char *target, const char *headers)
{
    char text[2048];
    int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n%s%s\r\n", method, target,
                       fx.bearer, headers);
    http_send(fd, text, (size_t)len);
}

static void assert_refused(int fd)
{
    char value[64];
    struct http_response response = http_read(fd, WAIT_MS);
    assert_int_equal(response.status, 503);
    assert_true(response.closed);
    assert_true(http_header(&response, "Retry-After", value, sizeof(value)));
    assert_string_equal(value, "1");
    assert_true(http_header(&response, "Connection", value, sizeof(value)));
    assert_string_equal(value, "close");
    http_free(&response);
    close(fd);
}

// An idle connection that has had an answer.
static int kept_connection(void)
{
    char byte;
    int fd = http_connect(fx.port);
    ask(fd, "HEAD", "/health", "");
    // To the end of the head, which is all of it.
    for (unsigned n = 0; n < 4;) {
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
        n = byte == (n % 2 ? '\n' : '\r') ? n + 1 : 0;
    }
    return fd;
}

static void calls_in_flight_finish_and_new_ones_are_told_to_return(void **state)
{
    (void)state;
    static const char part[64 * 1024];
    int kept = kept_connection();
    int upload = http_connect(fx.port);
    atomic_store(&fx.services.upload_stuck, true);
    ask(upload, "POST", "/api/videos/upload", "filename: a.mp4\r\nContent-Length: 65536\r\n");
    fixture_wait(upload_is_in_flight, NULL);
    pthread_t thread = start_drain(GRACE_US);
    fixture_wait(is_refusing, NULL);
    ask(kept, "GET", "/api/videos", "");
    assert_refused(kept);
    int late = http_connect(fx.port);
    ask(late, "GET", "/api/auth/user", "");
    assert_refused(late);
    late = http_connect(fx.port);
    ask(late, "POST", "/api/videos/upload", "filename: b.mp4\r\nContent-Length: 50000000\r\n");
    http_send(late, part, sizeof(part));
    assert_refused(late);
    struct http_response response = http_ask(fx.port, "GET", "/ready", "", NULL);
    assert_int_equal(response.status, 503);
    http_free(&response);
    response = http_ask(fx.port, "GET", "/health", "", NULL);
    assert_int_equal(response.status, 200);
    http_free(&response);
    http_send(upload, part, sizeof(part));
    atomic_store(&fx.services.upload_stuck, false);
    response = http_read(upload, WAIT_MS);
    assert_int_equal(response.status, 201);
    assert_true(response.closed);
    http_free(&response);
    close(upload);
    pthread_join(thread, NULL);
    assert_int_equal(try_connect(), -ECONNREFUSED);
    assert_true(nothing_is_connected(NULL));
}

// One waits for the service, one for its client, one has been sent whole.
static void what_does_not_finish_in_the_grace_is_told_so(void **state)
{
    (void)state;
    static const char part[64 * 1024];
    int slow = http_connect(fx.port);
    int held = http_connect(fx.port);
    int whole = http_connect(fx.port);
    atomic_store(&fx.services.upload_stuck, true);
    ask(slow, "POST", "/api/videos/upload", "filename: a.mp4\r\nContent-Length: 50000000\r\n");
    ask(held, "POST", "/api/videos/upload", "filename: b.mp4\r\nContent-Length: 1000\r\n");
    ask(whole, "GET", "/api/videos?cursor=slow", "");
    http_send(held, part, 1000);
    fixture_wait(three_are_in_flight, NULL);
    pthread_t thread = start_drain(4000000);
    fixture_wait(grace_is_over, NULL);
    http_send(slow, part, sizeof(part));
    assert_refused(slow);
    assert_refused(held);
    assert_refused(whole);
    pthread_join(thread, NULL);
    atomic_store(&fx.services.upload_stuck, false);
}

static void a_request_that_has_begun_to_come_is_waited_for(void **state)
{
    (void)state;
    int idle = kept_connection();
    int silent = http_connect(fx.port);
    int slow = http_connect(fx.port);
    static const char begun[] = "GET /api/videos HTTP/1.1\r\nHo";
    pthread_t thread = start_drain(GRACE_US);
    fixture_wait(is_refusing, NULL);
    http_send(slow, begun, sizeof(begun) - 1);
    fixture_wait(port_is_closed, NULL);
    struct http_response response = http_read(idle, WAIT_MS);
    assert_true(response.closed);
    http_free(&response);
    response = http_read(silent, WAIT_MS);
    assert_true(response.closed);
    http_free(&response);
    http_send(slow, "st: a\r\n\r\n", 9);
    assert_refused(slow);
    pthread_join(thread, NULL);
    assert_true(nothing_is_connected(NULL));
    close(idle);
    close(silent);
}

static void an_event_stream_does_not_hold_the_drain(void **state)
{
    (void)state;
    int before = http_connect(fx.port);
    int after = http_connect(fx.port);
    ask(before, "GET", "/api/events", "");
    pthread_t thread = start_drain(GRACE_US);
    ask(after, "GET", "/api/events", "");
    struct http_response response = http_read(before, WAIT_MS);
    assert_int_equal(response.status, 200);
    assert_true(response.closed);
    http_free(&response);
    response = http_read(after, WAIT_MS);
    assert_true(response.status == 200 || response.status == 503);
    assert_true(response.closed);
    http_free(&response);
    pthread_join(thread, NULL);
    close(before);
    close(after);
}

struct crowd {
    atomic_uint answered;
    atomic_uint cut;
};

// Connects and asks until the port is closed.
static void *client(void *arg)
{
    struct crowd *crowd = arg;
    for (int fd; (fd = try_connect()) >= 0; close(fd)) {
        ask(fd, "GET", "/api/videos", "Connection: close\r\n");
        struct http_response response = http_read(fd, WAIT_MS);
        bool whole = response.status == 200 || response.status == 503;
        atomic_fetch_add(whole ? &crowd->answered : &crowd->cut, 1);
        http_free(&response);
    }
    return NULL;
}

// A hardened kernel leaves the filters of sockets to root.
static bool sockets_may_filter(void)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog program = {.len = REEL_ARRAY_SIZE(code), .filter = code};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    bool may = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
    close(fd);
    return may;
}

static void whoever_could_connect_is_answered(void **state)
{
    (void)state;
    struct crowd crowd = {0};
    pthread_t clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, client, &crowd), 0);
    gateway_drain(fx.gw, GRACE_US);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    // Without a filter the queue of the closing port holds one.
    assert_true(atomic_load(&crowd.cut) <= (sockets_may_filter() ? 0 : 1));
    assert_true(atomic_load(&crowd.answered) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_in_flight_finish_and_new_ones_are_told_to_return),
        TEST(what_does_not_finish_in_the_grace_is_told_so),
        TEST(a_request_that_has_begun_to_come_is_waited_for),
        TEST(an_event_stream_does_not_hold_the_drain),
        TEST(whoever_could_connect_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
