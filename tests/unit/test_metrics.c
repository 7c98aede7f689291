// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/obs/metrics.h"
#include "tests/lib/cmocka.h"

static void assert_renders(const char *part)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    reel_buf_init(&out, 4 << 20);
    reel_metrics_render(&out);
    assert_false(out.failed);
    if (!strstr(out.data, part))
        fail_msg("missing:\n%s\nin:\n%s", part, out.data);
}

static void a_counter_counts(void **state)
{
    struct reel_counter *c =
        reel_counter_get("reel_calls_total", "calls\nby \\ code", "code=\"OK\"");

    (void)state;
    reel_counter_add(c, 2);
    reel_counter_add(c, 3);
    assert_int_equal(reel_counter_value(c), 5);
    assert_ptr_equal(reel_counter_get("reel_calls_total", "", "code=\"OK\""), c);
    assert_ptr_not_equal(reel_counter_get("reel_calls_total", "", "code=\"ABORTED\""), c);
    assert_renders("# HELP reel_calls_total calls\\nby \\\\ code\n# TYPE reel_calls_total counter\n"
                   "reel_calls_total{code=\"OK\"} 5\nreel_calls_total{code=\"ABORTED\"} 0\n");
}

static void a_gauge_goes_both_ways(void **state)
{
    struct reel_gauge *g = reel_gauge_get("reel_queue_length", "waiting", NULL);

    (void)state;
    reel_gauge_set(g, 3);
    reel_gauge_add(g, -5);
    assert_renders("# TYPE reel_queue_length gauge\nreel_queue_length -2\n");
    assert_ptr_equal(reel_gauge_get("reel_queue_length", NULL, ""), g);
}

static void a_histogram_is_cumulative_and_in_seconds(void **state)
{
    struct reel_histogram *h = reel_histogram_get("reel_call_seconds", "time", "m=\"x\"");

    (void)state;
    reel_histogram_observe_us(h, -1);
    reel_histogram_observe_us(h, 50);
    reel_histogram_observe_us(h, 51);
    reel_histogram_observe_us(h, 60000000);
    reel_histogram_observe_us(h, 60000001);
    assert_renders("# TYPE reel_call_seconds histogram\n"
                   "reel_call_seconds_bucket{m=\"x\",le=\"5e-05\"} 2\n"
                   "reel_call_seconds_bucket{m=\"x\",le=\"0.0001\"} 3\n");
    assert_renders("reel_call_seconds_bucket{m=\"x\",le=\"30\"} 3\n"
                   "reel_call_seconds_bucket{m=\"x\",le=\"60\"} 4\n"
                   "reel_call_seconds_bucket{m=\"x\",le=\"+Inf\"} 5\n"
                   "reel_call_seconds_sum{m=\"x\"} 120.000102\n"
                   "reel_call_seconds_count{m=\"x\"} 5\n");
}

static void a_histogram_without_labels_has_only_le(void **state)
{
    (void)state;
    reel_histogram_get("reel_plain_seconds", "time", NULL);
    assert_renders("reel_plain_seconds_bucket{le=\"+Inf\"} 0\nreel_plain_seconds_sum 0.000000\n"
                   "reel_plain_seconds_count 0\n");
}

static void a_name_keeps_its_kind(void **state)
{
    struct reel_gauge *lost = reel_gauge_get("reel_calls_total", "wrong", "code=\"OK\"");

    (void)state;
    assert_non_null(lost);
    reel_gauge_set(lost, 77);
    assert_ptr_equal(reel_gauge_get("reel_calls_total", "wrong", "other=\"1\""), lost);
    assert_renders("reel_calls_total{code=\"OK\"} 5\n");
}

static void *hammer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        reel_counter_add(reel_counter_get("reel_hammer_total", "h", "t=\"1\""), 1);
        if (i % 1000 == 0) {
            REEL_AUTO(reel_buf_fini) struct reel_buf out;

            reel_buf_init(&out, 4 << 20);
            reel_metrics_render(&out);
        }
    }
    return NULL;
}

static void no_update_of_many_threads_is_lost(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++)
        pthread_create(&threads[i], NULL, hammer, NULL);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(reel_counter_value(reel_counter_get("reel_hammer_total", "h", "t=\"1\"")),
                     80000);
}

// Runs last: it fills the registry.
static void past_the_limit_a_shared_series_is_given(void **state)
{
    struct reel_counter *before = NULL, *after = NULL;
    char labels[64];

    (void)state;
    for (int i = 0; i < 3000; i++) {
        snprintf(labels, sizeof(labels), "path=\"/%d\"", i);
        before = after;
        after = reel_counter_get("reel_attacked_total", "by path", labels);
        assert_non_null(after);
    }
    assert_ptr_equal(before, after);
    assert_ptr_not_equal(reel_counter_get("reel_calls_total", "", "code=\"OK\""), after);
    assert_non_null(reel_histogram_get("reel_new_seconds", "", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_counts),
        cmocka_unit_test(a_gauge_goes_both_ways),
        cmocka_unit_test(a_histogram_is_cumulative_and_in_seconds),
        cmocka_unit_test(a_histogram_without_labels_has_only_le),
        cmocka_unit_test(a_name_keeps_its_kind),
        cmocka_unit_test(no_update_of_many_threads_is_lost),
        cmocka_unit_test(past_the_limit_a_shared_series_is_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
