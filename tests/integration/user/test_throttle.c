// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdio.h>

#include "svc-user/throttle.h"
#include "tests/lib/cmocka.h"

enum { SECOND = 1000000 };

static int setup(void **state)
{
    struct throttle *throttle = NULL;

    assert_int_equal(throttle_new(&throttle), 0);
    *state = throttle;
    return 0;
}

static int teardown(void **state)
{
    throttle_free(*state);
    throttle_free(NULL);
    return 0;
}

static void fail_times(struct throttle *throttle, int n, const char *account, const char *address)
{
    for (int i = 0; i < n; i++)
        throttle_attempt(throttle, account, address, SECOND);
}

// What another attempt, which would count, is told.
static uint32_t next(struct throttle *throttle, const char *account, const char *address)
{
    return throttle_attempt(throttle, account, address, SECOND);
}

static void the_eleventh_guess_waits_for_the_window(void **state)
{
    fail_times(*state, 9, "alice", "192.0.2.1");
    assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
    assert_int_equal(next(*state, "alice", "192.0.2.1"), 900000);
    assert_int_equal(throttle_attempt(*state, "alice", "192.0.2.1", 900 * INT64_C(1000000)), 1000);
    assert_int_equal(throttle_attempt(*state, "alice", "192.0.2.1", 901 * INT64_C(1000000)), 0);
}

static void a_new_window_starts_from_nothing(void **state)
{
    const int64_t later_us = 1000 * INT64_C(1000000);

    fail_times(*state, 10, "alice", "192.0.2.1");
    for (int i = 0; i < 10; i++)
        assert_int_equal(throttle_attempt(*state, "alice", "192.0.2.1", later_us), 0);
    assert_int_equal(throttle_attempt(*state, "alice", "192.0.2.1", later_us), 900000);
}

static void case_does_not_give_more_guesses(void **state)
{
    fail_times(*state, 5, "alice", "192.0.2.1");
    fail_times(*state, 5, "ALICE", "192.0.2.1");
    assert_true(next(*state, "Alice", "192.0.2.1") > 0);
}

static void other_addresses_and_accounts_are_free(void **state)
{
    fail_times(*state, 20, "alice", "192.0.2.1");
    assert_int_equal(next(*state, "alice", "192.0.2.2"), 0);
    assert_int_equal(next(*state, "bob", "192.0.2.1"), 0);
}

static void an_ipv6_network_is_one_address(void **state)
{
    fail_times(*state, 10, "alice", "2001:db8:1:2::1");
    assert_true(next(*state, "alice", "2001:db8:1:2:ffff::9") > 0);
    assert_int_equal(next(*state, "alice", "2001:db8:1:3::1"), 0);
}

static void a_success_forgets(void **state)
{
    fail_times(*state, 10, "alice", "192.0.2.1");
    throttle_succeeded(*state, "alice", "192.0.2.1");
    assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
}

static void a_refunded_attempt_does_not_count(void **state)
{
    throttle_refund(*state, "alice", "192.0.2.1");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
        throttle_refund(*state, "alice", "192.0.2.1");
    }
}

static void without_an_address_nothing_is_counted(void **state)
{
    fail_times(*state, 100, "alice", NULL);
    assert_int_equal(next(*state, "alice", NULL), 0);
    throttle_succeeded(*state, "alice", NULL);
    throttle_refund(*state, "alice", NULL);
}

static void a_flood_of_names_does_not_free_a_guessed_account(void **state)
{
    fail_times(*state, 10, "alice", "192.0.2.1");
    for (int i = 0; i < 100000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "n%d", i);
        next(*state, name, "192.0.2.1");
    }
    assert_true(next(*state, "alice", "192.0.2.1") > 0);
}

static void *fail_many(void *throttle)
{
    for (int i = 0; i < 2000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "n%d", i % 50);
        next(throttle, name, "192.0.2.1");
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_many, *state), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 50; i++) {
        char name[16];

        snprintf(name, sizeof(name), "n%d", i);
        assert_true(next(*state, name, "192.0.2.1") > 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_eleventh_guess_waits_for_the_window),
        CASE(case_does_not_give_more_guesses),
        CASE(other_addresses_and_accounts_are_free),
        CASE(an_ipv6_network_is_one_address),
        CASE(a_success_forgets),
        CASE(without_an_address_nothing_is_counted),
        CASE(a_refunded_attempt_does_not_count),
        CASE(a_new_window_starts_from_nothing),
        CASE(a_flood_of_names_does_not_free_a_guessed_account),
        CASE(threads_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
