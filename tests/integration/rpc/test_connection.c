// SPDX-License-Identifier: Apache-2.0
// The client's side of a connection, against a server that misbehaves.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "tests/integration/rpc/fixture.h"
#include "tests/integration/rpc/raw.h"

struct context {
    struct raw raw;
    struct raw_packet packet;
    struct reel_channel *channel;
    char url[64];
};

static int set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    raw_listen(&context->raw, context->url, sizeof(context->url));
    context->channel = fixture_open(context->url, "gateway", FIXTURE_KEY);
    *state = context;
    return 0;
}

static int tear_down(void **state)
{
    struct context *context = *state;

    reel_channel_close(context->channel);
    raw_close(&context->raw, &context->packet);
    free(context);
    return 0;
}

static void send_frame(struct context *context, const struct reel_frame *frame)
{
    raw_send(&context->raw, REEL_WIRE_VERSION, 0, frame);
}

static void greet_with(struct context *context, int code, size_t max_message_bytes)
{
    assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
    assert_true(reel_slice_is(context->packet.frame.hello.service, "gateway"));
    assert_true(reel_slice_is(context->packet.frame.hello.key, FIXTURE_KEY));
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_HELLO,
                                             .has_hello = true,
                                             .hello = {.max_message_bytes = max_message_bytes},
                                             .has_status = code != 0,
                                             .code = (uint32_t)code,
                                             .message = reel_slice_of("because")});
}

static void greet(struct context *context, int code)
{
    greet_with(context, code, 100);
}

struct outcome {
    atomic_uint done;
    int code;
    char message[256];
};

static void on_done(void *arg, const struct reel_status *status, const uint8_t *payload,
                    size_t payload_len)
{
    struct outcome *outcome = arg;

    (void)payload;
    (void)payload_len;
    outcome->code = status->code;
    snprintf(outcome->message, sizeof(outcome->message), "%s", status->message);
    atomic_fetch_add(&outcome->done, 1);
}

static void start(struct context *context, size_t len, struct outcome *outcome)
{
    static const uint8_t payload[1000];

    reel_channel_start(context->channel, &echo_service.methods[ECHO_SERVICE_ECHO], NULL, payload,
                       len, on_done, outcome, NULL);
}

static bool await_ready(struct context *context)
{
    return reel_channel_wait_ready(context->channel, reel_deadline_in_us(3000 * 1000));
}

static void the_peers_limit_is_kept(void **state)
{
    struct context *context = *state;
    struct outcome large = {0};
    struct outcome small = {0};

    greet(context, REEL_OK);
    assert_true(await_ready(context));
    start(context, 101, &large);
    assert_int_equal(atomic_load(&large.done), 1);
    assert_int_equal(large.code, REEL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(large.message, "101"));
    start(context, 100, &small);
    assert_true(raw_await(&context->raw, REEL_FRAME_REQUEST, &context->packet));
    assert_int_equal(context->packet.frame.payload.len, 100);
    assert_true(context->packet.frame.timeout_us > 0);
    uint64_t id = context->packet.frame.call_id;
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_RESPONSE, .call_id = id});
    assert_true(fixture_wait(&small.done, 1, 3000));
}

// Its outbox has room for 16 MiB.
static void what_a_peer_does_not_take_is_bounded(void **state)
{
    static const uint8_t payload[1 << 19];
    struct context *context = *state;
    struct outcome outcome = {0};
    unsigned n = 0;

    greet_with(context, REEL_OK, 1 << 20);
    assert_true(await_ready(context));
    for (; n < 200 && atomic_load(&outcome.done) == 0; n++)
        reel_channel_start(context->channel, &echo_service.methods[ECHO_SERVICE_ECHO], NULL,
                           payload, sizeof(payload), on_done, &outcome, NULL);
    assert_int_equal(outcome.code, REEL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(outcome.message, "bytes wait for"));
    assert_in_range(n, 32, 199);
    reel_channel_close(context->channel);
    context->channel = NULL;
    assert_int_equal(atomic_load(&outcome.done), n);
}

static void a_refusal_is_told_to_every_call(void **state)
{
    struct context *context = *state;
    struct outcome waiting = {0};
    struct outcome later = {0};

    start(context, 1, &waiting);
    greet(context, REEL_UNAUTHENTICATED);
    assert_true(fixture_wait(&waiting.done, 1, 3000));
    assert_int_equal(waiting.code, REEL_UNAUTHENTICATED);
    assert_non_null(strstr(waiting.message, "because"));
    start(context, 1, &later);
    assert_int_equal(atomic_load(&later.done), 1);
    assert_int_equal(later.code, REEL_UNAUTHENTICATED);
    assert_false(reel_channel_is_ready(context->channel));
}

static void a_peer_that_does_not_answer_hello_is_left(void **state)
{
    struct context *context = *state;

    assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
    uint32_t first = context->raw.pipe;
    assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
    assert_int_not_equal(context->raw.pipe, first);
}

static void a_silent_peer_is_pinged_then_left(void **state)
{
    struct context *context = *state;
    struct outcome pending = {0};

    greet(context, REEL_OK);
    assert_true(await_ready(context));
    start(context, 1, &pending);
    assert_true(raw_await(&context->raw, REEL_FRAME_PING, &context->packet));
    assert_true(fixture_wait(&pending.done, 1, 10000));
    assert_int_equal(pending.code, REEL_UNAVAILABLE);
    assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
}

static void bytes_that_are_no_packet_end_the_connection(void **state)
{
    struct context *context = *state;
    struct outcome pending = {0};

    greet(context, REEL_OK);
    assert_true(await_ready(context));
    start(context, 1, &pending);
    assert_true(raw_await(&context->raw, REEL_FRAME_REQUEST, &context->packet));
    raw_send_bytes(&context->raw, "\xff", 1);
    assert_true(fixture_wait(&pending.done, 1, 3000));
    assert_int_equal(pending.code, REEL_UNAVAILABLE);
}

static void frames_for_nobody_are_ignored(void **state)
{
    struct context *context = *state;
    struct outcome pending = {0};

    greet(context, REEL_OK);
    assert_true(await_ready(context));
    for (uint32_t kind = 3; kind < 20; kind++)
        if (kind != REEL_FRAME_GOAWAY)
            send_frame(context, &(struct reel_frame){.kind = kind, .call_id = 999, .credit = 7});
    start(context, 1, &pending);
    assert_true(raw_await(&context->raw, REEL_FRAME_REQUEST, &context->packet));
    uint64_t id = context->packet.frame.call_id;
    // DATA for a unary call, and a code that no table has.
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_DATA, .call_id = id});
    send_frame(context,
               &(struct reel_frame){
                   .kind = REEL_FRAME_RESPONSE, .call_id = id, .has_status = true, .code = 99});
    assert_true(fixture_wait(&pending.done, 1, 3000));
    assert_int_equal(pending.code, REEL_UNKNOWN);
}

static void after_goaway_calls_fail_and_those_in_flight_end(void **state)
{
    struct context *context = *state;
    struct outcome pending = {0};
    struct outcome later = {0};

    greet(context, REEL_OK);
    assert_true(await_ready(context));
    start(context, 1, &pending);
    assert_true(raw_await(&context->raw, REEL_FRAME_REQUEST, &context->packet));
    uint64_t id = context->packet.frame.call_id;
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_GOAWAY});
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_RESPONSE, .call_id = id});
    assert_true(fixture_wait(&pending.done, 1, 3000));
    assert_int_equal(pending.code, REEL_OK);
    start(context, 1, &later);
    assert_int_equal(later.code, REEL_UNAVAILABLE);
    assert_non_null(strstr(later.message, "going away"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_peers_limit_is_kept),
        TEST(what_a_peer_does_not_take_is_bounded),
        TEST(a_refusal_is_told_to_every_call),
        TEST(a_peer_that_does_not_answer_hello_is_left),
        TEST(a_silent_peer_is_pinged_then_left),
        TEST(bytes_that_are_no_packet_end_the_connection),
        TEST(frames_for_nobody_are_ignored),
        TEST(after_goaway_calls_fail_and_those_in_flight_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
