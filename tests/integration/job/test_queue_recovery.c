// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/integration/job/lib/bench.h"
#include "tests/lib/cmocka.h"

static void sweep(struct bench *fx, int32_t max_stalled, size_t expected)
{
    size_t n = 0;

    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "stalled-check"));
    assert_int_equal(queue_sweep(fx->q, soon(), &fx->arena, 10000, max_stalled, &n), REEL_OK);
    assert_int_equal(n, expected);
}

static void a_job_of_a_lost_worker_comes_back(void **state)
{
    struct bench *fx = *state;
    struct queue_claim claimed;

    add_plain(fx, "a");
    assert_claims(fx, "a");
    sweep(fx, 1, 0);
    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    sweep(fx, 1, 1);
    assert_field(fx, "a", "stc", "1");
    assert_events(fx, "added,waiting,active,waiting,stalled");
    claimed = claim(fx, "t");
    assert_null(claimed.job.defa);
    sweep(fx, 1, 0);
    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    sweep(fx, 1, 1);
    claimed = claim(fx, "t");
    assert_string_equal(claimed.job.defa, "job stalled more than allowable limit");
    tap_check(&fx->tap);
}

static void a_job_is_reclaimed_from_the_worker_that_is_named(void **state)
{
    struct bench *fx = *state;
    const struct queue_lock gone[] = {{"a", "t"}, {"b", "another"}, {"none", "t"}};
    struct queue_lock *locks;
    size_t n;

    add_plain(fx, "a");
    add_plain(fx, "b");
    assert_claims(fx, "a");
    assert_claims(fx, "b");
    add_plain(fx, "c");
    assert_int_equal(queue_list_locks(fx->q, soon(), &fx->arena, &locks, &n), REEL_OK);
    assert_int_equal(n, 2);
    assert_string_equal(locks[0].id, "b");
    assert_string_equal(locks[0].token, "t");
    assert_int_equal(queue_reclaim(fx->q, soon(), &fx->arena, gone, 3, 0, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_field(fx, "a", "stc", "1");
    tap_check(&fx->tap);
    struct queue_claim claimed = claim(fx, "t");
    assert_string_equal(claimed.job.id, "a");
    assert_string_equal(claimed.job.defa, "job stalled more than allowable limit");
}

static void one_sweep_an_interval_in_the_whole_fleet(void **state)
{
    struct bench *fx = *state;
    size_t n = 0;

    add_plain(fx, "a");
    assert_claims(fx, "a");
    assert_int_equal(queue_sweep(fx->q, soon(), &fx->arena, 60000, 1, &n), REEL_OK);
    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "a:lock"));
    assert_int_equal(queue_sweep(fx->q, soon(), &fx->arena, 60000, 1, &n), REEL_OK);
    assert_int_equal(n, 0);
}

static void renewal_keeps_locks_and_tells_lost_ones(void **state)
{
    struct bench *fx = *state;
    struct queue_renewal renewals[] = {{"a", "t", false}, {"b", "t", false}, {"c", "t", false}};

    add_plain(fx, "a");
    add_plain(fx, "b");
    assert_claims(fx, "a");
    assert_claims(fx, "b");
    sweep(fx, 1, 0);
    tap_do(&fx->tap, "PEXPIRE %s 60", tap_key(&fx->tap, "a:lock"));
    tap_do(&fx->tap, "SET %s thief", tap_key(&fx->tap, "b:lock"));
    assert_int_equal(queue_renew(fx->q, soon(), &fx->arena, renewals, 3), REEL_OK);
    assert_false(renewals[0].lost);
    assert_true(renewals[1].lost);
    assert_true(renewals[2].lost);
    assert_true(tap_int(&fx->tap, "PTTL %s", tap_key(&fx->tap, "a:lock")) > BENCH_LOCK_MS / 2);
    assert_int_equal(tap_int(&fx->tap, "SISMEMBER %s a", tap_key(&fx->tap, "stalled")), 0);
}

static void an_expired_lock_is_taken_again_while_the_job_is_active(void **state)
{
    struct bench *fx = *state;
    struct queue_renewal renewals[] = {{"a", "t", false}, {"b", "t", false}};

    add_plain(fx, "a");
    add_plain(fx, "b");
    assert_claims(fx, "a");
    assert_claims(fx, "b");
    sweep(fx, 1, 0);
    tap_do(&fx->tap, "DEL %s %s", tap_key(&fx->tap, "a:lock"), tap_key(&fx->tap, "b:lock"));
    tap_do(&fx->tap, "LREM %s 1 b", tap_key(&fx->tap, "active"));
    tap_do(&fx->tap, "RPUSH %s b", tap_key(&fx->tap, "wait"));
    assert_int_equal(queue_renew(fx->q, soon(), &fx->arena, renewals, 2), REEL_OK);
    assert_false(renewals[0].lost);
    assert_true(renewals[1].lost);
    sweep(fx, 1, 0);
    tap_check(&fx->tap);
}

static void removal_spares_what_runs(void **state)
{
    struct bench *fx = *state;

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
    struct bench *fx = *state;
    struct queue_claim next;
    struct queue_probe probes[] = {{.id = "c"}, {.id = "f"}, {.id = "w"}, {.id = "none"}};

    add(fx, (struct queue_entry){.id = "c", .generation = 4});
    add_plain(fx, "f");
    assert_claims(fx, "c");
    assert_claims(fx, "f");
    add_plain(fx, "w");
    tap_do(&fx->tap, "HSET %s paused 1", tap_key(&fx->tap, "meta"));
    assert_int_equal(settle(fx, "c", true, "{\"n\":1}", &next), REEL_OK);
    assert_int_equal(settle(fx, "f", false, "why", &next), REEL_OK);
    assert_int_equal(queue_probe_many(fx->q, soon(), &fx->arena, probes, 4), REEL_OK);
    assert_int_equal(probes[0].where, QUEUE_COMPLETED);
    assert_int_equal(probes[0].generation, 4);
    assert_string_equal(probes[0].value, "{\"n\":1}");
    assert_int_equal(probes[1].where, QUEUE_FAILED);
    assert_int_equal(probes[1].generation, 1);
    assert_string_equal(probes[1].value, "why");
    assert_int_equal(probes[2].where, QUEUE_QUEUED);
    assert_int_equal(probes[3].where, QUEUE_MISSING);
}

static void ids_without_a_job_are_passed_over(void **state)
{
    struct bench *fx = *state;

    tap_do(&fx->tap, "RPUSH %s ghost1 ghost2", tap_key(&fx->tap, "wait"));
    add_plain(fx, "real");
    assert_claims(fx, "real");
    tap_check(&fx->tap);
}

static void an_older_bullmq_is_refused(void **state)
{
    struct bench *fx = *state;

    tap_do(&fx->tap, "HSET %s version bullmq:5.81.5", tap_key(&fx->tap, "meta"));
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_FAILED_PRECONDITION);
    tap_do(&fx->tap, "HSET %s version bullmq:6.9.0", tap_key(&fx->tap, "meta"));
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_OK);
}

static void keys_of_another_kind_are_not_taken_for_an_older_bullmq(void **state)
{
    struct bench *fx = *state;

    tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "meta"));
    tap_do(&fx->tap, "SET %s something", tap_key(&fx->tap, "meta"));
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), -EPROTO);
    assert_int_equal(queue_remove(fx->q, soon(), &fx->arena, "a"), REEL_NOT_FOUND);
    tap_do(&fx->tap, "SET %s something", tap_key(&fx->tap, "a"));
    assert_int_equal(queue_remove(fx->q, soon(), &fx->arena, "a"), -EPROTO);
    tap_do(&fx->tap, "DEL %s %s", tap_key(&fx->tap, "meta"), tap_key(&fx->tap, "a"));
}

static void parked_jobs_of_an_older_pause_are_merged(void **state)
{
    struct bench *fx = *state;

    add_plain(fx, "new");
    add_plain(fx, "old");
    tap_do(&fx->tap, "LREM %s 0 old", tap_key(&fx->tap, "wait"));
    tap_do(&fx->tap, "LPUSH %s old", tap_key(&fx->tap, "paused"));
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_OK);
    assert_int_equal(tap_int(&fx->tap, "LLEN %s", tap_key(&fx->tap, "wait")), 2);
    tap_check(&fx->tap);
}

// One random step; which ids are active is asked of Redis itself.
static void random_step(struct bench *fx, unsigned *seed)
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
                                     .generation = rand_r(seed) % 9});
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
        tap_do(&fx->tap, "DEL %s:lock", tap_key(&fx->tap, id));
        tap_do(&fx->tap, "DEL %s", tap_key(&fx->tap, "stalled-check"));
        rc = queue_sweep(fx->q, soon(), &fx->arena, 10000, 2, &n);
        break;
    }
    case 10:
        tap_do(&fx->tap, "HSET %s paused 1", tap_key(&fx->tap, "meta"));
        break;
    default:
        tap_do(&fx->tap, "HDEL %s paused", tap_key(&fx->tap, "meta"));
        break;
    }
    assert_true(rc == REEL_OK || rc == REEL_ABORTED || rc == REEL_NOT_FOUND ||
                rc == REEL_FAILED_PRECONDITION);
    reel_arena_reset(&fx->arena);
}

static void a_job_is_in_one_state_whatever_happens(void **state)
{
    struct bench *fx = *state;
    unsigned seed = (unsigned)reel_clock_wall_us();

    print_message("seed %u\n", seed);
    for (int i = 0; i < 1500; i++) {
        random_step(fx, &seed);
        if (i % 5 == 0)
            tap_check(&fx->tap);
    }
    tap_check(&fx->tap);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_job_of_a_lost_worker_comes_back),
        CASE(a_job_is_reclaimed_from_the_worker_that_is_named),
        CASE(one_sweep_an_interval_in_the_whole_fleet),
        CASE(renewal_keeps_locks_and_tells_lost_ones),
        CASE(an_expired_lock_is_taken_again_while_the_job_is_active),
        CASE(removal_spares_what_runs),
        CASE(a_probe_tells_where_jobs_are),
        CASE(ids_without_a_job_are_passed_over),
        CASE(an_older_bullmq_is_refused),
        CASE(keys_of_another_kind_are_not_taken_for_an_older_bullmq),
        CASE(parked_jobs_of_an_older_pause_are_merged),
        CASE(a_job_is_in_one_state_whatever_happens),
    };

    servers_need(argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
