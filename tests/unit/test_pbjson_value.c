// SPDX-License-Identifier: Apache-2.0
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/json/pbjson.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

static struct reel_arena arena;
static struct reel_pbjson_error error;

static int setup(void **state)
{
    (void)state;
    reel_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reel_arena_fini(&arena);
    return 0;
}

// Parses {"<field>":<value>}; NULL when it is refused.
static const Sample__Everything *parse(const char *field, const char *value)
{
    ProtobufCMessage *message = NULL;
    const char *text;

    reel_arena_reset(&arena);
    error = (struct reel_pbjson_error){0};
    text = reel_arena_printf(&arena, "{\"%s\":%s}", field, value);
    int rc = reel_pbjson_parse(text, strlen(text), &sample__everything__descriptor, &arena,
                               &message, &error);
    assert_true(rc == REEL_OK || rc == REEL_INVALID_ARGUMENT);
    return (const Sample__Everything *)message;
}

static const Sample__Everything *take(const char *field, const char *value)
{
    const Sample__Everything *m = parse(field, value);

    if (!m)
        fail_msg("refused: %s %s: %s", field, value, error.message);
    return m;
}

static void refuse(const char *field, const char *const *values, const char *message)
{
    for (; *values; values++) {
        if (parse(field, *values))
            fail_msg("taken: %s %s", field, *values);
        assert_string_equal(error.path, field);
        if (!strstr(error.message, message))
            fail_msg("%s %s: %s", field, *values, error.message);
    }
}

#define REFUSE(field, message, ...) refuse(field, (const char *const[]){__VA_ARGS__, NULL}, message)

static void int32_takes_every_spelling_of_a_whole_number(void **state)
{
    static const char *const fives[] = {"5",     "5.0",     "50e-1",  "0.5e1",
                                        "\"5\"", "\"5.0\"", "\"05\"", "\"5e0\""};
    static const char *const fields[] = {"anInt32", "aSint32", "aSfixed32"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(fives); i++)
        assert_int_equal(take("anInt32", fives[i])->an_int32, 5);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(fields); i++) {
        take(fields[i], "-2147483648");
        take(fields[i], "\"2147483647\"");
        REFUSE(fields[i], "must be a whole number from -2147483648 to 2147483647", "2147483648",
               "-2147483649", "0.5", "\"\"", "\" 5\"", "\"5 \"", "\"0x5\"", "\"+5\"", "\"-\"",
               "\"five\"", "\"NaN\"", "\"Infinity\"", "\"5\xc2\xa0\"", "true", "{}", "[]", "1e10",
               "\"99999999999999999999999999\"", "\"1e999\"", "\"1.5\"", "\"--5\"");
    }
    assert_int_equal(take("anInt32", "-2147483648")->an_int32, INT32_MIN);
    assert_int_equal(take("anInt32", "-0.0")->an_int32, 0);
}

static void uint32_is_not_negative(void **state)
{
    (void)state;
    assert_true(take("aUint32", "4294967295")->a_uint32 == UINT32_MAX);
    assert_true(take("aFixed32", "\"0\"")->a_fixed32 == 0);
    REFUSE("aUint32", "from 0 to 4294967295", "4294967296", "-1", "\"-1\"", "-0.5");
}

static void int64_is_exact_as_string_and_as_number(void **state)
{
    (void)state;
    assert_true(take("anInt64", "9007199254740993")->an_int64 == 9007199254740993);
    assert_true(take("anInt64", "\"9223372036854775807\"")->an_int64 == INT64_MAX);
    assert_true(take("aSint64", "\"-9223372036854775808\"")->a_sint64 == INT64_MIN);
    assert_true(take("aSfixed64", "1e15")->a_sfixed64 == 1000000000000000);
    REFUSE("anInt64", "from -9223372036854775808 to 9223372036854775807", "\"9223372036854775808\"",
           "\"-9223372036854775809\"", "9.3e18", "0.1", "false");
}

static void uint64_reaches_its_edge_as_a_string(void **state)
{
    (void)state;
    assert_true(take("aUint64", "\"18446744073709551615\"")->a_uint64 == UINT64_MAX);
    assert_true(take("aFixed64", "1e19")->a_fixed64 == UINT64_C(10000000000000000000));
    REFUSE("aUint64", "from 0 to 18446744073709551615", "\"18446744073709551616\"", "-1",
           "1.8446744073709552e19");
}

static void reals_take_numbers_strings_and_three_names(void **state)
{
    (void)state;
    assert_true(take("aDouble", "1")->a_double == 1);
    assert_true(take("aDouble", "\"1.5\"")->a_double == 1.5);
    assert_true(take("aDouble", "\"-Infinity\"")->a_double < -DBL_MAX);
    assert_true(take("aDouble", "\"NaN\"")->a_double != 0);
    assert_true(take("aFloat", "3.4028235e38")->a_float == FLT_MAX);
    assert_true(take("aFloat", "\"Infinity\"")->a_float > FLT_MAX);
    REFUSE("aDouble", "must be a number", "\"inf\"", "\"nan\"", "\"infinity\"", "\"0x1p3\"", "\"\"",
           "\" 1\"", "true", "\"1e999\"", "\"1,5\"", "[]", "\"-\"", "\".\"");
    REFUSE("aFloat", "must be a number from", "3.41e38", "-1e39");
}

static void booleans_are_only_true_and_false(void **state)
{
    (void)state;
    assert_true(take("aBool", "true")->a_bool);
    assert_false(take("aBool", "false")->a_bool);
    REFUSE("aBool", "must be true or false", "\"true\"", "1", "0", "\"\"", "[]");
}

static void strings_are_only_strings(void **state)
{
    (void)state;
    assert_string_equal(take("aString", "\"\\\"\\u20ac\\n\"")->a_string, "\"\xe2\x82\xac\n");
    REFUSE("aString", "must be a string", "1", "true", "[]", "{}");
}

static void bytes_are_base64(void **state)
{
    (void)state;
    assert_int_equal(take("someBytes", "\"\"")->some_bytes.len, 0);
    assert_int_equal(take("someBytes", "\"AAA\"")->some_bytes.len, 2);
    REFUSE("someBytes", "must be a string of base64", "\"A\"", "\"AAA*\"", "\"AA A\"", "1", "[0]");
}

static void enums_are_names_or_numbers(void **state)
{
    (void)state;
    assert_int_equal(take("color", "\"DARK\"")->color, SAMPLE__COLOR__DARK);
    assert_int_equal(take("color", "1")->color, SAMPLE__COLOR__RED);
    assert_int_equal(take("color", "77")->color, 77);
    REFUSE("color", "must be the name or number of a value of Color", "\"red\"", "\"1\"", "\"\"",
           "2147483648", "1.5", "true");
}

static void times_are_rfc_3339(void **state)
{
    (void)state;
    assert_true(take("at", "\"1970-01-01T00:00:01+00:00\"")->at->seconds == 1);
    REFUSE("at", "RFC 3339", "\"yesterday\"", "0", "{\"seconds\":\"1\"}", "\"\"");
}

static void wrappers_are_as_strict_as_what_they_wrap(void **state)
{
    (void)state;
    assert_true(take("maybeUint64", "\"18446744073709551615\"")->maybe_uint64->value == UINT64_MAX);
    assert_int_equal(take("maybeBytes", "\"AA==\"")->maybe_bytes->value.len, 1);
    assert_null(take("maybeBool", "null")->maybe_bool);
    REFUSE("maybeBool", "true or false", "\"true\"", "1");
    REFUSE("maybeInt32", "whole number", "\"x\"", "2147483648");
    REFUSE("maybeString", "must be a string", "1", "{}");
    REFUSE("maybeFloat", "must be a number", "1e39", "\"x\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int32_takes_every_spelling_of_a_whole_number),
        cmocka_unit_test(uint32_is_not_negative),
        cmocka_unit_test(int64_is_exact_as_string_and_as_number),
        cmocka_unit_test(uint64_reaches_its_edge_as_a_string),
        cmocka_unit_test(reals_take_numbers_strings_and_three_names),
        cmocka_unit_test(booleans_are_only_true_and_false),
        cmocka_unit_test(strings_are_only_strings),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(enums_are_names_or_numbers),
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(wrappers_are_as_strict_as_what_they_wrap),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
