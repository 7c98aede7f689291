// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/transport.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void errors_become_faults(void **state)
{
    (void)state;
    assert_int_equal(reel_transport_fault(0), 0);
    assert_int_equal(reel_transport_fault(NNG_EADDRINUSE), -EADDRINUSE);
    assert_int_equal(reel_transport_fault(NNG_ECONNREFUSED), -ECONNREFUSED);
    assert_int_equal(reel_transport_fault(NNG_ESYSERR + ENOSPC), -ENOSPC);
    assert_int_equal(reel_transport_fault(NNG_EINTERNAL), -EIO);
}

static void inproc_becomes_an_abstract_socket_of_this_process(void **state)
{
    char url[REEL_TRANSPORT_URL_MAX];
    char expected[REEL_TRANSPORT_URL_MAX];
    char name[REEL_TRANSPORT_URL_MAX];

    (void)state;
    assert_int_equal(reel_transport_stream_url("inproc://a", url), 0);
    snprintf(expected, sizeof(expected), "abstract://reelmesh-%ld-a", (long)getpid());
    assert_string_equal(url, expected);
    assert_int_equal(reel_transport_stream_url("tcp://127.0.0.1:1", url), 0);
    assert_string_equal(url, "tcp://127.0.0.1:1");
    assert_int_equal(reel_transport_stream_url("tls+tcp://127.0.0.1:1", url), -EINVAL);
    assert_int_equal(reel_transport_stream_url("ws://127.0.0.1:1", url), -EINVAL);
    assert_int_equal(reel_transport_stream_url("nonsense", url), -EINVAL);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    memcpy(name, "inproc://", 9);
    assert_int_equal(reel_transport_stream_url(name, url), -EINVAL);
}

static void unix_sockets_are_local(void **state)
{
    (void)state;
    assert_true(reel_transport_is_local("ipc:///tmp/x"));
    assert_true(reel_transport_is_local("inproc://x"));
    assert_true(reel_transport_is_local("abstract://x"));
    assert_false(reel_transport_is_local("tcp://127.0.0.1:1"));
}

static void a_free_port_is_named(void **state)
{
    char *url = strdup("tcp://[::1]:0");

    (void)state;
    assert_true(reel_transport_has_free_port(url));
    assert_int_equal(reel_transport_set_port(&url, 4711), 0);
    assert_string_equal(url, "tcp://[::1]:4711");
    assert_false(reel_transport_has_free_port(url));
    assert_false(reel_transport_has_free_port("tcp://127.0.0.1:10"));
    assert_false(reel_transport_has_free_port("tcp://localhost"));
    assert_false(reel_transport_has_free_port("ipc:///tmp/x:0"));
    free(url);
}

static void a_socket_closes(void **state)
{
    nng_socket socket;

    (void)state;
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_true(reel_transport_close(socket.id));
    assert_int_equal(nng_close(socket), NNG_ECLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_become_faults),
        cmocka_unit_test(inproc_becomes_an_abstract_socket_of_this_process),
        cmocka_unit_test(unix_sockets_are_local),
        cmocka_unit_test(a_free_port_is_named),
        cmocka_unit_test(a_socket_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
