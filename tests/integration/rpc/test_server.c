// SPDX-License-Identifier: Apache-2.0
// Drain and restart, alone and under load.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "tests/integration/rpc/fixture.h"

static void a_drain_finishes_what_runs_and_refuses_what_comes(void **state)
{
    struct fixture fixture;
    struct fixture_outcome outcome = {0};
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    Echo__WorkResponse *response;
    struct reel_status status;
    struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 1 << 20);
    fixture_start(&fixture, NULL, NULL);
    struct reel_channel *channel = fixture_connect(&fixture);
    struct reel_client_call *call = fixture_start_work(channel, 300, &outcome);
    assert_true(fixture_wait(&fixture.svc.started, 1, 5000));
    assert_true(reel_server_drain(fixture.server, 5 * 1000000));
    // Drained means that the client has the answer, so it is here or in its hands.
    assert_true(fixture_wait(&outcome.done, 1, 1000));
    assert_int_equal(outcome.code, REEL_OK);
    assert_int_equal(fixture_work(channel, NULL, &request, &arena, &response, &status),
                     REEL_UNAVAILABLE);
    reel_client_call_unref(call);
    reel_channel_close(channel);
    fixture_stop(&fixture);
    reel_arena_fini(&arena);
}

static void a_drain_is_bounded(void **state)
{
    struct fixture fixture;
    struct fixture_outcome outcome = {0};

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    struct reel_channel *channel = fixture_connect(&fixture);
    struct reel_client_call *call = fixture_start_work(channel, 0, &outcome);
    assert_true(fixture_wait(&fixture.svc.started, 1, 5000));
    assert_false(reel_server_drain(fixture.server, 100 * 1000));
    fixture_stop(&fixture);
    assert_true(fixture_wait(&outcome.done, 1, 5000));
    assert_int_equal(outcome.code, REEL_UNAVAILABLE);
    reel_client_call_unref(call);
    reel_channel_close(channel);
}

struct load {
    struct reel_channel *channel;
    atomic_uint stop;
    unsigned ok;
    unsigned unavailable;
    unsigned other;
};

static void *run_load(void *arg)
{
    struct load *load = arg;
    const struct timespec pause = {.tv_nsec = 200 * 1000};

    while (!atomic_load(&load->stop)) {
        int code = fixture_echo(load->channel, 100);

        load->ok += code == REEL_OK;
        load->unavailable += code == REEL_UNAVAILABLE;
        load->other += code != REEL_OK && code != REEL_UNAVAILABLE;
        if (code != REEL_OK)
            nanosleep(&pause, NULL);
    }
    return NULL;
}

static void restarts_under_load_lose_no_call_in_flight(void **state)
{
    struct fixture fixture;
    struct load loads[4];
    pthread_t threads[4];
    char url[160];

    (void)state;
    memset(loads, 0, sizeof(loads));
    fixture_ipc_url(url, sizeof(url));
    fixture_start(&fixture, NULL, url);
    for (unsigned i = 0; i < 4; i++) {
        loads[i].channel = fixture_connect(&fixture);
        pthread_create(&threads[i], NULL, run_load, &loads[i]);
    }
    for (int round = 0; round < 5; round++) {
        assert_true(reel_server_drain(fixture.server, 5 * 1000000));
        fixture_stop(&fixture);
        fixture_start(&fixture, NULL, url);
        for (unsigned i = 0; i < 4; i++)
            assert_true(
                reel_channel_wait_ready(loads[i].channel, reel_deadline_in_us(5000 * 1000)));
    }
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&loads[i].stop, 1);
        pthread_join(threads[i], NULL);
        assert_true(loads[i].ok > 0);
        assert_int_equal(loads[i].other, 0);
        reel_channel_close(loads[i].channel);
    }
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_finishes_what_runs_and_refuses_what_comes),
        cmocka_unit_test(a_drain_is_bounded),
        cmocka_unit_test(restarts_under_load_lose_no_call_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
