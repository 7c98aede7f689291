// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/listener.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/transport.h"
#include "tests/integration/rpc/fixture.h"

struct counts {
    atomic_uint added;
    atomic_uint removed;
};

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct counts *counts = arg;

    (void)pipe;
    atomic_fetch_add(event == NNG_PIPE_EV_ADD_POST ? &counts->added : &counts->removed, 1);
}

static uint32_t open_server(struct counts *counts)
{
    nng_socket socket;

    assert_int_equal(nng_pub0_open(&socket), 0);
    assert_int_equal(nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, counts), 0);
    assert_int_equal(nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, counts), 0);
    return socket.id;
}

static uint32_t connect_to(const char *url)
{
    nng_socket socket;

    assert_int_equal(nng_sub0_open(&socket), 0);
    assert_int_equal(fixture_dial(socket.id, url), 0);
    return socket.id;
}

static void port_0_becomes_a_real_one(void **state)
{
    struct counts counts = {0};
    struct reel_listener *listener;
    uint32_t server = open_server(&counts);

    (void)state;
    assert_int_equal(reel_listener_open(server, "tcp://127.0.0.1:0", &listener), 0);
    assert_null(strstr(reel_listener_url(listener), ":0"));
    uint32_t client = connect_to(reel_listener_url(listener));
    assert_true(fixture_wait(&counts.added, 1, 5000));
    assert_true(reel_transport_close(client));
    reel_listener_close(listener);
    assert_true(reel_transport_close(server));
}

static void an_address_in_use_is_a_fault(void **state)
{
    struct counts counts = {0};
    struct reel_listener *first;
    struct reel_listener *second;
    uint32_t server = open_server(&counts);

    (void)state;
    assert_int_equal(reel_listener_open(server, "tcp://127.0.0.1:0", &first), 0);
    assert_int_equal(reel_listener_open(server, reel_listener_url(first), &second), -EADDRINUSE);
    assert_true(reel_listener_open(server, "nonsense", &second) < 0);
    reel_listener_close(first);
    reel_listener_close(NULL);
    assert_true(reel_transport_close(server));
}

static void revived(const char *url)
{
    struct counts counts = {0};
    struct reel_listener *listener;
    uint32_t server = open_server(&counts);
    struct reel_counter *relistens =
        reel_counter_get("reel_rpc_listener_relistens_total", "", NULL);
    uint64_t before = reel_counter_value(relistens);

    assert_int_equal(reel_listener_open(server, url, &listener), 0);
    uint32_t first = connect_to(reel_listener_url(listener));
    assert_true(fixture_wait(&counts.added, 1, 5000));
    assert_int_equal(reel_listener_revive(listener), 0);
    uint32_t second = connect_to(reel_listener_url(listener));
    assert_true(fixture_wait(&counts.added, 2, 5000));
    assert_int_equal(reel_counter_value(relistens), before + 1);
    assert_true(fixture_wait(&counts.removed, 1, 5000));
    assert_true(reel_transport_close(first));
    assert_true(reel_transport_close(second));
    reel_listener_close(listener);
    assert_true(reel_transport_close(server));
}

static void a_tcp_listener_comes_back(void **state)
{
    (void)state;
    revived("tcp://127.0.0.1:0");
}

static void a_unix_listener_comes_back(void **state)
{
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    revived(url);
    assert_int_not_equal(access(url + strlen("ipc://"), F_OK), 0);
}

static void many_revivals_leave_one_that_works(void **state)
{
    struct counts counts = {0};
    struct reel_listener *listener;
    uint32_t server = open_server(&counts);
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    for (int i = 0; i < 300; i++)
        if (i == 0)
            assert_int_equal(reel_listener_open(server, url, &listener), 0);
        else
            assert_int_equal(reel_listener_revive(listener), 0);
    uint32_t client = connect_to(url);
    assert_true(fixture_wait(&counts.added, 1, 5000));
    assert_true(reel_transport_close(client));
    reel_listener_close(listener);
    assert_true(reel_transport_close(server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_becomes_a_real_one),
        cmocka_unit_test(an_address_in_use_is_a_fault),
        cmocka_unit_test(a_tcp_listener_comes_back),
        cmocka_unit_test(a_unix_listener_comes_back),
        cmocka_unit_test(many_revivals_leave_one_that_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
