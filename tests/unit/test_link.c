// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { PACKET_BYTES = 1 << 20, MAX_BYTES = 1 << 16 };

static const struct reel_frame ping = {.kind = REEL_FRAME_PING, .call_id = 7};

// Takes the next packet; the number of frames in it, 0 when none may leave.
static unsigned take(struct reel_link *link, struct reel_packet *ret_packet)
{
    static uint8_t bytes[4 << 20];
    size_t size = reel_link_measure(link);
    struct reel_packet walk;
    struct reel_frame frame;
    unsigned n = 0;

    if (size == 0)
        return 0;
    assert_true(size <= sizeof(bytes));
    reel_link_take(link, bytes);
    assert_true(reel_packet_open(bytes, size, ret_packet));
    walk = *ret_packet;
    while (reel_packet_next(&walk, &frame) == 1)
        n++;
    return n;
}

static void acknowledge(struct reel_link *link, uint32_t ack)
{
    reel_link_received(link, &(struct reel_packet){.version = 1, .ack = ack});
}

static void what_gathers_leaves_together(void **state)
{
    struct reel_packet packet;
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    assert_int_equal(take(&link, &packet), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
    assert_int_equal(take(&link, &packet), 5);
    assert_int_equal(packet.version, REEL_WIRE_VERSION);
    assert_int_equal(take(&link, &packet), 0);
    reel_link_fini(&link);
}

static void the_window_closes_at_32_and_opens_with_an_ack(void **state)
{
    struct reel_packet packet;
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    for (int i = 0; i < REEL_WIRE_WINDOW; i++) {
        assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
        assert_int_equal(take(&link, &packet), 1);
    }
    for (int i = 0; i < 10; i++)
        assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
    assert_int_equal(take(&link, &packet), 0);
    assert_false(reel_link_is_settled(&link));
    acknowledge(&link, 1);
    assert_int_equal(take(&link, &packet), 10);
    acknowledge(&link, REEL_WIRE_WINDOW + 1);
    assert_true(reel_link_is_settled(&link));
    reel_link_fini(&link);
}

static void acks_that_lie_are_ignored(void **state)
{
    struct reel_packet packet;
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
        assert_int_equal(take(&link, &packet), 1);
    }
    acknowledge(&link, 6);
    assert_int_equal(link.acked, 0);
    acknowledge(&link, 3);
    assert_int_equal(link.acked, 3);
    acknowledge(&link, 2);
    assert_int_equal(link.acked, 3);
    acknowledge(&link, UINT32_MAX);
    assert_int_equal(link.acked, 3);
    reel_link_fini(&link);
}

static void counts_may_wrap(void **state)
{
    struct reel_packet packet;
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    link.sent = link.acked = UINT32_MAX - 1;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
        assert_int_equal(take(&link, &packet), 1);
    }
    acknowledge(&link, 2);
    assert_true(reel_link_is_settled(&link));
    reel_link_fini(&link);
}

static void sixteen_packets_are_acknowledged_alone(void **state)
{
    struct reel_packet packet;
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    for (int i = 0; i < REEL_WIRE_ACK_EVERY - 1; i++)
        reel_link_received(&link, &(struct reel_packet){.has_frames = true});
    assert_int_equal(reel_link_measure(&link), 0);
    // Packets without frames do not count.
    reel_link_received(&link, &(struct reel_packet){.has_frames = false});
    assert_int_equal(reel_link_measure(&link), 0);
    reel_link_received(&link, &(struct reel_packet){.has_frames = true});
    assert_true(reel_link_measure(&link) > 0);
    assert_int_equal(take(&link, &packet), 0);
    assert_false(packet.has_frames);
    assert_int_equal(packet.ack, REEL_WIRE_ACK_EVERY);
    assert_int_equal(link.sent, 0);
    assert_int_equal(reel_link_measure(&link), 0);
    reel_link_fini(&link);
}

static void an_ack_passes_a_closed_window(void **state)
{
    struct reel_packet packet;
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    link.window = 1;
    assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
    assert_int_equal(take(&link, &packet), 1);
    assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
    for (int i = 0; i < REEL_WIRE_ACK_EVERY; i++)
        reel_link_received(&link, &(struct reel_packet){.has_frames = true});
    assert_int_equal(take(&link, &packet), 0);
    assert_int_equal(packet.ack, REEL_WIRE_ACK_EVERY);
    reel_link_fini(&link);
}

static void beyond_the_bound_only_urgent_frames_pass(void **state)
{
    static uint8_t payload[20000];
    const struct reel_frame data = {
        .kind = REEL_FRAME_DATA, .payload = {payload, sizeof(payload)}, .has_payload = true};
    struct reel_link link;
    unsigned taken = 0;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    while (reel_link_put(&link, &data, false) == REEL_OK)
        taken++;
    assert_int_equal(taken, 4);
    assert_int_equal(reel_link_put(&link, &ping, true), REEL_OK);
    while (reel_link_put(&link, &data, true) == REEL_OK)
        taken++;
    assert_true(reel_link_waiting(&link) < 2 * MAX_BYTES + sizeof(payload) + 100);
    assert_int_equal(reel_link_put(&link, &ping, true), REEL_RESOURCE_EXHAUSTED);
    reel_link_fini(&link);
}

static void large_frames_leave_in_packets_of_their_own(void **state)
{
    static uint8_t payload[200 * 1024];
    const struct reel_frame data = {
        .kind = REEL_FRAME_DATA, .payload = {payload, sizeof(payload)}, .has_payload = true};
    struct reel_packet packet;
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, 4 << 20);
    for (int i = 0; i < 3; i++)
        assert_int_equal(reel_link_put(&link, &data, false), REEL_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
    assert_int_equal(take(&link, &packet), 1);
    assert_int_equal(take(&link, &packet), 1);
    assert_int_equal(take(&link, &packet), 101);
    assert_int_equal(reel_link_waiting(&link), 0);
    reel_link_fini(&link);
}

static void reset_forgets_everything(void **state)
{
    struct reel_link link;

    (void)state;
    reel_link_init(&link, PACKET_BYTES, MAX_BYTES);
    assert_int_equal(reel_link_put(&link, &ping, false), REEL_OK);
    reel_link_received(&link, &(struct reel_packet){.has_frames = true});
    reel_link_reset(&link);
    assert_int_equal(reel_link_waiting(&link), 0);
    assert_int_equal(link.received, 0);
    assert_int_equal(link.window, REEL_WIRE_WINDOW);
    reel_link_fini(&link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_gathers_leaves_together),
        cmocka_unit_test(the_window_closes_at_32_and_opens_with_an_ack),
        cmocka_unit_test(acks_that_lie_are_ignored),
        cmocka_unit_test(counts_may_wrap),
        cmocka_unit_test(sixteen_packets_are_acknowledged_alone),
        cmocka_unit_test(an_ack_passes_a_closed_window),
        cmocka_unit_test(beyond_the_bound_only_urgent_frames_pass),
        cmocka_unit_test(large_frames_leave_in_packets_of_their_own),
        cmocka_unit_test(reset_forgets_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
