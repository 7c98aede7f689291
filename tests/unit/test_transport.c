// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/transport.h"

#include <errno.h>
#include <nng/nng.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void errors_become_faults(void **state)
{
    (void)state;
    assert_int_equal(reel_transport_fault(0), 0);
    assert_int_equal(reel_transport_fault(NNG_EADDRINUSE), -EADDRINUSE);
    assert_int_equal(reel_transport_fault(NNG_ECONNREFUSED), -ECONNREFUSED);
    assert_int_equal(reel_transport_fault(NNG_ESYSERR + ENOSPC), -ENOSPC);
    assert_int_equal(reel_transport_fault(NNG_EINTERNAL), -EIO);
}

static void sockets_bound_what_they_receive(void **state)
{
    uint32_t id;
    size_t limit;

    (void)state;
    assert_int_equal(reel_transport_open(REEL_TRANSPORT_SERVER, 1000000, &id), 0);
    assert_int_equal(nng_socket_get_size((nng_socket){.id = id}, NNG_OPT_RECVMAXSZ, &limit), 0);
    assert_true(limit >= 1000000 && limit <= 1000000 + 2 * REEL_WIRE_SLACK);
    assert_true(reel_transport_close(id));
    assert_int_equal(reel_transport_open(REEL_TRANSPORT_CLIENT, 1000, &id), 0);
    assert_true(reel_transport_close(id));
}

static void a_single_frame_is_a_packet(void **state)
{
    const struct reel_frame pong = {.kind = REEL_FRAME_PONG, .call_id = 9};
    nng_msg *msg = reel_transport_single(&pong, "head", 4);
    struct reel_packet packet;
    struct reel_frame frame;

    (void)state;
    assert_non_null(msg);
    assert_int_equal(nng_msg_header_len(msg), 4);
    assert_memory_equal(nng_msg_header(msg), "head", 4);
    assert_true(reel_packet_open(nng_msg_body(msg), nng_msg_len(msg), &packet));
    assert_int_equal(packet.version, REEL_WIRE_VERSION);
    assert_int_equal(reel_packet_next(&packet, &frame), 1);
    assert_int_equal(frame.kind, REEL_FRAME_PONG);
    assert_int_equal(frame.call_id, 9);
    nng_msg_free(msg);
}

static void what_waits_in_a_link_becomes_a_message(void **state)
{
    struct reel_link link;

    (void)state;
    reel_link_init(&link, 1 << 20, 1 << 20);
    assert_null(reel_transport_take(&link, "head", 4));
    assert_int_equal(reel_link_put(&link, &(struct reel_frame){.kind = REEL_FRAME_PING}, false),
                     REEL_OK);
    nng_msg *msg = reel_transport_take(&link, "head", 4);
    assert_non_null(msg);
    nng_msg_free(msg);
    assert_int_equal(link.sent, 1);
    reel_link_fini(&link);
}

static void an_inbound_message_lives_until_its_last_reader(void **state)
{
    nng_msg *msg;

    (void)state;
    assert_int_equal(nng_msg_alloc(&msg, 4), 0);
    struct reel_inbound *inbound = reel_inbound_new(msg);
    assert_ptr_equal(reel_inbound_ref(inbound), inbound);
    reel_inbound_unref(inbound);
    memcpy(nng_msg_body(inbound->msg), "read", 4);
    reel_inbound_unref(inbound);
    reel_inbound_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_become_faults),
        cmocka_unit_test(sockets_bound_what_they_receive),
        cmocka_unit_test(a_single_frame_is_a_packet),
        cmocka_unit_test(what_waits_in_a_link_becomes_a_message),
        cmocka_unit_test(an_inbound_message_lives_until_its_last_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
