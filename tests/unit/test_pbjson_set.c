// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/json/pbjson.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

static struct reel_arena arena;
static struct reel_pbjson_error error;
static Sample__Everything *m;

static int setup(void **state)
{
    (void)state;
    reel_arena_init(&arena, 1 << 20);
    m = (Sample__Everything *)reel_pbjson_new(&sample__everything__descriptor, &arena);
    return m ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    reel_arena_fini(&arena);
    return 0;
}

static int set(const char *name, const char *text)
{
    return reel_pbjson_set_field(&m->base, &arena, name, text, &error);
}

static void take(const char *name, const char *text)
{
    if (set(name, text) != REEL_OK)
        fail_msg("%s=%s: %s %s", name, text, error.path, error.message);
}

static void plain_text_is_read_by_the_fields_type(void **state)
{
    (void)state;
    take("anInt32", "-7");
    take("a_uint64", "18446744073709551615");
    take("aDouble", "0.5");
    take("aBool", "true");
    take("aString", "true \"x\"");
    take("someBytes", "_-8");
    take("color", "BLUE");
    take("at", "2026-01-31T12:00:00Z");
    take("maybeInt32", "0");
    take("maybeString", "");
    assert_int_equal(m->an_int32, -7);
    assert_true(m->a_uint64 == UINT64_MAX && m->a_double == 0.5 && m->a_bool);
    assert_string_equal(m->a_string, "true \"x\"");
    assert_memory_equal(m->some_bytes.data, "\xff\xef", 2);
    assert_int_equal(m->color, SAMPLE__COLOR__BLUE);
    assert_true(m->at->seconds == 1769860800);
    assert_int_equal(m->maybe_int32->value, 0);
    assert_string_equal(m->maybe_string->value, "");
    take("color", "1");
    assert_int_equal(m->color, SAMPLE__COLOR__RED);
}

static void dots_lead_into_sub_messages(void **state)
{
    (void)state;
    take("branch.leaf.number", "3");
    take("branch.leaf.text", "t");
    assert_int_equal(m->branch->leaf->number, 3);
    assert_string_equal(m->branch->leaf->text, "t");
}

static void a_repeated_field_grows(void **state)
{
    char text[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "%d", i);
        take("numbers", text);
        take("words", text);
    }
    assert_int_equal(m->n_numbers, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(m->numbers[i], i);
    assert_string_equal(m->words[99], "99");
    take("times", "1970-01-01T00:00:01Z");
    assert_true(m->times[0]->seconds == 1);
}

static void a_parsed_list_grows_too(void **state)
{
    ProtobufCMessage *parsed;

    (void)state;
    assert_int_equal(reel_pbjson_parse("{\"numbers\":[1,2,3]}", 19, &sample__everything__descriptor,
                                       &arena, &parsed, &error),
                     REEL_OK);
    m = (Sample__Everything *)parsed;
    take("numbers", "4");
    assert_int_equal(m->n_numbers, 4);
    assert_int_equal(m->numbers[2], 3);
    assert_int_equal(m->numbers[3], 4);
}

static void the_last_value_replaces(void **state)
{
    (void)state;
    take("aString", "one");
    take("aString", "two");
    take("maybeInt32", "1");
    take("maybeInt32", "2");
    take("choiceNumber", "1");
    take("choiceNumber", "2");
    assert_string_equal(m->a_string, "two");
    assert_int_equal(m->maybe_int32->value, 2);
    assert_int_equal(m->choice_number, 2);
}

struct refusal {
    const char *name;
    const char *text;
    const char *message;
};

static void bad_names_and_values_change_nothing(void **state)
{
    static const struct refusal cases[] = {
        {"nope", "1", "is not a known field"},
        {"", "1", "is not a known field"},
        {".", "1", "is not a known field"},
        {"branch.", "1", "is not a known field"},
        {".branch", "1", "is not a known field"},
        {"branch..leaf", "1", "is not a known field"},
        {"branch", "1", "has fields of its own"},
        {"branch.leaf", "1", "has fields of its own"},
        {"branch.leaves", "1", "has fields of its own"},
        {"branch.leaves.text", "1", "has no fields of its own"},
        {"anInt32.x", "1", "has no fields of its own"},
        {"maybeInt32.value", "1", "has no fields of its own"},
        {"at.seconds", "1", "has no fields of its own"},
        {"anInt32", "", "must be a whole number"},
        {"anInt32", "1;2", "must be a whole number"},
        {"aUint32", "-1", "must be a whole number from 0"},
        {"aBool", "yes", "must be true or false"},
        {"aBool", "TRUE", "must be true or false"},
        {"aBool", "1", "must be true or false"},
        {"aString", "\xff", "must be valid UTF-8"},
        {"someBytes", "*", "base64"},
        {"color", "PINK", "name or number"},
        {"at", "now", "RFC 3339"},
        {"numbers", "x", "must be a whole number"},
        {"words", "\xc0\x80", "must be valid UTF-8"},
    };
    const Sample__Everything fresh = SAMPLE__EVERYTHING__INIT;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        if (set(cases[i].name, cases[i].text) != REEL_INVALID_ARGUMENT ||
            strcmp(error.path, cases[i].name) != 0 || !strstr(error.message, cases[i].message))
            fail_msg("%s=%s: %s %s", cases[i].name, cases[i].text, error.path, error.message);
    }
    m->branch = NULL; // made on the way to a bad name inside it
    assert_int_equal(sample__everything__get_packed_size(m),
                     sample__everything__get_packed_size(&fresh));
}

static void a_second_member_of_a_oneof_is_refused(void **state)
{
    (void)state;
    take("choiceString", "a");
    assert_int_equal(set("choiceNumber", "1"), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "excludes choiceString"));
    assert_int_equal(set("choiceLeaf.text", "1"), REEL_INVALID_ARGUMENT);
    assert_string_equal(m->choice_string, "a");
}

static void a_oneof_member_is_made_on_the_way(void **state)
{
    (void)state;
    take("choiceLeaf.text", "x");
    take("choiceLeaf.number", "2");
    assert_int_equal(m->choice_case, SAMPLE__EVERYTHING__CHOICE_CHOICE_LEAF);
    assert_string_equal(m->choice_leaf->text, "x");
    assert_int_equal(m->choice_leaf->number, 2);
}

static void a_full_arena_is_resource_exhausted(void **state)
{
    int rc = REEL_OK;

    (void)state;
    arena.cap_bytes = arena.used_bytes + 4000;
    for (int i = 0; i < 10000 && rc == REEL_OK; i++)
        rc = set("words", "x");
    assert_int_equal(rc, REEL_RESOURCE_EXHAUSTED);
    assert_string_equal(m->words[m->n_words - 1], "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_text_is_read_by_the_fields_type, setup, teardown),
        cmocka_unit_test_setup_teardown(dots_lead_into_sub_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(a_repeated_field_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_parsed_list_grows_too, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_value_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_names_and_values_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_member_of_a_oneof_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_oneof_member_is_made_on_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_arena_is_resource_exhausted, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
