// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/base.h"
#include "svc-job/model.h"
#include "tests/lib/cmocka.h"

static void names_read_back(void **state)
{
    enum job_state parsed;

    (void)state;
    for (int i = 0; i < JOB_N_STATES; i++) {
        assert_true(job_state_parse(job_state_name((enum job_state)i), &parsed));
        assert_int_equal(parsed, i);
    }
    assert_false(job_state_parse("prioritized", &parsed));
    assert_false(job_state_parse("", &parsed));
    assert_false(job_state_parse(NULL, &parsed));
}

static void every_pair_of_states_is_decided(void **state)
{
    // rows: from; columns: waiting, delayed, active, completed, failed, cancelled
    static const char *const table[JOB_N_STATES] = {
        [JOB_WAITING] = "yyyyyy",   [JOB_DELAYED] = "yyyyyy", [JOB_ACTIVE] = "yyyyyy",
        [JOB_COMPLETED] = "nnnnnn", [JOB_FAILED] = "yynnnn",  [JOB_CANCELLED] = "yynnnn",
    };

    (void)state;
    for (int from = 0; from < JOB_N_STATES; from++) {
        for (int to = 0; to < JOB_N_STATES; to++)
            assert_int_equal(job_state_may_move((enum job_state)from, (enum job_state)to),
                             table[from][to] == 'y');
    }
}

static void only_ended_states_are_terminal(void **state)
{
    (void)state;
    assert_false(job_state_is_terminal(JOB_WAITING));
    assert_false(job_state_is_terminal(JOB_DELAYED));
    assert_false(job_state_is_terminal(JOB_ACTIVE));
    assert_true(job_state_is_terminal(JOB_COMPLETED));
    assert_true(job_state_is_terminal(JOB_FAILED));
    assert_true(job_state_is_terminal(JOB_CANCELLED));
}

static void moves_are_announced_by_type(void **state)
{
    (void)state;
    assert_string_equal(job_event_type(JOB_ACTIVE), "job.started");
    assert_string_equal(job_event_type(JOB_WAITING), "job.requeued");
    assert_string_equal(job_event_type(JOB_DELAYED), "job.requeued");
    assert_string_equal(job_event_type(JOB_COMPLETED), "job.completed");
    assert_string_equal(job_event_type(JOB_FAILED), "job.failed");
    assert_string_equal(job_event_type(JOB_CANCELLED), "job.cancelled");
}

static void what_cannot_succeed_is_not_retried(void **state)
{
    static const struct {
        enum media_code code;
        int32_t made, max, crashes;
        enum job_verdict verdict;
    } cases[] = {
        {MEDIA_OK, 0, 3, 0, JOB_COMPLETE},      {MEDIA_OK, 2, 3, 1, JOB_COMPLETE},
        {MEDIA_CANCELLED, 0, 3, 0, JOB_DROP},   {MEDIA_INVALID_INPUT, 0, 3, 0, JOB_FAIL},
        {MEDIA_NO_AUDIO, 0, 3, 0, JOB_FAIL},    {MEDIA_NO_VIDEO, 0, 3, 0, JOB_FAIL},
        {MEDIA_UNSUPPORTED, 0, 3, 0, JOB_FAIL}, {MEDIA_RESOURCE_LIMIT, 0, 3, 0, JOB_FAIL},
        {MEDIA_INTERNAL, 0, 3, 0, JOB_RETRY},   {MEDIA_INTERNAL, 1, 3, 0, JOB_RETRY},
        {MEDIA_INTERNAL, 2, 3, 0, JOB_FAIL},    {MEDIA_TIMEOUT, 0, 1, 0, JOB_FAIL},
        {MEDIA_TIMEOUT, 0, 2, 0, JOB_RETRY},    {MEDIA_CRASHED, 0, 3, 0, JOB_RETRY},
        {MEDIA_CRASHED, 1, 3, 1, JOB_FAIL}, // poison: the second crash ends it
        {MEDIA_CRASHED, 1, 25, 1, JOB_FAIL},    {MEDIA_INTERNAL, 1, 3, 1, JOB_RETRY},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        const struct job_tally tally = {cases[i].made, cases[i].max, cases[i].crashes, 2};
        assert_int_equal(job_decide(cases[i].code, &tally), cases[i].verdict);
    }
}

static void backoff_grows_and_stays_bounded(void **state)
{
    const struct job_backoff fixed = {JOB_BACKOFF_FIXED, 700, 0};
    const struct job_backoff growing = {JOB_BACKOFF_EXPONENTIAL, 5000, 0};
    const struct job_backoff negative = {JOB_BACKOFF_EXPONENTIAL, -5, 0};
    const struct job_backoff huge = {JOB_BACKOFF_EXPONENTIAL, INT64_MAX, 0};

    (void)state;
    assert_int_equal(job_backoff_ms(&fixed, 1, 0.5), 700);
    assert_int_equal(job_backoff_ms(&fixed, 9, 0.5), 700);
    assert_int_equal(job_backoff_ms(&growing, 1, 0), 5000);
    assert_int_equal(job_backoff_ms(&growing, 2, 0), 10000);
    assert_int_equal(job_backoff_ms(&growing, 3, 0), 20000);
    assert_int_equal(job_backoff_ms(&growing, INT32_MAX, 0), 24 * 3600 * 1000);
    assert_int_equal(job_backoff_ms(&negative, 3, 0), 0);
    assert_int_equal(job_backoff_ms(&huge, 1, 0), 24 * 3600 * 1000);
}

static void jitter_stays_in_its_range(void **state)
{
    const struct job_backoff half = {JOB_BACKOFF_FIXED, 1000, 0.5};
    const struct job_backoff silly = {JOB_BACKOFF_FIXED, 1000, 7};

    (void)state;
    assert_int_equal(job_backoff_ms(&half, 1, 0), 500);
    assert_int_equal(job_backoff_ms(&half, 1, 0.5), 750);
    assert_in_range(job_backoff_ms(&half, 1, 0.999999), 999, 1000);
    assert_int_equal(job_backoff_ms(&silly, 1, 0), 0);
}

static void time_limit_follows_the_input(void **state)
{
    (void)state;
    assert_int_equal(job_wall_limit_ms(0), 600000);
    assert_int_equal(job_wall_limit_ms(-1), 600000);
    assert_int_equal(job_wall_limit_ms(128 * 1024 * 60), 660000);
    assert_int_equal(job_wall_limit_ms(INT64_MAX), 12LL * 3600 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_read_back),
        cmocka_unit_test(every_pair_of_states_is_decided),
        cmocka_unit_test(only_ended_states_are_terminal),
        cmocka_unit_test(moves_are_announced_by_type),
        cmocka_unit_test(what_cannot_succeed_is_not_retried),
        cmocka_unit_test(backoff_grows_and_stays_bounded),
        cmocka_unit_test(jitter_stays_in_its_range),
        cmocka_unit_test(time_limit_follows_the_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
