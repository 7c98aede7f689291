// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/balancer.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/channel_internal.h"
#include "tests/integration/rpc/fixture.h"

// What the name stands for at the moment.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct reel_resolved addresses;
    bool held;        // lookups do not return
    unsigned waiting; // that are held
} names = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int lookup(const char *url, struct reel_resolved *ret_resolved, const char **ret_reason)
{
    (void)url;
    pthread_mutex_lock(&names.lock);
    names.waiting++;
    pthread_cond_broadcast(&names.changed);
    while (names.held)
        pthread_cond_wait(&names.changed, &names.lock);
    names.waiting--;
    *ret_resolved = names.addresses;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
    *ret_reason = "nobody has that name";
    return ret_resolved->n > 0 ? 0 : -EHOSTUNREACH;
}

static void set_names(const char *const *urls, size_t n)
{
    pthread_mutex_lock(&names.lock);
    names.addresses.n = n;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(urls[i]);

        assert_true(len < REEL_RESOLVE_URL_BYTES);
        memcpy(names.addresses.urls[i], urls[i], len + 1);
    }
    pthread_mutex_unlock(&names.lock);
}

static void hold_lookups(bool held)
{
    pthread_mutex_lock(&names.lock);
    names.held = held;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
}

static void await_lookups(unsigned n)
{
    pthread_mutex_lock(&names.lock);
    while (names.waiting != n)
        pthread_cond_wait(&names.changed, &names.lock);
    pthread_mutex_unlock(&names.lock);
}

// A channel as reel_channel_open makes it of a name.
static void open_name(struct reel_channel *ret_channel)
{
    const struct reel_channel_config config = {
        .url = "tcp://echo:1",
        .service = "gateway",
        .key = FIXTURE_KEY,
        .heartbeat_ms = 100,
    };

    memset(ret_channel, 0, sizeof(*ret_channel));
    assert_int_equal(reel_balancer_open(&config, lookup, &ret_channel->balancer), 0);
}

static int work(struct reel_channel *channel, char *ret_message, size_t size)
{
    struct fixture_outcome outcome = {0};
    struct reel_client_call *call = fixture_start_work(channel, 1, &outcome);

    assert_true(fixture_wait(&outcome.done, 1, 10000));
    reel_client_call_unref(call);
    if (ret_message)
        snprintf(ret_message, size, "%s", outcome.message);
    return outcome.code;
}

// Works until the server has had some of it.
static void work_until(struct reel_channel *channel, struct fixture *fixture)
{
    int64_t deadline_us = reel_deadline_in_us(10 * 1000000);
    unsigned before = atomic_load(&fixture->svc.started);

    while (atomic_load(&fixture->svc.started) == before && !reel_deadline_passed(deadline_us))
        (void)work(channel, NULL, 0);
    assert_true(atomic_load(&fixture->svc.started) > before);
}

static void await_lanes(struct reel_channel *channel, size_t n)
{
    int64_t deadline_us = reel_deadline_in_us(10 * 1000000);

    while (reel_balancer_n_lanes(channel->balancer) != n && !reel_deadline_passed(deadline_us))
        usleep(1000);
    assert_int_equal(reel_balancer_n_lanes(channel->balancer), n);
}

struct pair {
    struct fixture servers[2];
    struct reel_channel channel;
};

// Two servers behind the name, and both in use.
static void start_pair(struct pair *pair)
{
    fixture_start(&pair->servers[0], NULL, NULL);
    fixture_start(&pair->servers[1], NULL, NULL);
    set_names((const char *[]){pair->servers[0].url, pair->servers[1].url}, 2);
    open_name(&pair->channel);
    work_until(&pair->channel, &pair->servers[0]);
    work_until(&pair->channel, &pair->servers[1]);
}

static void calls_are_spread(void **state)
{
    struct pair pair;

    (void)state;
    start_pair(&pair);
    unsigned before[] = {atomic_load(&pair.servers[0].svc.started),
                         atomic_load(&pair.servers[1].svc.started)};
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(work(&pair.channel, NULL, 0), REEL_OK);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(atomic_load(&pair.servers[i].svc.started) - before[i], 20);
    assert_true(reel_balancer_is_ready(pair.channel.balancer));
    reel_balancer_close(pair.channel.balancer);
    fixture_stop(&pair.servers[0]);
    fixture_stop(&pair.servers[1]);
}

static void who_dies_is_passed_over_and_forgotten(void **state)
{
    struct pair pair;

    (void)state;
    start_pair(&pair);
    set_names((const char *[]){pair.servers[0].url}, 1);
    fixture_stop(&pair.servers[1]);
    await_lanes(&pair.channel, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(work(&pair.channel, NULL, 0), REEL_OK);
    reel_balancer_close(pair.channel.balancer);
    fixture_stop(&pair.servers[0]);
}

static void who_dies_and_keeps_the_name_is_passed_over(void **state)
{
    struct pair pair;
    unsigned in_a_row = 0;
    int64_t deadline_us = reel_deadline_in_us(10 * 1000000);

    (void)state;
    start_pair(&pair);
    fixture_stop(&pair.servers[1]);
    while (in_a_row < 20 && !reel_deadline_passed(deadline_us))
        in_a_row = work(&pair.channel, NULL, 0) == REEL_OK ? in_a_row + 1 : 0;
    assert_int_equal(in_a_row, 20);
    assert_int_equal(reel_balancer_n_lanes(pair.channel.balancer), 2);
    reel_balancer_close(pair.channel.balancer);
    fixture_stop(&pair.servers[0]);
}

static void who_comes_is_used(void **state)
{
    struct pair pair;
    struct fixture third;

    (void)state;
    start_pair(&pair);
    fixture_start(&third, NULL, NULL);
    set_names((const char *[]){pair.servers[1].url, third.url, pair.servers[0].url}, 3);
    work_until(&pair.channel, &third);
    assert_int_equal(reel_balancer_n_lanes(pair.channel.balancer), 3);
    reel_balancer_close(pair.channel.balancer);
    fixture_stop(&pair.servers[0]);
    fixture_stop(&pair.servers[1]);
    fixture_stop(&third);
}

// The name servers forget a server before it goes: it works on.
static void who_loses_the_name_alone_is_kept(void **state)
{
    struct pair pair;
    struct fixture third;

    (void)state;
    start_pair(&pair);
    fixture_start(&third, NULL, NULL);
    set_names((const char *[]){third.url}, 1);
    work_until(&pair.channel, &third);
    work_until(&pair.channel, &pair.servers[0]);
    work_until(&pair.channel, &pair.servers[1]);
    reel_balancer_close(pair.channel.balancer);
    fixture_stop(&pair.servers[0]);
    fixture_stop(&pair.servers[1]);
    fixture_stop(&third);
}

static void calls_that_wait_go_where_the_name_goes(void **state)
{
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;
    struct reel_call_options options = {.wait_for_ready = true};
    struct fixture_outcome outcome = {0};
    struct fixture first;
    struct fixture second;
    struct reel_channel channel;

    (void)state;
    fixture_start(&first, NULL, NULL);
    set_names((const char *[]){first.url}, 1);
    open_name(&channel);
    assert_true(reel_balancer_wait_ready(channel.balancer, reel_deadline_in_us(10 * 1000000)));
    fixture_stop(&first);
    int64_t deadline_us = reel_deadline_in_us(10 * 1000000);
    while (reel_balancer_is_ready(channel.balancer) && !reel_deadline_passed(deadline_us))
        usleep(1000);
    struct reel_client_call *call =
        fixture_start_call(&channel, ECHO_SERVICE_WORK, &options, &request.base, &outcome);
    fixture_start(&second, NULL, NULL);
    set_names((const char *[]){second.url}, 1);
    assert_true(fixture_wait(&second.svc.started, 1, 10000));
    reel_client_call_cancel(call);
    assert_true(fixture_wait(&outcome.done, 1, 10000));
    reel_client_call_unref(call);
    assert_int_equal(reel_balancer_n_lanes(channel.balancer), 1);
    reel_balancer_close(channel.balancer);
    fixture_stop(&second);
}

static void a_name_without_address_says_so_and_may_get_one(void **state)
{
    char message[256];
    struct fixture fixture;
    struct reel_channel channel;

    (void)state;
    set_names(NULL, 0);
    open_name(&channel);
    assert_int_equal(work(&channel, message, sizeof(message)), REEL_UNAVAILABLE);
    assert_non_null(strstr(message, "tcp://echo:1 is not reachable: nobody has that name"));
    assert_false(reel_balancer_is_ready(channel.balancer));
    assert_false(reel_balancer_wait_ready(channel.balancer, reel_deadline_in_us(1000)));
    fixture_start(&fixture, NULL, NULL);
    set_names((const char *[]){fixture.url}, 1);
    assert_true(reel_balancer_wait_ready(channel.balancer, reel_deadline_in_us(10 * 1000000)));
    assert_int_equal(work(&channel, NULL, 0), REEL_OK);
    reel_balancer_close(channel.balancer);
    fixture_stop(&fixture);
}

static void first_calls_wait_for_the_lookup(void **state)
{
    struct fixture_outcome outcome = {0};
    struct fixture fixture;
    struct reel_channel channel;

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    set_names((const char *[]){fixture.url}, 1);
    hold_lookups(true);
    open_name(&channel);
    await_lookups(1);
    struct reel_client_call *call = fixture_start_work(&channel, 1, &outcome);
    hold_lookups(false);
    assert_true(fixture_wait(&outcome.done, 1, 10000));
    assert_int_equal(outcome.code, REEL_OK);
    reel_client_call_unref(call);
    reel_balancer_close(channel.balancer);
    fixture_stop(&fixture);
}

// It takes connections and never says a word, as a machine that is frozen.
static int open_black_hole(char *ret_url, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(ret_url, size, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void a_black_hole_takes_no_calls(void **state)
{
    char url[64];
    struct fixture fixture;
    struct reel_channel channel;
    int hole = open_black_hole(url, sizeof(url));

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    set_names((const char *[]){url, fixture.url}, 2);
    open_name(&channel);
    assert_true(reel_balancer_wait_ready(channel.balancer, reel_deadline_in_us(10 * 1000000)));
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(work(&channel, NULL, 0), REEL_OK);
    assert_int_equal(atomic_load(&fixture.svc.started), 20);
    reel_balancer_close(channel.balancer);
    fixture_stop(&fixture);
    close(hole);
}

static void closing_does_not_wait_for_a_lookup(void **state)
{
    struct fixture_outcome outcome = {0};
    struct reel_channel channel;

    (void)state;
    set_names(NULL, 0);
    hold_lookups(true);
    open_name(&channel);
    await_lookups(1);
    struct reel_client_call *call = fixture_start_work(&channel, 1, &outcome);
    reel_balancer_close(channel.balancer);
    assert_int_equal(atomic_load(&outcome.done), 1);
    assert_int_equal(outcome.code, REEL_CANCELLED);
    reel_client_call_unref(call);
    hold_lookups(false);
    await_lookups(0);
}

static void more_addresses_than_lanes_are_survived(void **state)
{
    char urls[REEL_RESOLVE_MAX][REEL_RESOLVE_URL_BYTES];
    const char *pointers[REEL_RESOLVE_MAX];
    struct fixture fixture;
    struct reel_channel channel;

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    for (unsigned i = 0; i < REEL_RESOLVE_MAX; i++) {
        snprintf(urls[i], sizeof(urls[i]), "tcp://127.0.0.1:%u", i + 1);
        pointers[i] = urls[i];
    }
    set_names(pointers, REEL_RESOLVE_MAX);
    open_name(&channel);
    await_lanes(&channel, REEL_RESOLVE_MAX);
    // Sixteen that nobody is at make room for the one that somebody is.
    set_names((const char *[]){fixture.url}, 1);
    await_lanes(&channel, 1);
    assert_true(reel_balancer_wait_ready(channel.balancer, reel_deadline_in_us(10 * 1000000)));
    assert_int_equal(work(&channel, NULL, 0), REEL_OK);
    reel_balancer_close(channel.balancer);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_spread),
        cmocka_unit_test(who_dies_is_passed_over_and_forgotten),
        cmocka_unit_test(who_dies_and_keeps_the_name_is_passed_over),
        cmocka_unit_test(who_comes_is_used),
        cmocka_unit_test(who_loses_the_name_alone_is_kept),
        cmocka_unit_test(calls_that_wait_go_where_the_name_goes),
        cmocka_unit_test(a_name_without_address_says_so_and_may_get_one),
        cmocka_unit_test(first_calls_wait_for_the_lookup),
        cmocka_unit_test(a_black_hole_takes_no_calls),
        cmocka_unit_test(closing_does_not_wait_for_a_lookup),
        cmocka_unit_test(more_addresses_than_lanes_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
