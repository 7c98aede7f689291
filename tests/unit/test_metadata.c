// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/metadata.h"
#include "tests/lib/cmocka.h"

static char said[256];

static int check(const char *key, const char *value)
{
    const struct reel_metadata one = {key, value};

    said[0] = '\0';
    int rc = reel_metadata_check(&one, 1, said, sizeof(said));
    assert_true((rc == REEL_OK) == (said[0] == '\0'));
    return rc;
}

static void keys_are_short_and_lower_case(void **state)
{
    static const char *const bad[] = {"", "A", "a b", "a:b", "a\n", "caf\xc3\xa9", "a/b", "x\x7f"};
    char key[130];

    (void)state;
    assert_int_equal(check("a-z_0.9", "v"), REEL_OK);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_int_equal(check(bad[i], "v"), REEL_INVALID_ARGUMENT);
    memset(key, 'k', sizeof(key));
    key[128] = '\0';
    assert_int_equal(check(key, "v"), REEL_OK);
    key[128] = 'k';
    key[129] = '\0';
    assert_int_equal(check(key, "v"), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(said, "1 to 128"));
}

static void values_are_printable_ascii(void **state)
{
    static const char *const bad[] = {"a\nb", "a\rb", "\t", "\x7f", "\x01", "\xc3\xa9"};

    (void)state;
    assert_int_equal(check("k", ""), REEL_OK);
    assert_int_equal(check("k", " ~!\"\\"), REEL_OK);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_int_equal(check("k", bad[i]), REEL_INVALID_ARGUMENT);
}

static void values_of_bin_keys_are_base64(void **state)
{
    static const char *const bad[] = {"A", "AA", "AAA", "AA-_", "A===", "AAAA ", "=AAA", "AA=A"};

    (void)state;
    assert_int_equal(check("k-bin", ""), REEL_OK);
    assert_int_equal(check("k-bin", "AAAA"), REEL_OK);
    assert_int_equal(check("k-bin", "AA=="), REEL_OK);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_int_equal(check("k-bin", bad[i]), REEL_INVALID_ARGUMENT);
    assert_int_equal(check("-bin", "not base64"), REEL_OK);
}

static void all_of_it_has_a_bound_with_both_numbers_named(void **state)
{
    struct reel_metadata many[REEL_METADATA_MAX_ENTRIES + 1];
    char value[REEL_METADATA_MAX_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(many); i++)
        many[i] = (struct reel_metadata){"k", "v"};
    assert_int_equal(reel_metadata_check(many, REEL_METADATA_MAX_ENTRIES, said, sizeof(said)),
                     REEL_OK);
    assert_int_equal(reel_metadata_check(many, REEL_ARRAY_SIZE(many), said, sizeof(said)),
                     REEL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(said, "65 entries"));
    assert_non_null(strstr(said, "64 entries"));
    memset(value, 'v', sizeof(value));
    value[REEL_METADATA_MAX_BYTES] = '\0';
    assert_int_equal(check("k", value), REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(check("k", value + 1), REEL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_short_and_lower_case),
        cmocka_unit_test(values_are_printable_ascii),
        cmocka_unit_test(values_of_bin_keys_are_base64),
        cmocka_unit_test(all_of_it_has_a_bound_with_both_numbers_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
