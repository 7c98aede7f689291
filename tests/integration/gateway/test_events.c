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

#include "gateway/event_hub.h"
#include "libcommon/core/clock.h"
#include "libcommon/obs/metrics.h"
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
    char text[256 * 1024];
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

// Reads once; false after `ms` without anything or at the end.
static bool read_more(struct listener *listener, int ms)
{
    struct pollfd poller = {listener->fd, POLLIN, 0};
    if (listener->closed || poll(&poller, 1, ms) <= 0)
        return false;
    ssize_t n = recv(listener->fd, listener->text + listener->len,
                     sizeof(listener->text) - listener->len - 1, 0);
    listener->closed = n <= 0;
    if (n > 0)
        listener->text[listener->len += (size_t)n] = '\0';
    return n > 0;
}

// Reads until `wanted` is in the text; false after 5 s or at the end.
static bool await(struct listener *listener, const char *wanted)
{
    int64_t deadline_us = reel_deadline_in_us(5000000);
    while (!strstr(listener->text, wanted))
        if (!read_more(listener, reel_deadline_left_ms(deadline_us, 5000)))
            return false;
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
    int64_t deadline_us = reel_deadline_in_us(10000000);
    while (!strstr(listener->text, "event: job.progress") && !reel_deadline_passed(deadline_us)) {
        services_event(&fx.services, fx.services.user_id, 0, false);
        usleep(20000);
        read_more(listener, 0);
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

// The second question comes after the answer to the first has been dealt with.
static bool has_read_back(void *arg)
{
    (void)arg;
    return atomic_load(&fx.services.events_read) >= 2;
}

static void a_long_past_comes_page_by_page(void **state)
{
    (void)state;
    enum { N = 450 };
    char header[64], id[64];
    snprintf(header, sizeof(header), "Last-Event-ID: %d\r\n", (int)next_seq - 1);
    for (int i = 0; i < N; i++)
        event(true);
    atomic_store(&fx.services.events_read, 0);
    fixture_wait(has_read_back, NULL);
    atomic_store(&fx.services.events_asked, 0);
    struct listener listener = listen_from(header);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&listener, id));
    assert_int_equal(count(&listener, "event: job.started"), N);
    assert_int_equal(atomic_load(&fx.services.events_asked), 3);
    await_live(&listener);
    close(listener.fd);
}

static bool has_asked(void *arg)
{
    (void)arg;
    return atomic_load(&fx.services.events_asked) > 0;
}

// What happens while a returning client's past is being asked for waits its turn.
static void news_during_a_replay_come_after_it(void **state)
{
    (void)state;
    char header[64], first[64], last[64];
    struct listener live = listen_from("");
    await_live(&live);
    event(false);
    event(false);
    snprintf(first, sizeof(first), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    snprintf(header, sizeof(header), "Last-Event-ID: %d\r\n", (int)next_seq - 2);
    atomic_store(&fx.services.events_asked, 0);
    atomic_store(&fx.services.events_held, true);
    struct listener back = listen_from(header);
    fixture_wait(has_asked, NULL);
    event(false);
    snprintf(last, sizeof(last), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&live, last));
    atomic_store(&fx.services.events_held, false);
    assert_true(await(&back, last));
    assert_non_null(strstr(back.text, first));
    assert_null(strstr(back.text, "event: reset"));
    assert_int_equal(count(&back, "event: job.started"), 2);
    close(live.fd);
    close(back.fd);
}

// The call must have ended before its request does, whatever wakes the connection meanwhile.
static void a_client_may_leave_during_its_replay(void **state)
{
    (void)state;
    struct listener live = listen_from("");
    await_live(&live);
    atomic_store(&fx.services.events_held, true);
    for (int i = 0; i < 20; i++) {
        char header[64], last[64];
        snprintf(header, sizeof(header), "Last-Event-ID: %d\r\n", (int)next_seq - 1);
        atomic_store(&fx.services.events_asked, 0);
        struct listener back = listen_from(header);
        fixture_wait(has_asked, NULL);
        close(back.fd);
        event(false);
        snprintf(last, sizeof(last), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
        assert_true(await(&live, last));
    }
    atomic_store(&fx.services.events_held, false);
    close(live.fd);
}

static void progress(void)
{
    services_event(&fx.services, fx.services.user_id, 0, false);
}

static void a_gap_that_cannot_be_read_back_stays_open(void **state)
{
    (void)state;
    char id[64];
    struct listener listener = listen_from("");
    await_live(&listener);
    atomic_store(&fx.services.events_refused, true);
    event(true);
    event(false);
    unsigned n = count(&listener, "event: job.progress");
    progress();
    while (count(&listener, "event: job.progress") == n)
        assert_true(read_more(&listener, 5000));
    assert_int_equal(count(&listener, "event: job.started"), 0);
    atomic_store(&fx.services.events_refused, false);
    event(false);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&listener, id));
    assert_int_equal(count(&listener, "event: job.started"), 3);
    close(listener.fd);
}

static void a_past_that_cannot_be_read_ends_the_stream(void **state)
{
    (void)state;
    char header[64], last[64];
    struct listener live = listen_from("");
    await_live(&live);
    event(false);
    snprintf(header, sizeof(header), "Last-Event-ID: %d\r\n", (int)next_seq - 2);
    atomic_store(&fx.services.events_asked, 0);
    atomic_store(&fx.services.events_held, true);
    struct listener back = listen_from(header);
    fixture_wait(has_asked, NULL);
    event(false);
    snprintf(last, sizeof(last), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&live, last));
    atomic_store(&fx.services.events_refused, true);
    atomic_store(&fx.services.events_held, false);
    assert_false(await(&back, "event: "));
    assert_true(back.closed);
    atomic_store(&fx.services.events_refused, false);
    close(live.fd);
    close(back.fd);
}

static void no_wake(void *arg)
{
    (void)arg;
}

static void join(struct event_client *client)
{
    memset(client, 0, sizeof(*client));
    memcpy(client->user_id, fx.services.user_id, sizeof(client->user_id));
    client->expires_s = INT64_MAX;
    client->wake = no_wake;
    event_hub_join(fx.gw->events, client);
}

// What comes after an event that found no room would hide it from the client that comes back.
static void a_slow_client_gets_nothing_past_what_it_missed(void **state)
{
    (void)state;
    static struct event_client slow;
    struct reel_counter *dropped = reel_counter_get("reel_sse_dropped_total", NULL, NULL);
    int64_t deadline_us = reel_deadline_in_us(20000000);
    uint64_t before = reel_counter_value(dropped);
    struct event_text *text = NULL;
    unsigned n = 1;
    join(&slow);
    while (reel_counter_value(dropped) == before) {
        assert_false(reel_deadline_passed(deadline_us));
        progress();
        usleep(1000);
    }
    assert_int_equal(event_hub_next(fx.gw->events, &slow, &text), EVENT_TEXT);
    event_text_unref(text);
    struct listener live = listen_from("");
    await_live(&live);
    for (; event_hub_next(fx.gw->events, &slow, &text) == EVENT_TEXT; n++)
        event_text_unref(text);
    assert_int_equal(n, EVENT_QUEUE_MAX);
    event_hub_leave(fx.gw->events, &slow);
    close(live.fd);
}

// Listens with an id that the record does not join on to, then as a client does that was told so
// and lost the connection: with the id of the reset.
static void expect_one_reset(const char *header)
{
    char expected[64], again[64];
    struct listener listener = listen_from(header);
    snprintf(expected, sizeof(expected), "\nid: %d\nevent: reset\ndata: {}\n\n", (int)next_seq - 1);
    assert_true(await(&listener, expected));
    close(listener.fd);
    snprintf(again, sizeof(again), "Last-Event-ID: %d\r\n", (int)next_seq - 1);
    listener = listen_from(again);
    await_live(&listener);
    event(false);
    snprintf(expected, sizeof(expected), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&listener, expected));
    assert_int_equal(count(&listener, "event: reset"), 0);
    close(listener.fd);
}

static void an_id_that_is_too_old_is_told(void **state)
{
    (void)state;
    fx.services.oldest_seq = 3;
    expect_one_reset("Last-Event-ID: 0\r\n");
    fx.services.oldest_seq = 0;
    expect_one_reset("Last-Event-ID: 999999\r\n");
    struct listener listener = listen_from("Last-Event-ID: abc\r\n");
    assert_true(await(&listener, "HTTP/1.1 400"));
    close(listener.fd);
}

// The record is read on behalf of everybody only after the client's own page, and holds more then.
static void a_client_may_return_before_the_gateway_has_read_the_record(void **state)
{
    (void)state;
    char header[64], id[64];
    atomic_store(&fx.services.record_held, true);
    fixture_restart(&fx);
    event(true);
    snprintf(header, sizeof(header), "Last-Event-ID: %d\r\n", (int)next_seq - 2);
    struct listener back = listen_from(header);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&back, id));
    event(false);
    atomic_store(&fx.services.record_held, false);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&back, id));
    await_live(&back);
    assert_int_equal(count(&back, "event: job.started"), 2);
    assert_int_equal(count(&back, "event: reset"), 0);
    close(back.fd);
}

static void a_client_that_came_before_the_record_was_read_is_told(void **state)
{
    (void)state;
    char id[64];
    atomic_store(&fx.services.record_held, true);
    fixture_restart(&fx);
    struct listener listener = listen_from("");
    assert_true(await(&listener, "retry: 2000"));
    event(false);
    atomic_store(&fx.services.record_held, false);
    snprintf(id, sizeof(id), "\nid: %d\nevent: reset\n", (int)next_seq - 1);
    assert_true(await(&listener, id));
    await_live(&listener);
    event(false);
    snprintf(id, sizeof(id), "\nid: %d\nevent: job.started\n", (int)next_seq - 1);
    assert_true(await(&listener, id));
    assert_int_equal(count(&listener, "event: job.started"), 1);
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

static bool was_told(void *arg)
{
    (void)arg;
    return atomic_load(&fx.services.feed_told) >= 5;
}

// A feed that comes back tells again what it has told.
static void a_session_that_ends_twice_is_kept_once(void **state)
{
    (void)state;
    atomic_store(&fx.services.session_ended, true);
    atomic_store(&fx.services.feed_repeats, true);
    fixture_wait(was_told, NULL);
    struct http_response response = http_ask(fx.port, "GET", "/metrics", "", NULL);
    assert_non_null(strstr(response.raw, "\nreel_revoked_sessions 1\n"));
    http_free(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_reach_their_owner_alone),
        cmocka_unit_test(a_lost_event_is_read_back),
        cmocka_unit_test(a_client_that_returns_misses_nothing),
        cmocka_unit_test(a_long_past_comes_page_by_page),
        cmocka_unit_test(news_during_a_replay_come_after_it),
        cmocka_unit_test(a_client_may_leave_during_its_replay),
        cmocka_unit_test(a_gap_that_cannot_be_read_back_stays_open),
        cmocka_unit_test(a_past_that_cannot_be_read_ends_the_stream),
        cmocka_unit_test(a_slow_client_gets_nothing_past_what_it_missed),
        cmocka_unit_test(an_id_that_is_too_old_is_told),
        cmocka_unit_test(a_client_may_return_before_the_gateway_has_read_the_record),
        cmocka_unit_test(a_client_that_came_before_the_record_was_read_is_told),
        cmocka_unit_test(a_stranger_hears_nothing),
        cmocka_unit_test(signing_out_ends_the_stream),
        cmocka_unit_test(a_session_that_ends_twice_is_kept_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
