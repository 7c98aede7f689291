// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/core/base.h"
#include "libcommon/core/timestamp.h"
#include "tests/lib/cmocka.h"

struct vector {
    const char *text;
    int64_t seconds;
    int32_t nanos;
};

static void known_times_hold_both_ways(void **state)
{
    static const struct vector vectors[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"1969-12-31T23:59:59Z", -1, 0},
        {"1969-12-31T23:59:59.999999999Z", -1, 999999999},
        {"0001-01-01T00:00:00Z", REEL_TIMESTAMP_MIN_SECONDS, 0},
        {"9999-12-31T23:59:59.999999999Z", REEL_TIMESTAMP_MAX_SECONDS, 999999999},
        {"2000-02-29T12:34:56.001Z", 951827696, 1000000},
        {"2038-01-19T03:14:08.000001Z", 2147483648, 1000},
        {"1900-03-01T00:00:00.000000001Z", -2203891200, 1},
        {"2026-11-24T22:12:53.120Z", 1795558373, 120000000},
    };
    char text[REEL_TIMESTAMP_SIZE];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(vectors); i++) {
        int64_t seconds = 1;
        int32_t nanos = 1;

        assert_true(reel_timestamp_format(vectors[i].seconds, vectors[i].nanos, text));
        assert_string_equal(text, vectors[i].text);
        assert_true(reel_timestamp_parse(text, strlen(text), &seconds, &nanos));
        assert_true(seconds == vectors[i].seconds && nanos == vectors[i].nanos);
    }
}

static void the_c_library_agrees_over_all_years(void **state)
{
    char text[REEL_TIMESTAMP_SIZE], expected[64];

    (void)state;
    for (int64_t s = REEL_TIMESTAMP_MIN_SECONDS; s <= REEL_TIMESTAMP_MAX_SECONDS;
         s += 86400 * 13 + 3601) {
        time_t t = (time_t)s;
        struct tm tm;
        int64_t seconds;
        int32_t nanos;

        gmtime_r(&t, &tm);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_true(reel_timestamp_format(s, 0, text));
        assert_string_equal(text, expected);
        assert_true(reel_timestamp_parse(text, strlen(text), &seconds, &nanos));
        assert_true(seconds == s);
    }
}

static void offsets_and_short_fractions_are_read(void **state)
{
    static const struct vector vectors[] = {
        {"1970-01-01T01:00:00+01:00", 0, 0},      {"1969-12-31T16:30:00-07:30", 0, 0},
        {"1970-01-01t00:00:00.5z", 0, 500000000}, {"1970-01-01T00:00:00.1234567Z", 0, 123456700},
        {"1970-01-01T00:00:00-00:00", 0, 0},      {"1970-01-01T00:00:00.000000000Z", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(vectors); i++) {
        int64_t seconds = 1;
        int32_t nanos = 1;

        assert_true(
            reel_timestamp_parse(vectors[i].text, strlen(vectors[i].text), &seconds, &nanos));
        assert_true(seconds == vectors[i].seconds && nanos == vectors[i].nanos);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-01-01T00:00Z",
        "1970-1-01T00:00:00Z",
        "70-01-01T00:00:00Z",
        "01970-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2000-02-30T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T23:59:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01T-1:00:00Z",
        "1970-01-01T+1:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+00:01",
        "1970-01-01T00:00:00.5",
    };
    int64_t seconds = 7;
    int32_t nanos = 7;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        if (reel_timestamp_parse(bad[i], strlen(bad[i]), &seconds, &nanos))
            fail_msg("taken: %s", bad[i]);
    }
    assert_false(reel_timestamp_parse("1970-01-01T00:00:00\0Z", 21, &seconds, &nanos));
    assert_true(seconds == 7 && nanos == 7);
}

static void every_cut_of_a_good_text_is_refused(void **state)
{
    static const char text[] = "2026-01-31T12:00:00.123456789+01:30";
    int64_t seconds;
    int32_t nanos;

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        assert_false(reel_timestamp_parse(text, len, &seconds, &nanos));
    assert_true(reel_timestamp_parse(text, sizeof(text) - 1, &seconds, &nanos));
}

static void times_out_of_range_have_no_text(void **state)
{
    char text[REEL_TIMESTAMP_SIZE] = "x";

    (void)state;
    assert_false(reel_timestamp_format(REEL_TIMESTAMP_MIN_SECONDS - 1, 0, text));
    assert_false(reel_timestamp_format(REEL_TIMESTAMP_MAX_SECONDS + 1, 0, text));
    assert_false(reel_timestamp_format(INT64_MIN, 0, text));
    assert_false(reel_timestamp_format(INT64_MAX, 0, text));
    assert_false(reel_timestamp_format(0, -1, text));
    assert_false(reel_timestamp_format(0, 1000000000, text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times_hold_both_ways),
        cmocka_unit_test(the_c_library_agrees_over_all_years),
        cmocka_unit_test(offsets_and_short_fractions_are_read),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(every_cut_of_a_good_text_is_refused),
        cmocka_unit_test(times_out_of_range_have_no_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
