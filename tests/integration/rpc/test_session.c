// SPDX-License-Identifier: Apache-2.0
// The server's side of a connection, against packets that no client of ours would send.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/rpc/fixture.h"
#include "tests/integration/rpc/raw.h"

struct context {
    struct fixture fixture;
    struct raw raw;
    struct raw_packet packet;
};

static int set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    fixture_start(&context->fixture, NULL, NULL);
    raw_dial(&context->raw, context->fixture.url);
    *state = context;
    return 0;
}

static int tear_down(void **state)
{
    struct context *context = *state;

    // The server first: it is quiet then, and closing on what it sends is no client's right (0013).
    fixture_stop(&context->fixture);
    raw_close(&context->raw, &context->packet);
    free(context);
    return 0;
}

static struct reel_frame hello(const char *key)
{
    return (struct reel_frame){
        .kind = REEL_FRAME_HELLO,
        .has_hello = true,
        .hello = {.service = reel_slice_of("gateway"), .key = reel_slice_of(key)},
    };
}

static void send_frame(struct context *context, const struct reel_frame *frame)
{
    raw_send(&context->raw, REEL_WIRE_VERSION, 0, frame);
}

// The code of the next RESPONSE.
static int next_code(struct context *context)
{
    assert_true(raw_await(&context->raw, REEL_FRAME_RESPONSE, &context->packet));
    return (int)context->packet.frame.code;
}

static const struct reel_metadata identity[] = {
    {.key = "reel-service", .value = "gateway"},
    {.key = "reel-key", .value = FIXTURE_KEY},
};

static struct reel_frame cooked_request(const char *method)
{
    return (struct reel_frame){
        .kind = REEL_FRAME_REQUEST,
        .call_id = 3,
        .method = reel_slice_of(method),
        .metadata = identity,
        .n_metadata = 2,
    };
}

static void a_cooked_request_gets_one_packet_back(void **state)
{
    struct context *context = *state;
    struct reel_frame request = cooked_request("/echo.EchoService/Echo");

    for (int i = 0; i < 40; i++) {
        send_frame(context, &request);
        assert_int_equal(next_code(context), REEL_OK);
        assert_int_equal(context->packet.frame.call_id, 3);
    }
    assert_false(raw_receive(&context->raw, 100, &context->packet));
}

static void a_cooked_stream_or_stray_frame_is_invalid(void **state)
{
    struct context *context = *state;
    struct reel_frame request = cooked_request("/echo.EchoService/Chat");

    send_frame(context, &request);
    assert_int_equal(next_code(context), REEL_INVALID_ARGUMENT);
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_CREDIT, .call_id = 1});
    assert_int_equal(next_code(context), REEL_INVALID_ARGUMENT);
    send_frame(context, NULL);
    assert_int_equal(next_code(context), REEL_INVALID_ARGUMENT);
}

static void more_than_32_cooked_requests_are_refused(void **state)
{
    struct context *context = *state;
    struct reel_frame request = cooked_request("/echo.EchoService/Work");
    const uint8_t until_cancelled[] = {0x38, 1};

    request.payload = (struct reel_slice){until_cancelled, sizeof(until_cancelled)};
    request.has_payload = true;
    for (int i = 0; i < 40; i++)
        send_frame(context, &request);
    for (int i = 0; i < 8; i++)
        assert_int_equal(next_code(context), REEL_RESOURCE_EXHAUSTED);
    assert_false(raw_receive(&context->raw, 100, &context->packet));
}

static void no_identity_is_unauthenticated(void **state)
{
    struct context *context = *state;
    struct reel_frame request = cooked_request("/echo.EchoService/Echo");

    request.n_metadata = 0;
    send_frame(context, &request);
    assert_int_equal(next_code(context), REEL_UNAUTHENTICATED);
    struct reel_frame wrong = hello("wrong");
    send_frame(context, &wrong);
    assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
    assert_int_equal(context->packet.frame.code, REEL_UNAUTHENTICATED);
    request = cooked_request("/echo.EchoService/Echo");
    send_frame(context, &request);
    assert_int_equal(next_code(context), REEL_UNAUTHENTICATED);
}

static void a_ping_needs_no_identity(void **state)
{
    struct context *context = *state;

    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_PING, .call_id = 12});
    assert_true(raw_await(&context->raw, REEL_FRAME_PONG, &context->packet));
    assert_int_equal(context->packet.frame.call_id, 12);
}

static void another_version_is_unimplemented(void **state)
{
    struct context *context = *state;
    struct reel_frame request = cooked_request("/echo.EchoService/Echo");
    struct reel_frame greeting = hello(FIXTURE_KEY);

    raw_send(&context->raw, 2, 0, &request);
    assert_int_equal(next_code(context), REEL_UNIMPLEMENTED);
    assert_int_equal(context->packet.frame.call_id, 3);
    raw_send(&context->raw, 2, 0, NULL);
    assert_int_equal(next_code(context), REEL_UNIMPLEMENTED);
    raw_send(&context->raw, 2, 0, &greeting);
    assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
    assert_int_equal(context->packet.frame.code, REEL_UNIMPLEMENTED);
    raw_send(&context->raw, 0, 0, &request);
    assert_int_equal(next_code(context), REEL_UNIMPLEMENTED);
}

static void malformed_bytes_are_invalid_and_the_connection_lives(void **state)
{
    static const char *const broken[] = {
        "\xff", "\x1a\x7f", "\x1a\x02\x08", "\x0a\x01x", "\x08\x01\x1a\x03\x32\x7fx", "\x0b\x0c"};
    struct context *context = *state;
    struct reel_frame greeting = hello(FIXTURE_KEY);

    for (int multiplexed = 0; multiplexed < 2; multiplexed++) {
        for (size_t i = 0; i < REEL_ARRAY_SIZE(broken); i++) {
            raw_send_bytes(&context->raw, broken[i], strlen(broken[i]));
            assert_int_equal(next_code(context), REEL_INVALID_ARGUMENT);
        }
        if (multiplexed)
            break;
        send_frame(context, &greeting);
        assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
        assert_int_equal(context->packet.frame.code, REEL_OK);
    }
}

static void a_second_hello_changes_nothing(void **state)
{
    struct context *context = *state;
    struct reel_frame first = hello(FIXTURE_KEY);
    struct reel_frame second = hello("wrong");
    struct reel_frame request = {.kind = REEL_FRAME_REQUEST,
                                 .call_id = 1,
                                 .method = reel_slice_of("/echo.EchoService/Echo")};

    send_frame(context, &first);
    send_frame(context, &second);
    send_frame(context, &request);
    assert_int_equal(next_code(context), REEL_OK);
}

static void goaway_is_the_last_thing_that_is_answered(void **state)
{
    struct context *context = *state;
    struct reel_frame greeting = hello(FIXTURE_KEY);

    send_frame(context, &greeting);
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_GOAWAY, .call_id = 5});
    assert_true(raw_await(&context->raw, REEL_FRAME_GOAWAY, &context->packet));
    assert_int_equal(context->packet.frame.call_id, 5);
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_PING, .call_id = 6});
    assert_false(raw_receive(&context->raw, 100, &context->packet));
}

static void a_client_without_credit_gets_no_stream_data(void **state)
{
    struct context *context = *state;
    struct reel_frame greeting = hello(FIXTURE_KEY); // stream_credit 0
    const uint8_t ten_chunks[] = {0x08, 10};
    struct reel_frame request = {.kind = REEL_FRAME_REQUEST,
                                 .call_id = 1,
                                 .method = reel_slice_of("/echo.EchoService/Split"),
                                 .payload = {ten_chunks, sizeof(ten_chunks)},
                                 .has_payload = true};

    send_frame(context, &greeting);
    assert_true(raw_await(&context->raw, REEL_FRAME_HELLO, &context->packet));
    send_frame(context, &request);
    assert_false(raw_receive(&context->raw, 100, &context->packet));
    send_frame(context, &(struct reel_frame){.kind = REEL_FRAME_CREDIT, .call_id = 1, .credit = 1});
    assert_true(raw_await(&context->raw, REEL_FRAME_DATA, &context->packet));
    assert_false(raw_receive(&context->raw, 100, &context->packet));
    // Absurd credit is as good as much of it.
    send_frame(context,
               &(struct reel_frame){.kind = REEL_FRAME_CREDIT, .call_id = 1, .credit = UINT64_MAX});
    send_frame(context,
               &(struct reel_frame){.kind = REEL_FRAME_CREDIT, .call_id = 1, .credit = UINT64_MAX});
    assert_true(raw_await(&context->raw, REEL_FRAME_DATA, &context->packet));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cooked_request_gets_one_packet_back),
        TEST(a_cooked_stream_or_stray_frame_is_invalid),
        TEST(more_than_32_cooked_requests_are_refused),
        TEST(no_identity_is_unauthenticated),
        TEST(a_ping_needs_no_identity),
        TEST(another_version_is_unimplemented),
        TEST(malformed_bytes_are_invalid_and_the_connection_lives),
        TEST(a_second_hello_changes_nothing),
        TEST(goaway_is_the_last_thing_that_is_answered),
        TEST(a_client_without_credit_gets_no_stream_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
