// SPDX-License-Identifier: Apache-2.0
// A call as its handler sees it, with handlers of the tests' own.
#include "libcommon/rpc/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "tests/integration/rpc/fixture.h"

typedef int (*who_fn)(struct echo_svc *svc, struct reel_call *call, const Echo__WhoAmIRequest *req,
                      Echo__WhoAmIResponse *res);

struct context {
    struct echo_svc svc;
    struct reel_server *server;
    struct reel_channel *channel;
    struct reel_arena arena;
};

// Serves WhoAmI with the handler, over inproc.
static void serve(struct context *context, who_fn handler)
{
    static const struct reel_peer_key peer = {
        .service = "gateway", .key = FIXTURE_KEY, .may_speak_for_users = true};
    static const char *const url = "inproc://test-call";
    static struct echo_service_impl impl;
    const struct reel_server_config config = {.service = "echo",
                                              .urls = &url,
                                              .n_urls = 1,
                                              .peers = &peer,
                                              .n_peers = 1,
                                              .call_arena_bytes = 64 * 1024};

    impl = (struct echo_service_impl){.who_am_i = handler};
    *context = (struct context){0};
    assert_int_equal(reel_server_new(&config, &context->server), 0);
    reel_server_add(context->server, &echo_service, &impl, &context->svc);
    assert_int_equal(reel_server_start(context->server), 0);
    context->channel = fixture_open(url, "gateway", FIXTURE_KEY);
    reel_arena_init(&context->arena, 1 << 20);
}

static void stop(struct context *context)
{
    reel_channel_close(context->channel);
    reel_server_free(context->server);
    reel_arena_fini(&context->arena);
}

static int ask(struct context *context, struct reel_call_options *options, const char *key,
               Echo__WhoAmIResponse **ret_response, struct reel_status *status)
{
    Echo__WhoAmIRequest request = ECHO__WHO_AM_IREQUEST__INIT;

    request.metadata_key = (char *)key;
    return echo_service_who_am_i(context->channel, options, &request, &context->arena, ret_response,
                                 status);
}

static int complain_a_lot(struct echo_svc *svc, struct reel_call *call,
                          const Echo__WhoAmIRequest *req, Echo__WhoAmIResponse *res)
{
    (void)svc;
    (void)req;
    (void)res;
    for (int i = 0; i < 100; i++)
        reel_call_violation(call, "field", "must be %d", i);
    return reel_call_fail(call, REEL_INVALID_ARGUMENT, "all of it is wrong");
}

static void violations_are_bounded(void **state)
{
    struct context context;
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    (void)state;
    serve(&context, complain_a_lot);
    assert_int_equal(ask(&context, NULL, "", &who, &status), REEL_INVALID_ARGUMENT);
    assert_int_equal(status.n_violations, 32);
    assert_string_equal(status.violations[31].description, "must be 31");
    stop(&context);
}

static int eat(struct echo_svc *svc, struct reel_call *call, const Echo__WhoAmIRequest *req,
               Echo__WhoAmIResponse *res)
{
    (void)svc;
    (void)req;
    (void)res;
    while (reel_arena_alloc(reel_call_arena(call), 1000))
        ;
    return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED, "a text that has no room");
}

static void a_full_arena_loses_the_text_and_not_the_code(void **state)
{
    struct context context;
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    (void)state;
    serve(&context, eat);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(&context, NULL, "", &who, &status), REEL_RESOURCE_EXHAUSTED);
    stop(&context);
}

static void a_request_that_unpacks_too_large_is_refused(void **state)
{
    static char key[4000];
    struct context context;
    Echo__WhoAmIResponse *who;
    struct reel_status status;
    struct fixture fixture;

    (void)state;
    serve(&context, eat);
    memset(key, 'k', sizeof(key) - 1);
    assert_int_equal(ask(&context, NULL, key, &who, &status), REEL_RESOURCE_EXHAUSTED);
    stop(&context);
    fixture_start(&fixture, &(struct reel_server_config){.call_arena_bytes = 16 * 1024}, NULL);
    struct reel_channel *channel = fixture_connect(&fixture);
    assert_int_equal(fixture_echo(channel, 1000), REEL_OK);
    assert_int_equal(fixture_echo(channel, 20000), REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(fixture_echo(channel, 1000), REEL_OK);
    reel_channel_close(channel);
    fixture_stop(&fixture);
}

static int describe(struct echo_svc *svc, struct reel_call *call, const Echo__WhoAmIRequest *req,
                    Echo__WhoAmIResponse *res)
{
    (void)svc;
    assert_false(reel_call_cancelled(call));
    assert_false(reel_call_draining(call));
    assert_string_equal(reel_call_peer(call), "gateway");
    assert_true(reel_call_deadline_us(call) < reel_clock_mono_us() + 30 * 1000000);
    assert_string_equal(reel_call_request_id(call), "");
    assert_null(reel_call_user_id(call));
    assert_null(reel_call_metadata(call, "absent"));
    res->metadata_value = reel_arena_strdup(reel_call_arena(call), req->metadata_key);
    return REEL_OK;
}

static void a_plain_call_has_defaults(void **state)
{
    struct context context;
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    (void)state;
    serve(&context, describe);
    assert_int_equal(ask(&context, NULL, "kept", &who, &status), REEL_OK);
    assert_string_equal(who->metadata_value, "kept");
    stop(&context);
}

static int never(struct echo_svc *svc, struct reel_call *call, const Echo__WhoAmIRequest *req,
                 Echo__WhoAmIResponse *res)
{
    (void)svc;
    (void)call;
    (void)req;
    (void)res;
    return REEL_NOT_FOUND;
}

static void a_failure_without_text_has_its_name(void **state)
{
    struct context context;
    Echo__WhoAmIResponse *who;
    struct reel_status status;

    (void)state;
    serve(&context, never);
    assert_int_equal(ask(&context, NULL, "", &who, &status), REEL_NOT_FOUND);
    assert_string_equal(status.message, "NOT_FOUND");
    stop(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(violations_are_bounded),
        cmocka_unit_test(a_full_arena_loses_the_text_and_not_the_code),
        cmocka_unit_test(a_request_that_unpacks_too_large_is_refused),
        cmocka_unit_test(a_plain_call_has_defaults),
        cmocka_unit_test(a_failure_without_text_has_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
