// SPDX-License-Identifier: Apache-2.0
// Unary calls: what must hold for each, from the empty message to the largest.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/metrics.h"
#include "tests/integration/rpc/fixture.h"

enum { ARENA_BYTES = 16 << 20 };

struct context {
    struct fixture fixture;
    struct reel_channel *channel;
    struct reel_arena arena;
};

static int set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    // Room for a message of the largest size beside its packed form.
    fixture_start(&context->fixture,
                  &(struct reel_server_config){.call_arena_bytes = 3 * (4 << 20)}, NULL);
    context->channel = fixture_connect(&context->fixture);
    reel_arena_init(&context->arena, ARENA_BYTES);
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

// The payload whose EchoRequest is exactly `packed` bytes long (a tag and a four-byte length).
static size_t payload_of(size_t packed)
{
    return packed - 1 - 4;
}

static void empty_and_large_messages_pass(void **state)
{
    struct context *context = *state;

    assert_int_equal(fixture_echo(context->channel, 0), REEL_OK);
    assert_int_equal(fixture_echo(context->channel, 1), REEL_OK);
    assert_int_equal(fixture_echo(context->channel, 2000000), REEL_OK);
}

static void the_largest_message_passes_and_one_byte_more_is_refused(void **state)
{
    struct context *context = *state;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__EchoResponse *response;
    struct reel_status status;

    assert_int_equal(fixture_echo(context->channel, payload_of(4 << 20)), REEL_OK);
    request.payload.len = payload_of((4 << 20) + 1);
    request.payload.data = calloc(1, request.payload.len);
    assert_int_equal(
        echo_service_echo(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(status.message, "4194305"));
    assert_non_null(strstr(status.message, "4194304"));
    free(request.payload.data);
    assert_int_equal(fixture_echo(context->channel, 10), REEL_OK);
}

static void an_answer_that_is_too_large_is_refused(void **state)
{
    struct context *context = *state;
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    Echo__WorkResponse *response;
    struct reel_status status;

    request.answer_bytes = 5 << 20;
    assert_int_equal(
        fixture_work(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(status.message, "4194304"));
    request.answer_bytes = 4 << 20 >> 1;
    assert_int_equal(
        fixture_work(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_OK);
    assert_int_equal(response->padding.len, 4 << 20 >> 1);
}

static void every_code_comes_back_with_its_message(void **state)
{
    struct context *context = *state;

    for (int code = 1; code <= REEL_UNAUTHENTICATED; code++) {
        Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
        Echo__WorkResponse *response;
        struct reel_status status;

        request.code = code;
        request.message = (char *)"schief gelaufen: ä€😀";
        request.violation = (char *)"params.width";
        request.retry_after_ms = 1500;
        request.policy = (char *)(code % 2 ? "login" : "");
        assert_int_equal(
            fixture_work(context->channel, NULL, &request, &context->arena, &response, &status),
            code);
        assert_int_equal(status.code, code);
        assert_string_equal(status.message, "schief gelaufen: ä€😀");
        assert_int_equal(status.n_violations, 1);
        assert_string_equal(status.violations[0].field, "params.width");
        assert_string_equal(status.violations[0].description, "must be better");
        assert_int_equal(status.retry_after_ms, 1500);
        assert_string_equal(status.policy, code % 2 ? "login" : "");
        assert_int_equal(status.quota, code % 2 ? 10 : 0);
        assert_int_equal(status.window_s, code % 2 ? 900 : 0);
    }
}

static void the_text_of_a_fault_stays_in_the_log(void **state)
{
    struct context *context = *state;
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    Echo__WorkResponse *response;
    struct reel_status status;

    request.code = -EIO;
    request.message = (char *)"secret: disk 7";
    request.violation = (char *)"secret";
    assert_int_equal(
        fixture_work(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_INTERNAL);
    assert_null(strstr(status.message, "secret"));
    assert_int_equal(status.n_violations, 0);
    request.code = -ECONNREFUSED;
    assert_int_equal(
        fixture_work(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_UNAVAILABLE);
    assert_null(strstr(status.message, "secret"));
}

static void unknown_methods_and_services_are_unimplemented(void **state)
{
    struct context *context = *state;
    struct reel_method method = echo_service.methods[ECHO_SERVICE_ECHO];
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    ProtobufCMessage *response;
    struct reel_status status;

    method.path = "/echo.EchoService/Missing";
    assert_int_equal(reel_channel_call(context->channel, &method, NULL, &request.base,
                                       &context->arena, &response, &status),
                     REEL_UNIMPLEMENTED);
    assert_non_null(strstr(status.message, "no method 'Missing'"));
    method.path = "/nobody.Nothing/Echo";
    assert_int_equal(reel_channel_call(context->channel, &method, NULL, &request.base,
                                       &context->arena, &response, &status),
                     REEL_UNIMPLEMENTED);
    assert_non_null(strstr(status.message, "nobody.Nothing"));
    method.path = "no slash";
    assert_int_equal(reel_channel_call(context->channel, &method, NULL, &request.base,
                                       &context->arena, &response, &status),
                     REEL_UNIMPLEMENTED);
    method = echo_service.methods[ECHO_SERVICE_NO_HANDLER];
    assert_int_equal(reel_channel_call(context->channel, &method, NULL, &request.base,
                                       &context->arena, &response, &status),
                     REEL_UNIMPLEMENTED);
}

static void an_invalid_request_never_reaches_its_handler(void **state)
{
    struct context *context = *state;
    Echo__CheckedRequest request = ECHO__CHECKED_REQUEST__INIT;
    Echo__WorkResponse *response;
    struct reel_status status;

    request.name = (char *)"much too long";
    request.count = 11;
    assert_int_equal(
        echo_service_checked(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_INVALID_ARGUMENT);
    assert_int_equal(status.n_violations, 2);
    assert_string_equal(status.violations[0].field, "name");
    assert_string_equal(status.violations[1].field, "count");
    assert_non_null(strstr(status.message, "name"));
    assert_int_equal(atomic_load(&context->fixture.svc.started), 0);
    request.name = (char *)"fine";
    request.count = 3;
    assert_int_equal(
        echo_service_checked(context->channel, NULL, &request, &context->arena, &response, &status),
        REEL_OK);
}

struct raw_answer {
    atomic_uint done;
    int code;
};

static void on_raw_answer(void *arg, const struct reel_status *status, const uint8_t *payload,
                          size_t payload_len)
{
    struct raw_answer *answer = arg;

    (void)payload;
    (void)payload_len;
    answer->code = status->code;
    atomic_store(&answer->done, 1);
}

static void bytes_that_are_no_message_are_invalid(void **state)
{
    static const uint8_t broken[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x07, 'x'};
    struct context *context = *state;
    struct raw_answer answer = {0};

    reel_channel_start(context->channel, &echo_service.methods[ECHO_SERVICE_ECHO], NULL, broken,
                       sizeof(broken), on_raw_answer, &answer, NULL);
    assert_true(fixture_wait(&answer.done, 1, 5000));
    assert_int_equal(answer.code, REEL_INVALID_ARGUMENT);
    assert_int_equal(fixture_echo(context->channel, 10), REEL_OK);
}

static void unknown_fields_are_skipped(void **state)
{
    // Field 99 of a later version beside the payload "hi".
    static const uint8_t later[] = {0x0a, 2, 'h', 'i', 0x98, 0x06, 1};
    struct context *context = *state;
    struct raw_answer answer = {0};

    reel_channel_start(context->channel, &echo_service.methods[ECHO_SERVICE_ECHO], NULL, later,
                       sizeof(later), on_raw_answer, &answer, NULL);
    assert_true(fixture_wait(&answer.done, 1, 5000));
    assert_int_equal(answer.code, REEL_OK);
}

static int who_am_i(struct context *context, struct reel_channel *channel, const char *key,
                    const struct reel_metadata *metadata, size_t n, Echo__WhoAmIResponse **ret,
                    struct reel_status *status)
{
    struct reel_call_options options = {.metadata = metadata, .n_metadata = n};
    Echo__WhoAmIRequest request = ECHO__WHO_AM_IREQUEST__INIT;

    request.metadata_key = (char *)key;
    return echo_service_who_am_i(channel, &options, &request, &context->arena, ret, status);
}

static void metadata_reaches_the_handler(void **state)
{
    const struct reel_metadata metadata[] = {
        {.key = "x-color", .value = "blue ~"},      {.key = "x-data-bin", .value = "AAECAwQF/v8="},
        {.key = "reel-user-id", .value = "u-1"},    {.key = "reel-session-id", .value = "s-1"},
        {.key = "reel-request-id", .value = "r-1"},
    };
    struct context *context = *state;
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    assert_int_equal(who_am_i(context, context->channel, "x-data-bin", metadata, 5, &who, &status),
                     REEL_OK);
    assert_string_equal(who->peer, "gateway");
    assert_string_equal(who->user_id, "u-1");
    assert_string_equal(who->session_id, "s-1");
    assert_string_equal(who->request_id, "r-1");
    assert_string_equal(who->metadata_value, "AAECAwQF/v8=");
}

static void metadata_beyond_8_kib_is_refused(void **state)
{
    static char value[9 * 1024];
    const struct reel_metadata metadata[] = {{.key = "x-long", .value = value}};
    struct context *context = *state;
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    memset(value, 'a', sizeof(value) - 1);
    assert_int_equal(who_am_i(context, context->channel, "", metadata, 1, &who, &status),
                     REEL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(status.message, "8192"));
}

static void malformed_metadata_is_refused(void **state)
{
    const struct reel_metadata bad[] = {
        {.key = "Upper", .value = "x"},
        {.key = "", .value = "x"},
        {.key = "x", .value = "line\nbreak"},
        {.key = "x-bin", .value = "not base64!"},
    };
    struct context *context = *state;
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_int_equal(who_am_i(context, context->channel, "", &bad[i], 1, &who, &status),
                         REEL_INVALID_ARGUMENT);
}

static void only_trusted_peers_speak_for_users(void **state)
{
    const struct reel_metadata metadata[] = {
        {.key = "reel-user-id", .value = "u-1"},
        {.key = "reel-session-id", .value = "s-1"},
    };
    struct context *context = *state;
    struct reel_channel *job = fixture_open(context->fixture.url, "job", FIXTURE_JOB_KEY);
    Echo__WhoAmIRequest request = ECHO__WHO_AM_IREQUEST__INIT;
    struct reel_call_options options = {.metadata = metadata, .n_metadata = 2};
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    assert_int_equal(who_am_i(context, job, "reel-key", metadata, 2, &who, &status), REEL_OK);
    assert_string_equal(who->peer, "job");
    assert_string_equal(who->user_id, "");
    assert_string_equal(who->session_id, "");
    assert_string_equal(who->metadata_value, "");
    assert_int_equal(
        echo_service_for_users(job, &options, &request, &context->arena, &who, &status),
        REEL_UNAUTHENTICATED);
    assert_int_equal(echo_service_for_users(context->channel, &options, &request, &context->arena,
                                            &who, &status),
                     REEL_OK);
    reel_channel_close(job);
}

static int code_with_key(struct context *context, const char *service, const char *key)
{
    struct reel_channel *channel = fixture_open(context->fixture.url, service, key);
    int code = fixture_echo(channel, 3);

    reel_channel_close(channel);
    return code;
}

static void both_keys_are_valid_and_no_other(void **state)
{
    struct context *context = *state;

    assert_int_equal(code_with_key(context, "gateway", FIXTURE_KEY), REEL_OK);
    assert_int_equal(code_with_key(context, "gateway", FIXTURE_PREVIOUS_KEY), REEL_OK);
    assert_int_equal(code_with_key(context, "gateway", FIXTURE_JOB_KEY), REEL_UNAUTHENTICATED);
    assert_int_equal(code_with_key(context, "gateway", ""), REEL_UNAUTHENTICATED);
    assert_int_equal(code_with_key(context, "gateway", FIXTURE_KEY "x"), REEL_UNAUTHENTICATED);
    assert_int_equal(code_with_key(context, "stranger", FIXTURE_KEY), REEL_UNAUTHENTICATED);
    assert_int_equal(code_with_key(context, "", ""), REEL_UNAUTHENTICATED);
    assert_int_equal(code_with_key(context, "job", FIXTURE_JOB_KEY), REEL_OK);
    // No previous key is not the empty key.
    assert_int_equal(code_with_key(context, "job", ""), REEL_UNAUTHENTICATED);
}

static void a_hundred_large_calls_at_once(void **state)
{
    struct context *context = *state;
    static uint8_t payload[500000];
    struct raw_answer answers[100];

    memset(answers, 0, sizeof(answers));
    payload[0] = 0x0a;
    payload[1] = 0x9c; // 499,996 as a varint of three bytes
    payload[2] = 0xc2;
    payload[3] = 0x1e;
    for (unsigned i = 0; i < 100; i++)
        reel_channel_start(context->channel, &echo_service.methods[ECHO_SERVICE_ECHO_BLOCKING],
                           NULL, payload, sizeof(payload), on_raw_answer, &answers[i], NULL);
    unsigned refused = 0;
    for (unsigned i = 0; i < 100; i++) {
        assert_true(fixture_wait(&answers[i].done, 1, 20000));
        // 50 MB do not fit the outbox at once; what fits is answered.
        refused += answers[i].code == REEL_RESOURCE_EXHAUSTED;
        assert_true(answers[i].code == REEL_OK || answers[i].code == REEL_RESOURCE_EXHAUSTED);
    }
    assert_true(refused < 80);
}

// Starts Together, which ends with `code`.
static struct reel_client_call *start_together(struct context *context, int code,
                                               struct fixture_outcome *outcome)
{
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;

    request.code = code;
    request.message = (char *)"as asked";
    return fixture_start_call(context->channel, ECHO_SERVICE_TOGETHER, NULL, &request.base,
                              outcome);
}

static void calls_served_together_have_their_own_ends(void **state)
{
    enum { SERVED = REEL_GATHER_ROUNDS, FAILING, CANCELLED, N };
    struct context *context = *state;
    struct echo_svc *svc = &context->fixture.svc;
    struct fixture_outcome outcomes[N];
    struct reel_client_call *calls[N];

    memset(outcomes, 0, sizeof(outcomes));
    atomic_store(&svc->hold, true);
    for (unsigned i = 0; i < REEL_GATHER_ROUNDS; i++) {
        calls[i] = start_together(context, 0, &outcomes[i]);
        assert_true(fixture_wait(&svc->started, i + 1, 5000));
    }
    // From here on calls wait, for as many rounds as can be are held.
    calls[SERVED] = start_together(context, 0, &outcomes[SERVED]);
    calls[FAILING] = start_together(context, REEL_NOT_FOUND, &outcomes[FAILING]);
    calls[CANCELLED] = start_together(context, 0, &outcomes[CANCELLED]);
    reel_client_call_cancel(calls[CANCELLED]);
    assert_true(fixture_wait(&outcomes[CANCELLED].done, 1, 5000));
    // Whatever was sent before this has been received.
    assert_int_equal(fixture_echo(context->channel, 1), REEL_OK);
    assert_int_equal(atomic_load(&svc->started), REEL_GATHER_ROUNDS);
    atomic_store(&svc->hold, false);
    for (unsigned i = 0; i < N; i++) {
        const int want = i == FAILING ? REEL_NOT_FOUND : i == CANCELLED ? REEL_CANCELLED : REEL_OK;

        assert_true(fixture_wait(&outcomes[i].done, 1, 5000));
        assert_int_equal(outcomes[i].code, want);
        reel_client_call_unref(calls[i]);
    }
    assert_string_equal(outcomes[FAILING].message, "as asked");
    // The cancelled one was not served.
    assert_int_equal(atomic_load(&svc->started), N - 1);
}

static void calls_are_counted_by_code(void **state)
{
    struct context *context = *state;
    struct reel_counter *ok = reel_counter_get("reel_rpc_server_calls_total", "",
                                               "method=\"/echo.EchoService/Echo\",code=\"OK\"");
    uint64_t before = reel_counter_value(ok);

    assert_int_equal(fixture_echo(context->channel, 10), REEL_OK);
    assert_int_equal(reel_counter_value(ok), before + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(empty_and_large_messages_pass),
        TEST(the_largest_message_passes_and_one_byte_more_is_refused),
        TEST(an_answer_that_is_too_large_is_refused),
        TEST(every_code_comes_back_with_its_message),
        TEST(the_text_of_a_fault_stays_in_the_log),
        TEST(unknown_methods_and_services_are_unimplemented),
        TEST(an_invalid_request_never_reaches_its_handler),
        TEST(bytes_that_are_no_message_are_invalid),
        TEST(unknown_fields_are_skipped),
        TEST(metadata_reaches_the_handler),
        TEST(metadata_beyond_8_kib_is_refused),
        TEST(malformed_metadata_is_refused),
        TEST(only_trusted_peers_speak_for_users),
        TEST(both_keys_are_valid_and_no_other),
        TEST(a_hundred_large_calls_at_once),
        TEST(calls_served_together_have_their_own_ends),
        TEST(calls_are_counted_by_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
