// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/dialer.h"

#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/rpc/transport.h"
#include "tests/integration/rpc/fixture.h"

struct seen {
    struct reel_dialer *dialer;
    atomic_uint connected;
    atomic_uint failed;
    char reason[128];
};

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct seen *seen = arg;

    (void)pipe;
    (void)event;
    atomic_fetch_add(&seen->connected, 1);
}

static void on_failure(void *arg, const char *reason)
{
    struct seen *seen = arg;

    if (atomic_load(&seen->failed) == 0)
        snprintf(seen->reason, sizeof(seen->reason), "%s", reason);
    atomic_fetch_add(&seen->failed, 1);
}

static uint32_t open_client(struct seen *seen)
{
    nng_socket socket;

    assert_int_equal(nng_req0_open_raw(&socket), 0);
    assert_int_equal(nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, seen), 0);
    return socket.id;
}

static void tick_for(struct reel_dialer *dialer, atomic_uint *counter, unsigned value)
{
    for (int i = 0; i < 200 && !fixture_wait(counter, value, 50); i++)
        reel_dialer_tick(dialer);
    assert_true(atomic_load(counter) >= value);
}

static void connects_and_comes_back(void **state)
{
    struct fixture fixture;
    struct seen seen = {0};
    uint32_t client = open_client(&seen);

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    assert_int_equal(reel_dialer_open(client, fixture.url, on_failure, &seen, &seen.dialer), 0);
    tick_for(seen.dialer, &seen.connected, 1);
    for (unsigned i = 2; i < 6; i++) {
        reel_dialer_lost(seen.dialer);
        tick_for(seen.dialer, &seen.connected, i);
    }
    reel_dialer_close(seen.dialer);
    assert_true(reel_transport_close(client));
    fixture_stop(&fixture);
}

static void says_why_and_goes_on(void **state)
{
    struct fixture fixture;
    struct seen seen = {0};
    uint32_t client = open_client(&seen);
    char url[160];

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    snprintf(url, sizeof(url), "%s", fixture.url);
    fixture_stop(&fixture);
    assert_int_equal(reel_dialer_open(client, url, on_failure, &seen, &seen.dialer), 0);
    assert_true(fixture_wait(&seen.failed, 2, 5000));
    assert_non_null(strstr(seen.reason, "refused"));
    fixture_start(&fixture, NULL, url);
    tick_for(seen.dialer, &seen.connected, 1);
    reel_dialer_close(seen.dialer);
    assert_true(reel_transport_close(client));
    fixture_stop(&fixture);
}

static void a_peer_that_never_greets_is_given_up(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    struct seen seen = {0};
    uint32_t client = open_client(&seen);
    char url[64];

    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(reel_dialer_open(client, url, on_failure, &seen, &seen.dialer), 0);
    tick_for(seen.dialer, &seen.failed, 2);
    assert_string_equal(seen.reason, "it does not answer");
    reel_dialer_close(seen.dialer);
    assert_true(reel_transport_close(client));
    close(fd);
}

static void a_url_that_is_none_fails_at_once(void **state)
{
    struct seen seen = {0};
    uint32_t client = open_client(&seen);
    struct reel_dialer *dialer;

    (void)state;
    assert_true(reel_dialer_open(client, "nonsense", on_failure, &seen, &dialer) < 0);
    reel_dialer_close(NULL);
    assert_true(reel_transport_close(client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_and_comes_back),
        cmocka_unit_test(says_why_and_goes_on),
        cmocka_unit_test(a_peer_that_never_greets_is_given_up),
        cmocka_unit_test(a_url_that_is_none_fails_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
