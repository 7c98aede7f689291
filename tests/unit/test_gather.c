// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/gather.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/integration/rpc/fixture.h"

struct rounds {
    pthread_mutex_t gate; // rounds wait for it
    atomic_uint begun;
    atomic_uint tasks;
    atomic_uint largest;
};

struct job {
    struct reel_task task;
    atomic_uint done;
};

static void run_round(void *arg, struct reel_task *first, size_t n)
{
    struct rounds *rounds = arg;
    size_t counted = 0;

    atomic_fetch_add(&rounds->begun, 1);
    pthread_mutex_lock(&rounds->gate);
    pthread_mutex_unlock(&rounds->gate);
    for (struct reel_task *next; first; first = next, counted++) {
        next = first->next;
        atomic_fetch_add(&REEL_CONTAINER_OF(first, struct job, task)->done, 1);
    }
    assert_int_equal(counted, n);
    if (n > atomic_load(&rounds->largest))
        atomic_store(&rounds->largest, (unsigned)n);
    atomic_fetch_add(&rounds->tasks, (unsigned)n);
}

static struct reel_gather *new_gather(struct rounds *rounds, unsigned max_waiting)
{
    struct reel_gather *gather;

    *rounds = (struct rounds){.gate = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(reel_gather_new("test", max_waiting, run_round, rounds, &gather), 0);
    return gather;
}

// Holds as many rounds as there can be, each with one task: each begins only because the one before
// is slow.
static void hold_all_rounds(struct reel_gather *gather, struct rounds *rounds, struct job *jobs)
{
    pthread_mutex_lock(&rounds->gate);
    for (unsigned i = 0; i < REEL_GATHER_ROUNDS; i++) {
        assert_true(reel_gather_add(gather, &jobs[i].task));
        assert_true(fixture_wait(&rounds->begun, i + 1, 5000));
    }
}

static void a_task_alone_waits_for_nobody(void **state)
{
    struct rounds rounds;
    struct reel_gather *gather = new_gather(&rounds, 10);
    struct job jobs[100] = {0};

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_true(reel_gather_add(gather, &jobs[i].task));
        assert_true(fixture_wait(&rounds.tasks, i + 1, 5000));
    }
    assert_int_equal(atomic_load(&rounds.begun), 100);
    reel_gather_free(gather);
}

static void what_came_meanwhile_is_one_round(void **state)
{
    struct rounds rounds;
    struct reel_gather *gather = new_gather(&rounds, 100);
    struct job jobs[REEL_GATHER_ROUNDS + 50] = {0};

    (void)state;
    hold_all_rounds(gather, &rounds, jobs);
    for (unsigned i = 0; i < 50; i++)
        assert_true(reel_gather_add(gather, &jobs[REEL_GATHER_ROUNDS + i].task));
    assert_int_equal(atomic_load(&rounds.begun), REEL_GATHER_ROUNDS);
    pthread_mutex_unlock(&rounds.gate);
    assert_true(fixture_wait(&rounds.tasks, REEL_GATHER_ROUNDS + 50, 5000));
    assert_int_equal(atomic_load(&rounds.begun), REEL_GATHER_ROUNDS + 1);
    reel_gather_free(gather);
}

static void a_round_has_a_limit(void **state)
{
    struct rounds rounds;
    struct reel_gather *gather = new_gather(&rounds, 1000);
    struct job jobs[REEL_GATHER_ROUNDS + 3 * REEL_GATHER_MOST] = {0};

    (void)state;
    hold_all_rounds(gather, &rounds, jobs);
    for (unsigned i = REEL_GATHER_ROUNDS; i < REEL_ARRAY_SIZE(jobs); i++)
        assert_true(reel_gather_add(gather, &jobs[i].task));
    pthread_mutex_unlock(&rounds.gate);
    assert_true(fixture_wait(&rounds.tasks, REEL_ARRAY_SIZE(jobs), 5000));
    assert_int_equal(atomic_load(&rounds.largest), REEL_GATHER_MOST);
    reel_gather_free(gather);
}

static void what_waits_is_bounded_and_finished_by_the_end(void **state)
{
    struct rounds rounds;
    struct reel_gather *gather = new_gather(&rounds, 3);
    struct job jobs[REEL_GATHER_ROUNDS + 4] = {0};

    (void)state;
    hold_all_rounds(gather, &rounds, jobs);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(reel_gather_add(gather, &jobs[REEL_GATHER_ROUNDS + i].task), i < 3);
    pthread_mutex_unlock(&rounds.gate);
    reel_gather_free(gather);
    assert_int_equal(atomic_load(&rounds.tasks), REEL_GATHER_ROUNDS + 3);
}

enum { N_ADDERS = 4, N_JOBS = 5000 };

struct adder {
    struct reel_gather *gather;
    struct job *jobs;
};

static void *add_many(void *arg)
{
    struct adder *adder = arg;

    for (unsigned i = 0; i < N_JOBS; i++)
        if (!reel_gather_add(adder->gather, &adder->jobs[i].task))
            return NULL;
    return adder;
}

static void every_task_of_a_crowd_runs_once(void **state)
{
    static struct job jobs[N_ADDERS][N_JOBS];
    struct rounds rounds;
    struct reel_gather *gather = new_gather(&rounds, N_ADDERS * N_JOBS);
    struct adder adders[N_ADDERS];
    pthread_t threads[N_ADDERS];
    void *added;

    (void)state;
    for (unsigned i = 0; i < N_ADDERS; i++) {
        adders[i] = (struct adder){gather, jobs[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &adders[i]), 0);
    }
    for (unsigned i = 0; i < N_ADDERS; i++) {
        pthread_join(threads[i], &added);
        assert_non_null(added);
    }
    // The last ones are not forgotten, though nothing comes after them.
    assert_true(fixture_wait(&rounds.tasks, N_ADDERS * N_JOBS, 20000));
    reel_gather_free(gather);
    for (unsigned i = 0; i < N_ADDERS * N_JOBS; i++)
        assert_int_equal(atomic_load(&jobs[i / N_JOBS][i % N_JOBS].done), 1);
}

static void an_unused_one_is_freed(void **state)
{
    struct rounds rounds;

    (void)state;
    reel_gather_free(new_gather(&rounds, 1));
    reel_gather_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_alone_waits_for_nobody),
        cmocka_unit_test(what_came_meanwhile_is_one_round),
        cmocka_unit_test(a_round_has_a_limit),
        cmocka_unit_test(what_waits_is_bounded_and_finished_by_the_end),
        cmocka_unit_test(every_task_of_a_crowd_runs_once),
        cmocka_unit_test(an_unused_one_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
