// SPDX-License-Identifier: Apache-2.0
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/integration/job/lib/bench.h"
#include "tests/lib/cmocka.h"

static void a_job_goes_through_its_life(void **state)
{
    struct bench *fx = *state;
    struct queue_claim next;

    add(fx, (struct queue_entry){.id = "a", .data = "{\"x\":\"\\u00e9\\\"\"}", .attempts = 3});
    struct queue_claim claimed = claim(fx, "t");
    assert_true(claimed.found);
    assert_string_equal(claimed.job.name, "resize");
    assert_string_equal(claimed.job.data, "{\"x\":\"\\u00e9\\\"\"}");
    assert_int_equal(claimed.job.attempts, 3);
    assert_int_equal(claimed.job.attempts_made, 0);
    assert_int_equal(queue_progress(fx->q, soon(), &fx->arena, "a", 42.5), REEL_OK);
    assert_true(queue_get_progress(fx->q, soon(), &fx->arena, "a") == 42.5);
    assert_int_equal(settle(fx, "a", true, "{\"ok\":true}", &next), REEL_OK);
    assert_false(next.found);
    assert_events(fx, "added,waiting,active,progress,completed,drained");
    assert_field(fx, "a", "returnvalue", "{\"ok\":true}");
    assert_field(fx, "a", "atm", "1");
    assert_field(fx, "a", "ats", "1");
    assert_field(fx, "a", "pb", "tester");
    tap_check(&fx->tap);
}

static void adding_twice_changes_nothing(void **state)
{
    struct bench *fx = *state;

    add_plain(fx, "a");
    add_plain(fx, "a");
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "wait")), 1);
    assert_int_equal(tap_int(&fx->tap, "GET %s", tap_key(&fx->tap, "id")), 2);
    assert_events(fx, "added,waiting,duplicated");
    tap_check(&fx->tap);
}

static void a_finished_job_gives_way_only_to_a_later_run(void **state)
{
    struct bench *fx = *state;
    struct queue_claim next;

    add_plain(fx, "a");
    assert_claims(fx, "a");
    assert_int_equal(settle(fx, "a", false, "broken", &next), REEL_OK);
    // added again by somebody who has not heard of its end
    add(fx, (struct queue_entry){.id = "a", .generation = 1});
    assert_false(claim(fx, "t").found);
    assert_field(fx, "a", "failedReason", "broken");
    add(fx, (struct queue_entry){.id = "a", .generation = 2});
    assert_claims(fx, "a");
    assert_field(fx, "a", "rgen", "2");
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", tap_key(&fx->tap, "failed")), 0);
    // an active job never gives way
    add(fx, (struct queue_entry){.id = "a", .generation = 3});
    assert_field(fx, "a", "rgen", "2");
    tap_check(&fx->tap);
}

static void order_is_lifo_then_plain_then_priority(void **state)
{
    struct bench *fx = *state;
    static const char *const order[] = {"lifo", "n1", "n2", "p1", "p1b", "p2", "p3"};

    add(fx, (struct queue_entry){.id = "p3", .priority = 3});
    add(fx, (struct queue_entry){.id = "p1", .priority = 1});
    add(fx, (struct queue_entry){.id = "p2", .priority = 2});
    add(fx, (struct queue_entry){.id = "p1b", .priority = 1});
    add_plain(fx, "n1");
    add_plain(fx, "n2");
    add(fx, (struct queue_entry){.id = "lifo", .lifo = true});
    tap_do(&fx->tap, "HSET %s concurrency 100", tap_key(&fx->tap, "meta"));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(order); i++)
        assert_claims(fx, order[i]);
    tap_check(&fx->tap);
}

static void the_largest_priority_keeps_its_order(void **state)
{
    struct bench *fx = *state;
    char id[16];

    tap_do(&fx->tap, "HSET %s concurrency 100", tap_key(&fx->tap, "meta"));
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "j%02d", i);
        add(fx, (struct queue_entry){.id = id, .priority = 2097151});
    }
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "j%02d", i);
        assert_claims(fx, id);
    }
}

static void a_delayed_job_waits_and_keeps_its_order(void **state)
{
    struct bench *fx = *state;
    char id[16];

    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof(id), "d%d", i);
        add(fx, (struct queue_entry){.id = id, .delay_ms = 300});
    }
    struct queue_claim none = claim(fx, "t");
    assert_false(none.found);
    assert_in_range(none.next_due_ms, 1, 300);
    assert_int_equal(tap_int(&fx->tap, "ZSCORE %s 1", tap_key(&fx->tap, "marker")) > 0, 1);
    assert_string_equal(claim_when_due(fx).job.id, "d0");
    for (int i = 1; i < 4; i++) {
        snprintf(id, sizeof(id), "d%d", i);
        assert_string_equal(claim_when_due(fx).job.id, id);
    }
    assert_field(fx, "d0", "delay", "0");
    tap_check(&fx->tap);
}

static void a_pause_stops_claims_but_not_promotion(void **state)
{
    struct bench *fx = *state;

    add_plain(fx, "a");
    add(fx, (struct queue_entry){.id = "d", .delay_ms = 1});
    tap_do(&fx->tap, "HSET %s paused 1", tap_key(&fx->tap, "meta"));
    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "marker"));
    assert_int_equal(queue_wait(fx->q, 5, 0), REEL_OK);
    assert_false(claim(fx, "t").found);
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "wait")), 2);
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "marker")), 0);
    tap_do(&fx->tap, "HDEL %s paused", tap_key(&fx->tap, "meta"));
    assert_claims(fx, "a");
    tap_check(&fx->tap);
}

static void the_global_bound_holds_and_the_finisher_goes_on(void **state)
{
    struct bench *fx = *state;
    struct queue_claim next;

    tap_do(&fx->tap, "HSET %s concurrency 1", tap_key(&fx->tap, "meta"));
    add_plain(fx, "a");
    add_plain(fx, "b");
    assert_claims(fx, "a");
    assert_false(claim(fx, "u").found);
    assert_int_equal(settle(fx, "a", true, "null", &next), REEL_OK);
    assert_true(next.found);
    assert_string_equal(next.job.id, "b");
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "active")), 1);
}

static void the_rate_limit_of_the_queue_is_kept(void **state)
{
    struct bench *fx = *state;

    tap_do(&fx->tap, "HSET %s max 2 duration 60000", tap_key(&fx->tap, "meta"));
    add_plain(fx, "a");
    add_plain(fx, "b");
    add_plain(fx, "c");
    assert_claims(fx, "a");
    assert_claims(fx, "b");
    struct queue_claim third = claim(fx, "t");
    assert_false(third.found);
    assert_in_range(third.limited_ms, 1, 60000);
}

static void only_the_holder_of_the_lock_may_end_a_job(void **state)
{
    struct bench *fx = *state;
    struct queue_claim next;
    const struct queue_end foreign = {.id = "a", .token = "other", .value = "x"};

    add_plain(fx, "a");
    assert_claims(fx, "a");
    assert_int_equal(queue_settle(fx->q, soon(), &fx->arena, &foreign, &next), REEL_ABORTED);
    assert_int_equal(queue_retry(fx->q, soon(), &fx->arena, &foreign, &next), REEL_ABORTED);
    assert_int_equal(queue_put_back(fx->q, soon(), &fx->arena, "a", "other"), REEL_ABORTED);
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "active")), 1);
    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    assert_int_equal(settle(fx, "a", true, "null", &next), REEL_ABORTED);
    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "a"));
    assert_int_equal(settle(fx, "a", true, "null", &next), REEL_ABORTED);
}

static void a_retry_waits_and_counts(void **state)
{
    struct bench *fx = *state;
    struct queue_claim next;
    struct queue_end end = {.id = "a", .token = "t", .value = "first \"failure\"", .delay_ms = 1};

    add_plain(fx, "a");
    assert_claims(fx, "a");
    assert_int_equal(queue_retry(fx->q, soon(), &fx->arena, &end, &next), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", tap_key(&fx->tap, "delayed")), 1);
    assert_int_equal(claim_when_due(fx).job.attempts_made, 1);
    end.value = "second";
    end.delay_ms = 0;
    assert_int_equal(queue_retry(fx->q, soon(), &fx->arena, &end, &next), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "wait")), 1);
    assert_claims(fx, "a");
    assert_int_equal(settle(fx, "a", false, "third", &next), REEL_OK);
    assert_field(fx, "a", "stacktrace", "[\"first \\\"failure\\\"\",\"second\",\"third\"]");
    assert_field(fx, "a", "failedReason", "third");
    assert_events(fx, "added,waiting,active,delayed,waiting,active,waiting,active,failed,"
                      "retries-exhausted,drained");
    tap_check(&fx->tap);
}

static void a_job_handed_back_is_next_and_has_no_attempt_more(void **state)
{
    struct bench *fx = *state;

    add_plain(fx, "a");
    add_plain(fx, "b");
    assert_claims(fx, "a");
    assert_int_equal(queue_put_back(fx->q, soon(), &fx->arena, "a", "t"), REEL_OK);
    struct queue_claim again = claim(fx, "t");
    assert_string_equal(again.job.id, "a");
    assert_int_equal(again.job.attempts_made, 0);
    add(fx, (struct queue_entry){.id = "p", .priority = 7});
    add(fx, (struct queue_entry){.id = "p2", .priority = 7});
    assert_claims(fx, "b");
    assert_claims(fx, "p");
    assert_int_equal(queue_put_back(fx->q, soon(), &fx->arena, "p", "t"), REEL_OK);
    assert_claims(fx, "p");
    tap_check(&fx->tap);
}

static void finish(struct bench *fx, const char *id, const char *opts)
{
    struct queue_claim next;

    add_plain(fx, id);
    if (opts != NULL)
        tap_do(&fx->tap, "HSET %s opts %s", tap_key(&fx->tap, id), opts);
    assert_claims(fx, id);
    assert_int_equal(settle(fx, id, true, "null", &next), REEL_OK);
}

static void finished_jobs_are_kept_by_their_rule(void **state)
{
    struct bench *fx = *state;
    const char *completed = tap_key(&fx->tap, "completed");
    char key[128];

    snprintf(key, sizeof(key), "%s", completed);
    finish(fx, "gone", "{\"removeOnComplete\":true}");
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "gone")), 0);
    finish(fx, "all1", "{\"removeOnComplete\":false}");
    finish(fx, "all2", "{}");
    finish(fx, "all3", "{\"removeOnComplete\":-1}");
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", key), 3);
    finish(fx, "two", "{\"removeOnComplete\":2}");
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", key), 2);
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "all1")), 0);
    tap_do(&fx->tap, "ZADD %s XX 1000 all3", key);
    finish(fx, "young", "{\"removeOnComplete\":{\"age\":60}}");
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", key), 2);
    finish(fx, "one", "{\"removeOnComplete\":{\"count\":1}}");
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", key), 1);
    tap_check(&fx->tap);
}

static void a_deduplication_id_is_free_after_the_end(void **state)
{
    struct bench *fx = *state;
    struct queue_claim next;

    add_plain(fx, "a");
    tap_do(&fx->tap, "HSET %s deid D", tap_key(&fx->tap, "a"));
    tap_do(&fx->tap, "SET %s a", tap_key(&fx->tap, "de:D"));
    assert_claims(fx, "a");
    assert_int_equal(settle(fx, "a", true, "null", &next), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "de:D")), 0);
    add_plain(fx, "b");
    tap_do(&fx->tap, "HSET %s deid E", tap_key(&fx->tap, "b"));
    tap_do(&fx->tap, "SET %s b PX 60000", tap_key(&fx->tap, "de:E"));
    assert_claims(fx, "b");
    assert_int_equal(settle(fx, "b", true, "null", &next), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "de:E")), 1);
}

static void a_flow_parent_is_told_of_its_children(void **state)
{
    struct bench *fx = *state;
    struct queue_claim next;
    char child[192];

    add_plain(fx, "parent");
    tap_do(&fx->tap, "LREM %s 0 parent", tap_key(&fx->tap, "wait"));
    tap_do(&fx->tap, "ZADD %s 1 parent", tap_key(&fx->tap, "waiting-children"));
    snprintf(child, sizeof(child), "%s", tap_key(&fx->tap, "kid"));
    tap_do(&fx->tap, "SADD %s %s", tap_key(&fx->tap, "parent:dependencies"), child);
    add_plain(fx, "kid");
    tap_do(&fx->tap, "HSET %s parentKey %s parent %s", child, tap_key(&fx->tap, "parent"),
           "{\"id\":\"parent\",\"fpof\":true}");
    assert_claims(fx, "kid");
    assert_int_equal(settle(fx, "kid", false, "no", &next), REEL_OK);
    assert_true(next.found);
    assert_string_equal(next.job.id, "parent");
    assert_non_null(strstr(next.job.defa, " failed"));
    tap_check(&fx->tap);
}

static void counts_agree_with_the_states(void **state)
{
    struct bench *fx = *state;
    struct queue_counts n;
    struct queue_claim next;

    finish(fx, "c", NULL);
    add_plain(fx, "f");
    assert_claims(fx, "f");
    assert_int_equal(settle(fx, "f", false, "x", &next), REEL_OK);
    add_plain(fx, "a");
    assert_claims(fx, "a");
    add_plain(fx, "w");
    add(fx, (struct queue_entry){.id = "p", .priority = 1});
    add(fx, (struct queue_entry){.id = "d", .delay_ms = 60000});
    assert_int_equal(queue_count(fx->q, soon(), &fx->arena, &n), REEL_OK);
    assert_int_equal(n.waiting, 2);
    assert_int_equal(n.active, 1);
    assert_int_equal(n.completed, 1);
    assert_int_equal(n.failed, 1);
    assert_int_equal(n.delayed, 1);
}

static void logs_are_kept_to_their_limit(void **state)
{
    struct bench *fx = *state;
    char row[16];

    add_plain(fx, "a");
    tap_do(&fx->tap, "HSET %s opts %s", tap_key(&fx->tap, "a"), "{\"kl\":2}");
    for (int i = 0; i < 4; i++) {
        snprintf(row, sizeof(row), "row %d", i);
        assert_int_equal(queue_log(fx->q, soon(), &fx->arena, "a", row), REEL_OK);
    }
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "a:logs")), 2);
    assert_int_equal(queue_log(fx->q, soon(), &fx->arena, "none", "row"), REEL_OK);
}

static void waiting_ends_when_a_job_comes(void **state)
{
    struct bench *fx = *state;
    int64_t begun_us = reel_clock_mono_us();

    add_plain(fx, "a");
    assert_int_equal(queue_wait(fx->q, 5000, 0), REEL_OK);
    assert_true(reel_clock_mono_us() - begun_us < 4 * 1000 * 1000);
}

static void a_waiting_worker_is_seen_by_npm_tools(void **state)
{
    struct bench *fx = *state;

    add_plain(fx, "a");
    assert_int_equal(queue_wait(fx->q, 50, 0), REEL_OK);
    char *clients = tap_text(&fx->tap, "CLIENT LIST");
    assert_non_null(strstr(clients, "name=test:"));
    assert_non_null(strstr(clients, ":w:tester"));
    free(clients);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_job_goes_through_its_life),
        CASE(adding_twice_changes_nothing),
        CASE(a_finished_job_gives_way_only_to_a_later_run),
        CASE(order_is_lifo_then_plain_then_priority),
        CASE(the_largest_priority_keeps_its_order),
        CASE(a_delayed_job_waits_and_keeps_its_order),
        CASE(a_pause_stops_claims_but_not_promotion),
        CASE(the_global_bound_holds_and_the_finisher_goes_on),
        CASE(the_rate_limit_of_the_queue_is_kept),
        CASE(only_the_holder_of_the_lock_may_end_a_job),
        CASE(a_retry_waits_and_counts),
        CASE(a_job_handed_back_is_next_and_has_no_attempt_more),
        CASE(finished_jobs_are_kept_by_their_rule),
        CASE(a_deduplication_id_is_free_after_the_end),
        CASE(a_flow_parent_is_told_of_its_children),
        CASE(counts_agree_with_the_states),
        CASE(logs_are_kept_to_their_limit),
        CASE(waiting_ends_when_a_job_comes),
        CASE(a_waiting_worker_is_seen_by_npm_tools),
    };

    servers_need(argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
