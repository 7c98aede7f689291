// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "svc-user/hasher.h"
#include "svc-user/password.h"
#include "tests/lib/cmocka.h"

#define BCRYPT "$2b$10$abcdefghijklmnopqrstuuL0o0YPTCdkT7MfVnLo1dwOkkrd.x5tu"

static void a_hash_matches_its_password_only(void **state)
{
    char hash[PASSWORD_HASH_SIZE];
    char again[PASSWORD_HASH_SIZE];

    (void)state;
    assert_int_equal(password_hash("pässword", hash), REEL_OK);
    assert_int_equal(password_hash("pässword", again), REEL_OK);
    assert_string_not_equal(hash, again);
    assert_true(password_matches("pässword", hash));
    assert_false(password_matches("pässwor", hash));
    assert_false(password_matches("pässword ", hash));
    assert_false(password_matches("", hash));
    assert_false(password_is_outdated(hash));
}

static void bcrypt_in_all_its_spellings_matches(void **state)
{
    char hash[] = BCRYPT;

    (void)state;
    for (const char *kind = "aby"; *kind; kind++) {
        hash[2] = *kind;
        assert_true(password_matches("imported password", hash));
        assert_false(password_matches("imported passwore", hash));
        assert_true(password_is_outdated(hash));
    }
}

// Each would cost gigabytes or minutes if it were believed.
static void stored_costs_are_capped(void **state)
{
    static const char *const costly[] = {
        "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0$"
        "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        "$argon2id$v=19$m=19456,t=100000,p=1$c2FsdHNhbHRzYWx0$"
        "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        "$argon2id$v=19$m=19456,t=2,p=255$c2FsdHNhbHRzYWx0$"
        "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        "$argon2id$v=19$m=99999999999,t=2,p=1$c2FsdHNhbHRzYWx0$"
        "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        "$2b$31$abcdefghijklmnopqrstuuL0o0YPTCdkT7MfVnLo1dwOkkrd.x5tu",
    };

    (void)state;
    const int64_t start_us = reel_clock_mono_us();
    for (size_t i = 0; i < REEL_ARRAY_SIZE(costly); i++)
        assert_false(password_matches("password", costly[i]));
    assert_true(reel_clock_mono_us() - start_us < 2 * 1000 * 1000);
}

static void other_texts_match_nothing(void **state)
{
    static const char *const texts[] = {
        "",
        "password",
        "$",
        "$2b$",
        "$argon2id$",
        "$argon2id$v=19$",
        "$argon2i$v=19$m=19456,t=2,p=1$",
        "$argon2id$v=19$m=19456,t=2,p=1$",
        "$argon2id$v=16$m=19456,t=2,p=1$c2FsdA$aGFzaA",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$6$salt$hash",
        "$2b$xx$abcdefghijklmnopqrstuuL0o0",
        "$2b$10$!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
        "*0",
        "*1",
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(texts); i++) {
        assert_false(password_matches("password", texts[i]));
    }
}

static void an_overlong_password_is_not_hashed(void **state)
{
    static char huge[PASSWORD_MAX_LEN + 2];

    (void)state;
    memset(huge, 'x', sizeof(huge) - 1);
    assert_false(password_matches(huge, BCRYPT));
}

static void other_parameters_are_outdated(void **state)
{
    (void)state;
    assert_true(password_is_outdated("$argon2id$v=19$m=4096,t=3,p=1$c2FsdA$aGFzaA"));
    assert_true(password_is_outdated("$argon2id$v=19$m=19456,t=2,p=2$c2FsdA$aGFzaA"));
    assert_false(password_is_outdated("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"));
}

static int64_t in_ms(int ms)
{
    return reel_deadline_in_us(ms * INT64_C(1000));
}

static void a_check_without_a_hash_fails_like_a_wrong_password(void **state)
{
    struct hasher *hasher = NULL;
    char hash[PASSWORD_HASH_SIZE];

    (void)state;
    assert_int_equal(hasher_new(1, 1, &hasher), REEL_OK);
    assert_int_equal(hasher_hash(hasher, in_ms(20000), "password", hash), REEL_OK);
    assert_int_equal(hasher_check(hasher, in_ms(20000), "password", hash), REEL_OK);
    assert_int_equal(hasher_check(hasher, in_ms(20000), "wrong", hash), REEL_UNAUTHENTICATED);
    assert_int_equal(hasher_check(hasher, in_ms(20000), "password", NULL), REEL_UNAUTHENTICATED);
    hasher_free(hasher);
}

struct crowd {
    struct hasher *hasher;
    int64_t deadline_us;
    int rc;
};

static void *crowd_in(void *arg)
{
    struct crowd *c = arg;

    c->rc = hasher_check(c->hasher, c->deadline_us, "password", NULL);
    return NULL;
}

enum { CROWD = 30 };

static void beyond_the_wait_list_it_refuses(void **state)
{
    struct hasher *hasher = NULL;
    struct crowd crowd[CROWD];
    pthread_t threads[CROWD];
    int n_done = 0;

    (void)state;
    assert_int_equal(hasher_new(1, 2, &hasher), REEL_OK);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct crowd){.hasher = hasher, .deadline_us = in_ms(60000)};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_in, &crowd[i]), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
        assert_true(crowd[i].rc == REEL_UNAUTHENTICATED || crowd[i].rc == REEL_RESOURCE_EXHAUSTED);
        n_done += crowd[i].rc == REEL_UNAUTHENTICATED;
    }
    assert_true(n_done >= 3 && n_done < CROWD);
    hasher_free(hasher);
}

static void a_waiter_leaves_at_its_deadline(void **state)
{
    struct hasher *hasher = NULL;
    struct crowd crowd[8];
    pthread_t threads[8];
    int n_late = 0;

    (void)state;
    assert_int_equal(hasher_new(1, 8, &hasher), REEL_OK);
    for (int i = 0; i < 8; i++) {
        crowd[i] = (struct crowd){.hasher = hasher, .deadline_us = in_ms(1)};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_in, &crowd[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        n_late += crowd[i].rc == REEL_DEADLINE_EXCEEDED;
    }
    assert_true(n_late > 0);
    assert_int_equal(hasher_check(hasher, in_ms(20000), "x", NULL), REEL_UNAUTHENTICATED);
    hasher_free(hasher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_matches_its_password_only),
        cmocka_unit_test(bcrypt_in_all_its_spellings_matches),
        cmocka_unit_test(stored_costs_are_capped),
        cmocka_unit_test(other_texts_match_nothing),
        cmocka_unit_test(an_overlong_password_is_not_hashed),
        cmocka_unit_test(other_parameters_are_outdated),
        cmocka_unit_test(a_check_without_a_hash_fails_like_a_wrong_password),
        cmocka_unit_test(beyond_the_wait_list_it_refuses),
        cmocka_unit_test(a_waiter_leaves_at_its_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
