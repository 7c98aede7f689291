// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/base.h"
#include "svc-user/model.h"
#include "tests/lib/cmocka.h"

static void a_refresh_token_keeps_its_family_and_changes_the_rest(void **state)
{
    struct model_refresh a;
    struct model_refresh b;
    char first[MODEL_REFRESH_SIZE];
    char next[MODEL_REFRESH_SIZE];
    char other[MODEL_REFRESH_SIZE];

    (void)state;
    model_refresh_new(NULL, first);
    model_refresh_new(first, next);
    model_refresh_new(NULL, other);
    assert_int_equal(strlen(first), MODEL_REFRESH_LEN);
    assert_memory_equal(first, next, MODEL_FAMILY_LEN);
    assert_string_not_equal(first, next);
    assert_memory_not_equal(first, other, MODEL_FAMILY_LEN);
    assert_true(model_refresh_digest(first, &a));
    assert_true(model_refresh_digest(next, &b));
    assert_string_equal(a.family_hash, b.family_hash);
    assert_string_not_equal(a.refresh_hash, b.refresh_hash);
}

static void other_texts_are_no_refresh_tokens(void **state)
{
    struct model_refresh refresh;
    char token[MODEL_REFRESH_SIZE + 1];

    (void)state;
    model_refresh_new(NULL, token);
    token[MODEL_REFRESH_LEN] = '0';
    token[MODEL_REFRESH_LEN + 1] = '\0';
    assert_false(model_refresh_digest(token, &refresh));
    token[MODEL_REFRESH_LEN - 1] = '\0';
    assert_false(model_refresh_digest(token, &refresh));
    assert_false(model_refresh_digest("", &refresh));
    assert_false(model_refresh_digest("../../etc/passwd", &refresh));
}

static void passwords_have_flaws(void **state)
{
    static const struct {
        const char *password;
        bool flawed;
    } cases[] = {
        {"correct horse", false}, {"aaaaaaaaaaab", false},
        {"aaaaaaaaaaaa", true},   {"alice", true},
        {"ALICE", true},          {"alice@example.org", true},
        {"alice1", false},        {"Alice@Example.org", true},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_int_equal(model_password_flaw(cases[i].password, "alice", "alice@example.org") !=
                             NULL,
                         cases[i].flawed);
}

static void constraints_name_fields(void **state)
{
    (void)state;
    assert_string_equal(model_taken_field("users_username_key"), "username");
    assert_string_equal(model_taken_field("users_email_key"), "email");
    assert_null(model_taken_field("users_pkey"));
    assert_null(model_taken_field(""));
}

static void a_user_agent_is_printable_and_short(void **state)
{
    char long_one[1000];
    char cut[MODEL_USER_AGENT_SIZE];

    (void)state;
    model_user_agent(NULL, cut);
    assert_string_equal(cut, "");
    model_user_agent("curl/7.88\r\nX: \x1b[31m\xff\x80 ok", cut);
    assert_string_equal(cut, "curl/7.88X: [31m ok");
    memset(long_one, 'x', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    model_user_agent(long_one, cut);
    assert_int_equal(strlen(cut), 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refresh_token_keeps_its_family_and_changes_the_rest),
        cmocka_unit_test(other_texts_are_no_refresh_tokens),
        cmocka_unit_test(passwords_have_flaws),
        cmocka_unit_test(constraints_name_fields),
        cmocka_unit_test(a_user_agent_is_printable_and_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
