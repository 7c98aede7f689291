// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/acceptor.h"

#include <errno.h>
#include <nng/nng.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/obs/metrics.h"
#include "tests/integration/rpc/fixture.h"

static void on_stream(void *arg, const char *url, struct nng_stream *stream)
{
    assert_non_null(url);
    nng_stream_free(stream);
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static const char *path_of(const char *url)
{
    return url + strlen("ipc://");
}

static struct sockaddr_un address_of(const char *url)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strncpy(address.sun_path, path_of(url), sizeof(address.sun_path) - 1);
    return address;
}

static int try_connect(const char *url)
{
    struct sockaddr_un address = address_of(url);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void connections_come_in(void **state)
{
    struct reel_acceptor *acceptor;
    atomic_uint n = 0;
    char url[100];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    assert_int_equal(reel_acceptor_open(url, on_stream, &n, &acceptor), 0);
    for (unsigned i = 1; i <= 20; i++) {
        int fd = try_connect(url);
        assert_true(fd >= 0);
        assert_true(fixture_wait(&n, i, 5000));
        close(fd);
    }
    reel_acceptor_close(acceptor);
    assert_int_not_equal(access(path_of(url), F_OK), 0);
    reel_acceptor_close(NULL);
}

static void port_0_becomes_a_real_one(void **state)
{
    struct reel_acceptor *first;
    struct reel_acceptor *second;
    atomic_uint n = 0;

    (void)state;
    assert_int_equal(reel_acceptor_open("tcp://127.0.0.1:0", on_stream, &n, &first), 0);
    assert_null(strstr(reel_acceptor_url(first), ":0"));
    assert_int_equal(reel_acceptor_open(reel_acceptor_url(first), on_stream, &n, &second),
                     -EADDRINUSE);
    assert_true(reel_acceptor_open("nonsense", on_stream, &n, &second) < 0);
    reel_acceptor_close(first);
}

static void a_stale_file_is_replaced_and_a_live_one_is_not(void **state)
{
    struct reel_acceptor *first;
    struct reel_acceptor *second;
    atomic_uint n = 0;
    char url[100];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    struct sockaddr_un address = address_of(url);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd); // the file stays
    assert_int_equal(reel_acceptor_open(url, on_stream, &n, &first), 0);
    assert_int_equal(reel_acceptor_open(url, on_stream, &n, &second), -EADDRINUSE);
    fd = try_connect(url);
    assert_true(fd >= 0);
    assert_true(fixture_wait(&n, 1, 5000));
    close(fd);
    reel_acceptor_close(first);
}

static void revived(const char *url)
{
    struct reel_counter *relistens =
        reel_counter_get("reel_rpc_listener_relistens_total", "", NULL);
    uint64_t before = reel_counter_value(relistens);
    struct reel_acceptor *acceptor;
    atomic_uint n = 0;

    assert_int_equal(reel_acceptor_open(url, on_stream, &n, &acceptor), 0);
    for (unsigned i = 1; i <= 50; i++)
        assert_int_equal(reel_acceptor_revive(acceptor), 0);
    assert_int_equal(reel_counter_value(relistens), before + 50);
    if (strncmp(url, "ipc", 3) == 0) {
        int fd = try_connect(url);
        assert_true(fd >= 0);
        assert_true(fixture_wait(&n, 1, 5000));
        close(fd);
    }
    reel_acceptor_close(acceptor);
}

static void a_listener_comes_back_in_its_place(void **state)
{
    char url[100];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    revived(url);
    revived("tcp://127.0.0.1:0");
    revived("inproc://acceptor-test");
}

// What an accept without a free descriptor fails with passes, and must not end the listener.
static void it_goes_on_when_descriptors_come_back(void **state)
{
    struct reel_acceptor *acceptor;
    struct rlimit limit;
    struct rlimit none;
    atomic_uint n = 0;
    char url[100];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    assert_int_equal(reel_acceptor_open(url, on_stream, &n, &acceptor), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = address_of(url);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_false(fixture_wait(&n, 1, 200));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(fixture_wait(&n, 1, 5000));
    close(fd);
    reel_acceptor_close(acceptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_come_in),
        cmocka_unit_test(port_0_becomes_a_real_one),
        cmocka_unit_test(a_stale_file_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_listener_comes_back_in_its_place),
        cmocka_unit_test(it_goes_on_when_descriptors_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
