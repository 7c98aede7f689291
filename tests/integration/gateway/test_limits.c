// SPDX-License-Identifier: Apache-2.0
// Rate limits, revocation, connection caps, drain.
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/limiter.h"
#include "gateway/revocations.h"
#include "tests/integration/gateway/fixture.h"
#include "tests/integration/gateway/http.h"

#define LOGIN "{\"username\":\"anna\",\"password\":\"x\"}"
#define JSON  "Content-Type: application/json\r\n"

static struct fixture fx;
static struct gateway *second; // shares the first one's Redis

static int setup(void **state)
{
    (void)state;
    fixture_prepare(&fx);
    fx.config.rate_limits = "auth=20/900,default=0/1";
    fx.config.trusted_proxies = "127.0.0.0/8";
    fx.config.max_connections_per_address = 30;
    fixture_start(&fx);
    return gateway_open(&fx.config, &second);
}

static int teardown(void **state)
{
    (void)state;
    gateway_close(second);
    fixture_stop(&fx);
    return 0;
}

static int login_from(int port, const char *client)
{
    char lines[256];
    snprintf(lines, sizeof(lines), JSON "X-Forwarded-For: %s\r\n", client);
    struct http_response response = http_ask(port, "POST", "/api/auth/login", lines, LOGIN);
    int status = response.status;
    http_free(&response);
    return status;
}

struct crowd {
    const char *client;
    atomic_int passed;
    atomic_int refused;
};

static void *rush(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < 10; i++) {
        int port = i % 2 ? fx.port : gateway_port(second);
        int status = login_from(port, crowd->client);
        atomic_fetch_add(status == 401 ? &crowd->passed : &crowd->refused,
                         status == 401 || status == 429);
    }
    return NULL;
}

static void rush_in(struct crowd *crowd)
{
    pthread_t threads[8];
    for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, rush, crowd), 0);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
}

static void two_gateways_share_one_limit(void **state)
{
    (void)state;
    struct crowd crowd = {.client = "203.0.113.7"};
    rush_in(&crowd);
    assert_int_equal(atomic_load(&crowd.passed), 20);
    assert_int_equal(atomic_load(&crowd.refused), 60);
    assert_int_equal(login_from(fx.port, "203.0.113.8"), 401);
}

static void a_refusal_says_when_to_return(void **state)
{
    (void)state;
    char value[128];
    struct http_response response = http_ask(fx.port, "POST", "/api/auth/login",
                                             JSON "X-Forwarded-For: 203.0.113.7\r\n", LOGIN);
    assert_int_equal(response.status, 429);
    assert_non_null(strstr(response.raw, "http-problem-types#quota-exceeded"));
    assert_non_null(strstr(response.raw, "\"violated-policies\":[\"auth\"]"));
    assert_true(http_header(&response, "RateLimit-Policy", value, sizeof(value)));
    assert_string_equal(value, "\"auth\";q=20;w=900");
    assert_true(http_header(&response, "RateLimit", value, sizeof(value)));
    assert_memory_equal(value, "\"auth\";r=0;t=", 13);
    char retry[32];
    assert_true(http_header(&response, "Retry-After", retry, sizeof(retry)));
    assert_string_equal(retry, value + 13);
    assert_in_range(strtol(retry, NULL, 10), 1, 45);
    http_free(&response);
}

static void one_ipv6_network_is_one_client(void **state)
{
    (void)state;
    char client[64];
    int passed = 0;
    for (int i = 0; i < 25; i++) {
        snprintf(client, sizeof(client), "2001:db8:1:2::%x", i + 1);
        passed += login_from(fx.port, client) == 401;
    }
    assert_int_equal(passed, 20);
    assert_int_equal(login_from(fx.port, "2001:db8:1:3::1"), 401);
}

static void spoofed_hops_gain_nothing(void **state)
{
    (void)state;
    char client[96];
    int passed = 0;
    for (int i = 0; i < 25; i++) {
        // Only the hop that the trusted proxy itself added counts, in the same field or another.
        snprintf(client, sizeof(client),
                 i % 2 ? "10.9.8.%d, 198.51.100.1" : "10.9.8.%d\r\nX-Forwarded-For: 198.51.100.1",
                 i);
        passed += login_from(fx.port, client) == 401;
    }
    assert_int_equal(passed, 20);
}

struct hot {
    struct limiter *limiter;
    const struct rate_policy *policy;
    unsigned passed;
    unsigned leased;
};

static void post(void *arg)
{
    sem_post(arg);
}

// Asks as fast as it can until it is refused.
static void *ask_hotly(void *arg)
{
    struct hot *hot = arg;
    sem_t answered;
    struct limit_ticket ticket;
    sem_init(&answered, 0, 0);
    do {
        ticket = (struct limit_ticket){
            .policy = hot->policy, .key = "u:hot", .done = post, .arg = &answered};
        if (limiter_try(hot->limiter, &ticket)) {
            hot->leased++;
        } else {
            limiter_ask(hot->limiter, &ticket);
            sem_wait(&answered);
        }
        hot->passed += ticket.allowed;
    } while (ticket.allowed);
    sem_destroy(&answered);
    return NULL;
}

static void permits_taken_ahead_stay_within_the_limit(void **state)
{
    // So wide a window that nothing is regained meanwhile.
    static const struct rate_policy policy = {"hot", 2000, 86400 * 31};
    struct hot hot[] = {{fx.gw->limiter, &policy, 0, 0}, {second->limiter, &policy, 0, 0}};
    pthread_t threads[2];
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(hot); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_hotly, &hot[i]), 0);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(hot); i++)
        pthread_join(threads[i], NULL);
    assert_true(hot[0].leased + hot[1].leased > 0);
    // Permits that a slow machine does not spend in time are lost.
    assert_in_range(hot[0].passed + hot[1].passed, 500, 2000);
    assert_true(limiter_is_shared(fx.gw->limiter));
}

static void a_session_that_ended_is_refused_within_a_second(void **state)
{
    (void)state;
    struct http_response response = http_ask(fx.port, "GET", "/api/auth/user", fx.bearer, NULL);
    assert_int_equal(response.status, 200);
    http_free(&response);
    // The feed says nothing any more: once it is stale the user service is asked.
    atomic_store(&fx.services.feed_silent, true);
    while (revocations_is_fresh(fx.gw->revocations))
        usleep(10000);
    response = http_ask(fx.port, "GET", "/api/auth/user", fx.bearer, NULL);
    assert_int_equal(response.status, 200);
    http_free(&response);
    atomic_store(&fx.services.session_ended, true);
    response = http_ask(fx.port, "GET", "/api/auth/user", fx.bearer, NULL);
    assert_int_equal(response.status, 401);
    http_free(&response);
    atomic_store(&fx.services.feed_silent, false);
    while (!revocations_is_fresh(fx.gw->revocations))
        usleep(10000);
    response = http_ask(fx.port, "GET", "/api/auth/user", fx.bearer, NULL);
    assert_int_equal(response.status, 401);
    http_free(&response);
}

static void limits_hold_without_redis(void **state)
{
    (void)state;
    fixture_stop_redis(&fx);
    struct crowd crowd = {.client = "203.0.113.9"};
    // Each gateway counts for itself now.
    rush_in(&crowd);
    assert_int_equal(atomic_load(&crowd.passed), 40);
    assert_int_equal(atomic_load(&crowd.refused), 40);
    assert_false(limiter_is_shared(fx.gw->limiter));
}

static void a_drain_ends_idle_connections(void **state)
{
    (void)state;
    int idle = http_connect(gateway_port(second));
    int busy = http_connect(gateway_port(second));
    static const char half[] =
        "POST /api/auth/login HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 36\r\n\r\n{\"user";
    static const char rest[] = "name\":\"anna\",\"password\":\"xyz\"}";
    http_send(busy, half, sizeof(half) - 1);
    while (conns_count(second->conns) < 2)
        usleep(2000);
    usleep(50000);
    atomic_store(&second->draining, true);
    http_send(busy, rest, sizeof(rest) - 1);
    struct http_response response = http_read(busy, 3000);
    assert_true(response.status == 401 || response.status == 429);
    assert_non_null(strstr(response.raw, "Connection: close"));
    assert_true(response.closed);
    http_free(&response);
    gateway_drain(second, 2000000);
    response = http_read(idle, 3000);
    assert_true(response.closed);
    http_free(&response);
    close(idle);
    close(busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_gateways_share_one_limit),
        cmocka_unit_test(a_refusal_says_when_to_return),
        cmocka_unit_test(one_ipv6_network_is_one_client),
        cmocka_unit_test(spoofed_hops_gain_nothing),
        cmocka_unit_test(permits_taken_ahead_stay_within_the_limit),
        cmocka_unit_test(a_session_that_ended_is_refused_within_a_second),
        cmocka_unit_test(limits_hold_without_redis),
        cmocka_unit_test(a_drain_ends_idle_connections),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
