// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/cond.h"

#include "libcommon/core/clock.h"
#include "tests/lib/cmocka.h"

struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool told;
};

static void begin(struct meeting *meeting)
{
    pthread_mutex_init(&meeting->lock, NULL);
    reel_cond_init(&meeting->changed);
    meeting->told = false;
}

static void end(struct meeting *meeting)
{
    pthread_cond_destroy(&meeting->changed);
    pthread_mutex_destroy(&meeting->lock);
}

// On another clock each wait would end at once, or never.
static void a_wait_ends_at_its_deadline(void **state)
{
    int64_t until_us = reel_deadline_in_us(50 * 1000);
    struct meeting meeting;
    int waits = 0;

    (void)state;
    begin(&meeting);
    pthread_mutex_lock(&meeting.lock);
    for (; !reel_deadline_passed(until_us); waits++)
        reel_cond_wait_until(&meeting.changed, &meeting.lock, until_us);
    pthread_mutex_unlock(&meeting.lock);
    assert_in_range(waits, 1, 10);
    end(&meeting);
}

static void a_deadline_that_has_passed_ends_it_at_once(void **state)
{
    struct meeting meeting;

    (void)state;
    begin(&meeting);
    pthread_mutex_lock(&meeting.lock);
    reel_cond_wait_until(&meeting.changed, &meeting.lock, 0);
    reel_cond_wait_until(&meeting.changed, &meeting.lock, reel_clock_mono_us());
    pthread_mutex_unlock(&meeting.lock);
    end(&meeting);
}

static void *tell(void *arg)
{
    struct meeting *meeting = arg;

    pthread_mutex_lock(&meeting->lock);
    meeting->told = true;
    pthread_cond_signal(&meeting->changed);
    pthread_mutex_unlock(&meeting->lock);
    return NULL;
}

static void a_signal_ends_it(int64_t deadline_us)
{
    struct meeting meeting;
    pthread_t thread;

    begin(&meeting);
    pthread_mutex_lock(&meeting.lock);
    assert_int_equal(pthread_create(&thread, NULL, tell, &meeting), 0);
    while (!meeting.told && !reel_deadline_passed(deadline_us))
        reel_cond_wait_until(&meeting.changed, &meeting.lock, deadline_us);
    assert_true(meeting.told);
    pthread_mutex_unlock(&meeting.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    end(&meeting);
}

static void a_signal_ends_a_wait_with_a_deadline(void **state)
{
    (void)state;
    a_signal_ends_it(reel_deadline_in_us(60 * 1000 * 1000));
}

static void a_signal_ends_a_wait_without_one(void **state)
{
    (void)state;
    a_signal_ends_it(REEL_NO_DEADLINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(a_deadline_that_has_passed_ends_it_at_once),
        cmocka_unit_test(a_signal_ends_a_wait_with_a_deadline),
        cmocka_unit_test(a_signal_ends_a_wait_without_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
