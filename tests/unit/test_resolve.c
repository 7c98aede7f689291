// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/resolve.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names_are_told_from_addresses_and_paths(void **state)
{
    static const struct {
        const char *url;
        bool name;
    } cases[] = {
        {"tcp://user:3001", true},
        {"tcp://localhost:1", true},
        {"tcp://user.reelmesh.svc.cluster.local:3001", true},
        {"tcp://10.example:3001", true},
        {"tcp://127.0.0.1:3001", false},
        {"tcp://[::1]:3001", false},
        {"tcp://::1:3001", false},
        {"tcp://*:3001", false},
        {"tcp://:3001", false},
        {"tcp://user", false},
        {"tcp://user:", false},
        {"tcp://user:http", false},
        {"tcp://user:3001/x", false},
        {"tcp://user:123456789", false},
        {"tls+tcp://user:3001", false},
        {"ipc:///run/user:3001", false},
        {"inproc://user:3001", false},
        {"user:3001", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(reel_resolve_has_name(cases[i].url), cases[i].name);
}

static void too_long_a_name_is_none(void **state)
{
    char url[2048];

    (void)state;
    memset(url, 'a', sizeof(url));
    memcpy(url, "tcp://", 6);
    memcpy(url + sizeof(url) - 6, ":3001", 6);
    assert_false(reel_resolve_has_name(url));
}

static void a_name_becomes_addresses(void **state)
{
    struct reel_resolved resolved;
    const char *reason;

    (void)state;
    assert_int_equal(reel_resolve("tcp://localhost:3001", &resolved, &reason), 0);
    assert_in_range(resolved.n, 1, REEL_RESOLVE_MAX);
    for (size_t i = 0; i < resolved.n; i++) {
        assert_false(reel_resolve_has_name(resolved.urls[i]));
        assert_true(strcmp(resolved.urls[i], "tcp://127.0.0.1:3001") == 0 ||
                    strcmp(resolved.urls[i], "tcp://[::1]:3001") == 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(resolved.urls[i], resolved.urls[j]);
    }
}

static void what_has_no_address_says_why(void **state)
{
    struct reel_resolved resolved;
    const char *reason = NULL;

    (void)state;
    // Not a name that is asked for anywhere.
    assert_int_equal(reel_resolve("tcp://two..dots:3001", &resolved, &reason), -EHOSTUNREACH);
    assert_true(reason && reason[0]);
    assert_int_equal(resolved.n, 0);
    assert_int_equal(reel_resolve("tcp://127.0.0.1:3001", &resolved, &reason), -EINVAL);
    assert_non_null(strstr(reason, "no name"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_told_from_addresses_and_paths),
        cmocka_unit_test(too_long_a_name_is_none),
        cmocka_unit_test(a_name_becomes_addresses),
        cmocka_unit_test(what_has_no_address_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
