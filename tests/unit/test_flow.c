// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "libcommon/rpc/flow.h"
#include "tests/lib/cmocka.h"

static uint8_t chunk[REEL_WIRE_STREAM_CREDIT * 2];

static struct reel_slice bytes(size_t len)
{
    return (struct reel_slice){.data = chunk, .len = len};
}

static void messages_come_out_in_order(void **state)
{
    struct reel_flow flow;
    struct reel_flow_message message;
    uint64_t credit;
    size_t next_in = 0, next_out = 0;

    (void)state;
    reel_flow_init(&flow, 0);
    // In and out at different paces, so that the ring wraps and grows while wrapped.
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < round % 7 + 2; i++, next_in++) {
            uint8_t text[8];

            memcpy(text, &next_in, sizeof(text));
            struct reel_slice slice = {text, sizeof(text)};
            assert_int_equal(reel_flow_push(&flow, slice), REEL_OK);
        }
        for (int i = 0; i < round % 5 + 1 && reel_flow_pop(&flow, &message, &credit); i++) {
            assert_int_equal(message.len, 8);
            assert_memory_equal(message.data, &next_out, 8);
            next_out++;
            free(message.data);
        }
    }
    assert_true(flow.count > 0 && next_out + flow.count == next_in);
    reel_flow_fini(&flow);
    assert_false(reel_flow_pop(&flow, &message, &credit));
}

static void a_peer_that_overdraws_is_refused(void **state)
{
    struct reel_flow flow;
    int rc = REEL_OK;
    size_t n = 0;

    (void)state;
    reel_flow_init(&flow, 0);
    while ((rc = reel_flow_push(&flow, bytes(1024))) == REEL_OK)
        n++;
    assert_int_equal(rc, REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(n, REEL_WIRE_STREAM_CREDIT / (1024 + REEL_WIRE_STREAM_OVERHEAD) + 1);
    assert_int_equal(reel_flow_push_last(&flow, bytes(5)), REEL_OK);
    reel_flow_fini(&flow);
}

static void one_message_of_any_size_passes_at_the_end_of_the_credit(void **state)
{
    struct reel_flow flow;

    (void)state;
    reel_flow_init(&flow, 0);
    assert_int_equal(reel_flow_push(&flow, bytes(sizeof(chunk))), REEL_OK);
    assert_int_equal(reel_flow_push(&flow, bytes(0)), REEL_RESOURCE_EXHAUSTED);
    reel_flow_fini(&flow);
}

static void empty_messages_cost_too(void **state)
{
    struct reel_flow flow;
    size_t n = 0;

    (void)state;
    reel_flow_init(&flow, 0);
    while (reel_flow_push(&flow, bytes(0)) == REEL_OK)
        n++;
    assert_int_equal(n, REEL_WIRE_STREAM_CREDIT / REEL_WIRE_STREAM_OVERHEAD);
    reel_flow_fini(&flow);
}

// What is given back is what was taken: a stream never starves and never grows its window.
static void credit_is_given_back_in_full(void **state)
{
    struct reel_flow_message message;
    struct reel_flow flow;
    uint64_t given = 0, credit;

    (void)state;
    reel_flow_init(&flow, 0);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(reel_flow_push(&flow, bytes(1000)), REEL_OK);
        assert_true(reel_flow_pop(&flow, &message, &credit));
        free(message.data);
        given += credit;
        assert_true(flow.recv_credit + flow.consumed == REEL_WIRE_STREAM_CREDIT);
    }
    assert_true(given + (uint64_t)flow.consumed == 5000 * (1000 + REEL_WIRE_STREAM_OVERHEAD));
    reel_flow_fini(&flow);
}

static void a_sender_waits_for_credit(void **state)
{
    struct reel_flow flow;

    (void)state;
    reel_flow_init(&flow, 100);
    assert_true(reel_flow_may_send(&flow));
    reel_flow_spend(&flow, 1000);
    assert_false(reel_flow_may_send(&flow));
    reel_flow_grant(&flow, 964);
    assert_false(reel_flow_may_send(&flow));
    reel_flow_grant(&flow, 1);
    assert_true(reel_flow_may_send(&flow));
    reel_flow_fini(&flow);
}

static void hostile_credit_does_not_overflow(void **state)
{
    struct reel_flow flow;

    (void)state;
    reel_flow_init(&flow, UINT64_MAX);
    for (int i = 0; i < 1000; i++)
        reel_flow_grant(&flow, UINT64_MAX);
    assert_true(reel_flow_may_send(&flow));
    assert_true(flow.send_credit > 0);
    reel_flow_fini(&flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_in_order),
        cmocka_unit_test(a_peer_that_overdraws_is_refused),
        cmocka_unit_test(one_message_of_any_size_passes_at_the_end_of_the_credit),
        cmocka_unit_test(empty_messages_cost_too),
        cmocka_unit_test(credit_is_given_back_in_full),
        cmocka_unit_test(a_sender_waits_for_credit),
        cmocka_unit_test(hostile_credit_does_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
