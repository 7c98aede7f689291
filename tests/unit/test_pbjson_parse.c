// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/json/pbjson.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

enum { ARENA_CAP = 1 << 20 };

static struct reel_pbjson_error error;

static int parse_n(struct reel_arena *arena, const char *text, size_t len,
                   Sample__Everything **ret_message)
{
    ProtobufCMessage *message = NULL;

    error = (struct reel_pbjson_error){0};
    int rc = reel_pbjson_parse(text, len, &sample__everything__descriptor, arena, &message, &error);
    *ret_message = (Sample__Everything *)message;
    return rc;
}

static Sample__Everything *parse(struct reel_arena *arena, const char *text)
{
    Sample__Everything *message;

    int rc = parse_n(arena, text, strlen(text), &message);
    if (rc != REEL_OK)
        fail_msg("%s: %s %s", text, error.path, error.message);
    return message;
}

static int setup(void **state)
{
    static struct reel_arena arena;

    reel_arena_init(&arena, ARENA_CAP);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    reel_arena_fini(*state);
    return 0;
}

static void empty_text_and_empty_object_give_defaults(void **state)
{
    static const char *const texts[] = {"", "{}", " { } "};

    for (size_t i = 0; i < REEL_ARRAY_SIZE(texts); i++) {
        const Sample__Everything *m = parse(*state, texts[i]);

        assert_string_equal(m->a_string, "");
        assert_int_equal(m->an_int32, 0);
        assert_null(m->branch);
        assert_int_equal(m->choice_case, SAMPLE__EVERYTHING__CHOICE__NOT_SET);
    }
}

static void every_kind_of_field_is_read(void **state)
{
    const Sample__Everything *m = parse(
        *state, "{\"anInt32\":-7,\"aUint32\":4294967295,\"anInt64\":\"-9223372036854775808\","
                "\"aUint64\":\"18446744073709551615\",\"aFloat\":0.5,\"aDouble\":1e300,"
                "\"aBool\":true,\"aString\":\"h\\u00e9\\ud83d\\ude00\",\"someBytes\":\"AP8=\","
                "\"color\":\"BLUE\",\"branch\":{\"leaf\":{\"text\":\"t\",\"number\":3},"
                "\"leaves\":[{\"number\":1},{}]},\"at\":\"2026-01-31T12:00:00.25Z\","
                "\"numbers\":[1,2,3],\"words\":[\"a\",\"\"],\"flags\":[true,false],"
                "\"colors\":[\"RED\",-3],\"reals\":[1,\"NaN\"],\"maybeString\":\"\","
                "\"maybeInt64\":\"5\",\"choiceNumber\":0}");

    assert_int_equal(m->an_int32, -7);
    assert_true(m->a_uint32 == UINT32_MAX);
    assert_true(m->an_int64 == INT64_MIN);
    assert_true(m->a_uint64 == UINT64_MAX);
    assert_true(m->a_float == 0.5f && m->a_double == 1e300 && m->a_bool);
    assert_string_equal(m->a_string, "h\xc3\xa9\xf0\x9f\x98\x80");
    assert_int_equal(m->some_bytes.len, 2);
    assert_memory_equal(m->some_bytes.data, "\x00\xff", 2);
    assert_int_equal(m->color, SAMPLE__COLOR__BLUE);
    assert_int_equal(m->branch->leaf->number, 3);
    assert_int_equal(m->branch->n_leaves, 2);
    assert_string_equal(m->branch->leaves[1]->text, "");
    assert_true(m->at->seconds == 1769860800 && m->at->nanos == 250000000);
    assert_int_equal(m->n_numbers, 3);
    assert_int_equal(m->numbers[2], 3);
    assert_string_equal(m->words[0], "a");
    assert_true(m->flags[0] && !m->flags[1]);
    assert_int_equal(m->colors[1], SAMPLE__COLOR__DARK);
    assert_true(m->reals[1] != m->reals[1]);
    assert_string_equal(m->maybe_string->value, "");
    assert_true(m->maybe_int64->value == 5);
    assert_int_equal(m->choice_case, SAMPLE__EVERYTHING__CHOICE_CHOICE_NUMBER);
}

static void the_protos_own_spelling_is_accepted(void **state)
{
    const Sample__Everything *m = parse(*state, "{\"an_int32\":1,\"some_bytes\":\"-_8\"}");

    assert_int_equal(m->an_int32, 1);
    assert_memory_equal(m->some_bytes.data, "\xfb\xff", 2);
}

static void null_is_absent(void **state)
{
    const Sample__Everything *m =
        parse(*state, "{\"anInt32\":null,\"aString\":null,\"branch\":null,\"numbers\":null,"
                      "\"maybeString\":null,\"at\":null,\"choiceString\":null,"
                      "\"choiceNumber\":4}");

    assert_string_equal(m->a_string, "");
    assert_null(m->branch);
    assert_null(m->maybe_string);
    assert_int_equal(m->choice_number, 4);
}

struct refusal {
    const char *text;
    const char *path;
    const char *message; // a part of it
};

static void wrong_shapes_are_refused_with_their_path(void **state)
{
    static const struct refusal cases[] = {
        {"[]", "", "must be an object"},
        {"null", "", "must be an object"},
        {"3", "", "must be an object"},
        {"{\"nope\":1}", "nope", "is not a known field"},
        {"{\"no_pe\":1}", "no_pe", "is not a known field"},
        {"{\"\":1}", "", "is not a known field"},
        {"{\"an_Int32\":1}", "an_Int32", "is not a known field"},
        {"{\"branch\":{\"leaf\":{\"nope\":1}}}", "branch.leaf.nope", "is not a known field"},
        {"{\"branch\":{\"leaves\":[{},{\"number\":\"x\"}]}}", "branch.leaves[1].number", "whole"},
        {"{\"branch\":7}", "branch", "must be an object"},
        {"{\"numbers\":1}", "numbers", "must be a list"},
        {"{\"numbers\":{}}", "numbers", "must be a list"},
        {"{\"numbers\":[1,null]}", "numbers[1]", "must not be null"},
        {"{\"words\":[\"a\",2]}", "words[1]", "must be a string"},
        {"{\"anInt32\":[1]}", "anInt32", "must be a whole number"},
        {"{\"anInt32\":1,\"an_int32\":1}", "anInt32", "is given twice"},
        {"{\"choiceString\":\"a\",\"choiceNumber\":1}", "choiceNumber", "excludes choiceString"},
        {"{\"choiceNumber\":1,\"choiceLeaf\":{}}", "choiceLeaf", "excludes choiceNumber"},
        {"{\"maybeInt32\":{\"value\":1}}", "maybeInt32", "must be a whole number"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        Sample__Everything *message;
        int rc = parse_n(*state, cases[i].text, strlen(cases[i].text), &message);

        if (rc != REEL_INVALID_ARGUMENT || strcmp(error.path, cases[i].path) != 0 ||
            !strstr(error.message, cases[i].message))
            fail_msg("%s: %d \"%s\" %s", cases[i].text, rc, error.path, error.message);
        assert_null(message);
    }
}

static void bad_json_is_refused_and_never_echoed(void **state)
{
    static const struct refusal cases[] = {
        {"{", "", "ends too early"},
        {"{\"aString\":\"s3cret", "", "ends too early"},
        {"{\"aString\":s3cret}", "", "is not valid JSON, at line 1"},
        {"{\"anInt32\":01}", "", "is not valid JSON"},
        {"{\"anInt32\":+1}", "", "is not valid JSON"},
        {"{\"anInt32\":NaN}", "", "is not valid JSON"},
        {"{'anInt32':1}", "", "is not valid JSON"},
        {"{\"anInt32\":1,}", "", "is not valid JSON"},
        {"{} {}", "", "is not valid JSON"},
        {"{\"anInt32\":1}x", "", "is not valid JSON"},
        {"\xef\xbb\xbf{}", "", "is not valid JSON"},
        {"{\"anInt32\":1,\"anInt32\":1}", "", "has a key twice"},
        {"{\"aDouble\":1e999}", "", "has a number out of range"},
        {"{\"aUint64\":18446744073709551616}", "", "has a number out of range"},
        {"{\"aString\":\"\\u0000\"}", "", "has a NUL character"},
        {"{\"aString\":\"\xff\"}", "", "is not valid UTF-8"},
        {"{\"aString\":\"\xed\xa0\x80\"}", "", "is not valid UTF-8"},
        {"{\"aString\":\"\\ud800\"}", "", "is not valid"},
        {"{\"aString\":\"a\tb\"}", "", "is not valid JSON"},
        {"// c\n{}", "", "is not valid JSON"},
        {"   ", "", "ends too early"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        Sample__Everything *message;
        int rc = parse_n(*state, cases[i].text, strlen(cases[i].text), &message);

        if (rc != REEL_INVALID_ARGUMENT || !strstr(error.message, cases[i].message))
            fail_msg("%s: %d \"%s\" %s", cases[i].text, rc, error.path, error.message);
        assert_null(strstr(error.message, "s3cret"));
    }
}

static void bytes_after_the_length_are_not_read(void **state)
{
    Sample__Everything *message;

    assert_int_equal(parse_n(*state, "{\"anInt32\":5}garbage", 13, &message), REEL_OK);
    assert_int_equal(message->an_int32, 5);
    assert_int_equal(parse_n(*state, "{}\0{}", 5, &message), REEL_INVALID_ARGUMENT);
}

static void nesting_is_bounded(void **state)
{
    char text[4096] = "{\"branch\":";
    size_t n = strlen(text);
    Sample__Everything *message;

    memset(text + n, '[', 2000);
    assert_int_equal(parse_n(*state, text, n + 2000, &message), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "nested deeper than 32"));
}

static void brackets_in_strings_do_not_nest(void **state)
{
    const Sample__Everything *m =
        parse(*state, "{\"aString\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[{{{{{\"}");

    assert_int_equal(strlen(m->a_string), 48);
}

static void the_number_of_values_is_bounded(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf text;
    Sample__Everything *message;

    reel_buf_init(&text, 1 << 20);
    reel_buf_adds(&text, "{\"numbers\":[0");
    for (int i = 0; i < REEL_PBJSON_MAX_VALUES; i++)
        reel_buf_adds(&text, ",0");
    reel_buf_adds(&text, "]}");
    assert_int_equal(parse_n(*state, text.data, text.len, &message), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "at most 20000 values"));
}

static void the_size_is_bounded_with_both_numbers_named(void **state)
{
    REEL_AUTO(reel_freep) char *text = malloc(REEL_PBJSON_MAX_BYTES + 1);
    Sample__Everything *message;

    memset(text, ' ', REEL_PBJSON_MAX_BYTES + 1);
    assert_int_equal(parse_n(*state, text, REEL_PBJSON_MAX_BYTES + 1, &message),
                     REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "1048576 bytes of JSON; it has 1048577"));
}

static void a_full_arena_is_resource_exhausted(void **state)
{
    static const char text[] = "{\"aString\":\"abcdefgh\",\"someBytes\":\"AAAA\",\"words\":[\"a\"],"
                               "\"branch\":{\"leaf\":{}},\"maybeString\":\"x\"}";
    Sample__Everything *message;
    int rc = REEL_RESOURCE_EXHAUSTED;
    size_t cap = 0;

    (void)state;
    for (; rc == REEL_RESOURCE_EXHAUSTED; cap += 7) {
        REEL_AUTO(reel_arena_fini) struct reel_arena arena;

        reel_arena_init(&arena, cap);
        rc = parse_n(&arena, text, strlen(text), &message);
        assert_true(rc == REEL_OK || arena.exhausted);
        assert_true((rc == REEL_OK) == (message != NULL));
    }
    assert_int_equal(rc, REEL_OK);
    assert_true(cap > sizeof(Sample__Everything));
}

static void a_long_unknown_name_is_cut_in_the_path(void **state)
{
    char text[1024];
    Sample__Everything *message;

    memset(text, 'x', sizeof(text));
    memcpy(text, "{\"", 2);
    memcpy(text + sizeof(text) - 5, "\":1}", 5);
    assert_int_equal(parse_n(*state, text, sizeof(text) - 1, &message), REEL_INVALID_ARGUMENT);
    assert_int_equal(strlen(error.path), sizeof(error.path) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_text_and_empty_object_give_defaults),
        cmocka_unit_test(every_kind_of_field_is_read),
        cmocka_unit_test(the_protos_own_spelling_is_accepted),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(wrong_shapes_are_refused_with_their_path),
        cmocka_unit_test(bad_json_is_refused_and_never_echoed),
        cmocka_unit_test(bytes_after_the_length_are_not_read),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(brackets_in_strings_do_not_nest),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(the_size_is_bounded_with_both_numbers_named),
        cmocka_unit_test(a_full_arena_is_resource_exhausted),
        cmocka_unit_test(a_long_unknown_name_is_cut_in_the_path),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
