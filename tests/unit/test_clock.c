// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include "libcommon/core/clock.h"
#include "tests/lib/cmocka.h"

static void monotonic_time_never_goes_back(void **state)
{
    int64_t last = reel_clock_mono_us();

    (void)state;
    for (int i = 0; i < 10000; i++) {
        int64_t now = reel_clock_mono_us();

        assert_true(now >= last);
        last = now;
    }
}

static void wall_time_agrees_with_time(void **state)
{
    int64_t before = (int64_t)time(NULL);
    int64_t us = reel_clock_wall_us();
    int64_t after = (int64_t)time(NULL);

    (void)state;
    // time() reads a coarser clock, which may lag by a tick.
    assert_true(us / 1000000 >= before - 1 && us / 1000000 <= after + 1);
}

static void no_timeout_means_no_deadline(void **state)
{
    (void)state;
    assert_true(reel_deadline_in_us(0) == REEL_NO_DEADLINE);
    assert_true(reel_deadline_in_us(-5) == REEL_NO_DEADLINE);
    assert_true(reel_deadline_in_us(INT64_MAX) == REEL_NO_DEADLINE);
    assert_true(reel_deadline_left_us(REEL_NO_DEADLINE) == INT64_MAX);
    assert_false(reel_deadline_passed(REEL_NO_DEADLINE));
}

static void a_deadline_counts_down_to_zero(void **state)
{
    int64_t deadline = reel_deadline_in_us(3600LL * 1000000);
    int64_t left = reel_deadline_left_us(deadline);

    (void)state;
    assert_true(left > 0 && left <= 3600LL * 1000000);
    assert_false(reel_deadline_passed(deadline));
    assert_true(reel_deadline_left_us(reel_clock_mono_us() - 1) == 0);
    assert_true(reel_deadline_passed(reel_clock_mono_us() - 1));
    assert_true(reel_deadline_passed(0));
}

static void milliseconds_round_up_and_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(reel_deadline_left_ms(REEL_NO_DEADLINE, 500), 500);
    assert_int_equal(reel_deadline_left_ms(REEL_NO_DEADLINE, INT32_MAX), INT32_MAX);
    assert_int_equal(reel_deadline_left_ms(reel_clock_mono_us() - 1, 500), 0);
    // Rounded down, a poll loop would spin through the last millisecond.
    assert_int_equal(reel_deadline_left_ms(reel_clock_mono_us() + 3600LL * 1000000, 60000), 60000);
    int ms = reel_deadline_left_ms(reel_clock_mono_us() + 10 * 1000000, 60000);
    assert_true(ms >= 1 && ms <= 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_never_goes_back),
        cmocka_unit_test(wall_time_agrees_with_time),
        cmocka_unit_test(no_timeout_means_no_deadline),
        cmocka_unit_test(a_deadline_counts_down_to_zero),
        cmocka_unit_test(milliseconds_round_up_and_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
