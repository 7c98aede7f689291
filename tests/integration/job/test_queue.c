// SPDX-License-Identifier: Apache-2.0
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "svc-job/queue.h"
#include "tests/integration/job/lib/servers.h"
#include "tests/lib/cmocka.h"

enum { WAIT_US = 5 * 1000 * 1000, LOCK_MS = 30000 };

struct fixture {
    struct tap tap;
    struct queue *q;
    struct reel_arena arena;
};

static int64_t soon(void)
{
    return reel_deadline_in_us(WAIT_US);
}

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    tap_open(&fx->tap);
    const struct queue_config config = {
        .redis_url = getenv("REDIS_URL"),
        .prefix = "test",
        .name = fx->tap.name,
        .worker = "tester",
        .lock_ms = LOCK_MS,
    };
    assert_int_equal(queue_open(&config, &fx->q), REEL_OK);
    reel_arena_init(&fx->arena, 64 << 20);
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_OK);
    *state = fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;

    queue_close(fx->q);
    tap_close(&fx->tap);
    reel_arena_fini(&fx->arena);
    free(fx);
    return 0;
}

static void add(struct fixture *fx, struct queue_entry entry)
{
    entry.name = "resize";
    if (entry.data == NULL)
        entry.data = "{}";
    assert_int_equal(queue_add(fx->q, soon(), &fx->arena, &entry), REEL_OK);
}

static void add_plain(struct fixture *fx, const char *id)
{
    add(fx, (struct queue_entry){.id = id, .attempts = 3});
}

static struct queue_claim claim(struct fixture *fx, const char *token)
{
    struct queue_claim claimed;

    assert_int_equal(queue_claim_next(fx->q, soon(), &fx->arena, token, &claimed), REEL_OK);
    return claimed;
}

// A claim of the next job, waiting for one that is delayed.
static struct queue_claim claim_when_due(struct fixture *fx)
{
    int64_t give_up_us = soon();
    struct queue_claim claimed = claim(fx, "t");

    while (!claimed.found && !reel_deadline_passed(give_up_us)) {
        assert_int_equal(queue_wait(fx->q, 1000, claimed.next_due_ms), REEL_OK);
        claimed = claim(fx, "t");
    }
    assert_true(claimed.found);
    return claimed;
}

static void assert_claims(struct fixture *fx, const char *id)
{
    struct queue_claim claimed = claim(fx, "t");

    assert_true(claimed.found);
    assert_string_equal(claimed.job.id, id);
}

static int settle(struct fixture *fx, const char *id, bool completed, const char *value,
                  struct queue_claim *ret_next)
{
    const struct queue_end end = {
        .id = id, .token = "t", .completed = completed, .value = value, .fetch_next = true};

    return queue_settle(fx->q, soon(), &fx->arena, &end, ret_next);
}

static void assert_field(struct fixture *fx, const char *id, const char *field, const char *value)
{
    char *text = tap_text(&fx->tap, "HGET %s %s", tap_key(&fx->tap, id), field);

    assert_string_equal(text, value);
    free(text);
}

static void assert_events(struct fixture *fx, const char *names)
{
    char *events = tap_events(&fx->tap);

    assert_string_equal(events, names);
    free(events);
}

static void a_job_goes_through_its_life(void **state)
{
    struct fixture *fx = *state;
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
    struct fixture *fx = *state;

    add_plain(fx, "a");
    add_plain(fx, "a");
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "wait")), 1);
    assert_int_equal(tap_int(&fx->tap, "GET %s", tap_key(&fx->tap, "id")), 2);
    assert_events(fx, "added,waiting,duplicated");
    tap_check(&fx->tap);
}

static void a_finished_job_gives_way_only_when_asked(void **state)
{
    struct fixture *fx = *state;
    struct queue_claim next;

    add_plain(fx, "a");
    assert_claims(fx, "a");
    assert_int_equal(settle(fx, "a", false, "broken", &next), REEL_OK);
    add_plain(fx, "a");
    assert_false(claim(fx, "t").found);
    add(fx, (struct queue_entry){.id = "a", .replace_finished = true, .generation = 2});
    assert_int_equal(claim(fx, "t").job.generation, 2);
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", tap_key(&fx->tap, "failed")), 0);
    // an active job never gives way
    add(fx, (struct queue_entry){.id = "a", .replace_finished = true, .generation = 3});
    assert_field(fx, "a", "rgen", "2");
    tap_check(&fx->tap);
}

static void order_is_lifo_then_plain_then_priority(void **state)
{
    struct fixture *fx = *state;
    static const char *const order[] = {"lifo", "n1", "n2", "p1", "p1b", "p2", "p3"};

    add(fx, (struct queue_entry){.id = "p3", .priority = 3});
    add(fx, (struct queue_entry){.id = "p1", .priority = 1});
    add(fx, (struct queue_entry){.id = "p2", .priority = 2});
    add(fx, (struct queue_entry){.id = "p1b", .priority = 1});
    add_plain(fx, "n1");
    add_plain(fx, "n2");
    add(fx, (struct queue_entry){.id = "lifo", .lifo = true});
    tap_run(&fx->tap, "HSET %s concurrency 100", tap_key(&fx->tap, "meta"));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(order); i++)
        assert_claims(fx, order[i]);
    tap_check(&fx->tap);
}

static void the_largest_priority_keeps_its_order(void **state)
{
    struct fixture *fx = *state;
    char id[16];

    tap_run(&fx->tap, "HSET %s concurrency 100", tap_key(&fx->tap, "meta"));
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
    struct fixture *fx = *state;
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
    struct fixture *fx = *state;

    add_plain(fx, "a");
    add(fx, (struct queue_entry){.id = "d", .delay_ms = 1});
    tap_run(&fx->tap, "HSET %s paused 1", tap_key(&fx->tap, "meta"));
    tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "marker"));
    assert_int_equal(queue_wait(fx->q, 5, 0), REEL_OK);
    assert_false(claim(fx, "t").found);
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "wait")), 2);
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "marker")), 0);
    tap_run(&fx->tap, "HDEL %s paused", tap_key(&fx->tap, "meta"));
    assert_claims(fx, "a");
    tap_check(&fx->tap);
}

static void the_global_bound_holds_and_the_finisher_goes_on(void **state)
{
    struct fixture *fx = *state;
    struct queue_claim next;

    tap_run(&fx->tap, "HSET %s concurrency 1", tap_key(&fx->tap, "meta"));
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
    struct fixture *fx = *state;

    tap_run(&fx->tap, "HSET %s max 2 duration 60000", tap_key(&fx->tap, "meta"));
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
    struct fixture *fx = *state;
    struct queue_claim next;
    const struct queue_end foreign = {.id = "a", .token = "other", .value = "x"};

    add_plain(fx, "a");
    assert_claims(fx, "a");
    assert_int_equal(queue_settle(fx->q, soon(), &fx->arena, &foreign, &next), REEL_ABORTED);
    assert_int_equal(queue_retry(fx->q, soon(), &fx->arena, &foreign, &next), REEL_ABORTED);
    assert_int_equal(queue_put_back(fx->q, soon(), &fx->arena, "a", "other"), REEL_ABORTED);
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "active")), 1);
    tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    assert_int_equal(settle(fx, "a", true, "null", &next), REEL_ABORTED);
    tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "a"));
    assert_int_equal(settle(fx, "a", true, "null", &next), REEL_ABORTED);
}

static void a_retry_waits_and_counts(void **state)
{
    struct fixture *fx = *state;
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
    struct fixture *fx = *state;

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

static void sweep(struct fixture *fx, int32_t max_stalled, size_t expected)
{
    size_t n = 0;

    tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "stalled-check"));
    assert_int_equal(queue_sweep(fx->q, soon(), &fx->arena, 10000, max_stalled, &n), REEL_OK);
    assert_int_equal(n, expected);
}

static void a_job_of_a_lost_worker_comes_back(void **state)
{
    struct fixture *fx = *state;
    struct queue_claim claimed;

    add_plain(fx, "a");
    assert_claims(fx, "a");
    sweep(fx, 1, 0);
    tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    sweep(fx, 1, 1);
    assert_field(fx, "a", "stc", "1");
    assert_events(fx, "added,waiting,active,waiting,stalled");
    claimed = claim(fx, "t");
    assert_null(claimed.job.defa);
    sweep(fx, 1, 0);
    tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    sweep(fx, 1, 1);
    claimed = claim(fx, "t");
    assert_string_equal(claimed.job.defa, "job stalled more than allowable limit");
    tap_check(&fx->tap);
}

static void one_sweep_an_interval_in_the_whole_fleet(void **state)
{
    struct fixture *fx = *state;
    size_t n = 0;

    add_plain(fx, "a");
    assert_claims(fx, "a");
    assert_int_equal(queue_sweep(fx->q, soon(), &fx->arena, 60000, 1, &n), REEL_OK);
    tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    assert_int_equal(queue_sweep(fx->q, soon(), &fx->arena, 60000, 1, &n), REEL_OK);
    assert_int_equal(n, 0);
}

static void renewal_keeps_locks_and_tells_lost_ones(void **state)
{
    struct fixture *fx = *state;
    struct queue_renewal renewals[] = {{"a", "t", false}, {"b", "t", false}, {"c", "t", false}};

    add_plain(fx, "a");
    add_plain(fx, "b");
    assert_claims(fx, "a");
    assert_claims(fx, "b");
    sweep(fx, 1, 0);
    tap_run(&fx->tap, "PEXPIRE %s 60", tap_key(&fx->tap, "a:lock"));
    tap_run(&fx->tap, "SET %s thief", tap_key(&fx->tap, "b:lock"));
    assert_int_equal(queue_renew(fx->q, soon(), &fx->arena, renewals, 3), REEL_OK);
    assert_false(renewals[0].lost);
    assert_true(renewals[1].lost);
    assert_true(renewals[2].lost);
    assert_true(tap_int(&fx->tap, "PTTL %s", tap_key(&fx->tap, "a:lock")) > LOCK_MS / 2);
    assert_int_equal(tap_int(&fx->tap, "SISMEMBER %s a", tap_key(&fx->tap, "stalled")), 0);
}

static void an_expired_lock_is_taken_again_while_the_job_is_active(void **state)
{
    struct fixture *fx = *state;
    struct queue_renewal renewals[] = {{"a", "t", false}, {"b", "t", false}};

    add_plain(fx, "a");
    add_plain(fx, "b");
    assert_claims(fx, "a");
    assert_claims(fx, "b");
    sweep(fx, 1, 0);
    tap_run(&fx->tap, "DEL %s %s", tap_key(&fx->tap, "a:lock"), tap_key(&fx->tap, "b:lock"));
    tap_run(&fx->tap, "LREM %s 1 b", tap_key(&fx->tap, "active"));
    tap_run(&fx->tap, "RPUSH %s b", tap_key(&fx->tap, "wait"));
    assert_int_equal(queue_renew(fx->q, soon(), &fx->arena, renewals, 2), REEL_OK);
    assert_false(renewals[0].lost);
    assert_true(renewals[1].lost);
    sweep(fx, 1, 0);
    tap_check(&fx->tap);
}

static void finish(struct fixture *fx, const char *id, const char *opts)
{
    struct queue_claim next;

    add_plain(fx, id);
    if (opts != NULL)
        tap_run(&fx->tap, "HSET %s opts %s", tap_key(&fx->tap, id), opts);
    assert_claims(fx, id);
    assert_int_equal(settle(fx, id, true, "null", &next), REEL_OK);
}

static void finished_jobs_are_kept_by_their_rule(void **state)
{
    struct fixture *fx = *state;
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
    tap_run(&fx->tap, "ZADD %s XX 1000 all3", key);
    finish(fx, "young", "{\"removeOnComplete\":{\"age\":60}}");
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", key), 2);
    finish(fx, "one", "{\"removeOnComplete\":{\"count\":1}}");
    assert_int_equal(tap_int(&fx->tap, "ZCARD %s", key), 1);
    tap_check(&fx->tap);
}

static void a_deduplication_id_is_free_after_the_end(void **state)
{
    struct fixture *fx = *state;
    struct queue_claim next;

    add_plain(fx, "a");
    tap_run(&fx->tap, "HSET %s deid D", tap_key(&fx->tap, "a"));
    tap_run(&fx->tap, "SET %s a", tap_key(&fx->tap, "de:D"));
    assert_claims(fx, "a");
    assert_int_equal(settle(fx, "a", true, "null", &next), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "de:D")), 0);
    add_plain(fx, "b");
    tap_run(&fx->tap, "HSET %s deid E", tap_key(&fx->tap, "b"));
    tap_run(&fx->tap, "SET %s b PX 60000", tap_key(&fx->tap, "de:E"));
    assert_claims(fx, "b");
    assert_int_equal(settle(fx, "b", true, "null", &next), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "EXISTS %s", tap_key(&fx->tap, "de:E")), 1);
}

static void removal_spares_what_runs(void **state)
{
    struct fixture *fx = *state;

    add_plain(fx, "w");
    add(fx, (struct queue_entry){.id = "d", .delay_ms = 60000});
    add(fx, (struct queue_entry){.id = "p", .priority = 4});
    assert_int_equal(queue_remove(fx->q, soon(), &fx->arena, "d"), REEL_OK);
    assert_int_equal(queue_remove(fx->q, soon(), &fx->arena, "p"), REEL_OK);
    assert_int_equal(queue_remove(fx->q, soon(), &fx->arena, "none"), REEL_NOT_FOUND);
    assert_claims(fx, "w");
    assert_int_equal(queue_remove(fx->q, soon(), &fx->arena, "w"), REEL_FAILED_PRECONDITION);
    add_plain(fx, "x");
    assert_int_equal(queue_remove(fx->q, soon(), &fx->arena, "x"), REEL_OK);
    assert_false(claim(fx, "t").found);
    tap_check(&fx->tap);
}

static void a_probe_tells_where_jobs_are(void **state)
{
    struct fixture *fx = *state;
    struct queue_claim next;
    struct queue_probe probes[] = {{.id = "c"}, {.id = "f"}, {.id = "w"}, {.id = "none"}};

    add(fx, (struct queue_entry){.id = "c", .generation = 4});
    add_plain(fx, "f");
    assert_claims(fx, "c");
    assert_claims(fx, "f");
    add_plain(fx, "w");
    tap_run(&fx->tap, "HSET %s paused 1", tap_key(&fx->tap, "meta"));
    assert_int_equal(settle(fx, "c", true, "{\"n\":1}", &next), REEL_OK);
    assert_int_equal(settle(fx, "f", false, "why", &next), REEL_OK);
    assert_int_equal(queue_probe_many(fx->q, soon(), &fx->arena, probes, 4), REEL_OK);
    assert_int_equal(probes[0].where, QUEUE_COMPLETED);
    assert_int_equal(probes[0].generation, 4);
    assert_string_equal(probes[0].value, "{\"n\":1}");
    assert_int_equal(probes[1].where, QUEUE_FAILED);
    assert_string_equal(probes[1].value, "why");
    assert_int_equal(probes[2].where, QUEUE_QUEUED);
    assert_int_equal(probes[3].where, QUEUE_MISSING);
}

static void a_flow_parent_is_told_of_its_children(void **state)
{
    struct fixture *fx = *state;
    struct queue_claim next;
    char child[192];

    add_plain(fx, "parent");
    tap_run(&fx->tap, "LREM %s 0 parent", tap_key(&fx->tap, "wait"));
    tap_run(&fx->tap, "ZADD %s 1 parent", tap_key(&fx->tap, "waiting-children"));
    snprintf(child, sizeof(child), "%s", tap_key(&fx->tap, "kid"));
    tap_run(&fx->tap, "SADD %s %s", tap_key(&fx->tap, "parent:dependencies"), child);
    add_plain(fx, "kid");
    tap_run(&fx->tap, "HSET %s parentKey %s parent %s", child, tap_key(&fx->tap, "parent"),
            "{\"id\":\"parent\",\"fpof\":true}");
    assert_claims(fx, "kid");
    assert_int_equal(settle(fx, "kid", false, "no", &next), REEL_OK);
    assert_true(next.found);
    assert_string_equal(next.job.id, "parent");
    assert_non_null(strstr(next.job.defa, " failed"));
    tap_check(&fx->tap);
}

static void ids_without_a_job_are_passed_over(void **state)
{
    struct fixture *fx = *state;

    tap_run(&fx->tap, "RPUSH %s ghost1 ghost2", tap_key(&fx->tap, "wait"));
    add_plain(fx, "real");
    assert_claims(fx, "real");
    tap_check(&fx->tap);
}

static void an_older_bullmq_is_refused(void **state)
{
    struct fixture *fx = *state;

    tap_run(&fx->tap, "HSET %s version bullmq:5.81.5", tap_key(&fx->tap, "meta"));
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_FAILED_PRECONDITION);
    tap_run(&fx->tap, "HSET %s version bullmq:6.9.0", tap_key(&fx->tap, "meta"));
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_OK);
}

static void parked_jobs_of_an_older_pause_are_merged(void **state)
{
    struct fixture *fx = *state;

    add_plain(fx, "new");
    add_plain(fx, "old");
    tap_run(&fx->tap, "LREM %s 0 old", tap_key(&fx->tap, "wait"));
    tap_run(&fx->tap, "LPUSH %s old", tap_key(&fx->tap, "paused"));
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "wait")), 2);
    tap_check(&fx->tap);
}

static void counts_agree_with_the_states(void **state)
{
    struct fixture *fx = *state;
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
    struct fixture *fx = *state;
    char row[16];

    add_plain(fx, "a");
    tap_run(&fx->tap, "HSET %s opts %s", tap_key(&fx->tap, "a"), "{\"kl\":2}");
    for (int i = 0; i < 4; i++) {
        snprintf(row, sizeof(row), "row %d", i);
        assert_int_equal(queue_log(fx->q, soon(), &fx->arena, "a", row), REEL_OK);
    }
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "a:logs")), 2);
    assert_int_equal(queue_log(fx->q, soon(), &fx->arena, "none", "row"), REEL_OK);
}

// One random step; which ids are active is asked of Redis itself.
static void random_step(struct fixture *fx, unsigned *seed)
{
    struct queue_claim next;
    char id[16];
    unsigned op = (unsigned)rand_r(seed) % 12;

    snprintf(id, sizeof(id), "j%d", rand_r(seed) % 40);
    const struct queue_end end = {
        .id = id,
        .token = "t",
        .completed = rand_r(seed) % 2 == 0,
        .value = "\"v\"",
        .fetch_next = rand_r(seed) % 2 == 0,
        .delay_ms = rand_r(seed) % 3,
    };
    int rc = REEL_OK;
    switch (op) {
    case 0:
    case 1:
        add(fx, (struct queue_entry){.id = id,
                                     .priority = rand_r(seed) % 4,
                                     .delay_ms = rand_r(seed) % 3,
                                     .lifo = rand_r(seed) % 4 == 0,
                                     .replace_finished = rand_r(seed) % 2 == 0});
        break;
    case 2:
    case 3:
        rc = queue_claim_next(fx->q, soon(), &fx->arena, "t", &next);
        break;
    case 4:
    case 5:
        rc = queue_settle(fx->q, soon(), &fx->arena, &end, &next);
        break;
    case 6:
        rc = queue_retry(fx->q, soon(), &fx->arena, &end, &next);
        break;
    case 7:
        rc = queue_put_back(fx->q, soon(), &fx->arena, id, "t");
        break;
    case 8:
        rc = queue_remove(fx->q, soon(), &fx->arena, id);
        break;
    case 9: {
        size_t n;
        freeReplyObject(tap_run(&fx->tap, "DEL %s:lock", tap_key(&fx->tap, id)));
        freeReplyObject(tap_run(&fx->tap, "DEL %s", tap_key(&fx->tap, "stalled-check")));
        rc = queue_sweep(fx->q, soon(), &fx->arena, 10000, 2, &n);
        break;
    }
    case 10:
        freeReplyObject(tap_run(&fx->tap, "HSET %s paused 1", tap_key(&fx->tap, "meta")));
        break;
    default:
        freeReplyObject(tap_run(&fx->tap, "HDEL %s paused", tap_key(&fx->tap, "meta")));
        break;
    }
    assert_true(rc == REEL_OK || rc == REEL_ABORTED || rc == REEL_NOT_FOUND ||
                rc == REEL_FAILED_PRECONDITION);
    reel_arena_reset(&fx->arena);
}

static void a_job_is_in_one_state_whatever_happens(void **state)
{
    struct fixture *fx = *state;
    unsigned seed = (unsigned)reel_clock_wall_us();

    print_message("seed %u\n", seed);
    for (int i = 0; i < 1500; i++) {
        random_step(fx, &seed);
        if (i % 5 == 0)
            tap_check(&fx->tap);
    }
    tap_check(&fx->tap);
}

static void waiting_ends_when_a_job_comes(void **state)
{
    struct fixture *fx = *state;
    int64_t begun_us = reel_clock_mono_us();

    add_plain(fx, "a");
    assert_int_equal(queue_wait(fx->q, 5000, 0), REEL_OK);
    assert_true(reel_clock_mono_us() - begun_us < 4 * 1000 * 1000);
}

static void a_waiting_worker_is_seen_by_npm_tools(void **state)
{
    struct fixture *fx = *state;

    add_plain(fx, "a");
    assert_int_equal(queue_wait(fx->q, 50, 0), REEL_OK);
    char *clients = tap_text(&fx->tap, "CLIENT LIST");
    assert_non_null(strstr(clients, "name=test:"));
    assert_non_null(strstr(clients, ":w:tester"));
    free(clients);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_job_goes_through_its_life),
        CASE(adding_twice_changes_nothing),
        CASE(a_finished_job_gives_way_only_when_asked),
        CASE(order_is_lifo_then_plain_then_priority),
        CASE(the_largest_priority_keeps_its_order),
        CASE(a_delayed_job_waits_and_keeps_its_order),
        CASE(a_pause_stops_claims_but_not_promotion),
        CASE(the_global_bound_holds_and_the_finisher_goes_on),
        CASE(the_rate_limit_of_the_queue_is_kept),
        CASE(only_the_holder_of_the_lock_may_end_a_job),
        CASE(a_retry_waits_and_counts),
        CASE(a_job_handed_back_is_next_and_has_no_attempt_more),
        CASE(a_job_of_a_lost_worker_comes_back),
        CASE(one_sweep_an_interval_in_the_whole_fleet),
        CASE(renewal_keeps_locks_and_tells_lost_ones),
        CASE(an_expired_lock_is_taken_again_while_the_job_is_active),
        CASE(finished_jobs_are_kept_by_their_rule),
        CASE(a_deduplication_id_is_free_after_the_end),
        CASE(removal_spares_what_runs),
        CASE(a_probe_tells_where_jobs_are),
        CASE(a_flow_parent_is_told_of_its_children),
        CASE(ids_without_a_job_are_passed_over),
        CASE(an_older_bullmq_is_refused),
        CASE(parked_jobs_of_an_older_pause_are_merged),
        CASE(counts_agree_with_the_states),
        CASE(logs_are_kept_to_their_limit),
        CASE(waiting_ends_when_a_job_comes),
        CASE(a_waiting_worker_is_seen_by_npm_tools),
        CASE(a_job_is_in_one_state_whatever_happens),
    };

    (void)argc;
    servers_need(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
