// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/backoff.h"

#include "libcommon/core/base.h"
#include "tests/lib/cmocka.h"

enum { MS = 1000, DRAWS = 1000 };

// The shortest and the longest of many pauses.
static void draw(struct reel_backoff *backoff, int64_t *ret_min_us, int64_t *ret_max_us)
{
    *ret_min_us = INT64_MAX;
    *ret_max_us = 0;
    for (int i = 0; i < DRAWS; i++) {
        int64_t us = reel_backoff_pause_us(backoff);

        *ret_min_us = us < *ret_min_us ? us : *ret_min_us;
        *ret_max_us = us > *ret_max_us ? us : *ret_max_us;
    }
}

static void assert_pauses(struct reel_backoff *backoff, int64_t longest_us)
{
    int64_t min_us;
    int64_t max_us;

    draw(backoff, &min_us, &max_us);
    assert_in_range(min_us, longest_us / 2, longest_us * 3 / 5);
    assert_in_range(max_us, longest_us * 9 / 10, longest_us);
}

static void pauses_double_to_a_bound_and_are_spread(void **state)
{
    static const int64_t longest_us[] = {50 * MS, 100 * MS, 200 * MS, 400 * MS, 400 * MS, 400 * MS};
    struct reel_backoff backoff;

    (void)state;
    reel_backoff_init(&backoff);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(longest_us); i++) {
        assert_int_equal(backoff.failures, i);
        assert_pauses(&backoff, longest_us[i]);
        reel_backoff_failed(&backoff, false);
    }
    reel_backoff_reset(&backoff);
    assert_int_equal(backoff.failures, 0);
    assert_pauses(&backoff, 50 * MS);
}

static void what_has_waited_does_not_wait_longer(void **state)
{
    struct reel_backoff backoff;

    (void)state;
    reel_backoff_init(&backoff);
    for (int i = 0; i < 10; i++)
        reel_backoff_failed(&backoff, true);
    assert_int_equal(backoff.failures, 10);
    assert_pauses(&backoff, 50 * MS);
}

static void patience_grows_to_a_bound(void **state)
{
    (void)state;
    assert_int_equal(reel_backoff_patience_us(0), 300 * MS);
    assert_int_equal(reel_backoff_patience_us(4), 300 * MS);
    for (unsigned i = 5; i < 100; i++)
        assert_true(reel_backoff_patience_us(i) >= reel_backoff_patience_us(i - 1));
    assert_int_equal(reel_backoff_patience_us(1000000), 3000 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double_to_a_bound_and_are_spread),
        cmocka_unit_test(what_has_waited_does_not_wait_longer),
        cmocka_unit_test(patience_grows_to_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
