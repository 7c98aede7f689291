// SPDX-License-Identifier: Apache-2.0
#include <hiredis/hiredis.h>
#include <signal.h>

#include "libcommon/core/clock.h"
#include "libcommon/redis/conn.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/own_redis.h"
#include "tests/lib/scripted.h"

static int64_t in_ms(int ms)
{
    return reel_deadline_in_us(ms * INT64_C(1000));
}

static int open_at(const char *url, const char *client_name, int ms, redisContext **ret_link)
{
    const struct reel_redis_config config = {.url = url, .client_name = client_name};
    struct reel_redis_address address;

    assert_int_equal(reel_redis_address_init(&config, &address), REEL_OK);
    int rc = reel_redis_link_open(&address, in_ms(ms), ret_link);
    reel_redis_address_fini(&address);
    return rc;
}

static int ping(redisContext *link, int ms, bool *ret_broken)
{
    const struct reel_redis_arg args = reel_redis_str("PING");
    struct reel_arena arena;

    reel_arena_init(&arena, 4096);
    int rc = reel_redis_link_command(link, in_ms(ms), &arena, 1, &args, NULL, ret_broken);
    reel_arena_fini(&arena);
    return rc;
}

static void an_opened_link_answers_and_is_quiet(void **state)
{
    redisContext *link = NULL;
    bool broken = true;

    assert_int_equal(open_at(own_redis_url(*state), "link", 5000, &link), REEL_OK);
    for (int i = 0; i < 3; i++) {
        assert_true(reel_redis_link_is_quiet(link));
        assert_int_equal(ping(link, 5000, &broken), REEL_OK);
        assert_false(broken);
    }
    reel_redis_link_close(link);
    reel_redis_link_close(NULL);
}

static void a_link_whose_server_died_is_not_quiet(void **state)
{
    redisContext *link = NULL;
    bool broken = false;

    assert_int_equal(open_at(own_redis_url(*state), NULL, 5000, &link), REEL_OK);
    own_redis_kill(*state);
    assert_false(reel_redis_link_is_quiet(link));
    assert_int_equal(ping(link, 5000, &broken), REEL_UNAVAILABLE);
    assert_true(broken);
    reel_redis_link_close(link);
    own_redis_restart(*state);
}

static void a_greeting_that_fails_opens_nothing(void **state)
{
    static const struct {
        const char *marker;
        const char *says;
        int rc;
    } cases[] = {
        {"SELECT", "-LOADING Redis is loading the dataset in memory\r\n", REEL_UNAVAILABLE},
        {"SELECT", "-NOAUTH Authentication required.\r\n", REEL_UNAVAILABLE},
        {"SETNAME", "-ERR no\r\n", REEL_UNAVAILABLE},
        {"SELECT", "garbage\r\n", REEL_UNAVAILABLE},
        {"SELECT", NULL, REEL_UNAVAILABLE},
        {"SELECT", "", REEL_DEADLINE_EXCEEDED},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct scripted *server = scripted_start(cases[i].marker, cases[i].says);
        redisContext *link = NULL;

        assert_int_equal(open_at(scripted_url(server), "name", 150, &link), cases[i].rc);
        assert_null(link);
        scripted_stop(server);
    }
}

static void a_wrong_password_opens_nothing(void **state)
{
    redisContext *link = NULL;

    (void)state;
    assert_int_equal(open_at("redis://user:password@127.0.0.1:1", NULL, 1000, &link),
                     REEL_UNAVAILABLE);
    assert_null(link);
}

static void what_a_broken_server_says_is_survived(void **state)
{
    static const struct {
        const char *says; // to PING, after a good greeting; NULL hangs up
        int rc;
    } cases[] = {
        {NULL, REEL_UNAVAILABLE},
        {"-LOADING Redis is loading the dataset in memory\r\n", REEL_UNAVAILABLE},
        {"-OOM command not allowed\r\n", REEL_RESOURCE_EXHAUSTED},
        {"-MISCONF no disk\r\n", REEL_UNAVAILABLE},
        {"?what\r\n", REEL_UNAVAILABLE},
        {"$-5\r\n", REEL_UNAVAILABLE},
        {"*1000000000000\r\n", REEL_UNAVAILABLE},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", REEL_UNAVAILABLE},
        {"$10\r\nshort", REEL_DEADLINE_EXCEEDED},
        {"", REEL_DEADLINE_EXCEEDED},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct scripted *broken = scripted_start("PING", cases[i].says);
        redisContext *link = NULL;
        bool is_broken = false;

        assert_int_equal(open_at(scripted_url(broken), NULL, 5000, &link), REEL_OK);
        assert_int_equal(ping(link, 150, &is_broken), cases[i].rc);
        assert_int_equal(is_broken, !cases[i].says || cases[i].says[0] != '-');
        reel_redis_link_close(link);
        scripted_stop(broken);
    }
}

// As reel_redis_new does: hiredis writes without MSG_NOSIGNAL.
static int ignore_sigpipe(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int setup(void **state)
{
    *state = own_redis_start();
    return 0;
}

static int teardown(void **state)
{
    own_redis_stop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_opened_link_answers_and_is_quiet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_whose_server_died_is_not_quiet, setup, teardown),
        cmocka_unit_test(a_greeting_that_fails_opens_nothing),
        cmocka_unit_test(a_wrong_password_opens_nothing),
        cmocka_unit_test(what_a_broken_server_says_is_survived),
    };

    return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
