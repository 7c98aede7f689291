// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/timestamp.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/validate.h"
#include "proto/user.reel.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

static char said[8192]; // "path: description\n" for each violation of the last check
static unsigned n_said;

static void report(void *arg, const char *field, const char *description)
{
    size_t n = strlen(said);

    assert_ptr_equal(arg, said);
    snprintf(said + n, sizeof(said) - n, "%s: %s\n", field, description);
    n_said++;
}

static int check_with(const struct reel_message_rules *rules, unsigned n_rules, const void *message)
{
    said[0] = '\0';
    n_said = 0;
    int rc = reel_validate(rules, n_rules, message, report, said);
    assert_true((rc == REEL_INVALID_ARGUMENT) == (n_said > 0));
    assert_int_equal(reel_validate(rules, n_rules, message, NULL, NULL), rc);
    return rc;
}

// Checks an Everything with a rule on one of its fields.
static int check_rule(struct reel_field_rule rule, const Sample__Everything *message)
{
    const struct reel_field_rule rows[] = {
        {.field = "an_int32", .min = -100, .max = 100}, rule, {.field = NULL}};
    const struct reel_message_rules rules[] = {{&sample__leaf__descriptor, &rows[2]},
                                               {&sample__everything__descriptor, rows}};

    return check_with(rules, 2, message);
}

static int check_string(struct reel_field_rule rule, const char *value)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    rule.field = "a_string";
    m.a_string = (char *)(uintptr_t)value;
    return check_rule(rule, &m);
}

static int check_wrapped(struct reel_field_rule rule, const char *value)
{
    Google__Protobuf__StringValue wrapper = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    rule.field = "maybe_string";
    wrapper.value = (char *)(uintptr_t)value;
    m.maybe_string = value ? &wrapper : NULL;
    return check_rule(rule, &m);
}

#define RULE(...) ((struct reel_field_rule){__VA_ARGS__})

static void a_message_of_defaults_is_fine(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    (void)state;
    assert_int_equal(check_with(NULL, 0, &m), REEL_OK);
}

static void required_asks_for_something(void **state)
{
    (void)state;
    assert_int_equal(check_string(RULE(.required = true), ""), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aString: is required\n");
    assert_int_equal(check_string(RULE(.required = true), "x"), REEL_OK);
    assert_int_equal(check_wrapped(RULE(.required = true), NULL), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "maybeString: is required\n");
    assert_int_equal(check_wrapped(RULE(.required = true), ""), REEL_OK);
}

static void required_holds_for_every_kind(void **state)
{
    static const char *const fields[] = {"a_uint64", "a_double", "a_bool", "some_bytes", "color",
                                         "branch",   "at",       "words",  "maybe_int32"};
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(fields); i++) {
        assert_int_equal(check_rule(RULE(.field = fields[i], .required = true), &m),
                         REEL_INVALID_ARGUMENT);
        assert_int_equal(n_said, 1);
        assert_non_null(strstr(said, ": is required\n"));
    }
}

static void lengths_name_the_limit_and_the_length(void **state)
{
    (void)state;
    assert_int_equal(check_string(RULE(.min_length = 3, .max_length = 5), "ab"),
                     REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aString: must be at least 3 bytes long; it has 2\n");
    assert_int_equal(check_string(RULE(.min_length = 3, .max_length = 5), "abcdef"),
                     REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aString: must be at most 5 bytes long; it has 6\n");
    assert_int_equal(check_string(RULE(.min_length = 3, .max_length = 5), "abc"), REEL_OK);
    assert_int_equal(check_string(RULE(.min_length = 3, .max_length = 5), "abcde"), REEL_OK);
    assert_int_equal(check_string(RULE(.min_length = 3), ""), REEL_OK);
    assert_int_equal(check_wrapped(RULE(.min_length = 3), ""), REEL_INVALID_ARGUMENT);
}

static void strings_have_a_default_cap(void **state)
{
    char text[REEL_FIELD_DEFAULT_MAX_LENGTH + 2];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[REEL_FIELD_DEFAULT_MAX_LENGTH + 1] = '\0';
    assert_int_equal(check_string(RULE(.required = true), text), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aString: must be at most 4096 bytes long; it has 4097\n");
    text[REEL_FIELD_DEFAULT_MAX_LENGTH] = '\0';
    assert_int_equal(check_string(RULE(.required = true), text), REEL_OK);
}

static void bytes_have_lengths_too(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    uint8_t data[5000] = {0};

    (void)state;
    m.some_bytes = (ProtobufCBinaryData){.len = 10, .data = data};
    assert_int_equal(check_rule(RULE(.field = "some_bytes", .max_length = 9), &m),
                     REEL_INVALID_ARGUMENT);
    assert_int_equal(check_rule(RULE(.field = "some_bytes", .max_length = 10), &m), REEL_OK);
    m.some_bytes.len = sizeof(data);
    assert_int_equal(check_with(NULL, 0, &m), REEL_INVALID_ARGUMENT);
}

static void malformed_utf8_is_refused_everywhere(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    Sample__Branch branch = SAMPLE__BRANCH__INIT;
    Sample__Leaf good = SAMPLE__LEAF__INIT, bad = SAMPLE__LEAF__INIT;
    Sample__Leaf *leaves[] = {&good, &bad};
    char *words[] = {(char[]){"a"}, (char[]){"\xc0\x80"}};

    (void)state;
    bad.text = (char[]){"\xed\xa0\x80"};
    branch.leaves = leaves;
    branch.n_leaves = 2;
    m.branch = &branch;
    m.words = words;
    m.n_words = 2;
    m.choice_case = SAMPLE__EVERYTHING__CHOICE_CHOICE_STRING;
    m.choice_string = (char[]){"\xff"};
    assert_int_equal(check_with(NULL, 0, &m), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "branch.leaves[1].text: must be valid UTF-8\n"
                              "words[1]: must be valid UTF-8\n"
                              "choiceString: must be valid UTF-8\n");
    assert_int_equal(check_wrapped(RULE(.max_length = 9), "\xff"), REEL_INVALID_ARGUMENT);
}

static void uuids_are_lower_case_ids(void **state)
{
    (void)state;
    assert_int_equal(check_string(RULE(.uuid = true), "01890a5d-ac96-774b-bcce-b302099a8057"),
                     REEL_OK);
    assert_int_equal(check_string(RULE(.uuid = true), ""), REEL_OK);
    assert_int_equal(check_string(RULE(.uuid = true), "x' OR 1=1"), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(said, "aString: must be a UUID"));
    assert_null(strstr(said, "OR 1=1"));
}

static void emails_are_plausible_mailboxes(void **state)
{
    static const char *const good[] = {
        "a@b.co",
        "ada.lovelace+x@example.org",
        "o'hara@sub.example.museum",
        "j\xc3\xb6rg@example.de",
        "a@1.2",
        "x@xn--bcher-kva.example",
        "0123456789012345678901234567890123456789012345678901234567890123@b.co",
    };
    static const char *const bad[] = {
        "a",
        "@",
        "a@",
        "@b.co",
        "a@b",
        "a@b.",
        "a@.co",
        "a@b..co",
        "a@-b.co",
        "a@b-.co",
        "a@b.co-",
        "a b@c.de",
        "a@b c.de",
        "a@b_c.de",
        ".a@b.co",
        "a.@b.co",
        "a..b@c.de",
        "a@b@c.de",
        "\"a\"@b.co",
        "a,b@c.de",
        "<a@b.co>",
        "a@[127.0.0.1]",
        "a\n@b.co",
        "a@b.co\n",
        "a\x7f@b.co",
        "01234567890123456789012345678901234567890123456789012345678901234@b.co",
        "a@0123456789012345678901234567890123456789012345678901234567890123.co",
        "a@b\xc3\xbc.de",
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(good); i++) {
        if (check_string(RULE(.email = true), good[i]) != REEL_OK)
            fail_msg("refused: %s", good[i]);
    }
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        if (check_string(RULE(.email = true), bad[i]) != REEL_INVALID_ARGUMENT)
            fail_msg("taken: %s", bad[i]);
    }
}

static void patterns_are_sets_of_characters(void **state)
{
    (void)state;
    assert_int_equal(check_string(RULE(.pattern = "A-Za-z0-9._-"), "aZ09._-"), REEL_OK);
    assert_int_equal(check_string(RULE(.pattern = "A-Za-z0-9._-"), "a b"), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aString: may have only the characters A-Za-z0-9._-\n");
    assert_int_equal(check_string(RULE(.pattern = "A-Z"), "-"), REEL_INVALID_ARGUMENT);
    assert_int_equal(check_string(RULE(.pattern = "a-"), "a-a"), REEL_OK);
    assert_int_equal(check_string(RULE(.pattern = "-a"), "-a"), REEL_OK);
    assert_int_equal(check_string(RULE(.pattern = "a-z"), "\xc3\xa9"), REEL_INVALID_ARGUMENT);
}

static void one_of_is_a_list_of_whole_words(void **state)
{
    static const char *const bad[] = {"resiz",          "resizex", "RESIZE",
                                      "resize,convert", ",",       " resize"};
    const struct reel_field_rule rule = RULE(.one_of = "resize,convert");
    const struct reel_field_rule or_empty = RULE(.one_of = ",resize");

    (void)state;
    assert_int_equal(check_string(rule, "resize"), REEL_OK);
    assert_int_equal(check_string(rule, "convert"), REEL_OK);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_int_equal(check_string(rule, bad[i]), REEL_INVALID_ARGUMENT);
    assert_int_equal(check_string(rule, "trim"), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aString: must be one of resize,convert; \"trim\" is not\n");
    assert_int_equal(check_string(rule, ""), REEL_INVALID_ARGUMENT);
    assert_int_equal(check_string(or_empty, ""), REEL_OK);
    assert_int_equal(check_string(or_empty, "trim"), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aString: must be one of resize; \"trim\" is not\n");
}

static void a_secret_is_not_shown(void **state)
{
    const struct reel_field_rule rule = RULE(.secret = true, .one_of = "a,b", .min_length = 20,
                                             .pattern = "0-9", .email = true, .uuid = true);
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    (void)state;
    assert_int_equal(check_string(rule, "hunter2"), REEL_INVALID_ARGUMENT);
    assert_int_equal(n_said, 5);
    assert_null(strstr(said, "hunter2"));
    m.a_uint32 = 123456;
    assert_int_equal(check_rule(RULE(.field = "a_uint32", .secret = true, .max = 9), &m),
                     REEL_INVALID_ARGUMENT);
    assert_null(strstr(said, "123456"));
}

static void numbers_are_held_to_their_range(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    (void)state;
    m.an_int32 = 101;
    assert_int_equal(check_rule(RULE(.field = "x"), &m), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "anInt32: must be from -100 to 100; it is 101\n");
    m.an_int32 = -100;
    assert_int_equal(check_rule(RULE(.field = "x"), &m), REEL_OK);
    // Zero is a number too: only 0 in the range makes it optional.
    assert_int_equal(check_rule(RULE(.field = "a_uint32", .min = 16, .max = 20), &m),
                     REEL_INVALID_ARGUMENT);
    m.a_uint64 = UINT64_MAX;
    assert_int_equal(check_rule(RULE(.field = "a_uint64", .min = -1, .max = INT64_MAX), &m),
                     REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "aUint64: must be from -1 to 9223372036854775807; it is "
                              "18446744073709551615\n");
    m.a_double = (double)NAN;
    assert_int_equal(check_rule(RULE(.field = "a_double", .min = 0, .max = 100), &m),
                     REEL_INVALID_ARGUMENT);
    m.a_double = 100.5;
    assert_int_equal(check_rule(RULE(.field = "a_double", .min = 0, .max = 100), &m),
                     REEL_INVALID_ARGUMENT);
    m.a_double = 99.5;
    assert_int_equal(check_rule(RULE(.field = "a_double", .min = 0, .max = 100), &m), REEL_OK);
}

static void unknown_enum_values_are_refused(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    Sample__Color colors[] = {SAMPLE__COLOR__RED, (Sample__Color)4};

    (void)state;
    m.color = (Sample__Color)-4;
    m.colors = colors;
    m.n_colors = 2;
    assert_int_equal(check_with(NULL, 0, &m), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "color: must be a known value; -4 is not\n"
                              "colors[1]: must be a known value; 4 is not\n");
}

static void times_are_held_to_rfc_3339(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

    (void)state;
    m.at = &at;
    assert_int_equal(check_with(NULL, 0, &m), REEL_OK);
    at.nanos = -1;
    assert_int_equal(check_with(NULL, 0, &m), REEL_INVALID_ARGUMENT);
    at.nanos = 0;
    at.seconds = INT64_MIN;
    assert_int_equal(check_with(NULL, 0, &m), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "at: must be a time from year 1 to 9999\n");
}

static void lists_have_a_cap_and_rules_for_their_items(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    int32_t numbers[REEL_FIELD_DEFAULT_MAX_ITEMS + 1] = {0};
    char *words[] = {(char[]){"ok"}, (char[]){""}, (char[]){"toolong"}};

    (void)state;
    m.numbers = numbers;
    m.n_numbers = REEL_FIELD_DEFAULT_MAX_ITEMS + 1;
    assert_int_equal(check_with(NULL, 0, &m), REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "numbers: must have at most 1000 items; it has 1001\n");
    m.n_numbers = 3;
    assert_int_equal(check_rule(RULE(.field = "numbers", .max_items = 2), &m),
                     REEL_INVALID_ARGUMENT);
    m.n_numbers = 0;
    m.words = words;
    m.n_words = 3;
    assert_int_equal(check_rule(RULE(.field = "words", .min_length = 1, .max_length = 5), &m),
                     REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "words[1]: must be at least 1 bytes long; it has 0\n"
                              "words[2]: must be at most 5 bytes long; it has 7\n");
}

static void violations_stop_at_sixteen(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    char bad[] = "\xff";
    char *words[100];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(words); i++)
        words[i] = bad;
    m.words = words;
    m.n_words = REEL_ARRAY_SIZE(words);
    m.color = (Sample__Color)9;
    assert_int_equal(check_with(NULL, 0, &m), REEL_INVALID_ARGUMENT);
    assert_int_equal(n_said, REEL_VALIDATE_MAX_VIOLATIONS);
}

static void the_generated_rules_of_a_service_are_understood(void **state)
{
    User__RegisterRequest m = USER__REGISTER_REQUEST__INIT;

    (void)state;
    m.username = (char[]){"a!"};
    m.password = (char[]){"short"};
    assert_int_equal(check_with(user_service.rules, user_service.n_rules, &m),
                     REEL_INVALID_ARGUMENT);
    assert_string_equal(said, "username: must be at least 3 bytes long; it has 2\n"
                              "username: may have only the characters A-Za-z0-9._-\n"
                              "email: is required\n"
                              "password: must be at least 8 bytes long; it has 5\n");
    m.username = (char[]){"ada"};
    m.email = (char[]){"ada@example.org"};
    m.password = (char[]){"correct horse"};
    assert_int_equal(check_with(user_service.rules, user_service.n_rules, &m), REEL_OK);
}

static void nesting_is_bounded(void **state)
{
    Sample__Chain chain[40];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(chain); i++)
        sample__chain__init(&chain[i]);
    for (size_t i = 0; i + 1 < 16; i++)
        chain[i].next = &chain[i + 1];
    assert_int_equal(check_with(NULL, 0, chain), REEL_OK);
    for (size_t i = 0; i + 1 < REEL_ARRAY_SIZE(chain); i++)
        chain[i].next = &chain[i + 1];
    assert_int_equal(check_with(NULL, 0, chain), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(said, ".next: is nested deeper than 16 messages"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_of_defaults_is_fine),
        cmocka_unit_test(required_asks_for_something),
        cmocka_unit_test(required_holds_for_every_kind),
        cmocka_unit_test(lengths_name_the_limit_and_the_length),
        cmocka_unit_test(strings_have_a_default_cap),
        cmocka_unit_test(bytes_have_lengths_too),
        cmocka_unit_test(malformed_utf8_is_refused_everywhere),
        cmocka_unit_test(uuids_are_lower_case_ids),
        cmocka_unit_test(emails_are_plausible_mailboxes),
        cmocka_unit_test(patterns_are_sets_of_characters),
        cmocka_unit_test(one_of_is_a_list_of_whole_words),
        cmocka_unit_test(a_secret_is_not_shown),
        cmocka_unit_test(numbers_are_held_to_their_range),
        cmocka_unit_test(unknown_enum_values_are_refused),
        cmocka_unit_test(times_are_held_to_rfc_3339),
        cmocka_unit_test(lists_have_a_cap_and_rules_for_their_items),
        cmocka_unit_test(violations_stop_at_sixteen),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(the_generated_rules_of_a_service_are_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
