// SPDX-License-Identifier: Apache-2.0
// Counting wrong passwords, in the database that all replicas share.
#include "svc-user/throttle.h"

#include <pthread.h>
#include <stdio.h>

#include "libcommon/core/clock.h"
#include "tests/integration/user/lib/service.h"
#include "tests/lib/cmocka.h"

static struct store store_of(struct service *s)
{
    return (struct store){s->svc->pg, reel_deadline_in_us(20 * 1000 * 1000), &s->arena};
}

// What another attempt, which counts, is told.
static uint32_t next(struct service *s, const char *account, const char *address)
{
    const struct store db = store_of(s);
    uint32_t wait_ms;

    assert_int_equal(throttle_attempt(&db, &(struct throttle_key){account, address}, &wait_ms),
                     REEL_OK);
    return wait_ms;
}

static void fail_times(struct service *s, int n, const char *account, const char *address)
{
    for (int i = 0; i < n; i++)
        next(s, account, address);
}

static void succeed(struct service *s, const char *account, const char *address)
{
    const struct store db = store_of(s);

    assert_int_equal(throttle_succeeded(&db, &(struct throttle_key){account, address}), REEL_OK);
}

static void refund(struct service *s, const char *account, const char *address)
{
    const struct store db = store_of(s);

    assert_int_equal(throttle_refund(&db, &(struct throttle_key){account, address}), REEL_OK);
}

// As if so much time had passed since the first failures.
static void let_pass(struct service *s, int seconds)
{
    service_sql(s, "UPDATE login_failures SET since = since - make_interval(secs => %d)", seconds);
}

static void the_eleventh_guess_waits_for_the_window(void **state)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
    uint32_t wait_ms = next(*state, "alice", "192.0.2.1");
    assert_true(wait_ms > 800000 && wait_ms <= 900000);
    let_pass(*state, 800);
    wait_ms = next(*state, "alice", "192.0.2.1");
    assert_true(wait_ms > 0 && wait_ms <= 100000);
    let_pass(*state, 101);
    assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
}

static void a_new_window_starts_from_nothing(void **state)
{
    fail_times(*state, 10, "alice", "192.0.2.1");
    let_pass(*state, 901);
    for (int i = 0; i < 10; i++)
        assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
    assert_true(next(*state, "alice", "192.0.2.1") > 800000);
}

static void case_does_not_give_more_guesses(void **state)
{
    fail_times(*state, 5, "alice", "192.0.2.1");
    fail_times(*state, 5, "ALICE", "192.0.2.1");
    assert_true(next(*state, "Alice", "192.0.2.1") > 0);
}

static void other_addresses_and_accounts_are_free(void **state)
{
    fail_times(*state, 11, "alice", "192.0.2.1");
    assert_int_equal(next(*state, "alice", "192.0.2.2"), 0);
    assert_int_equal(next(*state, "bob", "192.0.2.1"), 0);
}

static void an_ipv6_network_is_one_address(void **state)
{
    fail_times(*state, 10, "alice", "2001:db8:1:2::1");
    assert_true(next(*state, "alice", "2001:db8:1:2:ffff::9") > 0);
    assert_int_equal(next(*state, "alice", "2001:db8:1:3::1"), 0);
}

static void account_and_address_are_told_apart(void **state)
{
    fail_times(*state, 10, "alice", "nonsense");
    assert_int_equal(next(*state, " alice", "nonsense"), 0);
    assert_true(next(*state, "alice", "another nonsense") > 0);
}

static void a_success_forgets(void **state)
{
    fail_times(*state, 10, "alice", "192.0.2.1");
    succeed(*state, "ALICE", "192.0.2.1");
    assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
}

static void a_refunded_attempt_does_not_count(void **state)
{
    refund(*state, "alice", "192.0.2.1");
    for (int i = 0; i < 30; i++) {
        assert_int_equal(next(*state, "alice", "192.0.2.1"), 0);
        refund(*state, "alice", "192.0.2.1");
        refund(*state, "alice", "192.0.2.1");
    }
}

static void without_an_address_nothing_is_counted(void **state)
{
    fail_times(*state, 30, "alice", NULL);
    assert_int_equal(next(*state, "alice", NULL), 0);
    succeed(*state, "alice", NULL);
    refund(*state, "alice", NULL);
    assert_string_equal(service_sql(*state, "SELECT count(*) FROM login_failures"), "0");
}

static void names_are_not_kept(void **state)
{
    next(*state, "my password", "192.0.2.1");
    assert_string_equal(service_sql(*state, "SELECT count(*) FROM login_failures f"
                                            " WHERE f::text LIKE '%%password%%'"),
                        "0");
}

static void only_what_is_over_is_swept(void **state)
{
    const struct store db = store_of(*state);
    int64_t n = -1;

    next(*state, "alice", "192.0.2.1");
    next(*state, "bob", "192.0.2.1");
    let_pass(*state, 901);
    fail_times(*state, 10, "carol", "192.0.2.1");
    assert_int_equal(throttle_sweep(&db, 1, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_int_equal(throttle_sweep(&db, 100, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_true(next(*state, "carol", "192.0.2.1") > 0);
}

static void *fail_many(void *arg)
{
    struct service *s = arg;
    struct reel_arena arena;

    reel_arena_init(&arena, 1 << 20);
    const struct store db = {s->svc->pg, reel_deadline_in_us(20 * 1000 * 1000), &arena};
    for (int i = 0; i < 5; i++) {
        uint32_t wait_ms;

        if (throttle_attempt(&db, &(struct throttle_key){"alice", "192.0.2.1"}, &wait_ms) !=
            REEL_OK)
            abort();
    }
    reel_arena_fini(&arena);
    return NULL;
}

static void no_attempt_is_lost_among_threads(void **state)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_many, *state), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_string_equal(service_sql(*state, "SELECT failures FROM login_failures"), "10");
}

#define CASE(name) cmocka_unit_test_setup(name, service_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_eleventh_guess_waits_for_the_window),
        CASE(case_does_not_give_more_guesses),
        CASE(other_addresses_and_accounts_are_free),
        CASE(an_ipv6_network_is_one_address),
        CASE(account_and_address_are_told_apart),
        CASE(a_success_forgets),
        CASE(without_an_address_nothing_is_counted),
        CASE(names_are_not_kept),
        CASE(a_refunded_attempt_does_not_count),
        CASE(a_new_window_starts_from_nothing),
        CASE(only_what_is_over_is_swept),
        CASE(no_attempt_is_lost_among_threads),
    };

    return cmocka_run_group_tests(tests, service_start, service_stop);
}
