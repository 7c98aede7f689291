// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/conditional.h"
#include "libcommon/core/base.h"

static void ranges_resolve_against_the_size(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int64_t size;
        enum range_kind kind;
        int64_t first, length;
    } cases[] = {
        {"bytes=0-0", 100, RANGE_PART, 0, 1},
        {"bytes=0-99", 100, RANGE_PART, 0, 100},
        {"bytes=0-1000", 100, RANGE_PART, 0, 100},
        {"bytes=99-", 100, RANGE_PART, 99, 1},
        {"bytes=-5", 100, RANGE_PART, 95, 5},
        {"bytes=-500", 100, RANGE_PART, 0, 100},
        {"BYTES=1-2", 100, RANGE_PART, 1, 2},
        {"bytes= 1-2 ", 100, RANGE_PART, 1, 2},
        {"bytes=1-99999999999999999999999", 100, RANGE_PART, 1, 99},
        {"bytes=100-", 100, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999999-", 100, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 100, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=5-2", 100, RANGE_WHOLE, 0, 0},
        {"bytes=-", 100, RANGE_WHOLE, 0, 0},
        {"bytes=", 100, RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 100, RANGE_WHOLE, 0, 0},
        {"bytes=0-1,5-6", 100, RANGE_WHOLE, 0, 0},
        {"bytes=--1", 100, RANGE_WHOLE, 0, 0},
        {"bytes=1-2x", 100, RANGE_WHOLE, 0, 0},
        {"items=0-1", 100, RANGE_WHOLE, 0, 0},
        {NULL, 100, RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct byte_range range = {0, 0};
        assert_int_equal(range_resolve(cases[i].header, cases[i].size, &range), cases[i].kind);
        assert_int_equal(range.first, cases[i].first);
        assert_int_equal(range.length, cases[i].length);
    }
}

static void etags_are_compared_weakly(void **state)
{
    (void)state;
    assert_true(etag_list_matches("\"a\"", "a", ETAG_WEAK));
    assert_true(etag_list_matches("\"x\", W/\"a\"", "a", ETAG_WEAK));
    assert_true(etag_list_matches("*", "a", ETAG_WEAK));
    assert_false(etag_list_matches("\"b\"", "a", ETAG_WEAK));
    assert_false(etag_list_matches("a", "a", ETAG_WEAK));
    assert_false(etag_list_matches("\"a", "a", ETAG_WEAK));
    assert_false(etag_list_matches("", "a", ETAG_WEAK));
    assert_false(etag_list_matches("\"aa\"", "a", ETAG_WEAK));
}

static void etags_are_compared_strongly(void **state)
{
    (void)state;
    assert_true(etag_list_matches("\"a\"", "a", ETAG_STRONG));
    assert_true(etag_list_matches("*", "a", ETAG_STRONG));
    assert_true(etag_list_matches("W/\"a\", \"a\"", "a", ETAG_STRONG));
    assert_true(etag_list_matches(", \"x\" ,,\t\"a\"", "a", ETAG_STRONG));
    assert_false(etag_list_matches("W/\"a\"", "a", ETAG_STRONG));
    assert_false(etag_list_matches("\"b\"", "a", ETAG_STRONG));
    assert_false(etag_list_matches(",", "a", ETAG_STRONG));
}

static void conditions_have_their_order(void **state)
{
    (void)state;
    static const char before[] = "Sun, 06 Nov 1994 08:49:36 GMT";
    static const char then[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const struct {
        struct conditions conditions;
        enum condition_result result;
    } cases[] = {
        {{0}, CONDITION_GO_ON},
        {{.if_match = "\"a\""}, CONDITION_GO_ON},
        {{.if_match = "*"}, CONDITION_GO_ON},
        {{.if_match = "\"b\""}, CONDITION_FAILED},
        {{.if_match = "W/\"a\""}, CONDITION_FAILED},
        {{.if_match = "nonsense"}, CONDITION_FAILED},
        {{.if_match = ""}, CONDITION_FAILED},
        {{.if_unmodified_since = then}, CONDITION_GO_ON},
        {{.if_unmodified_since = before}, CONDITION_FAILED},
        {{.if_unmodified_since = "nonsense"}, CONDITION_GO_ON},
        // The tag is asked for before the date.
        {{.if_match = "\"a\"", .if_unmodified_since = before}, CONDITION_GO_ON},
        {{.if_match = "\"b\"", .if_unmodified_since = then}, CONDITION_FAILED},
        // What fails is told before what the client has.
        {{.if_match = "\"b\"", .if_none_match = "\"a\""}, CONDITION_FAILED},
        {{.if_match = "\"a\"", .if_none_match = "\"a\""}, CONDITION_NOT_MODIFIED},
        {{.if_unmodified_since = before, .if_modified_since = then}, CONDITION_FAILED},
        {{.if_unmodified_since = then, .if_modified_since = then}, CONDITION_NOT_MODIFIED},
        {{.if_none_match = "\"a\""}, CONDITION_NOT_MODIFIED},
        {{.if_none_match = "\"b\"", .if_modified_since = then}, CONDITION_GO_ON},
        {{.if_none_match = "\"a\"", .if_modified_since = before}, CONDITION_NOT_MODIFIED},
        {{.if_modified_since = then}, CONDITION_NOT_MODIFIED},
        {{.if_modified_since = before}, CONDITION_GO_ON},
        {{.if_modified_since = "nonsense"}, CONDITION_GO_ON},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_int_equal(conditions_check(&cases[i].conditions, "a", 784111777), cases[i].result);
}

static void if_range_needs_a_strong_tag_or_the_exact_date(void **state)
{
    (void)state;
    assert_true(if_range_holds("\"a\"", "a", 0));
    assert_false(if_range_holds("W/\"a\"", "a", 0));
    assert_false(if_range_holds("\"ab\"", "a", 0));
    assert_true(if_range_holds("Sun, 06 Nov 1994 08:49:37 GMT", "a", 784111777));
    assert_false(if_range_holds("Sun, 06 Nov 1994 08:49:38 GMT", "a", 784111777));
    assert_false(if_range_holds("yesterday", "a", 784111777));
}

static void dates_survive_the_round_trip(void **state)
{
    (void)state;
    char text[HTTP_DATE_SIZE];
    int64_t seconds;
    for (int64_t t = 0; t < 4000000000; t += 86399 * 37) {
        http_date_format(t, text);
        assert_true(http_date_parse(text, &seconds));
        assert_int_equal(seconds, t);
    }
    assert_false(http_date_parse("Sun, 06 Zzz 1994 08:49:37 GMT", &seconds));
    assert_false(http_date_parse("", &seconds));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_resolve_against_the_size),
        cmocka_unit_test(etags_are_compared_weakly),
        cmocka_unit_test(etags_are_compared_strongly),
        cmocka_unit_test(conditions_have_their_order),
        cmocka_unit_test(if_range_needs_a_strong_tag_or_the_exact_date),
        cmocka_unit_test(dates_survive_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
