// SPDX-License-Identifier: Apache-2.0
// Server-sent events: only one's own, in order, none missed, none twice.
#include <poll.h>
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

#include "libcommon/core/clock.h"
#include "tests/integration/gateway/fixture.h"
#include "tests/integration/gateway/http.h"

static struct fixture fx;
static int64_t next_seq;

static int setup(void **state)
{
    (void)state;
    fixture_prepare(&fx);
    fixture_start(&fx);
    next_seq = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fx);
    return 0;
}

struct listener {
    int fd;
    char text[64 * 1024];
    size_t len;
    bool closed;
};

static struct listener listen_from(const char *headers)
{
    struct listener listener = {.fd = http_connect(fx.port)};
    char text[2048];
    int len = snprintf(text, sizeof(text), "GET /api/events HTTP/1.1\r\nHost: a\r\n%s%s\r\n",
                       fx.bearer, headers);
    http_send(listener.fd, text, (size_t)len);
    return listener;
}

// Reads until `wanted` is in the text; false after 5 s or at the end.
static bool await(struct listener *listener, const char *wanted)
{
    int64_t deadline_us = reel_deadline_in_us(5000000);
    while (!strstr(listener->text, wanted)) {
        struct pollfd poller = {listener->fd, POLLIN, 0};
        if (listener->closed || poll(&poller, 1, reel_deadline_left_ms(deadline_us, 5000)) <= 0)
            return false;
        ssize_t n = recv(listener->fd, listener->text + listener->len,
                         sizeof(listener->text) - listener->len - 1, 0);
        listener->closed = n <= 0;
        if (n > 0)
            listener->text[listener->len += (size_t)n] = '\0';
    }
    return true;
}

static unsigned count(const struct listener *listener, const char *wanted)
{
    unsigned n = 0;
    for (const char *s = listener->text; (s = strstr(s, wanted)); s++)
        n++;
    return n;
}

// Publishes progress, which is not recorded, until the listener hears it: then it is connected, and
// the gateway's own subscription works.
static void await_live(struct listener *listener)
{
    for (int i = 0; i < 100 && !strstr(listener->text, "event: job.progress"); i++) {
        services_event(&fx.services, fx.services.user_id, 0, false);
        usleep(20000);
        struct pollfd poller = {listener->fd, POLLIN, 0};
        if (poll(&poller, 1, 0) > 0)
            await(listener, "event: job.progress");
    }
    assert_non_null(strstr(listener->text, "event: job.progress"));
}

static void event(bool lost)
{
    services_event(&fx.services, fx.services.user_id, next_seq++, lost);
}

static void events_reach_their_owner_alone(void **state)
{
    (void)state;
    struct listener listener = listen_from("");
    assert_true(await(&listener, "retry: 2000"));
    assert_non_null(strstr(listener.text, "Content-Type: text/event-stream"));
    await_live(&listener);
    services_event(&fx.services, fx.services.other_user_id, 0, false);
    event(false);
    assert_true(await(&listener, "\nid: 1\nevent: job.started\ndata: {"));
    assert_null(strstr(listener.text, fx.services.other_user_id));
    assert_true(await(&listener, ": \n\n"));
    close(listener.fd);
}

static void a_lost_event_is_read_back(void **state)
{
    (void)state;
    char id[64];
    struct listener listener = listen_from("");
    await_live(&listener);
    event(true);
    event(true);
    event(false);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&listener, id));
    assert_int_equal(count(&listener, "event: job.started"), 3);
    close(listener.fd);
}

static void a_client_that_returns_misses_nothing(void **state)
{
    (void)state;
    char header[64], id[64];
    int64_t seen = next_seq - 1;
    event(false);
    event(false);
    snprintf(header, sizeof(header), "Last-Event-ID: %d\r\n", (int)seen);
    struct listener listener = listen_from(header);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&listener, id));
    await_live(&listener);
    event(false);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&listener, id));
    assert_int_equal(count(&listener, "event: job.started"), 3);
    close(listener.fd);
}

static void an_id_that_is_too_old_is_told(void **state)
{
    (void)state;
    fx.services.oldest_seq = 3;
    struct listener listener = listen_from("Last-Event-ID: 0\r\n");
    assert_true(await(&listener, "event: reset\n"));
    close(listener.fd);
    fx.services.oldest_seq = 0;
    listener = listen_from("Last-Event-ID: 999999\r\n");
    assert_true(await(&listener, "event: reset\n"));
    close(listener.fd);
    listener = listen_from("Last-Event-ID: abc\r\n");
    assert_true(await(&listener, "HTTP/1.1 400"));
    close(listener.fd);
}

static void a_stranger_hears_nothing(void **state)
{
    (void)state;
    struct http_response response = http_ask(fx.port, "GET", "/api/events", "", NULL);
    assert_int_equal(response.status, 401);
    http_free(&response);
}

static void signing_out_ends_the_stream(void **state)
{
    (void)state;
    struct listener listener = listen_from("");
    await_live(&listener);
    atomic_store(&fx.services.session_ended, true);
    assert_false(await(&listener, "never"));
    assert_true(listener.closed);
    close(listener.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_reach_their_owner_alone),
        cmocka_unit_test(a_lost_event_is_read_back),
        cmocka_unit_test(a_client_that_returns_misses_nothing),
        cmocka_unit_test(an_id_that_is_too_old_is_told),
        cmocka_unit_test(a_stranger_hears_nothing),
        cmocka_unit_test(signing_out_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
