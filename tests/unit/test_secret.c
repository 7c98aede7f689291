// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/secret.h"

#include <string.h>

#include "libcommon/core/base.h"
#include "tests/lib/cmocka.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";

static bool matches(const char *valid, const char *shown)
{
    return reel_secret_matches(valid, shown, strlen(shown));
}

static void the_secret_matches(void **state)
{
    (void)state;
    assert_true(matches(secret, "0123456789abcdef0123456789abcdef"));
    assert_true(matches("x", "x"));
    assert_true(matches("\xff\x80", "\xff\x80"));
    assert_true(reel_secret_matches("ab", "abc", 2)); // what is shown ends at its length
}

static void anything_else_does_not(void **state)
{
    static const char *const shown[] = {
        "",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdeF",
        "0123456789abcdef0123456789abcdef0",
        " 0123456789abcdef0123456789abcdef",
        "1123456789abcdef0123456789abcdef",
        "0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", // twice
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(shown); i++)
        assert_false(matches(secret, shown[i]));
    assert_false(reel_secret_matches(secret, NULL, 0));
    assert_false(reel_secret_matches(secret, secret, sizeof(secret))); // with its NUL
    assert_false(reel_secret_matches("ab", "ab\0ab", 5));
}

static void no_secret_matches_nothing(void **state)
{
    (void)state;
    assert_false(matches(NULL, "x"));
    assert_false(matches(NULL, ""));
    assert_false(matches("", ""));
    assert_false(matches("", "x"));
    assert_false(reel_secret_matches("", "", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_secret_matches),
        cmocka_unit_test(anything_else_does_not),
        cmocka_unit_test(no_secret_matches_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
