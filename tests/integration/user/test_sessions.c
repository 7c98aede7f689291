// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "svc-user/hasher.h"
#include "svc-user/keys.h"
#include "svc-user/model.h"
#include "svc-user/store.h"
#include "tests/integration/user/lib/service.h"
#include "tests/lib/cmocka.h"

static int try_login(struct service *s, const char *username, const char *password,
                     struct reel_status *ret_status)
{
    return service_call(s, USER_SERVICE_LOGIN, NULL, NULL, ret_status, "username", username,
                        "password", password, NULL);
}

static int try_refresh(struct service *s, const char *token, User__TokenResponse **ret_tokens)
{
    return service_call(s, USER_SERVICE_REFRESH, NULL, ret_tokens, NULL, "refreshToken", token,
                        NULL);
}

static bool is_live(struct service *s, const char *session_id)
{
    User__CheckSessionResponse *res = NULL;

    assert_int_equal(service_call(s, USER_SERVICE_CHECK_SESSION, NULL, &res, NULL, "sessionId",
                                  session_id, NULL),
                     REEL_OK);
    return res->live;
}

static bool is_valid(struct service *s, const char *token)
{
    User__ValidateResponse *res = NULL;

    assert_int_equal(service_call(s, USER_SERVICE_VALIDATE, NULL, &res, NULL, "token", token, NULL),
                     REEL_OK);
    return res->valid;
}

static void a_login_gives_tokens_for_a_new_session(void **state)
{
    const User__User *user = service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");

    assert_string_equal(login.tokens->token_type, "Bearer");
    assert_int_equal(login.tokens->expires_in, 900);
    assert_int_equal(strlen(login.tokens->refresh_token), 96);
    assert_string_equal(login.tokens->user->id, user->id);
    assert_string_equal(login.caller.user_id, user->id);
    assert_true(is_live(*state, login.caller.session_id));
}

static void name_and_address_sign_in_whatever_their_case(void **state)
{
    service_register(*state, "Alice");
    service_login(*state, "alice");
    service_login(*state, "ALICE");
    service_login(*state, "alice@example.org");
    service_login(*state, "ALICE@example.ORG");
}

static void only_digests_of_refresh_tokens_are_stored(void **state)
{
    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    const char *row = service_sql(*state, "SELECT sessions::text FROM sessions");

    assert_null(strstr(row, login.tokens->refresh_token));
    assert_null(strstr(row, login.tokens->refresh_token + MODEL_FAMILY_LEN));
    struct model_refresh digests;
    assert_true(model_refresh_digest(login.tokens->refresh_token, &digests));
    assert_non_null(strstr(row, digests.family_hash));
    assert_non_null(strstr(row, digests.refresh_hash));
}

static void unknown_user_and_wrong_password_get_the_same_answer(void **state)
{
    static const char *const attempts[][2] = {
        {"nobody", SERVICE_PASSWORD},        {"nobody@example.org", SERVICE_PASSWORD},
        {"alice", "wrong password"},         {"alice", "CORRECT HORSE BATTERY"},
        {"alice", "correct horse battery "}, {"alice' OR '1'='1", SERVICE_PASSWORD},
        {"alice@example.org", "wrong"},      {"%", "wrong"},
    };
    struct reel_status first;

    service_register(*state, "alice");
    assert_int_equal(try_login(*state, attempts[0][0], attempts[0][1], &first),
                     REEL_UNAUTHENTICATED);
    for (size_t i = 1; i < REEL_ARRAY_SIZE(attempts); i++) {
        struct reel_status status;

        assert_int_equal(try_login(*state, attempts[i][0], attempts[i][1], &status),
                         REEL_UNAUTHENTICATED);
        assert_string_equal(status.message, first.message);
        assert_int_equal(status.n_violations, 0);
        assert_int_equal(status.retry_after_ms, first.retry_after_ms);
    }
}

static int64_t timed_login(struct service *s, const char *username)
{
    const int64_t start_us = reel_clock_mono_us();

    assert_int_equal(try_login(s, username, "wrong password", NULL), REEL_UNAUTHENTICATED);
    return reel_clock_mono_us() - start_us;
}

enum { N_PAIRS = 60, LEAST_PAIRS = 7 };

// How often each is the slower of the two tells whether one is: like a coin, when none is, whatever
// the machine does meanwhile. A coin shows a side less than seven times of sixty in one of 10^10.
static void unknown_user_and_wrong_password_take_the_same_time(void **state)
{
    int n_known_slower = 0;

    service_register(*state, "alice");
    for (int i = 0; i < N_PAIRS; i++) {
        const bool known_first = i % 2 == 0;
        const int64_t first_us = timed_login(*state, known_first ? "alice" : "nobody");
        const int64_t second_us = timed_login(*state, known_first ? "nobody" : "alice");

        n_known_slower += known_first == (first_us > second_us);
    }
    assert_in_range(n_known_slower, LEAST_PAIRS, N_PAIRS - LEAST_PAIRS);
}

struct racer {
    struct service *service;
    const char *token;
    int rc;
};

static int guess_from(struct service *s, const char *address, const char *username,
                      const char *password, struct reel_status *ret_status)
{
    const struct caller caller = {.address = address};

    return service_call(s, USER_SERVICE_LOGIN, &caller, NULL, ret_status, "username", username,
                        "password", password, NULL);
}

static void after_ten_guesses_even_the_right_one_waits(void **state)
{
    static const char *const names[] = {"alice", "nobody"};
    struct reel_status status;

    service_register(*state, "alice");
    for (size_t i = 0; i < REEL_ARRAY_SIZE(names); i++) {
        for (int n = 0; n < 10; n++)
            assert_int_equal(guess_from(*state, "192.0.2.1", names[i], "wrong password", NULL),
                             REEL_UNAUTHENTICATED);
        assert_int_equal(guess_from(*state, "192.0.2.1", names[i], SERVICE_PASSWORD, &status),
                         REEL_RESOURCE_EXHAUSTED);
        assert_true(status.retry_after_ms > 800 * 1000 && status.retry_after_ms <= 900 * 1000);
        assert_string_equal(status.policy, "login");
        assert_true(status.quota == 10 && status.window_s == 900);
    }
    assert_int_equal(guess_from(*state, "192.0.2.2", "alice", SERVICE_PASSWORD, NULL), REEL_OK);
}

// If the count of one name stopped the other, eleven guesses would tell whose address it is.
static void guesses_do_not_tell_whose_address_it_is(void **state)
{
    service_register(*state, "alice");
    for (int n = 0; n < 10; n++)
        assert_int_equal(guess_from(*state, "192.0.2.1", "alice", "wrong password", NULL),
                         REEL_UNAUTHENTICATED);
    assert_int_equal(guess_from(*state, "192.0.2.1", "alice", "wrong password", NULL),
                     REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(guess_from(*state, "192.0.2.1", "alice@example.org", "wrong password", NULL),
                     REEL_UNAUTHENTICATED);
}

static void replicas_count_guesses_together(void **state)
{
    struct service *s = *state;
    struct reel_channel *const first = s->channel;
    struct user_config config;
    char url[80];

    service_register(s, "alice");
    snprintf(url, sizeof(url), "%s-second", s->url);
    struct user_svc *replica = service_replica(s, &config, url);
    struct reel_channel *second = service_channel(url);
    for (int n = 0; n < 10; n++) {
        s->channel = n % 2 ? second : first;
        assert_int_equal(guess_from(s, "192.0.2.1", "alice", "wrong", NULL), REEL_UNAUTHENTICATED);
    }
    for (int n = 0; n < 2; n++) {
        s->channel = n % 2 ? second : first;
        assert_int_equal(guess_from(s, "192.0.2.1", "alice", SERVICE_PASSWORD, NULL),
                         REEL_RESOURCE_EXHAUSTED);
    }
    s->channel = first;
    reel_channel_close(second);
    user_svc_free(replica);
}

static void *guess_wrong(void *arg)
{
    struct reel_metadata address = {"reel-client-address", "192.0.2.9"};
    const struct reel_call_options options = {.metadata = &address, .n_metadata = 1};
    User__LoginRequest req = USER__LOGIN_REQUEST__INIT;
    User__TokenResponse *res = NULL;
    struct racer *racer = arg;
    struct reel_arena arena;

    reel_arena_init(&arena, 1 << 20);
    req.username = (char *)"alice";
    req.password = (char *)"wrong password";
    racer->rc = user_service_login(racer->service->channel, &options, &req, &arena, &res, NULL);
    reel_arena_fini(&arena);
    return NULL;
}

static void guessing_in_parallel_gains_no_guess(void **state)
{
    struct racer racers[24];
    pthread_t threads[24];
    int n_tried = 0;

    service_register(*state, "alice");
    for (int i = 0; i < 24; i++) {
        racers[i] = (struct racer){.service = *state};
        assert_int_equal(pthread_create(&threads[i], NULL, guess_wrong, &racers[i]), 0);
    }
    for (int i = 0; i < 24; i++) {
        pthread_join(threads[i], NULL);
        n_tried += racers[i].rc == REEL_UNAUTHENTICATED;
    }
    assert_int_equal(n_tried, 10);
}

static void a_bcrypt_hash_signs_in_and_is_replaced(void **state)
{
    // Of "imported password", as Node writes it.
    const User__User *user = service_register(*state, "alice");

    service_sql(*state,
                "UPDATE users SET password_hash ="
                " '$2b$10$abcdefghijklmnopqrstuuL0o0YPTCdkT7MfVnLo1dwOkkrd.x5tu'"
                " WHERE id = '%s'",
                user->id);
    assert_int_equal(try_login(*state, "alice", "wrong password", NULL), REEL_UNAUTHENTICATED);
    assert_int_equal(try_login(*state, "alice", "imported password", NULL), REEL_OK);
    const char *hash = service_sql(*state, "SELECT password_hash FROM users");
    assert_int_equal(strncmp(hash, "$argon2id$", 10), 0);
    assert_int_equal(try_login(*state, "alice", "imported password", NULL), REEL_OK);
}

static void a_logout_ends_this_session_only(void **state)
{
    service_register(*state, "alice");
    const struct login here = service_login(*state, "alice");
    const struct login there = service_login(*state, "alice");

    for (int i = 0; i < 2; i++)
        assert_int_equal(service_call(*state, USER_SERVICE_LOGOUT, &here.caller, NULL, NULL, NULL),
                         REEL_OK);
    assert_false(is_live(*state, here.caller.session_id));
    assert_false(is_valid(*state, here.tokens->access_token));
    assert_int_equal(try_refresh(*state, here.tokens->refresh_token, NULL), REEL_UNAUTHENTICATED);
    assert_true(is_live(*state, there.caller.session_id));
    assert_true(is_valid(*state, there.tokens->access_token));
}

static void nobody_ends_anothers_session(void **state)
{
    service_register(*state, "alice");
    service_register(*state, "mallory");
    const struct login alice = service_login(*state, "alice");
    const struct login mallory = service_login(*state, "mallory");
    const struct caller forged = {mallory.caller.user_id, alice.caller.session_id, NULL};
    const struct caller sessionless = {alice.caller.user_id, NULL, NULL};

    assert_int_equal(service_call(*state, USER_SERVICE_LOGOUT, &forged, NULL, NULL, NULL), REEL_OK);
    assert_true(is_live(*state, alice.caller.session_id));
    assert_int_equal(service_call(*state, USER_SERVICE_LOGOUT, &sessionless, NULL, NULL, NULL),
                     REEL_UNAUTHENTICATED);
    assert_int_equal(service_call(*state, USER_SERVICE_LOGOUT, NULL, NULL, NULL, NULL),
                     REEL_UNAUTHENTICATED);
    assert_true(is_live(*state, alice.caller.session_id));
}

static void a_refresh_gives_new_tokens_of_the_same_session(void **state)
{
    User__TokenResponse *next = NULL;

    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    service_sql(*state, "UPDATE sessions SET expires_at = now() + interval '10 s'");
    assert_int_equal(try_refresh(*state, login.tokens->refresh_token, &next), REEL_OK);
    assert_string_not_equal(next->refresh_token, login.tokens->refresh_token);
    assert_string_not_equal(next->access_token, login.tokens->access_token);
    assert_string_equal(next->user->username, "alice");
    assert_true(is_valid(*state, next->access_token));
    assert_true(is_valid(*state, login.tokens->access_token));
    assert_string_equal(service_sql(*state, "SELECT count(*) FROM sessions"), "1");
    assert_string_equal(
        service_sql(*state, "SELECT expires_at > now() + interval '3000 s' FROM sessions"), "t");
}

// Not only the token before the present one: any older one ends the family.
static void a_replayed_refresh_token_ends_the_family(void **state)
{
    for (int age = 1; age <= 3; age++) {
        User__TokenResponse *next = NULL;
        char name[] = "user0";

        name[4] = (char)('0' + age);
        service_register(*state, name);
        const struct login login = service_login(*state, name);
        const char *present = login.tokens->refresh_token;
        for (int i = 0; i < age; i++) {
            assert_int_equal(try_refresh(*state, present, &next), REEL_OK);
            present = next->refresh_token;
        }
        const struct login other = service_login(*state, name);

        assert_int_equal(try_refresh(*state, login.tokens->refresh_token, NULL),
                         REEL_UNAUTHENTICATED);
        assert_false(is_live(*state, login.caller.session_id));
        assert_int_equal(try_refresh(*state, present, NULL), REEL_UNAUTHENTICATED);
        assert_true(is_live(*state, other.caller.session_id));
    }
}

static void made_up_refresh_tokens_end_nothing(void **state)
{
    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    char foreign[97];
    char cut[97];
    char upper[97];

    memcpy(foreign, login.tokens->refresh_token, 97);
    foreign[0] = foreign[0] == '0' ? '1' : '0';
    memcpy(cut, login.tokens->refresh_token, 97);
    cut[95] = '\0';
    memcpy(upper, login.tokens->refresh_token, 97);
    upper[50] = 'F';
    const char *const tokens[] = {foreign, cut, upper, "x", "' OR 1=1 --"};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(tokens); i++)
        assert_int_equal(try_refresh(*state, tokens[i], NULL), REEL_UNAUTHENTICATED);
    assert_true(is_live(*state, login.caller.session_id));
}

static void an_expired_session_is_dead(void **state)
{
    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");

    service_sql(*state, "UPDATE sessions SET expires_at = now() - interval '1 s'");
    assert_false(is_live(*state, login.caller.session_id));
    assert_false(is_valid(*state, login.tokens->access_token));
    assert_int_equal(try_refresh(*state, login.tokens->refresh_token, NULL), REEL_UNAUTHENTICATED);
}

static void *race_refresh(void *arg)
{
    struct racer *racer = arg;
    User__RefreshRequest req = USER__REFRESH_REQUEST__INIT;
    User__TokenResponse *res = NULL;
    struct reel_arena arena;

    reel_arena_init(&arena, 1 << 20);
    req.refresh_token = (char *)racer->token;
    racer->rc = user_service_refresh(racer->service->channel, NULL, &req, &arena, &res, NULL);
    reel_arena_fini(&arena);
    return NULL;
}

static void of_many_refreshes_with_one_token_one_succeeds(void **state)
{
    struct racer racers[8];
    pthread_t threads[8];
    int n_ok = 0;

    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    for (int i = 0; i < 8; i++) {
        racers[i] = (struct racer){*state, login.tokens->refresh_token, -1};
        assert_int_equal(pthread_create(&threads[i], NULL, race_refresh, &racers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_true(racers[i].rc == REEL_OK || racers[i].rc == REEL_UNAUTHENTICATED);
        n_ok += racers[i].rc == REEL_OK;
    }
    assert_int_equal(n_ok, 1);
    assert_false(is_live(*state, login.caller.session_id));
}

static void a_token_is_validated_with_its_session(void **state)
{
    User__ValidateResponse *res = NULL;

    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    assert_int_equal(service_call(*state, USER_SERVICE_VALIDATE, NULL, &res, NULL, "token",
                                  login.tokens->access_token, NULL),
                     REEL_OK);
    assert_true(res->valid);
    assert_string_equal(res->user_id, login.caller.user_id);
    assert_string_equal(res->session_id, login.caller.session_id);
    assert_true(res->expires_at->seconds > reel_clock_wall_us() / 1000000 + 800);
    assert_int_equal(
        service_call(*state, USER_SERVICE_VALIDATE, NULL, &res, NULL, "token", "not.a.token", NULL),
        REEL_OK);
    assert_false(res->valid);
    assert_string_equal(res->user_id, "");
}

static void the_public_keys_verify_what_was_signed(void **state)
{
    User__ListKeysResponse *res = NULL;
    struct reel_jwt_keys *table = NULL;
    struct reel_jwt_claims claims;

    service_register(*state, "alice");
    const struct login login = service_login(*state, "alice");
    assert_int_equal(service_call(*state, USER_SERVICE_LIST_KEYS, NULL, &res, NULL, NULL), REEL_OK);
    assert_int_equal(res->n_keys, 1);
    const struct reel_jwt_public_key key = {res->keys[0]->kid, res->keys[0]->pem};
    assert_null(strstr(key.pem, "PRIVATE"));
    assert_int_equal(reel_jwt_keys_new(&key, 1, &table), REEL_OK);
    assert_int_equal(
        reel_jwt_verify(table, login.tokens->access_token, reel_clock_wall_us() / 1000000, &claims),
        REEL_OK);
    reel_jwt_keys_free(table);
}

// A login that read the old password and a change of it, in every order of their statements.
static void no_session_outlives_the_password_it_began_with(void **state)
{
    struct service *s = *state;
    const struct store db = {s->svc->pg, reel_deadline_in_us(20000000), &s->arena};
    const User__User *user = service_register(s, "alice");
    const char *constraint = "";
    struct model_refresh refresh;
    struct store_account before;
    char token[MODEL_REFRESH_SIZE];
    char id[REEL_ID_SIZE];
    User__User *changed;

    assert_int_equal(store_user_find(&db, "alice", &before), REEL_OK);
    const struct store_user_change change = {.password_hash = before.password_hash,
                                             .if_password_version = before.password_version};
    assert_int_equal(store_user_update(&db, user->id, &change, &changed, &constraint), REEL_OK);
    assert_int_equal(store_user_update(&db, user->id, &change, &changed, &constraint),
                     REEL_ABORTED);
    reel_id_new(id);
    model_refresh_new(NULL, token);
    model_refresh_digest(token, &refresh);
    const struct store_new_session session = {id, &refresh, "", 3600};
    assert_int_equal(store_session_insert(&db, &before, &session), REEL_NOT_FOUND);
    assert_string_equal(service_sql(s, "SELECT count(*) FROM sessions"), "0");
}

static void dead_sessions_are_swept_and_living_ones_stay(void **state)
{
    struct service *s = *state;
    const struct store db = {s->svc->pg, reel_deadline_in_us(20000000), &s->arena};
    int64_t n = 0;

    service_register(s, "alice");
    for (int i = 0; i < 5; i++)
        service_login(s, "alice");
    service_sql(s, "WITH numbered AS (SELECT id, row_number() OVER () AS n FROM sessions)"
                   " UPDATE sessions SET"
                   " expires_at = now() + CASE WHEN n = 1 THEN interval '-2 hours'"
                   "                           WHEN n = 2 THEN interval '-1 minute'"
                   "                           ELSE interval '1 hour' END,"
                   " revoked_at = CASE WHEN n = 3 THEN now() - interval '2 hours'"
                   "                   WHEN n = 4 THEN now() - interval '1 minute' END,"
                   " revoked_xid = CASE WHEN n IN (3, 4) THEN pg_current_xact_id() END"
                   " FROM numbered WHERE numbered.id = sessions.id");
    assert_int_equal(store_session_sweep(&db, 3600, 1, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_int_equal(store_session_sweep(&db, 3600, 100, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_int_equal(store_session_sweep(&db, 3600, 100, &n), REEL_OK);
    assert_int_equal(n, 0);
    assert_string_equal(service_sql(s, "SELECT count(*) FROM sessions"), "3");
}

struct flood {
    struct service *service;
    int rc;
    uint32_t retry_after_ms;
};

static void *flood_login(void *arg)
{
    struct flood *flood = arg;
    User__LoginRequest req = USER__LOGIN_REQUEST__INIT;
    User__TokenResponse *res = NULL;
    struct reel_status status = {0};
    struct reel_arena arena;

    reel_arena_init(&arena, 1 << 20);
    req.username = (char *)"alice";
    req.password = (char *)SERVICE_PASSWORD;
    flood->rc = user_service_login(flood->service->channel, NULL, &req, &arena, &res, &status);
    flood->retry_after_ms = status.retry_after_ms;
    reel_arena_fini(&arena);
    return NULL;
}

enum { FLOOD = 200 };

static void two_hundred_logins_at_once_are_bounded(void **state)
{
    static struct flood floods[FLOOD];
    static pthread_t threads[FLOOD];
    int n_ok = 0;
    int n_refused = 0;

    const User__User *user = service_register(*state, "alice");
    const struct caller alice = {user->id, NULL, NULL};
    for (int i = 0; i < FLOOD; i++) {
        floods[i] = (struct flood){.service = *state};
        assert_int_equal(pthread_create(&threads[i], NULL, flood_login, &floods[i]), 0);
    }
    // Meanwhile other calls get through: there are threads and connections left for them.
    for (int i = 0; i < 20; i++)
        assert_int_equal(service_call(*state, USER_SERVICE_GET_USER, &alice, NULL, NULL, NULL),
                         REEL_OK);
    for (int i = 0; i < FLOOD; i++) {
        pthread_join(threads[i], NULL);
        n_ok += floods[i].rc == REEL_OK;
        n_refused += floods[i].rc == REEL_RESOURCE_EXHAUSTED;
        if (floods[i].rc == REEL_RESOURCE_EXHAUSTED)
            assert_int_equal(floods[i].retry_after_ms, HASHER_RETRY_MS);
    }
    assert_int_equal(n_ok + n_refused, FLOOD);
    assert_true(n_ok >= 24);
    assert_true(n_refused > 0);
}

#define CASE(name) cmocka_unit_test_setup(name, service_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_login_gives_tokens_for_a_new_session),
        CASE(name_and_address_sign_in_whatever_their_case),
        CASE(only_digests_of_refresh_tokens_are_stored),
        CASE(unknown_user_and_wrong_password_get_the_same_answer),
        CASE(unknown_user_and_wrong_password_take_the_same_time),
        CASE(after_ten_guesses_even_the_right_one_waits),
        CASE(guesses_do_not_tell_whose_address_it_is),
        CASE(replicas_count_guesses_together),
        CASE(guessing_in_parallel_gains_no_guess),
        CASE(a_bcrypt_hash_signs_in_and_is_replaced),
        CASE(a_logout_ends_this_session_only),
        CASE(nobody_ends_anothers_session),
        CASE(a_refresh_gives_new_tokens_of_the_same_session),
        CASE(a_replayed_refresh_token_ends_the_family),
        CASE(made_up_refresh_tokens_end_nothing),
        CASE(an_expired_session_is_dead),
        CASE(of_many_refreshes_with_one_token_one_succeeds),
        CASE(a_token_is_validated_with_its_session),
        CASE(the_public_keys_verify_what_was_signed),
        CASE(no_session_outlives_the_password_it_began_with),
        CASE(dead_sessions_are_swept_and_living_ones_stay),
        CASE(two_hundred_logins_at_once_are_bounded),
    };

    return cmocka_run_group_tests(tests, service_start, service_stop);
}
