// SPDX-License-Identifier: Apache-2.0
// Servers that are not there, come late, go away or never answer, as a channel sees them.
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "tests/integration/rpc/fixture.h"

static void no_server_fails_fast_and_says_where(void **state)
{
    struct fixture_outcome outcome = {0};
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    struct reel_channel *channel = fixture_open(url, "gateway", FIXTURE_KEY);
    struct reel_client_call *call = fixture_start_work(channel, 1, &outcome);
    assert_true(fixture_wait(&outcome.done, 1, 5000));
    assert_int_equal(outcome.code, REEL_UNAVAILABLE);
    assert_non_null(strstr(outcome.message, url));
    reel_client_call_unref(call);
    // Known to be down now: at once.
    assert_int_equal(fixture_echo(channel, 1), REEL_UNAVAILABLE);
    assert_false(reel_channel_is_ready(channel));
    reel_channel_close(channel);
}

static void waiting_for_ready_waits(void **state)
{
    struct fixture_outcome outcome = {0};
    struct fixture fixture;
    struct reel_call_options options = {.wait_for_ready = true};
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    struct reel_channel *channel = fixture_open(url, "gateway", FIXTURE_KEY);
    assert_int_equal(fixture_echo(channel, 1), REEL_UNAVAILABLE);
    struct reel_client_call *call =
        fixture_start_call(channel, ECHO_SERVICE_WORK, &options, &request.base, &outcome);
    fixture_start(&fixture, NULL, url);
    assert_true(fixture_wait(&outcome.done, 1, 5000));
    assert_int_equal(outcome.code, REEL_OK);
    reel_client_call_unref(call);
    reel_channel_close(channel);
    fixture_stop(&fixture);
}

static void waiting_for_ready_ends_at_the_deadline(void **state)
{
    struct fixture_outcome outcome = {0};
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    struct reel_channel *channel = fixture_open(url, "gateway", FIXTURE_KEY);
    struct reel_call_options options = {.wait_for_ready = true,
                                        .deadline_us = reel_deadline_in_us(100 * 1000)};
    struct reel_client_call *call =
        fixture_start_call(channel, ECHO_SERVICE_WORK, &options, &request.base, &outcome);
    assert_true(fixture_wait(&outcome.done, 1, 5000));
    assert_int_equal(outcome.code, REEL_DEADLINE_EXCEEDED);
    reel_client_call_unref(call);
    reel_channel_close(channel);
}

static void a_lost_server_fails_what_is_pending(void **state)
{
    struct fixture fixture;
    struct fixture_outcome outcomes[8];
    struct reel_client_call *calls[8];
    char url[160];

    (void)state;
    memset(outcomes, 0, sizeof(outcomes));
    fixture_ipc_url(url, sizeof(url));
    fixture_start(&fixture, NULL, url);
    struct reel_channel *channel = fixture_connect(&fixture);
    for (unsigned i = 0; i < 8; i++)
        calls[i] = fixture_start_work(channel, 0, &outcomes[i]);
    assert_true(fixture_wait(&fixture.svc.started, 8, 5000));
    fixture_stop(&fixture);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(fixture_wait(&outcomes[i].done, 1, 5000));
        assert_int_equal(outcomes[i].code, REEL_UNAVAILABLE);
        assert_non_null(strstr(outcomes[i].message, "not known"));
        reel_client_call_unref(calls[i]);
    }
    // The next server at the address takes new calls and never sees the old ones.
    fixture_start(&fixture, NULL, url);
    assert_true(reel_channel_wait_ready(channel, reel_deadline_in_us(5000 * 1000)));
    assert_int_equal(fixture_echo(channel, 10), REEL_OK);
    assert_int_equal(atomic_load(&fixture.svc.started), 0);
    reel_channel_close(channel);
    fixture_stop(&fixture);
}

// A listener that takes connections and never answers: to a client a server that hangs.
static int open_black_hole(char *ret_url, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(ret_url, size, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void a_black_hole_is_told_from_a_slow_peer(void **state)
{
    char url[64];

    (void)state;
    int fd = open_black_hole(url, sizeof(url));
    struct reel_channel *channel = fixture_open(url, "gateway", FIXTURE_KEY);
    assert_int_equal(fixture_echo(channel, 1), REEL_UNAVAILABLE);
    close(fd);
    reel_channel_close(channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_server_fails_fast_and_says_where),
        cmocka_unit_test(waiting_for_ready_waits),
        cmocka_unit_test(waiting_for_ready_ends_at_the_deadline),
        cmocka_unit_test(a_lost_server_fails_what_is_pending),
        cmocka_unit_test(a_black_hole_is_told_from_a_slow_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
