// SPDX-License-Identifier: Apache-2.0
// The tables and stubs that the plugin made of fixture.proto.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/err.h"
#include "tests/integration/plugin/fixture.reel.h"

struct fixture_svc {
    const char *seen;
};

// Stands in for the RPC core's: records what the stub passes on.
static struct {
    const struct reel_method *method;
    const ProtobufCMessage *request;
    int result;
    ProtobufCMessage *response;
} wire;

int reel_channel_call(struct reel_channel *channel, const struct reel_method *method,
                      const struct reel_call_options *options, const ProtobufCMessage *request,
                      struct reel_arena *arena, ProtobufCMessage **ret_response,
                      struct reel_status *ret_status)
{
    (void)channel, (void)options, (void)arena, (void)ret_status;
    wire.method = method;
    wire.request = request;
    if (wire.result == REEL_OK)
        *ret_response = wire.response;
    return wire.result;
}

static int handle_register(struct fixture_svc *svc, struct reel_call *call,
                           const Fixture__EchoRequest *req, Fixture__Answer *res)
{
    (void)call;
    svc->seen = req->echo_id;
    res->echo_id = req->echo_id;
    return REEL_NOT_FOUND;
}

static int handle_push(struct fixture_svc *svc, struct reel_call *call, Fixture__Answer *res)
{
    (void)call;
    svc->seen = "push";
    res->echo_id = svc->seen == NULL ? NULL : (char *)"pushed";
    return REEL_OK;
}

static const struct echo_service_impl impl = {.register_ = handle_register, .push = handle_push};

static void methods_carry_names_types_and_flags(void **state)
{
    const struct reel_method *method = &echo_service.methods[ECHO_SERVICE_REGISTER];

    (void)state;
    assert_string_equal(echo_service.name, "fixture.EchoService");
    assert_int_equal(echo_service.n_methods, ECHO_SERVICE_N_METHODS);
    assert_int_equal(echo_service.n_methods, 5);
    assert_string_equal(method->path, "/fixture.EchoService/Register");
    assert_string_equal(method->name, "Register");
    assert_ptr_equal(method->request, &fixture__echo_request__descriptor);
    assert_ptr_equal(method->response, &fixture__answer__descriptor);
    assert_int_equal(method->idempotency, REEL_IDEMPOTENT);
    assert_int_equal(method->access, REEL_ACCESS_PUBLIC);
    assert_false(method->client_streaming || method->server_streaming || method->nonblocking);

    method = &echo_service.methods[ECHO_SERVICE_PUSH];
    assert_true(method->client_streaming && !method->server_streaming);
    assert_int_equal(method->timeout_ms, 1234);
    assert_int_equal(method->access, REEL_ACCESS_AUTHENTICATED);

    method = &echo_service.methods[ECHO_SERVICE_WATCH];
    assert_true(!method->client_streaming && method->server_streaming && method->nonblocking);
    assert_int_equal(method->access, REEL_ACCESS_INTERNAL);

    method = &echo_service.methods[ECHO_SERVICE_TALK];
    assert_true(method->client_streaming && method->server_streaming);
    assert_int_equal(method->idempotency, REEL_IDEMPOTENCY_UNKNOWN);
    assert_int_equal(echo_service.methods[ECHO_SERVICE_GET_URL].idempotency, REEL_NO_SIDE_EFFECTS);
}

static void a_shim_calls_the_handler_and_returns_its_code(void **state)
{
    struct fixture_svc svc = {NULL};
    Fixture__EchoRequest req = FIXTURE__ECHO_REQUEST__INIT;
    Fixture__Answer res = FIXTURE__ANSWER__INIT;

    (void)state;
    req.echo_id = (char *)"e1";
    assert_int_equal(
        echo_service.methods[ECHO_SERVICE_REGISTER].invoke(&impl, &svc, NULL, &req, &res),
        REEL_NOT_FOUND);
    assert_string_equal(svc.seen, "e1");
    assert_string_equal(res.echo_id, "e1");
    assert_int_equal(echo_service.methods[ECHO_SERVICE_PUSH].invoke(&impl, &svc, NULL, NULL, &res),
                     REEL_OK);
    assert_string_equal(res.echo_id, "pushed");
}

static void a_missing_handler_is_unimplemented(void **state)
{
    struct fixture_svc svc = {NULL};

    (void)state;
    for (unsigned i = 0; i < echo_service.n_methods; i++) {
        if (i == ECHO_SERVICE_REGISTER || i == ECHO_SERVICE_PUSH)
            continue;
        assert_int_equal(echo_service.methods[i].invoke(&impl, &svc, NULL, NULL, NULL),
                         REEL_UNIMPLEMENTED);
    }
}

static void routes_follow_the_proto_in_order(void **state)
{
    const struct reel_route *route = echo_service_routes;

    (void)state;
    assert_int_equal(echo_service_n_routes, 4);
    assert_int_equal(quiet_service_n_routes, 0);

    assert_string_equal(route->verb, "PUT");
    assert_string_equal(route->path, "/api/echo/{echo_id}");
    assert_string_equal(route->body, "*");
    assert_ptr_equal(route->service, &echo_service);
    assert_ptr_equal(route->method, &echo_service.methods[ECHO_SERVICE_REGISTER]);
    assert_int_equal(route->success_status, 202);
    assert_string_equal(route->rate_class, "default");
    assert_string_equal(route->location, "/api/echo/{echo_id}");
    assert_string_equal(route->summary, "Say \"it\" back\\");
    assert_int_equal(route->cookie, REEL_COOKIE_SET);
    assert_int_equal(route->errors[0], 404);
    assert_int_equal(route->errors[1], 409);
    assert_int_equal(route->errors[2], 0);
    assert_false(route->additional);

    route++;
    assert_string_equal(route->verb, "POST");
    assert_string_equal(route->body, "*");
    assert_true(route->additional);

    route++;
    assert_string_equal(route->verb, "GET");
    assert_null(route->body);
    assert_null(route->location);
    assert_string_equal(route->summary, "GetURL");
    assert_string_equal(route->rate_class, "cheap");
    assert_int_equal(route->success_status, 200);
    assert_int_equal(route->mode, REEL_HTTP_ASSET);
    assert_int_equal(route->cookie, REEL_COOKIE_CLEAR);
    assert_int_equal(route->errors[0], 0);

    assert_int_equal(route[1].mode, REEL_HTTP_UPLOAD);
}

static const struct reel_field_rule *rules_of(const struct reel_service *service,
                                              const ProtobufCMessageDescriptor *message)
{
    for (unsigned i = 0; i < service->n_rules; i++)
        if (service->rules[i].message == message)
            return service->rules[i].rules;
    return NULL;
}

static void every_reachable_message_has_rules_in_field_order(void **state)
{
    (void)state;
    // EchoRequest, Inner, StringValue, Nested, Chunk; Answer is never received.
    assert_int_equal(echo_service.n_rules, 5);
    assert_null(rules_of(&echo_service, &fixture__answer__descriptor));
    assert_int_equal(quiet_service.n_rules, 1);
    assert_non_null(rules_of(&quiet_service, &fixture__inner__descriptor));
    for (unsigned i = 0; i < echo_service.n_rules; i++) {
        const struct reel_message_rules *rules = &echo_service.rules[i];
        unsigned n = rules->message->n_fields;

        for (unsigned k = 0; k < n; k++)
            assert_string_equal(rules->rules[k].field, rules->message->fields[k].name);
        assert_null(rules->rules[n].field);
    }
}

static void rules_carry_their_limits(void **state)
{
    const struct reel_field_rule *echo =
        rules_of(&echo_service, &fixture__echo_request__descriptor);
    const struct reel_field_rule *inner = rules_of(&echo_service, &fixture__inner__descriptor);
    const struct reel_field_rule *nested =
        rules_of(&echo_service, &fixture__echo_request__nested__descriptor);

    (void)state;
    assert_true(echo[0].required && echo[0].uuid && !echo[0].secret);
    assert_int_equal(echo[0].max_length, 36);
    assert_int_equal(echo[2].min_length, 2);
    assert_true(echo[2].secret);
    assert_int_equal(echo[3].max_items, 7);
    assert_int_equal(inner[0].min, -3);
    assert_int_equal(inner[0].max, 9);
    assert_true(inner[1].email);
    assert_null(inner[1].one_of);
    assert_string_equal(nested[0].one_of, ",a,b");
    assert_string_equal(nested[0].pattern, "a-z\\\"?");
}

static void a_stub_passes_the_method_and_types_the_answer(void **state)
{
    Fixture__EchoRequest req = FIXTURE__ECHO_REQUEST__INIT;
    Fixture__Answer answer = FIXTURE__ANSWER__INIT;
    Fixture__Answer *got = NULL;

    (void)state;
    wire.result = REEL_OK;
    wire.response = &answer.base;
    assert_int_equal(echo_service_register(NULL, NULL, &req, NULL, &got, NULL), REEL_OK);
    assert_ptr_equal(got, &answer);
    assert_ptr_equal(wire.method, &echo_service.methods[ECHO_SERVICE_REGISTER]);
    assert_ptr_equal(wire.request, &req);
}

static void a_stub_leaves_the_answer_alone_on_failure(void **state)
{
    Fixture__EchoRequest req = FIXTURE__ECHO_REQUEST__INIT;
    Fixture__Answer *got = NULL;

    (void)state;
    wire.result = REEL_UNAVAILABLE;
    assert_int_equal(echo_service_get_url(NULL, NULL, &req, NULL, &got, NULL), REEL_UNAVAILABLE);
    assert_null(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_carry_names_types_and_flags),
        cmocka_unit_test(a_shim_calls_the_handler_and_returns_its_code),
        cmocka_unit_test(a_missing_handler_is_unimplemented),
        cmocka_unit_test(routes_follow_the_proto_in_order),
        cmocka_unit_test(every_reachable_message_has_rules_in_field_order),
        cmocka_unit_test(rules_carry_their_limits),
        cmocka_unit_test(a_stub_passes_the_method_and_types_the_answer),
        cmocka_unit_test(a_stub_leaves_the_answer_alone_on_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
