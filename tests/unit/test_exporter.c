// SPDX-License-Identifier: Apache-2.0
#include "libcommon/svc/exporter.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/obs/metrics.h"

enum { PATIENCE_MS = 60000, MANY = 40 };

static int set_up(void **state)
{
    struct reel_exporter *exporter;

    assert_int_equal(reel_exporter_open(0, &exporter), 0);
    *state = exporter;
    return 0;
}

static int tear_down(void **state)
{
    reel_exporter_close(*state);
    return 0;
}

static int connect_to(void **state)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(reel_exporter_port(*state)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

// All that comes until the end of the connection; the caller frees it.
static char *hear(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char *text = calloc(1, 1 << 20);
    size_t len = 0;
    ssize_t n;

    assert_non_null(text);
    do {
        assert_int_equal(poll(&readable, 1, PATIENCE_MS), 1);
        n = recv(fd, text + len, (1 << 20) - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    close(fd);
    return text;
}

static char *ask(void **state, const char *request, size_t len)
{
    int fd = connect_to(state);

    say(fd, request, len);
    return hear(fd);
}

static void assert_served(void **state)
{
    char *text = ask(state, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 34);

    assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
    free(text);
}

static void the_registry_is_served_whole(void **state)
{
    reel_counter_add(reel_counter_get("reel_test_total", "What a test counts.", NULL), 7);
    char *text = ask(state, "GET /metrics?x=1 HTTP/1.0\r\n\r\n", 29);

    assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
    assert_non_null(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(text, "\nreel_test_total 7\n"));
    const char *body = strstr(text, "\r\n\r\n") + 4;
    const char *length = strstr(text, "\r\nContent-Length: ");
    assert_non_null(length);
    assert_int_equal(strtol(length + 18, NULL, 10), strlen(body));
    free(text);
}

static void head_is_get_without_the_body(void **state)
{
    char *text = ask(state, "HEAD /metrics HTTP/1.1\r\n\r\n", 26);

    assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    free(text);
}

static void nothing_else_is_served(void **state)
{
    static const struct {
        const char *request;
        size_t len;
        const char *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, "404"},
        {"GET /metricsx HTTP/1.1\r\n\r\n", 26, "404"},
        {"GET /x HTTP/1.1\r\nReferer: /metrics \r\n\r\n", 39, "404"},
        {"POST /metrics HTTP/1.1\r\n\r\n", 26, "405"},
        {"nonsense\r\n\r\n", 12, "404"},
        {"\r\n\r\n", 4, "404"},
        {"GET /metrics\0 HTTP/1.1\r\n\r\n", 26, "400"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        char *text = ask(state, cases[i].request, cases[i].len);

        assert_memory_equal(text, "HTTP/1.1 ", 9);
        assert_memory_equal(text + 9, cases[i].status, 3);
        free(text);
    }
}

static void a_head_without_end_is_refused(void **state)
{
    char request[4095];

    memset(request, 'a', sizeof(request));
    char *text = ask(state, request, sizeof(request));
    assert_memory_equal(text, "HTTP/1.1 431", 12);
    free(text);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    const char *request = "GET /metrics HTTP/1.1\r\n\r\n";
    int fd = connect_to(state);

    for (size_t i = 0; i < strlen(request); i++) {
        say(fd, request + i, 1);
        (void)poll(NULL, 0, 1);
    }
    char *text = hear(fd);
    assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
    free(text);
}

static void clients_that_say_nothing_shut_nobody_out(void **state)
{
    int fds[MANY];

    for (int i = 0; i < MANY; i++)
        fds[i] = connect_to(state);
    for (int i = 0; i < 5; i++)
        assert_served(state);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    assert_served(state);
}

static void clients_that_leave_at_once_harm_nothing(void **state)
{
    const struct linger reset = {.l_onoff = 1};

    for (int i = 0; i < MANY; i++) {
        int fd = connect_to(state);

        say(fd, "GET /metrics HTTP/1.1\r\n\r\n", i % 2 ? 25 : 7);
        if (i % 4 < 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
    assert_served(state);
}

// The silence that is allowed is the exporter's own promise.
static void a_client_that_says_nothing_is_cut_off(void **state)
{
    char *text = hear(connect_to(state));

    assert_string_equal(text, "");
    free(text);
    assert_served(state);
}

static void it_ends_with_clients_connected(void **state)
{
    int fd = connect_to(state);

    assert_served(state);
    reel_exporter_close(*state);
    reel_exporter_close(NULL);
    char *text = hear(fd);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(set_up(state), 0);
}

static void a_port_in_use_is_a_fault(void **state)
{
    struct reel_exporter *second = NULL;

    assert_int_equal(reel_exporter_open(reel_exporter_port(*state), &second), -EADDRINUSE);
    assert_null(second);
    assert_served(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_registry_is_served_whole),
        TEST(head_is_get_without_the_body),
        TEST(nothing_else_is_served),
        TEST(a_head_without_end_is_refused),
        TEST(a_request_may_come_byte_by_byte),
        TEST(clients_that_say_nothing_shut_nobody_out),
        TEST(clients_that_leave_at_once_harm_nothing),
        TEST(a_client_that_says_nothing_is_cut_off),
        TEST(it_ends_with_clients_connected),
        TEST(a_port_in_use_is_a_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
