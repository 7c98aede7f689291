// SPDX-License-Identifier: Apache-2.0
#include "libcommon/auth/apikey.h"
#include "libcommon/core/base.h"
#include "tests/lib/cmocka.h"

static const char key[] = "0123456789abcdef0123456789abcdef";
static const char previous[] = "fedcba9876543210fedcba9876543210";

static void both_valid_keys_open(void **state)
{
    (void)state;
    assert_true(reel_apikey_matches(key, NULL, key));
    assert_true(reel_apikey_matches(key, previous, key));
    assert_true(reel_apikey_matches(key, previous, previous));
    assert_true(reel_apikey_matches(NULL, previous, previous));
}

static void anything_else_does_not(void **state)
{
    static const char *const shown[] = {
        NULL,
        "",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdeF",
        "0123456789abcdef0123456789abcdef0",
        " 0123456789abcdef0123456789abcdef",
        "fedcba9876543210fedcba9876543210",
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(shown); i++)
        assert_false(reel_apikey_matches(key, NULL, shown[i]));
}

static void missing_and_short_keys_open_nothing(void **state)
{
    (void)state;
    assert_false(reel_apikey_matches(NULL, NULL, key));
    assert_false(reel_apikey_matches(NULL, NULL, ""));
    assert_false(reel_apikey_matches("", "", ""));
    assert_false(reel_apikey_matches("fifteen letters", NULL, "fifteen letters"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_valid_keys_open),
        cmocka_unit_test(anything_else_does_not),
        cmocka_unit_test(missing_and_short_keys_open_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
