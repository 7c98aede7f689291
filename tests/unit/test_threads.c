// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/threads.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/integration/rpc/fixture.h"

// A task that waits for the gate when it has one.
struct job {
    struct reel_task task;
    atomic_uint *done;
    atomic_uint *running;
    pthread_mutex_t *gate;
};

static void run(struct reel_task *task)
{
    struct job *job = REEL_CONTAINER_OF(task, struct job, task);

    if (job->running)
        atomic_fetch_add(job->running, 1);
    if (job->gate) {
        pthread_mutex_lock(job->gate);
        pthread_mutex_unlock(job->gate);
    }
    atomic_fetch_add(job->done, 1);
}

static void every_task_runs_once(void **state)
{
    static struct job jobs[10000];
    struct reel_threads *threads;
    atomic_uint done = 0;

    (void)state;
    assert_int_equal(reel_threads_new("test", 4, 10000, &threads), 0);
    for (unsigned i = 0; i < 10000; i++) {
        jobs[i] = (struct job){.task.run = run, .done = &done};
        assert_true(reel_threads_submit(threads, &jobs[i].task));
    }
    reel_threads_free(threads);
    assert_int_equal(atomic_load(&done), 10000);
}

static void what_waits_is_bounded(void **state)
{
    struct reel_threads *threads;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct job jobs[6];
    atomic_uint done = 0;
    atomic_uint running = 0;
    unsigned taken = 0;

    (void)state;
    assert_int_equal(reel_threads_new("test", 2, 3, &threads), 0);
    pthread_mutex_lock(&gate);
    for (unsigned i = 0; i < 6; i++) {
        jobs[i] = (struct job){.task.run = run, .done = &done, .running = &running, .gate = &gate};
        taken += reel_threads_submit(threads, &jobs[i].task);
        if (i < 2)
            assert_true(fixture_wait(&running, i + 1, 5000));
    }
    assert_int_equal(taken, 5);
    pthread_mutex_unlock(&gate);
    reel_threads_free(threads);
    assert_int_equal(atomic_load(&done), 5);
}

static void without_a_queue_each_task_has_a_thread(void **state)
{
    struct reel_threads *threads;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct job jobs[4];
    atomic_uint done = 0;
    atomic_uint running = 0;

    (void)state;
    assert_int_equal(reel_threads_new("test", 3, 0, &threads), 0);
    pthread_mutex_lock(&gate);
    for (unsigned i = 0; i < 4; i++) {
        jobs[i] = (struct job){.task.run = run, .done = &done, .running = &running, .gate = &gate};
        assert_int_equal(reel_threads_submit(threads, &jobs[i].task), i < 3);
    }
    assert_true(fixture_wait(&running, 3, 5000));
    pthread_mutex_unlock(&gate);
    assert_true(fixture_wait(&done, 3, 5000));
    reel_threads_free(threads);
}

static void unused_threads_are_freed(void **state)
{
    struct reel_threads *threads;

    (void)state;
    assert_int_equal(reel_threads_new("test", 3, 0, &threads), 0);
    reel_threads_free(threads);
    reel_threads_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(without_a_queue_each_task_has_a_thread),
        cmocka_unit_test(unused_threads_are_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
