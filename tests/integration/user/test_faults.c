// SPDX-License-Identifier: Apache-2.0
// The database goes away at the worst moments: what was answered holds, what was not is either done
// or not done, and a fault's text reaches nobody.
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "svc-user/store.h"
#include "tests/integration/user/lib/service.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/cutter.h"

// The store through a proxy that cuts.
struct cut_store {
    struct cutter *cutter;
    struct reel_pg *pg;
    struct store db;
};

static struct cut_store open_cut(struct service *s, const char *marker, enum cut cut)
{
    struct cut_store c = {.cutter = cutter_start(own_database_url(s->database), marker, cut)};
    const struct reel_pg_config config = {.url = cutter_conninfo(c.cutter), .max_connections = 1};

    assert_int_equal(reel_pg_new(&config, &c.pg), REEL_OK);
    c.db = (struct store){c.pg, reel_deadline_in_us(10000000), &s->arena};
    return c;
}

static void close_cut(struct cut_store *c)
{
    reel_pg_free(c->pg);
    cutter_stop(c->cutter);
}

// Changes the password through the proxy and tells which one is in force afterwards.
static const char *cut_password_change(struct service *s, enum cut cut)
{
    const struct store direct = {s->pg, reel_deadline_in_us(10000000), &s->arena};
    const char *constraint = "";
    struct store_account account;
    User__User *changed = NULL;

    assert_int_equal(store_user_find(&direct, "alice", &account), REEL_OK);
    const struct store_user_change change = {
        .password_hash = "$argon2id$v=19$m=19456,t=2,p=1$bmV3bmV3bmV3bmV3$bmV3bmV3bmV3bmV3bmV3bmV3",
        .if_password_version = account.password_version,
    };
    struct cut_store c = open_cut(s, "COMMIT", cut);
    assert_int_equal(store_user_update(&c.db, account.user->id, &change, &changed, &constraint),
                     REEL_UNAVAILABLE);
    close_cut(&c);
    assert_null(changed);
    return service_sql(s, "SELECT password_hash = '%s' FROM users WHERE id = '%s'",
                       change.password_hash, account.user->id);
}

static void a_password_change_cut_before_its_commit_changes_nothing(void **state)
{
    service_register(*state, "alice");
    service_login(*state, "alice");
    assert_string_equal(cut_password_change(*state, CUT_REQUEST), "f");
    assert_string_equal(
        service_sql(*state, "SELECT count(*) FROM sessions WHERE revoked_at IS NULL"), "1");
    service_login(*state, "alice");
}

static void a_password_change_cut_after_its_commit_is_whole(void **state)
{
    service_register(*state, "alice");
    service_login(*state, "alice");
    assert_string_equal(cut_password_change(*state, CUT_ANSWER), "t");
    assert_string_equal(
        service_sql(*state, "SELECT count(*) FROM sessions WHERE revoked_at IS NULL"), "0");
}

// The client repeats the old token, which has been used: it must sign in again, and no thief can
// tell.
static void a_refresh_whose_answer_is_cut_off_ends_in_a_new_login(void **state)
{
    struct model_refresh old;
    struct model_refresh next;
    char token[MODEL_REFRESH_SIZE];
    const char *session_id = NULL;
    User__User *user = NULL;

    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    model_refresh_digest(login.tokens->refresh_token, &old);
    model_refresh_new(login.tokens->refresh_token, token);
    model_refresh_digest(token, &next);
    struct cut_store c = open_cut(*state, next.refresh_hash, CUT_ANSWER);
    assert_int_equal(store_session_rotate(&c.db, &old, &next, 3600, &session_id, &user),
                     REEL_UNAVAILABLE);
    close_cut(&c);
    assert_int_equal(service_call(*state, USER_SERVICE_REFRESH, NULL, NULL, NULL, "refreshToken",
                                  login.tokens->refresh_token, NULL),
                     REEL_UNAUTHENTICATED);
    service_login(*state, "alice");
}

// Every method while the database is away, and again when it is back.
static void an_outage_is_unavailable_and_passes(void **state)
{
    struct service *s = *state;
    struct user_config config = s->config;
    struct user_svc *cut_off = NULL;
    struct reel_status status;
    char url[80];

    service_register(s, "alice");
    const struct login login = service_login(s, "alice");
    config.database_url = "host=/nonexistent";
    snprintf(url, sizeof(url), "%s-cut", s->url);
    config.listen = url;
    assert_int_equal(user_svc_new(&config, &cut_off), REEL_OK);
    assert_int_equal(reel_server_start(cut_off->server), REEL_OK);
    assert_false(user_svc_is_ready(cut_off));
    assert_true(user_svc_is_ready(s->svc));

    struct reel_channel *good = s->channel;
    s->channel = service_channel(url);
    const int codes[] = {
        service_call(s, USER_SERVICE_GET_USER, &login.caller, NULL, &status, NULL),
        service_call(s, USER_SERVICE_LOGOUT, &login.caller, NULL, &status, NULL),
        service_call(s, USER_SERVICE_LOGIN, NULL, NULL, &status, "username", "alice", "password",
                     SERVICE_PASSWORD, NULL),
        service_call(s, USER_SERVICE_REGISTER, NULL, NULL, &status, "username", "bob", "email",
                     "bob@example.org", "password", SERVICE_PASSWORD, NULL),
        service_call(s, USER_SERVICE_REFRESH, NULL, NULL, &status, "refreshToken",
                     login.tokens->refresh_token, NULL),
        service_call(s, USER_SERVICE_VALIDATE, NULL, NULL, &status, "token",
                     login.tokens->access_token, NULL),
        service_call(s, USER_SERVICE_CHECK_SESSION, NULL, NULL, &status, "sessionId",
                     login.caller.session_id, NULL),
        service_call(s, USER_SERVICE_UPDATE_USER, &login.caller, NULL, &status, "username", "al1ce",
                     NULL),
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(codes); i++)
        assert_int_equal(codes[i], REEL_UNAVAILABLE);
    assert_null(strstr(status.message, "nonexistent"));
    assert_true(status.retry_after_ms > 0);
    // Keys need no database.
    assert_int_equal(service_call(s, USER_SERVICE_LIST_KEYS, NULL, NULL, NULL, NULL), REEL_OK);
    reel_channel_close(s->channel);
    s->channel = good;
    user_svc_free(cut_off);

    assert_int_equal(service_call(s, USER_SERVICE_GET_USER, &login.caller, NULL, NULL, NULL),
                     REEL_OK);
    assert_int_equal(service_call(s, USER_SERVICE_REFRESH, NULL, NULL, NULL, "refreshToken",
                                  login.tokens->refresh_token, NULL),
                     REEL_OK);
}

static void connections_killed_between_calls_are_not_noticed(void **state)
{
    struct service *s = *state;

    service_register(s, "alice");
    const struct login login = service_login(s, "alice");
    for (int i = 0; i < 5; i++) {
        service_sql(s, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                       " WHERE datname = current_database() AND usename = 'reel_user'");
        assert_int_equal(service_call(s, USER_SERVICE_GET_USER, &login.caller, NULL, NULL, NULL),
                         REEL_OK);
    }
}

static void a_fault_tells_the_client_nothing(void **state)
{
    struct service *s = *state;
    struct reel_status status;

    service_register(s, "alice");
    const struct login login = service_login(s, "alice");
    service_sql(s, "ALTER TABLE users RENAME COLUMN email TO mail");
    assert_int_equal(service_call(s, USER_SERVICE_GET_USER, &login.caller, NULL, &status, NULL),
                     REEL_INTERNAL);
    assert_null(strstr(status.message, "email"));
    assert_null(strstr(status.message, "column"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, service_start, service_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_password_change_cut_before_its_commit_changes_nothing),
        CASE(a_password_change_cut_after_its_commit_is_whole),
        CASE(a_refresh_whose_answer_is_cut_off_ends_in_a_new_login),
        CASE(an_outage_is_unavailable_and_passes),
        CASE(connections_killed_between_calls_are_not_noticed),
        CASE(a_fault_tells_the_client_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
