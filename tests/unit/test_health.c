// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "proto/health.reel.h"
#include "tests/integration/rpc/fixture.h"

#define STATUS(name) HEALTH__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct context {
    struct fixture fixture;
    struct reel_channel *channel;
    struct reel_arena arena;
};

static int set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    fixture_start(&context->fixture, NULL, NULL);
    context->channel = fixture_connect(&context->fixture);
    reel_arena_init(&context->arena, 1 << 20);
    *state = context;
    return 0;
}

static int tear_down(void **state)
{
    struct context *context = *state;

    reel_channel_close(context->channel);
    fixture_stop(&context->fixture);
    reel_arena_fini(&context->arena);
    free(context);
    return 0;
}

static int check(struct context *context, const char *service, int *ret_status)
{
    Health__HealthCheckRequest request = HEALTH__HEALTH_CHECK_REQUEST__INIT;
    Health__HealthCheckResponse *response;
    struct reel_status status;

    request.service = (char *)service;
    int rc = health_check(context->channel, NULL, &request, &context->arena, &response, &status);
    if (rc == REEL_OK)
        *ret_status = response->status;
    return rc;
}

static void check_answers_for_server_and_services(void **state)
{
    struct context *context = *state;
    int status = -1;

    assert_int_equal(check(context, "", &status), REEL_OK);
    assert_int_equal(status, STATUS(SERVING));
    assert_int_equal(check(context, "echo.EchoService", &status), REEL_OK);
    assert_int_equal(status, STATUS(SERVING));
    assert_int_equal(check(context, "nobody.Nothing", &status), REEL_NOT_FOUND);
    reel_server_set_serving(context->fixture.server, false);
    assert_int_equal(check(context, "echo.EchoService", &status), REEL_OK);
    assert_int_equal(status, STATUS(NOT_SERVING));
}

static void list_names_every_service(void **state)
{
    struct context *context = *state;
    Health__HealthListRequest request = HEALTH__HEALTH_LIST_REQUEST__INIT;
    Health__HealthListResponse *response;
    struct reel_status status;
    bool found = false;

    assert_int_equal(
        health_list(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_OK);
    assert_int_equal(response->n_statuses, 2);
    for (size_t i = 0; i < response->n_statuses; i++) {
        found = found || strcmp(response->statuses[i]->key, "echo.EchoService") == 0;
        assert_int_equal(response->statuses[i]->value->status, STATUS(SERVING));
    }
    assert_true(found);
}

static struct reel_stream *watch(struct context *context, const char *service)
{
    Health__HealthCheckRequest request = HEALTH__HEALTH_CHECK_REQUEST__INIT;
    struct reel_stream *stream;
    uint8_t packed[64];

    request.service = (char *)service;
    size_t len = health__health_check_request__pack(&request, packed);
    assert_int_equal(reel_stream_open(context->channel, &health.methods[HEALTH_WATCH], NULL, NULL,
                                      NULL, &stream),
                     REEL_OK);
    assert_int_equal(reel_stream_send(stream, packed, len), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    return stream;
}

static void assert_next(struct reel_stream *stream, int expected)
{
    uint8_t *payload;
    size_t len;

    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_OK);
    Health__HealthCheckResponse *response =
        health__health_check_response__unpack(NULL, len, payload);
    assert_non_null(response);
    assert_int_equal(response->status, expected);
    health__health_check_response__free_unpacked(response, NULL);
    free(payload);
}

static void watch_tells_of_every_change(void **state)
{
    struct context *context = *state;
    struct reel_stream *stream = watch(context, "");
    struct reel_stream *stranger = watch(context, "nobody.Nothing");

    assert_next(stream, STATUS(SERVING));
    assert_next(stranger, STATUS(SERVICE_UNKNOWN));
    reel_server_set_serving(context->fixture.server, false);
    assert_next(stream, STATUS(NOT_SERVING));
    reel_server_set_serving(context->fixture.server, true);
    assert_next(stream, STATUS(SERVING));
    reel_stream_close(stream);
    reel_stream_close(stranger);
}

static void watch_does_not_hold_up_a_drain(void **state)
{
    struct context *context = *state;
    struct reel_stream *stream = watch(context, "");
    uint8_t *payload;
    size_t len;

    assert_next(stream, STATUS(SERVING));
    assert_true(reel_server_drain(context->fixture.server, 5 * 1000000));
    assert_next(stream, STATUS(NOT_SERVING));
    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_UNAVAILABLE);
    reel_stream_close(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(check_answers_for_server_and_services),
        TEST(list_names_every_service),
        TEST(watch_tells_of_every_change),
        TEST(watch_does_not_hold_up_a_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
