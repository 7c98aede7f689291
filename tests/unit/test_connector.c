// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/connector.h"

#include <errno.h>
#include <nng/nng.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/rpc/acceptor.h"
#include "tests/integration/rpc/fixture.h"

struct seen {
    atomic_uint connected;
    atomic_uint failed;
    int fault;
    char reason[128];
};

static void on_done(void *arg, struct nng_stream *stream, int fault, const char *reason)
{
    struct seen *seen = arg;

    if (stream) {
        nng_stream_free(stream);
        atomic_fetch_add(&seen->connected, 1);
        return;
    }
    seen->fault = fault;
    snprintf(seen->reason, sizeof(seen->reason), "%s", reason);
    atomic_fetch_add(&seen->failed, 1);
}

static void on_stream(void *arg, const char *url, struct nng_stream *stream)
{
    (void)url;
    nng_stream_free(stream);
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void connects_again_and_again(const char *url)
{
    struct reel_connector *connector;
    struct reel_acceptor *acceptor;
    struct seen seen = {0};
    atomic_uint n = 0;

    assert_int_equal(reel_acceptor_open(url, on_stream, &n, &acceptor), 0);
    assert_int_equal(reel_connector_open(reel_acceptor_url(acceptor), on_done, &seen, &connector),
                     0);
    for (unsigned i = 1; i <= 20; i++) {
        reel_connector_dial(connector);
        assert_true(fixture_wait(&seen.connected, i, 5000));
        assert_true(fixture_wait(&n, i, 5000));
    }
    reel_connector_close(connector);
    reel_acceptor_close(acceptor);
}

static void every_kind_of_address_can_be_dialed(void **state)
{
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    connects_again_and_again(url);
    connects_again_and_again("tcp://127.0.0.1:0");
    connects_again_and_again("inproc://connector-test");
}

static void a_failure_says_why_and_can_be_tried_again(void **state)
{
    struct reel_connector *connector;
    struct seen seen = {0};
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    assert_int_equal(reel_connector_open(url, on_done, &seen, &connector), 0);
    for (unsigned i = 1; i <= 5; i++) {
        reel_connector_dial(connector);
        assert_true(fixture_wait(&seen.failed, i, 5000));
        assert_int_equal(seen.fault, -ECONNREFUSED);
        assert_non_null(strstr(seen.reason, "refused"));
    }
    reel_connector_cancel(connector); // none is in progress
    reel_connector_close(connector);
}

static void an_attempt_can_be_ended(void **state)
{
    struct reel_connector *connector;
    struct seen seen = {0};

    (void)state;
    // An address of the block for documentation: nobody answers, or the network says so at once.
    assert_int_equal(reel_connector_open("tcp://192.0.2.1:9", on_done, &seen, &connector), 0);
    for (unsigned i = 1; i <= 5; i++) {
        reel_connector_dial(connector);
        reel_connector_cancel(connector);
        assert_true(fixture_wait(&seen.failed, i, 5000));
    }
    reel_connector_dial(connector);
    reel_connector_close(connector);
    assert_int_equal(atomic_load(&seen.failed), 6);
    assert_int_equal(atomic_load(&seen.connected), 0);
}

static void another_address_can_be_aimed_at(void **state)
{
    struct reel_connector *connector;
    struct reel_acceptor *acceptor;
    struct seen seen = {0};
    atomic_uint n = 0;
    char too_long[1024];

    (void)state;
    assert_int_equal(reel_acceptor_open("tcp://127.0.0.1:0", on_stream, &n, &acceptor), 0);
    // Port 1 is reserved: nobody listens there.
    assert_int_equal(reel_connector_open("tcp://127.0.0.1:1", on_done, &seen, &connector), 0);
    reel_connector_dial(connector);
    assert_true(fixture_wait(&seen.failed, 1, 5000));
    assert_int_equal(reel_connector_aim(connector, reel_acceptor_url(acceptor)), 0);
    reel_connector_dial(connector);
    assert_true(fixture_wait(&seen.connected, 1, 5000));
    memset(too_long, 'a', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    assert_int_equal(reel_connector_aim(connector, too_long), -EINVAL);
    reel_connector_close(connector);
    reel_acceptor_close(acceptor);
}

static void a_url_that_is_none_fails_at_once(void **state)
{
    struct reel_connector *connector;
    struct seen seen = {0};

    (void)state;
    assert_true(reel_connector_open("nonsense", on_done, &seen, &connector) < 0);
    assert_true(reel_connector_open("zmq://127.0.0.1:1", on_done, &seen, &connector) < 0);
    reel_connector_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_address_can_be_dialed),
        cmocka_unit_test(a_failure_says_why_and_can_be_tried_again),
        cmocka_unit_test(an_attempt_can_be_ended),
        cmocka_unit_test(another_address_can_be_aimed_at),
        cmocka_unit_test(a_url_that_is_none_fails_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
