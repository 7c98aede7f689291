// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "svc-user/throttle.h"
#include "tests/integration/user/lib/service.h"
#include "tests/lib/cmocka.h"

static const struct caller stranger = {"0190a000-0000-7000-8000-00000000dead", NULL, NULL};

static int try_register(struct service *s, const char *username, const char *email,
                        const char *password, struct reel_status *ret_status)
{
    return service_call(s, USER_SERVICE_REGISTER, NULL, NULL, ret_status, "username", username,
                        "email", email, "password", password, NULL);
}

static void a_new_account_has_an_id_and_times(void **state)
{
    const User__User *user = service_register(*state, "Alice");

    assert_true(reel_id_is_valid(user->id));
    assert_string_equal(user->username, "Alice");
    assert_string_equal(user->email, "Alice@example.org");
    assert_true(user->created_at->seconds > 1700000000);
    assert_int_equal(user->created_at->seconds, user->updated_at->seconds);
}

static void the_password_is_kept_as_argon2id(void **state)
{
    const User__User *user = service_register(*state, "alice");
    const char *hash =
        service_sql(*state, "SELECT password_hash FROM users WHERE id = '%s'", user->id);

    assert_int_equal(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
}

static void a_taken_name_or_address_is_named(void **state)
{
    static const struct {
        const char *username;
        const char *email;
        const char *field;
    } cases[] = {
        {"alice", "other@example.org", "username"},
        {"ALICE", "other@example.org", "username"},
        {"other", "alice@example.org", "email"},
        {"other", "ALICE@EXAMPLE.ORG", "email"},
    };

    service_register(*state, "alice");
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct reel_status status;

        assert_int_equal(
            try_register(*state, cases[i].username, cases[i].email, SERVICE_PASSWORD, &status),
            REEL_ALREADY_EXISTS);
        assert_string_equal(service_violation(&status), cases[i].field);
        assert_non_null(strstr(status.message, cases[i].field));
    }
    assert_string_equal(service_sql(*state, "SELECT count(*) FROM users"), "1");
}

static void bad_registrations_name_the_field(void **state)
{
    static const struct {
        const char *username;
        const char *email;
        const char *password;
        const char *field;
    } cases[] = {
        {"al", "a@example.org", SERVICE_PASSWORD, "username"},
        {"al ice", "a@example.org", SERVICE_PASSWORD, "username"},
        {"alice'--", "a@example.org", SERVICE_PASSWORD, "username"},
        {"alice@x", "a@example.org", SERVICE_PASSWORD, "username"},
        {"alice", "nonsense", SERVICE_PASSWORD, "email"},
        {"alice", "a@example.org", "short", "password"},
        {"alice", "a@example.org", "aaaaaaaaaaaa", "password"},
        {"alice_alice", "a@example.org", "Alice_Alice", "password"},
        {"alice", "alice@example.org", "ALICE@example.org", "password"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct reel_status status;

        assert_int_equal(
            try_register(*state, cases[i].username, cases[i].email, cases[i].password, &status),
            REEL_INVALID_ARGUMENT);
        assert_string_equal(service_violation(&status), cases[i].field);
    }
    assert_string_equal(service_sql(*state, "SELECT count(*) FROM users"), "0");
}

static void the_signed_in_user_is_shown(void **state)
{
    const User__User *user = service_register(*state, "alice");
    const struct caller alice = {user->id, NULL, NULL};
    User__GetUserResponse *res = NULL;

    assert_int_equal(service_call(*state, USER_SERVICE_GET_USER, &alice, &res, NULL, NULL),
                     REEL_OK);
    assert_string_equal(res->user->id, user->id);
    assert_string_equal(res->user->username, "alice");
    assert_string_equal(res->user->email, "alice@example.org");
    assert_int_equal(res->user->created_at->seconds, user->created_at->seconds);
}

static void nobody_and_the_unknown_get_nothing(void **state)
{
    const struct caller garbled = {"' OR 1=1 --", NULL, NULL};

    assert_int_equal(service_call(*state, USER_SERVICE_GET_USER, NULL, NULL, NULL, NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_call(*state, USER_SERVICE_GET_USER, &garbled, NULL, NULL, NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_call(*state, USER_SERVICE_GET_USER, &stranger, NULL, NULL, NULL),
                     REEL_NOT_FOUND);
    assert_int_equal(service_call(*state, USER_SERVICE_UPDATE_USER, NULL, NULL, NULL, NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_call(*state, USER_SERVICE_UPDATE_USER, &stranger, NULL, NULL,
                                  "username", "other", NULL),
                     REEL_NOT_FOUND);
}

static void an_update_changes_what_it_names_and_nothing_else(void **state)
{
    const User__User *user = service_register(*state, "alice");
    const struct caller alice = {user->id, NULL, NULL};
    User__UpdateUserResponse *res = NULL;

    assert_int_equal(service_call(*state, USER_SERVICE_UPDATE_USER, &alice, &res, NULL, "email",
                                  "new@example.org", NULL),
                     REEL_OK);
    assert_string_equal(res->user->username, "alice");
    assert_string_equal(res->user->email, "new@example.org");
    assert_int_equal(service_call(*state, USER_SERVICE_UPDATE_USER, &alice, &res, NULL, "username",
                                  "ALICE", NULL),
                     REEL_OK);
    assert_string_equal(res->user->username, "ALICE");
    assert_int_equal(service_call(*state, USER_SERVICE_UPDATE_USER, &alice, &res, NULL, NULL),
                     REEL_OK);
    assert_string_equal(res->user->email, "new@example.org");
    service_login(*state, "alice");
}

static void an_update_to_a_taken_name_is_refused(void **state)
{
    const User__User *user = service_register(*state, "alice");
    const struct caller alice = {user->id, NULL, NULL};
    struct reel_status status;

    service_register(*state, "bob");
    assert_int_equal(service_call(*state, USER_SERVICE_UPDATE_USER, &alice, NULL, &status,
                                  "username", "BOB", NULL),
                     REEL_ALREADY_EXISTS);
    assert_string_equal(service_violation(&status), "username");
    assert_int_equal(service_call(*state, USER_SERVICE_UPDATE_USER, &alice, NULL, &status, "email",
                                  "bob@example.org", NULL),
                     REEL_ALREADY_EXISTS);
    assert_string_equal(service_violation(&status), "email");
}

static int change_password(struct service *s, const struct caller *caller, const char *current,
                           const char *password, struct reel_status *ret_status)
{
    if (!current)
        return service_call(s, USER_SERVICE_UPDATE_USER, caller, NULL, ret_status, "password",
                            password, NULL);
    return service_call(s, USER_SERVICE_UPDATE_USER, caller, NULL, ret_status, "password", password,
                        "currentPassword", current, NULL);
}

static int try_login(struct service *s, const char *username, const char *password)
{
    return service_call(s, USER_SERVICE_LOGIN, NULL, NULL, NULL, "username", username, "password",
                        password, NULL);
}

static bool is_live(struct service *s, const char *session_id)
{
    User__CheckSessionResponse *res = NULL;

    assert_int_equal(service_call(s, USER_SERVICE_CHECK_SESSION, NULL, &res, NULL, "sessionId",
                                  session_id, NULL),
                     REEL_OK);
    return res->live;
}

static void a_new_password_ends_the_other_sessions(void **state)
{
    service_register(*state, "alice");
    service_register(*state, "bob");
    const struct login here = service_login(*state, "alice");
    const struct login there = service_login(*state, "alice");
    const struct login bob = service_login(*state, "bob");

    assert_int_equal(
        change_password(*state, &here.caller, SERVICE_PASSWORD, "another long password", NULL),
        REEL_OK);
    assert_true(is_live(*state, here.caller.session_id));
    assert_false(is_live(*state, there.caller.session_id));
    assert_true(is_live(*state, bob.caller.session_id));
    assert_int_equal(try_login(*state, "alice", SERVICE_PASSWORD), REEL_UNAUTHENTICATED);
    assert_int_equal(try_login(*state, "alice", "another long password"), REEL_OK);
}

static void without_a_session_a_new_password_ends_them_all(void **state)
{
    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    const struct caller sessionless = {login.caller.user_id, NULL, NULL};

    assert_int_equal(
        change_password(*state, &sessionless, SERVICE_PASSWORD, "another long password", NULL),
        REEL_OK);
    assert_false(is_live(*state, login.caller.session_id));
}

static void a_new_password_needs_the_current_one(void **state)
{
    struct reel_status status;

    service_register(*state, "alice");
    const struct login here = service_login(*state, "alice");
    const struct login there = service_login(*state, "alice");
    assert_int_equal(change_password(*state, &here.caller, NULL, "another long password", &status),
                     REEL_INVALID_ARGUMENT);
    assert_string_equal(service_violation(&status), "currentPassword");
    assert_int_equal(
        change_password(*state, &here.caller, "wrong", "another long password", &status),
        REEL_PERMISSION_DENIED);
    assert_string_equal(service_violation(&status), "currentPassword");
    assert_int_equal(change_password(*state, &here.caller, SERVICE_PASSWORD, "alice", &status),
                     REEL_INVALID_ARGUMENT);
    assert_int_equal(
        change_password(*state, &here.caller, SERVICE_PASSWORD, "alice@example.org", &status),
        REEL_INVALID_ARGUMENT);
    assert_int_equal(try_login(*state, "alice", SERVICE_PASSWORD), REEL_OK);
    assert_true(is_live(*state, there.caller.session_id));
}

// A token is no licence to find out the password.
static void guesses_of_the_current_password_are_counted(void **state)
{
    struct reel_status status;

    service_register(*state, "alice");
    service_register(*state, "bob");
    const struct login alice = service_login(*state, "alice");
    const struct login bob = service_login(*state, "bob");
    assert_int_equal(change_password(*state, &alice.caller, "wrong", "another long password", NULL),
                     REEL_PERMISSION_DENIED);
    assert_int_equal(
        change_password(*state, &alice.caller, SERVICE_PASSWORD, SERVICE_PASSWORD, NULL), REEL_OK);
    for (int i = 0; i < THROTTLE_FAILURES; i++)
        assert_int_equal(
            change_password(*state, &alice.caller, "wrong", "another long password", NULL),
            REEL_PERMISSION_DENIED);
    assert_int_equal(
        change_password(*state, &alice.caller, SERVICE_PASSWORD, "another long password", &status),
        REEL_RESOURCE_EXHAUSTED);
    assert_true(status.retry_after_ms > 0);
    assert_int_equal(
        change_password(*state, &bob.caller, SERVICE_PASSWORD, "another long password", NULL),
        REEL_OK);
    assert_int_equal(try_login(*state, "alice", SERVICE_PASSWORD), REEL_OK);
}

static void the_role_of_the_service_sees_its_own_tables_only(void **state)
{
    struct service *s = *state;
    const struct reel_pg_config config = {.url = s->config.database_url, .max_connections = 1};
    struct reel_pg *pg = NULL;

    assert_int_equal(reel_pg_new(&config, &pg), REEL_OK);
    assert_true(reel_pg_query(pg, REEL_NO_DEADLINE, &s->arena,
                              "SELECT count(*) FROM schema_migrations", 0, NULL, NULL) < 0);
    assert_true(reel_pg_query(pg, REEL_NO_DEADLINE, &s->arena, "DROP TABLE users", 0, NULL, NULL) <
                0);
    reel_pg_free(pg);
}

#define CASE(name) cmocka_unit_test_setup(name, service_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_account_has_an_id_and_times),
        CASE(the_password_is_kept_as_argon2id),
        CASE(a_taken_name_or_address_is_named),
        CASE(bad_registrations_name_the_field),
        CASE(the_signed_in_user_is_shown),
        CASE(nobody_and_the_unknown_get_nothing),
        CASE(an_update_changes_what_it_names_and_nothing_else),
        CASE(an_update_to_a_taken_name_is_refused),
        CASE(a_new_password_ends_the_other_sessions),
        CASE(without_a_session_a_new_password_ends_them_all),
        CASE(a_new_password_needs_the_current_one),
        CASE(guesses_of_the_current_password_are_counted),
        CASE(the_role_of_the_service_sees_its_own_tables_only),
    };

    return cmocka_run_group_tests(tests, service_start, service_stop);
}
