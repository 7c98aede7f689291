// SPDX-License-Identifier: Apache-2.0
// The life of workers: cancelled, crashed, hung, killed, in numbers, at once.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/integration/media/fixture.h"

#define SECOND_US 1000000

// Misbehaves as the target format says.
static void misbehave(const struct media_task *task, const struct media_io *io,
                      struct media_ctl *ctl, struct media_outcome *ret_outcome)
{
    const char *how = task->target_format;
    const struct timespec tick = {.tv_nsec = 1000000};
    int *volatile nowhere = NULL;

    if (strcmp(how, "segv") == 0)
        raise(SIGSEGV);
    if (strcmp(how, "null") == 0)
        *nowhere = 1;
    while (strcmp(how, "hang") == 0)
        nanosleep(&tick, NULL);
    while (strcmp(how, "spin") == 0)
        atomic_fetch_add(&ctl->beats, 1);
    while (strcmp(how, "deaf") == 0) {
        atomic_fetch_add(&ctl->beats, 1);
        nanosleep(&tick, NULL);
    }
    if (strcmp(how, "lie") == 0) {
        memset(ret_outcome, 0xff, sizeof(*ret_outcome));
        memset(&ctl->ppm, 0xff, sizeof(ctl->ppm));
        return;
    }
    if (strcmp(how, "quit") == 0)
        _exit(3);
    if (strcmp(how, "wait") == 0)
        while (!atomic_load(&ctl->cancel))
            nanosleep(&tick, NULL);
    media_run(task, io, ctl, ret_outcome);
}

static int setup(void **state)
{
    if (fixture_setup_with(misbehave, state) != 0)
        return -1;
    fixture_make_clips(*state);
    return 0;
}

static struct worker *start(const struct fixture *fx, const char *how, const char *clip,
                            struct worker_task task)
{
    struct worker *worker;

    snprintf(task.media.target_format, sizeof(task.media.target_format), "%s", how);
    task.input_fd = fixture_open_clip(fx, clip);
    task.output_fd = fixture_create(fx, "w");
    assert_int_equal(worker_start(fx->zygote, &task, &worker), REEL_OK);
    close(task.input_fd);
    close(task.output_fd);
    return worker;
}

static struct media_outcome outcome_of(struct worker *worker)
{
    struct media_outcome out;

    assert_int_equal(worker_wait(worker, reel_deadline_in_us(60 * SECOND_US), &out), REEL_OK);
    worker_free(worker);
    return out;
}

static struct worker_task convert(void)
{
    return fixture_task(MEDIA_CONVERT);
}

static void a_crash_is_an_outcome(void **state)
{
    static const char *const ways[] = {"segv", "null", "quit"};

    for (size_t i = 0; i < REEL_ARRAY_SIZE(ways); i++) {
        struct media_outcome out = outcome_of(start(*state, ways[i], "plain.mp4", convert()));

        assert_int_equal(out.code, MEDIA_CRASHED);
        assert_true(media_code_is_retryable(out.code));
        assert_true(out.text[0] != '\0');
    }
    // The zygote goes on.
    assert_int_equal(outcome_of(start(*state, "mkv", "plain.mp4", convert())).code, MEDIA_OK);
}

static void a_hang_is_a_timeout(void **state)
{
    struct fixture *fx = *state;
    struct worker_task task = convert();
    int64_t before = reel_clock_mono_us();

    task.limits.stall_ms = 300;
    assert_int_equal(outcome_of(start(fx, "hang", "plain.mp4", task)).code, MEDIA_TIMEOUT);
    task = convert();
    task.limits.wall_ms = 300;
    assert_int_equal(outcome_of(start(fx, "deaf", "plain.mp4", task)).code, MEDIA_TIMEOUT);
    assert_true(reel_clock_mono_us() - before < 10 * SECOND_US);
}

static void too_much_cpu_is_a_limit(void **state)
{
    struct worker_task task = convert();

    task.limits.cpu_s = 1;
    assert_int_equal(outcome_of(start(*state, "spin", "plain.mp4", task)).code,
                     MEDIA_RESOURCE_LIMIT);
}

static void a_lie_is_cleaned(void **state)
{
    struct worker *worker = start(*state, "lie", "plain.mp4", convert());
    struct worker_progress progress;
    struct media_outcome out;

    assert_int_equal(worker_wait(worker, reel_deadline_in_us(10 * SECOND_US), &out), REEL_OK);
    worker_get_progress(worker, &progress);
    worker_free(worker);
    assert_int_equal(out.code, MEDIA_INTERNAL);
    assert_true(progress.fraction < 1.0);
    assert_true(memchr(out.text, '\0', sizeof(out.text)) != NULL);
    for (const char *c = out.text; *c; c++)
        assert_true(*c >= ' ' && *c <= '~');
    assert_int_equal(out.n_warnings, 0);
    assert_true(out.facts.width >= 0 && out.facts.duration_ms >= 0);
}

static void a_cancelled_worker_is_gone_within_a_second(void **state)
{
    static const char *const ways[] = {"wait", "deaf", "hang", "webm"};
    struct fixture *fx = *state;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(ways); i++) {
        struct worker *worker = start(fx, ways[i], "minute.mp4", convert());
        struct media_outcome out;
        int64_t before;

        assert_int_equal(worker_wait(worker, reel_deadline_in_us(SECOND_US / 5), &out),
                         REEL_DEADLINE_EXCEEDED);
        before = reel_clock_mono_us();
        worker_cancel(worker);
        worker_cancel(worker);
        out = outcome_of(worker);
        assert_int_equal(out.code, MEDIA_CANCELLED);
        // The grace of half a second, and the kernel's time to end it.
        assert_true(reel_clock_mono_us() - before < SECOND_US);
    }
}

static void *cancel_later(void *arg)
{
    const struct timespec moment = {.tv_nsec = 100000000};

    nanosleep(&moment, NULL);
    worker_cancel(arg);
    return NULL;
}

static void a_cancel_wakes_the_waiter(void **state)
{
    struct worker *worker = start(*state, "wait", "plain.mp4", convert());
    struct media_outcome out;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, cancel_later, worker), 0);
    assert_int_equal(worker_wait(worker, REEL_NO_DEADLINE, &out), REEL_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    worker_free(worker);
    // Told to stop, it went on to run the task, which saw the flag.
    assert_int_equal(out.code, MEDIA_CANCELLED);
}

static void a_worker_let_go_is_ended(void **state)
{
    struct fixture *fx = *state;

    worker_free(start(fx, "hang", "plain.mp4", convert()));
    worker_free(NULL);
    assert_true(worker_zygote_is_alive(fx->zygote));
}

static void progress_only_grows_and_often(void **state)
{
    struct worker_task task = fixture_task(MEDIA_RESIZE);
    struct worker_progress progress = {0};
    struct media_outcome out;
    struct worker *worker;
    double last = 0;
    unsigned steps = 0;
    int rc;

    task.media.width = 1280;
    task.media.height = 720;
    task.media.threads = 1;
    worker = start(*state, "mp4", "ten.mp4", task);
    do {
        rc = worker_wait(worker, reel_deadline_in_us(SECOND_US / 50), &out);
        worker_get_progress(worker, &progress);
        assert_true(progress.fraction >= last && progress.fraction <= 1.0);
        assert_true(rc == REEL_OK || progress.fraction < 1.0);
        steps += progress.fraction > last;
        last = progress.fraction;
    } while (rc == REEL_DEADLINE_EXCEEDED);
    assert_int_equal(out.code, MEDIA_OK);
    assert_true(last >= 1.0);
    assert_true(steps >= 5);
    assert_int_equal(progress.frames, 300);
    assert_in_range(progress.position_us, 9 * SECOND_US, 11 * SECOND_US);
    worker_free(worker);
}

static void a_senseless_task_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct worker_task task = convert();
    struct worker *worker;

    assert_int_equal(worker_start(fx->zygote, &task, &worker), REEL_INVALID_ARGUMENT);
    task.input_fd = 0;
    assert_int_equal(worker_start(fx->zygote, &task, &worker), REEL_INVALID_ARGUMENT);
    task.output_fd = 1;
    task.media.width = 9000;
    assert_int_equal(worker_start(fx->zygote, &task, &worker), REEL_INVALID_ARGUMENT);
    task.media.width = 0;
    memset(task.media.target_format, 'x', sizeof(task.media.target_format));
    assert_int_equal(worker_start(fx->zygote, &task, &worker), REEL_INVALID_ARGUMENT);
    task = convert();
    task.media.kind = 99;
    assert_int_equal(worker_start(fx->zygote, &task, &worker), REEL_INVALID_ARGUMENT);
}

static void fifty_in_a_row_leak_nothing(void **state)
{
    int before = fixture_count_fds();

    for (int i = 0; i < 50; i++) {
        struct worker *worker = start(*state, i % 5 ? "mkv" : "segv", "noaudio.mp4", convert());

        assert_int_equal(outcome_of(worker).code, i % 5 ? MEDIA_OK : MEDIA_CRASHED);
    }
    assert_int_equal(fixture_count_fds(), before);
}

struct one {
    struct fixture *fx;
    int number;
    enum media_code code;
};

static void *run_one(void *arg)
{
    struct one *one = arg;
    struct worker_task task = fixture_task(MEDIA_RESIZE);
    struct media_outcome out = {.code = MEDIA_INTERNAL};
    struct worker *worker;
    char path[128];

    task.media.width = 160;
    task.media.height = 90;
    snprintf(task.media.target_format, sizeof(task.media.target_format), "mp4");
    snprintf(path, sizeof(path), "%s/plain.mp4", one->fx->clips);
    task.input_fd = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "%s/at-once-%d", one->fx->dir, one->number);
    task.output_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (worker_start(one->fx->zygote, &task, &worker) == REEL_OK) {
        if (worker_wait(worker, REEL_NO_DEADLINE, &out) != REEL_OK)
            out.code = MEDIA_INTERNAL;
        worker_free(worker);
    }
    close(task.input_fd);
    close(task.output_fd);
    one->code = out.facts.frames == 90 ? out.code : MEDIA_INTERNAL;
    return NULL;
}

static void five_run_at_once(void **state)
{
    struct one ones[5];
    pthread_t threads[5];

    for (int i = 0; i < 5; i++) {
        ones[i] = (struct one){.fx = *state, .number = i, .code = MEDIA_INTERNAL};
        assert_int_equal(pthread_create(&threads[i], NULL, run_one, &ones[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(ones[i].code, MEDIA_OK);
    }
}

// Last: it costs the zygote its life.
static void a_dead_zygote_is_seen(void **state)
{
    struct fixture *fx = *state;
    struct worker *worker = start(fx, "hang", "plain.mp4", convert());
    struct worker_task task = convert();
    struct pollfd hang_up = {.fd = worker_zygote_fd(fx->zygote), .events = POLLIN};
    struct worker *second;
    char command[128];

    snprintf(command, sizeof(command),
             "kill -9 $(cat /proc/%d/task/*/children | tr ' ' '\\n' | head -n 1)", getpid());
    assert_true(worker_zygote_is_alive(fx->zygote));
    assert_int_equal(system(command), 0);
    assert_int_equal(outcome_of(worker).code, MEDIA_INTERNAL);
    assert_int_equal(poll(&hang_up, 1, 10000), 1);
    assert_false(worker_zygote_is_alive(fx->zygote));
    task.input_fd = fixture_open_clip(fx, "plain.mp4");
    task.output_fd = fixture_create(fx, "w");
    assert_int_equal(worker_start(fx->zygote, &task, &second), REEL_UNAVAILABLE);
    close(task.input_fd);
    close(task.output_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_an_outcome),
        cmocka_unit_test(a_hang_is_a_timeout),
        cmocka_unit_test(too_much_cpu_is_a_limit),
        cmocka_unit_test(a_lie_is_cleaned),
        cmocka_unit_test(a_cancelled_worker_is_gone_within_a_second),
        cmocka_unit_test(a_cancel_wakes_the_waiter),
        cmocka_unit_test(a_worker_let_go_is_ended),
        cmocka_unit_test(progress_only_grows_and_often),
        cmocka_unit_test(a_senseless_task_is_refused),
        cmocka_unit_test(fifty_in_a_row_leak_nothing),
        cmocka_unit_test(five_run_at_once),
        cmocka_unit_test(a_dead_zygote_is_seen),
    };

    return cmocka_run_group_tests(tests, setup, fixture_teardown);
}
