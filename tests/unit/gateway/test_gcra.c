// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/gcra.h"
#include "libcommon/core/base.h"

static const struct rate_policy hundred = {"auth", 100, 900};

static void the_quota_passes_at_once_and_no_more(void **state)
{
    (void)state;
    int64_t tat_us = 0, ahead_us;
    for (int i = 0; i < 100; i++) {
        assert_true(gcra_take(&hundred, 1000, &tat_us, &ahead_us));
        assert_int_equal(gcra_verdict_of(&hundred, true, ahead_us).remaining, 99 - i);
    }
    assert_false(gcra_take(&hundred, 1000, &tat_us, &ahead_us));
    struct gcra_verdict verdict = gcra_verdict_of(&hundred, false, ahead_us);
    assert_int_equal(verdict.remaining, 0);
    assert_int_equal(verdict.reset_s, 9);
}

static void obeying_the_wait_succeeds(void **state)
{
    (void)state;
    int64_t tat_us = 0, ahead_us, now_us = 5;
    for (int i = 0; i < 1000; i++) {
        if (gcra_take(&hundred, now_us, &tat_us, &ahead_us))
            continue;
        now_us += (int64_t)gcra_verdict_of(&hundred, false, ahead_us).reset_s * 1000000;
        assert_true(gcra_take(&hundred, now_us, &tat_us, &ahead_us));
    }
}

static void the_whole_quota_returns_after_the_window(void **state)
{
    (void)state;
    int64_t tat_us = 0, ahead_us = 0;
    for (int i = 0; i < 100; i++)
        assert_true(gcra_take(&hundred, 1000, &tat_us, &ahead_us));
    assert_int_equal(gcra_verdict_of(&hundred, true, ahead_us).reset_s, 900);
    for (int i = 0; i < 100; i++)
        assert_true(gcra_take(&hundred, 900001000, &tat_us, &ahead_us));
    assert_false(gcra_take(&hundred, 900001000, &tat_us, &ahead_us));
}

static void policies_are_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "auth=1/1",
        "default",
        "default=1",
        "default=1/0",
        "default=/",
        "default=1/1,auth",
        "default=1/1 ",
        "Default=1/1",
        "default=-1/1",
        "default=1/1,default=2/2",
        "default=1/99999999",
        "default=1/1;a=1/1",
        "default=1000001/1",
    };
    struct rate_policies policies;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_false(rate_policies_parse(bad[i], &policies));
    assert_true(rate_policies_parse("auth=100/900,default=0/60", &policies));
    assert_int_equal(rate_policy_find(&policies, "auth")->quota, 100);
    assert_int_equal(rate_policy_find(&policies, "other")->quota, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quota_passes_at_once_and_no_more),
        cmocka_unit_test(obeying_the_wait_succeeds),
        cmocka_unit_test(the_whole_quota_returns_after_the_window),
        cmocka_unit_test(policies_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
