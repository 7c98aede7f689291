// SPDX-License-Identifier: Apache-2.0
// What leaves a connection: nothing is lost under a flood, a peer that does not acknowledge stops
// the other side at 32 packets, and one that does not read is dropped.
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/wire.h"
#include "tests/integration/rpc/fixture.h"

enum { FLOOD_CALLS = 100000, IN_FLIGHT = 256 };

struct flood {
    struct reel_channel *channel;
    const struct reel_method *method;
    atomic_uint started;
    atomic_uint ok;
    atomic_uint failed;
    atomic_uint wrong;
};

// Every call carries its number, so that an answer for another shows.
struct flood_call {
    struct flood *flood;
    uint8_t packed[6];
};

static void start_next(struct flood_call *call);

static void on_flood_answer(void *arg, const struct reel_status *status, const uint8_t *payload,
                            size_t payload_len)
{
    struct flood_call *call = arg;
    struct flood *flood = call->flood;

    if (status->code != REEL_OK)
        atomic_fetch_add(&flood->failed, 1);
    else if (payload_len != sizeof(call->packed) || memcmp(payload, call->packed, payload_len) != 0)
        atomic_fetch_add(&flood->wrong, 1);
    else
        atomic_fetch_add(&flood->ok, 1);
    start_next(call);
}

static void start_next(struct flood_call *call)
{
    struct flood *flood = call->flood;
    unsigned number = atomic_fetch_add(&flood->started, 1);

    if (number >= FLOOD_CALLS)
        return;
    call->packed[0] = 0x0a;
    call->packed[1] = 4;
    memcpy(&call->packed[2], &number, 4);
    reel_channel_start(flood->channel, flood->method, NULL, call->packed, sizeof(call->packed),
                       on_flood_answer, call, NULL);
}

static void flood(const char *url, unsigned method)
{
    struct fixture fixture;
    static struct flood_call calls[IN_FLIGHT];
    struct flood state = {.method = &echo_service.methods[method]};

    fixture_start(&fixture, NULL, url);
    state.channel = fixture_connect(&fixture);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        calls[i].flood = &state;
        start_next(&calls[i]);
    }
    while (atomic_load(&state.ok) + atomic_load(&state.failed) + atomic_load(&state.wrong) <
           FLOOD_CALLS)
        assert_true(fixture_wait(&state.ok, atomic_load(&state.ok) + 1, 20000));
    assert_int_equal(atomic_load(&state.ok), FLOOD_CALLS);
    reel_channel_close(state.channel);
    fixture_stop(&fixture);
}

static void a_flood_on_tcp_loses_nothing(void **state)
{
    (void)state;
    flood(NULL, ECHO_SERVICE_ECHO);
}

static void a_flood_on_ipc_loses_nothing(void **state)
{
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    flood(url, ECHO_SERVICE_ECHO);
}

static void a_flood_of_worker_calls_loses_nothing(void **state)
{
    (void)state;
    flood("inproc://flood", ECHO_SERVICE_ECHO_BLOCKING);
}

// A client by hand: raw REQ, packets as we like them.
struct raw {
    nng_socket socket;
    uint32_t received;
};

static void raw_open(struct raw *raw, const char *url)
{
    *raw = (struct raw){0};
    assert_int_equal(nng_req0_open_raw(&raw->socket), 0);
    assert_int_equal(nng_socket_set_ms(raw->socket, NNG_OPT_RECVTIMEO, 300), 0);
    assert_int_equal(fixture_dial(raw->socket.id, url), 0);
}

static void raw_send(struct raw *raw, uint32_t ack, const struct reel_frame *frame)
{
    uint8_t head[REEL_PACKET_HEAD_MAX];
    struct reel_buf buf;
    nng_msg *msg;

    reel_buf_init(&buf, 1 << 20);
    reel_buf_add(&buf, head, reel_packet_head(head, ack));
    if (frame)
        reel_frame_write(&buf, frame);
    assert_int_equal(nng_msg_alloc(&msg, 0), 0);
    assert_int_equal(nng_msg_append(msg, buf.data, buf.len), 0);
    assert_int_equal(nng_msg_header_append_u32(msg, 0x80000001u), 0);
    assert_int_equal(nng_sendmsg(raw->socket, msg, 0), 0);
    reel_buf_fini(&buf);
}

// Receives one message; the RESPONSE frames in it, -1 after 300 ms of silence.
static int raw_take(struct raw *raw)
{
    struct reel_packet packet;
    struct reel_frame frame;
    int responses = 0;
    nng_msg *msg;

    if (nng_recvmsg(raw->socket, &msg, 0) != 0)
        return -1;
    assert_true(reel_packet_open(nng_msg_body(msg), nng_msg_len(msg), &packet));
    raw->received += packet.has_frames;
    while (reel_packet_next(&packet, &frame) == 1)
        responses += frame.kind == REEL_FRAME_RESPONSE;
    nng_msg_free(msg);
    return responses;
}

// Receives until 300 ms of silence; the RESPONSE frames that came.
static unsigned raw_drain(struct raw *raw)
{
    unsigned responses = 0;
    int n;

    while ((n = raw_take(raw)) >= 0)
        responses += (unsigned)n;
    return responses;
}

static void raw_hello(struct raw *raw)
{
    raw_send(raw, 0,
             &(struct reel_frame){.kind = REEL_FRAME_HELLO,
                                  .has_hello = true,
                                  .hello = {.service = reel_slice_of("gateway"),
                                            .key = reel_slice_of(FIXTURE_KEY),
                                            .window = REEL_WIRE_WINDOW}});
}

static void raw_request(struct raw *raw, uint64_t id)
{
    raw_send(raw, 0,
             &(struct reel_frame){.kind = REEL_FRAME_REQUEST,
                                  .call_id = id,
                                  .method = reel_slice_of("/echo.EchoService/Echo")});
}

// Asks so often, waiting for each answer until none comes, so that no two share a packet. The
// answers that came.
static unsigned raw_ask(struct raw *raw, uint64_t times)
{
    unsigned responses = 0;
    int n = 0;

    for (uint64_t id = 1; id <= times; id++) {
        raw_request(raw, id);
        for (unsigned before = responses; n >= 0 && responses == before; responses += n > 0)
            n = raw_take(raw);
    }
    return responses;
}

static void a_server_waits_for_acknowledgements(void **state)
{
    struct fixture fixture;
    struct raw raw;

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    raw_open(&raw, fixture.url);
    raw_hello(&raw);
    unsigned responses = raw_ask(&raw, 200) + raw_drain(&raw);
    assert_int_equal(raw.received, REEL_WIRE_WINDOW);
    assert_true(responses < 200);
    // What waited leaves together, in one packet.
    raw_send(&raw, raw.received, NULL);
    responses += raw_drain(&raw);
    assert_int_equal(responses, 200);
    assert_true(raw.received < REEL_WIRE_WINDOW + 8);
    nng_close(raw.socket);
    fixture_stop(&fixture);
}

static void a_wrong_acknowledgement_opens_nothing(void **state)
{
    struct fixture fixture;
    struct raw raw;

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    raw_open(&raw, fixture.url);
    raw_hello(&raw);
    (void)raw_ask(&raw, 100);
    raw_send(&raw, raw.received + 1000, NULL);
    raw_send(&raw, UINT32_MAX, NULL);
    (void)raw_drain(&raw);
    assert_int_equal(raw.received, REEL_WIRE_WINDOW);
    nng_close(raw.socket);
    fixture_stop(&fixture);
}

static void on_end(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)pipe;
    (void)event;
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void a_client_that_never_reads_is_dropped(void **state)
{
    atomic_uint ends = 0;
    struct fixture fixture;
    struct raw raw;
    static uint8_t payload[100004] = {0x0a, 0xa0, 0x8d, 0x06};
    struct reel_frame frame = {
        .kind = REEL_FRAME_REQUEST,
        .method = reel_slice_of("/echo.EchoService/Echo"),
        .payload = {.data = payload, .len = sizeof(payload)},
        .has_payload = true,
    };
    uint64_t sent = 0;

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    raw_open(&raw, fixture.url);
    assert_int_equal(nng_socket_set_ms(raw.socket, NNG_OPT_SENDTIMEO, 1000), 0);
    assert_int_equal(nng_pipe_notify(raw.socket, NNG_PIPE_EV_REM_POST, on_end, &ends), 0);
    raw_hello(&raw);
    // 100 MB of answers would have to be kept; the server keeps 32 MB at most.
    for (sent = 1; sent <= 1000; sent++) {
        uint8_t head[REEL_PACKET_HEAD_MAX];
        struct reel_buf buf;
        nng_msg *msg;

        frame.call_id = sent;
        reel_buf_init(&buf, 1 << 20);
        reel_buf_add(&buf, head, reel_packet_head(head, 0));
        reel_frame_write(&buf, &frame);
        assert_int_equal(nng_msg_alloc(&msg, 0), 0);
        assert_int_equal(nng_msg_append(msg, buf.data, buf.len), 0);
        assert_int_equal(nng_msg_header_append_u32(msg, 0x80000001u), 0);
        reel_buf_fini(&buf);
        if (nng_sendmsg(raw.socket, msg, 0) != 0) {
            nng_msg_free(msg);
            break;
        }
    }
    assert_true(fixture_wait(&ends, 1, 10000));
    struct reel_channel *other = fixture_connect(&fixture);
    assert_int_equal(fixture_echo(other, 10), REEL_OK);
    reel_channel_close(other);
    nng_close(raw.socket);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_on_tcp_loses_nothing),
        cmocka_unit_test(a_flood_on_ipc_loses_nothing),
        cmocka_unit_test(a_flood_of_worker_calls_loses_nothing),
        cmocka_unit_test(a_server_waits_for_acknowledgements),
        cmocka_unit_test(a_wrong_acknowledgement_opens_nothing),
        cmocka_unit_test(a_client_that_never_reads_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
