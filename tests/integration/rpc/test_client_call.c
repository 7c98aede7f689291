// SPDX-License-Identifier: Apache-2.0
// Deadlines and cancellation, through three servers in a row.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "tests/integration/rpc/fixture.h"

// Three servers in a row: client -> first -> second -> third.
struct context {
    struct fixture third;
    struct fixture second;
    struct fixture first;
    struct reel_channel *channel;
    struct reel_arena arena;
};

static int set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    fixture_start(&context->third, NULL, NULL);
    fixture_start(&context->second, NULL, NULL);
    context->second.svc.next = fixture_connect(&context->third);
    fixture_start(&context->first, NULL, NULL);
    context->first.svc.next = fixture_connect(&context->second);
    context->channel = fixture_connect(&context->first);
    reel_arena_init(&context->arena, 1 << 20);
    *state = context;
    return 0;
}

static int tear_down(void **state)
{
    struct context *context = *state;

    reel_channel_close(context->channel);
    fixture_stop(&context->first);
    reel_channel_close(context->first.svc.next);
    fixture_stop(&context->second);
    reel_channel_close(context->second.svc.next);
    fixture_stop(&context->third);
    reel_arena_fini(&context->arena);
    free(context);
    return 0;
}

static int relay(struct context *context, int64_t timeout_us, Echo__WorkRequest *work,
                 Echo__WorkResponse **ret_response, struct reel_status *status)
{
    struct reel_call_options options = {.deadline_us = reel_deadline_in_us(timeout_us)};
    Echo__RelayRequest request = ECHO__RELAY_REQUEST__INIT;

    request.hops = 2;
    request.work = work;
    return echo_service_relay(context->channel, &options, &request, &context->arena, ret_response,
                              status);
}

static void a_deadline_shrinks_on_its_way(void **state)
{
    struct context *context = *state;
    Echo__WorkRequest work = ECHO__WORK_REQUEST__INIT;
    Echo__WorkResponse *response;
    struct reel_status status;

    assert_int_equal(relay(context, 5000 * 1000, &work, &response, &status), REEL_OK);
    assert_true(response->left_us > 0);
    assert_true(response->left_us < 5000 * 1000);
}

static void a_deadline_ends_the_call_and_its_grandchild(void **state)
{
    struct context *context = *state;
    Echo__WorkRequest work = ECHO__WORK_REQUEST__INIT;
    Echo__WorkResponse *response;
    struct reel_status status;

    work.until_cancelled = true;
    assert_int_equal(relay(context, 200 * 1000, &work, &response, &status), REEL_DEADLINE_EXCEEDED);
    assert_true(fixture_wait(&context->third.svc.cancelled, 1, 2000));
}

static void an_expired_call_is_not_sent(void **state)
{
    struct context *context = *state;
    struct reel_call_options options = {.deadline_us = reel_clock_mono_us() - 1};
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    Echo__WorkResponse *response;
    struct reel_status status;

    assert_int_equal(
        fixture_work(context->channel, &options, &request, &context->arena, &response, &status),
        REEL_DEADLINE_EXCEEDED);
    assert_int_equal(atomic_load(&context->first.svc.started), 0);
}

static void a_call_that_expires_in_the_queue_never_starts(void **state)
{
    struct fixture fixture;
    struct fixture_outcome busy = {0};
    struct fixture_outcome late = {0};
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    struct reel_call_options options;

    (void)state;
    fixture_start(&fixture, &(struct reel_server_config){.workers = 1}, NULL);
    struct reel_channel *channel = fixture_connect(&fixture);
    struct reel_client_call *first = fixture_start_work(channel, 300, &busy);
    assert_true(fixture_wait(&fixture.svc.started, 1, 5000));
    options = (struct reel_call_options){.deadline_us = reel_deadline_in_us(50 * 1000)};
    struct reel_client_call *second =
        fixture_start_call(channel, ECHO_SERVICE_WORK, &options, &request.base, &late);
    assert_true(fixture_wait(&late.done, 1, 5000));
    assert_int_equal(late.code, REEL_DEADLINE_EXCEEDED);
    assert_true(fixture_wait(&busy.done, 1, 5000));
    assert_int_equal(busy.code, REEL_OK);
    assert_int_equal(fixture_echo(channel, 1), REEL_OK);
    assert_int_equal(atomic_load(&fixture.svc.started), 1);
    reel_client_call_unref(first);
    reel_client_call_unref(second);
    reel_channel_close(channel);
    fixture_stop(&fixture);
}

static void a_full_queue_refuses_with_a_hint(void **state)
{
    struct fixture fixture;
    struct fixture_outcome outcomes[4];
    struct reel_client_call *calls[4];
    unsigned refused = 0;

    (void)state;
    memset(outcomes, 0, sizeof(outcomes));
    fixture_start(&fixture, &(struct reel_server_config){.workers = 1, .max_queued = 1}, NULL);
    struct reel_channel *channel = fixture_connect(&fixture);
    for (unsigned i = 0; i < 4; i++)
        calls[i] = fixture_start_work(channel, 100, &outcomes[i]);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(fixture_wait(&outcomes[i].done, 1, 5000));
        refused += outcomes[i].code == REEL_RESOURCE_EXHAUSTED && outcomes[i].retry_after_ms > 0;
        reel_client_call_unref(calls[i]);
    }
    assert_true(refused >= 2);
    reel_channel_close(channel);
    fixture_stop(&fixture);
}

static void cancelling_reaches_the_grandchild_in_time(void **state)
{
    struct context *context = *state;
    struct fixture_outcome outcome = {0};
    Echo__WorkRequest work = ECHO__WORK_REQUEST__INIT;
    Echo__RelayRequest request = ECHO__RELAY_REQUEST__INIT;

    work.until_cancelled = true;
    request.hops = 2;
    request.work = &work;
    struct reel_client_call *call =
        fixture_start_call(context->channel, ECHO_SERVICE_RELAY, NULL, &request.base, &outcome);
    assert_true(fixture_wait(&context->third.svc.started, 1, 5000));
    int64_t at_us = reel_clock_mono_us();
    reel_client_call_cancel(call);
    assert_int_equal(atomic_load(&outcome.done), 1);
    assert_int_equal(outcome.code, REEL_CANCELLED);
    assert_true(fixture_wait(&context->third.svc.cancelled, 1, 2000));
    // Generous: the machine of a test may be busy. On an idle one this takes a millisecond.
    assert_true(atomic_load(&context->third.svc.cancelled_at_us) - at_us < 1000 * 1000);
    reel_client_call_cancel(call);
    assert_int_equal(atomic_load(&outcome.done), 1);
    reel_client_call_unref(call);
}

static void a_lost_caller_cancels_the_grandchild(void **state)
{
    struct context *context = *state;
    struct fixture_outcome outcome = {0};
    Echo__WorkRequest work = ECHO__WORK_REQUEST__INIT;
    Echo__RelayRequest request = ECHO__RELAY_REQUEST__INIT;
    struct reel_channel *channel = fixture_connect(&context->first);

    work.until_cancelled = true;
    request.hops = 2;
    request.work = &work;
    struct reel_client_call *call =
        fixture_start_call(channel, ECHO_SERVICE_RELAY, NULL, &request.base, &outcome);
    assert_true(fixture_wait(&context->third.svc.started, 1, 5000));
    reel_client_call_unref(call);
    reel_channel_close(channel);
    assert_int_equal(atomic_load(&outcome.done), 1);
    assert_int_equal(outcome.code, REEL_CANCELLED);
    assert_true(fixture_wait(&context->third.svc.cancelled, 1, 2000));
}

static void a_cancel_that_is_early_or_late_is_harmless(void **state)
{
    struct context *context = *state;

    for (int i = 0; i < 200; i++) {
        struct fixture_outcome outcome = {0};
        struct reel_client_call *call = fixture_start_work(context->channel, 1, &outcome);

        if (i % 2)
            (void)fixture_wait(&outcome.done, 1, 2);
        reel_client_call_cancel(call);
        // The answer may have been faster, and its callback is just running.
        assert_true(fixture_wait(&outcome.done, 1, 5000));
        assert_int_equal(atomic_load(&outcome.done), 1);
        assert_true(outcome.code == REEL_CANCELLED || outcome.code == REEL_OK);
        reel_client_call_unref(call);
    }
    assert_int_equal(fixture_echo(context->channel, 10), REEL_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_deadline_shrinks_on_its_way),
        TEST(a_deadline_ends_the_call_and_its_grandchild),
        TEST(an_expired_call_is_not_sent),
        cmocka_unit_test(a_call_that_expires_in_the_queue_never_starts),
        cmocka_unit_test(a_full_queue_refuses_with_a_hint),
        TEST(cancelling_reaches_the_grandchild_in_time),
        TEST(a_lost_caller_cancels_the_grandchild),
        TEST(a_cancel_that_is_early_or_late_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
