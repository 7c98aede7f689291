// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/redis/conn.h"
#include "libcommon/redis/redis.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/own_redis.h"

// One for all cases: they pause, fill and restart it.
static struct own_redis *server;

struct fixture {
    struct reel_redis *redis;
    struct reel_arena arena;
};

static int64_t in_ms(int ms)
{
    return reel_deadline_in_us(ms * INT64_C(1000));
}

static struct reel_redis *new_pool(const char *url, uint32_t timeout_ms)
{
    const struct reel_redis_config config = {
        .url = url, .client_name = "test_redis", .max_connections = 2, .timeout_ms = timeout_ms};
    struct reel_redis *redis = NULL;

    assert_int_equal(reel_redis_new(&config, &redis), REEL_OK);
    return redis;
}

// Runs a command of space-separated words.
static int run_in(struct reel_redis *redis, struct reel_arena *arena, const char *command,
                  struct reel_redis_reply *ret_reply)
{
    struct reel_redis_arg args[16];
    char *words = reel_arena_strdup(arena, command);
    char *save = NULL;
    size_t n = 0;

    for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
        args[n++] = reel_redis_str(word);
    return reel_redis_command(redis, in_ms(5000), arena, n, args, ret_reply);
}

static int run(struct fixture *f, const char *command, struct reel_redis_reply *ret_reply)
{
    return run_in(f->redis, &f->arena, command, ret_reply);
}

static struct reel_redis_conn *open_conn(const char *name)
{
    const struct reel_redis_config config = {
        .url = own_redis_url(server), .client_name = name, .timeout_ms = 100};
    struct reel_redis_conn *conn = NULL;

    assert_int_equal(reel_redis_conn_open(&config, &conn), REEL_OK);
    return conn;
}

static void wait_for_a_blocked_client(struct reel_redis *redis)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    const struct reel_redis_arg info[] = {reel_redis_str("INFO"), reel_redis_str("clients")};

    reel_arena_init(&arena, 1 << 20);
    for (int64_t until = in_ms(5000); !reel_deadline_passed(until);) {
        struct reel_redis_reply reply;

        reel_arena_reset(&arena);
        if (reel_redis_command(redis, until, &arena, 2, info, &reply) == REEL_OK &&
            strstr(reply.str, "blocked_clients:1"))
            return;
    }
}

static void *push_when_someone_waits(void *redis)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    reel_arena_init(&arena, 1 << 16);
    wait_for_a_blocked_client(redis);
    return run_in(redis, &arena, "ZADD test:redis 1 marker", NULL) == REEL_OK ? NULL : redis;
}

static void *kill_when_someone_waits(void *redis)
{
    wait_for_a_blocked_client(redis);
    own_redis_kill(server);
    return NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->redis = new_pool(own_redis_url(server), 0);
    reel_arena_init(&f->arena, 1 << 20);
    assert_int_equal(run(f, "DEL test:redis", NULL), REEL_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "DEL test:redis", NULL), REEL_OK);
    reel_redis_free(f->redis);
    reel_arena_fini(&f->arena);
    free(f);
    return 0;
}

static void every_type_of_reply_is_read(void **state)
{
    struct fixture *f = *state;
    struct reel_redis_reply reply;

    assert_int_equal(run(f, "SET test:redis value", &reply), REEL_OK);
    assert_int_equal(reply.type, REEL_REDIS_STRING);
    assert_string_equal(reply.str, "OK");
    assert_int_equal(run(f, "GET test:redis", &reply), REEL_OK);
    assert_string_equal(reply.str, "value");
    assert_int_equal(run(f, "GET test:missing", &reply), REEL_OK);
    assert_int_equal(reply.type, REEL_REDIS_NIL);
    assert_int_equal(run(f, "STRLEN test:redis", &reply), REEL_OK);
    assert_int_equal(reply.type, REEL_REDIS_INTEGER);
    assert_int_equal(reply.integer, 5);
}

static void strings_are_binary_safe(void **state)
{
    static const char bytes[] = "a\0b\r\n\xff%s%n";
    struct fixture *f = *state;
    const struct reel_redis_arg set[] = {
        reel_redis_str("SET"), reel_redis_str("test:redis"), {bytes, sizeof(bytes)}};
    struct reel_redis_reply reply;

    assert_int_equal(reel_redis_command(f->redis, in_ms(5000), &f->arena, 3, set, NULL), REEL_OK);
    assert_int_equal(run(f, "GET test:redis", &reply), REEL_OK);
    assert_int_equal(reply.len, sizeof(bytes));
    assert_memory_equal(reply.str, bytes, sizeof(bytes));
}

static void large_strings_cross_whole(void **state)
{
    struct fixture *f = *state;
    const size_t len = 300000;
    char *big = malloc(len);
    struct reel_redis_reply reply;

    memset(big, 'x', len);
    const struct reel_redis_arg set[] = {
        reel_redis_str("SET"), reel_redis_str("test:redis"), {big, len}};
    assert_int_equal(reel_redis_command(f->redis, in_ms(5000), &f->arena, 3, set, NULL), REEL_OK);
    assert_int_equal(run(f, "GET test:redis", &reply), REEL_OK);
    assert_int_equal(reply.len, len);
    assert_memory_equal(reply.str, big, len);
    free(big);
}

static void nested_arrays_keep_their_shape_and_errors(void **state)
{
    static struct reel_redis_script script = {
        .name = "nested",
        .source = "return {1, {'two', {3, {redis.error_reply('FOUR no')}}}, false}",
    };
    struct fixture *f = *state;
    struct reel_redis_reply reply;

    assert_int_equal(
        reel_redis_eval(f->redis, in_ms(5000), &f->arena, &script, 0, NULL, 0, NULL, &reply),
        REEL_OK);
    assert_int_equal(reply.type, REEL_REDIS_ARRAY);
    assert_int_equal(reply.n_items, 3);
    assert_int_equal(reply.items[0].integer, 1);
    assert_string_equal(reply.items[1].items[0].str, "two");
    const struct reel_redis_reply *deepest = &reply.items[1].items[1].items[1].items[0];
    assert_int_equal(deepest->type, REEL_REDIS_ERROR);
    assert_string_equal(deepest->str, "FOUR no");
    assert_int_equal(reply.items[2].type, REEL_REDIS_NIL);
}

static void a_reply_beyond_the_arena_is_refused_and_the_link_lives(void **state)
{
    struct fixture *f = *state;
    REEL_AUTO(reel_arena_fini) struct reel_arena small;
    struct reel_redis_reply reply;

    reel_arena_init(&small, 1024);
    assert_int_equal(run(f, "SETRANGE test:redis 5000 x", NULL), REEL_OK);
    assert_int_equal(run_in(f->redis, &small, "GET test:redis", &reply), REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(run(f, "STRLEN test:redis", &reply), REEL_OK);
    assert_int_equal(reply.integer, 5001);
}

static void more_arguments_than_the_stack_holds(void **state)
{
    struct fixture *f = *state;
    struct reel_redis_arg args[202] = {reel_redis_str("RPUSH"), reel_redis_str("test:redis")};
    struct reel_redis_reply reply;

    for (int i = 2; i < 202; i++)
        args[i] = reel_redis_int(&f->arena, i);
    assert_int_equal(reel_redis_command(f->redis, in_ms(5000), &f->arena, 202, args, &reply),
                     REEL_OK);
    assert_int_equal(reply.integer, 200);
}

static void an_error_reply_is_failed_precondition_with_its_text(void **state)
{
    struct fixture *f = *state;
    struct reel_redis_reply reply;

    assert_int_equal(run(f, "SET test:redis value", NULL), REEL_OK);
    assert_int_equal(run(f, "LPUSH test:redis x", &reply), REEL_FAILED_PRECONDITION);
    assert_int_equal(reply.type, REEL_REDIS_ERROR);
    assert_int_equal(strncmp(reply.str, "WRONGTYPE", 9), 0);
    assert_int_equal(run(f, "NONSENSE", NULL), REEL_FAILED_PRECONDITION);
}

static void a_script_that_was_flushed_is_sent_again(void **state)
{
    static struct reel_redis_script script = {
        .name = "add",
        .source = "return tonumber(ARGV[1]) + redis.call('INCR', KEYS[1])",
    };
    struct fixture *f = *state;
    const struct reel_redis_arg key = reel_redis_str("test:redis");
    const struct reel_redis_arg arg = reel_redis_str("10");

    for (int i = 1; i <= 3; i++) {
        struct reel_redis_reply reply;

        assert_int_equal(run(f, "SCRIPT FLUSH", NULL), REEL_OK);
        assert_int_equal(
            reel_redis_eval(f->redis, in_ms(5000), &f->arena, &script, 1, &key, 1, &arg, &reply),
            REEL_OK);
        assert_int_equal(reply.integer, 10 + i);
    }
    assert_int_equal(strlen(script.sha), 40);
}

static void error_replies_have_outcomes(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"OOM command not allowed when used memory > 'maxmemory'.", REEL_RESOURCE_EXHAUSTED},
        {"LOADING Redis is loading the dataset in memory", REEL_UNAVAILABLE},
        {"MISCONF Redis is configured to save RDB snapshots", REEL_UNAVAILABLE},
        {"BUSY Redis is busy running a script.", REEL_UNAVAILABLE},
        {"READONLY You can't write against a read only replica.", REEL_UNAVAILABLE},
        {"MASTERDOWN Link with MASTER is down", REEL_UNAVAILABLE},
        {"BUSYGROUP Consumer Group name already exists", REEL_FAILED_PRECONDITION},
        {"ERR unknown command", REEL_FAILED_PRECONDITION},
        {"NOSCRIPT No matching script.", REEL_FAILED_PRECONDITION},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_int_equal(reel_redis_outcome_of(cases[i].text), cases[i].rc);
}

static void a_full_redis_is_resource_exhausted(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "CONFIG SET maxmemory 1", NULL), REEL_OK);
    int rc = run(f, "SET test:redis value", NULL);
    assert_int_equal(run(f, "CONFIG SET maxmemory 0", NULL), REEL_OK);
    assert_int_equal(rc, REEL_RESOURCE_EXHAUSTED);
}

static void a_paused_redis_costs_the_timeout_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct reel_redis *impatient = new_pool(own_redis_url(server), 100);
    struct reel_redis_reply reply;

    assert_int_equal(run_in(impatient, &f->arena, "PING", NULL), REEL_OK);
    assert_int_equal(run(f, "CLIENT PAUSE 400 ALL", NULL), REEL_OK);
    const int64_t start_us = reel_clock_mono_us();
    assert_int_equal(run_in(impatient, &f->arena, "PING", NULL), REEL_DEADLINE_EXCEEDED);
    assert_true(reel_clock_mono_us() - start_us >= 100 * 1000);
    // The late answer to the first command must not become the answer to the second.
    assert_int_equal(run(f, "SET test:redis fresh", NULL), REEL_OK);
    assert_int_equal(run(f, "GET test:redis", &reply), REEL_OK);
    assert_string_equal(reply.str, "fresh");
    reel_redis_free(impatient);
}

static void links_killed_while_idle_are_replaced_unseen(void **state)
{
    struct fixture *f = *state;
    struct reel_redis *killer = new_pool(own_redis_url(server), 0);

    for (int i = 0; i < 10; i++) {
        assert_int_equal(run(f, "PING", NULL), REEL_OK);
        assert_int_equal(run_in(killer, &f->arena, "CLIENT KILL TYPE normal SKIPME yes", NULL),
                         REEL_OK);
        assert_int_equal(run(f, "PING", NULL), REEL_OK);
    }
    reel_redis_free(killer);
}

static void a_restart_is_noticed_and_survived(void **state)
{
    struct fixture *f = *state;
    int rc = REEL_UNAVAILABLE;

    assert_int_equal(run(f, "SET test:redis before", NULL), REEL_OK);
    own_redis_kill(server);
    assert_int_equal(run(f, "GET test:redis", NULL), REEL_UNAVAILABLE);
    own_redis_restart(server);
    for (int64_t until = in_ms(5000); rc != REEL_OK && !reel_deadline_passed(until);) {
        reel_arena_reset(&f->arena);
        rc = run(f, "SET test:redis after", NULL);
    }
    assert_int_equal(rc, REEL_OK);
}

static void a_kill_in_mid_command_is_unavailable(void **state)
{
    struct fixture *f = *state;
    const struct reel_redis_arg pop[] = {reel_redis_str("BZPOPMIN"), reel_redis_str("test:redis"),
                                         reel_redis_str("10")};
    struct reel_redis_conn *conn = open_conn("victim");
    pthread_t killer;

    assert_int_equal(pthread_create(&killer, NULL, kill_when_someone_waits, f->redis), 0);
    assert_int_equal(reel_redis_conn_command(conn, in_ms(15000), &f->arena, 3, pop, NULL),
                     REEL_UNAVAILABLE);
    pthread_join(killer, NULL);
    assert_int_equal(reel_redis_conn_command(conn, in_ms(5000), &f->arena, 3, pop, NULL),
                     REEL_UNAVAILABLE);
    own_redis_restart(server);
    const struct reel_redis_arg ping = reel_redis_str("PING");
    assert_int_equal(reel_redis_conn_command(conn, in_ms(5000), &f->arena, 1, &ping, NULL),
                     REEL_OK);
    reel_redis_conn_close(conn);
}

static void a_server_that_is_away_is_unavailable(void **state)
{
    static const char *const urls[] = {"unix:///nonexistent/redis.sock", "redis://127.0.0.1:1"};
    struct fixture *f = *state;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(urls); i++) {
        struct reel_redis *away = new_pool(urls[i], 0);

        for (int n = 0; n < 50; n++)
            assert_int_equal(run_in(away, &f->arena, "PING", NULL), REEL_UNAVAILABLE);
        reel_redis_free(away);
    }
}

static void bad_urls_are_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "localhost",
        "http://localhost",
        "redis://",
        "redis://h:port",
        "redis://h:99999",
        "redis://h/db",
        "unix://",
        "unix://relative",
        "unix:///path?db=x",
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(urls); i++) {
        const struct reel_redis_config config = {.url = urls[i]};
        struct reel_redis *redis = NULL;

        assert_int_equal(reel_redis_new(&config, &redis), REEL_INVALID_ARGUMENT);
    }
}

static void urls_are_taken_apart(void **state)
{
    static const struct {
        const char *url;
        const char *host;
        int port;
        const char *user;
        const char *password;
        const char *db;
    } cases[] = {
        {"redis://h", "h", 6379, NULL, NULL, "0"},
        {"redis://h:1/2", "h", 1, NULL, NULL, "2"},
        {"redis://:p@h:1", "h", 1, NULL, "p", "0"},
        {"redis://u:p:w@h", "h", 6379, "u", "p:w", "0"},
        {"redis://u:p@w@h/3", "h", 6379, "u", "p@w", "3"},
        {"redis://[::1]:7000/4", "::1", 7000, NULL, NULL, "4"},
        {"redis://[::1]", "::1", 6379, NULL, NULL, "0"},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        const struct reel_redis_config config = {.url = cases[i].url};
        struct reel_redis_address address;

        assert_int_equal(reel_redis_address_init(&config, &address), REEL_OK);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        assert_string_equal(address.db, cases[i].db);
        assert_int_equal(!address.user, !cases[i].user);
        assert_int_equal(!address.password, !cases[i].password);
        if (cases[i].user)
            assert_string_equal(address.user, cases[i].user);
        if (cases[i].password)
            assert_string_equal(address.password, cases[i].password);
        reel_redis_address_fini(&address);
    }
}

static void a_connection_of_ones_own_waits_longer_than_the_timeout(void **state)
{
    struct fixture *f = *state;
    const struct reel_redis_arg pop[] = {reel_redis_str("BZPOPMIN"), reel_redis_str("test:redis"),
                                         reel_redis_str("0.4")};
    struct reel_redis_conn *conn = open_conn("own");
    struct reel_redis_reply reply;
    const int64_t start_us = reel_clock_mono_us();

    assert_int_equal(reel_redis_conn_command(conn, in_ms(5000), &f->arena, 3, pop, &reply),
                     REEL_OK);
    assert_int_equal(reply.type, REEL_REDIS_NIL);
    assert_true(reel_clock_mono_us() - start_us >= 350 * 1000);
    reel_redis_conn_close(conn);
}

static void it_shows_its_name_also_after_a_reconnect(void **state)
{
    struct fixture *f = *state;
    const struct reel_redis_arg get[] = {reel_redis_str("CLIENT"), reel_redis_str("GETNAME")};
    struct reel_redis_conn *conn = open_conn("bull:queue:w:1");

    for (int i = 0; i < 3; i++) {
        struct reel_redis_reply reply;

        assert_int_equal(reel_redis_conn_command(conn, in_ms(5000), &f->arena, 2, get, &reply),
                         REEL_OK);
        assert_string_equal(reply.str, "bull:queue:w:1");
        assert_int_equal(run(f, "CLIENT KILL TYPE normal SKIPME yes", NULL), REEL_OK);
    }
    reel_redis_conn_close(conn);
}

static void a_blocked_pop_is_woken_by_a_push(void **state)
{
    struct fixture *f = *state;
    const struct reel_redis_arg pop[] = {reel_redis_str("BZPOPMIN"), reel_redis_str("test:redis"),
                                         reel_redis_str("10")};
    struct reel_redis_conn *conn = open_conn("waiter");
    struct reel_redis_reply reply;
    pthread_t pusher;
    void *failed = f;

    assert_int_equal(pthread_create(&pusher, NULL, push_when_someone_waits, f->redis), 0);
    assert_int_equal(reel_redis_conn_command(conn, in_ms(15000), &f->arena, 3, pop, &reply),
                     REEL_OK);
    pthread_join(pusher, &failed);
    assert_null(failed);
    assert_int_equal(reply.n_items, 3);
    assert_string_equal(reply.items[1].str, "marker");
    reel_redis_conn_close(conn);
}

static void its_deadline_still_bounds_a_blocked_command(void **state)
{
    struct fixture *f = *state;
    const struct reel_redis_arg pop[] = {reel_redis_str("BZPOPMIN"), reel_redis_str("test:redis"),
                                         reel_redis_str("10")};
    const struct reel_redis_arg ping = reel_redis_str("PING");
    struct reel_redis_conn *conn = open_conn("bounded");

    assert_int_equal(reel_redis_conn_command(conn, in_ms(150), &f->arena, 3, pop, NULL),
                     REEL_DEADLINE_EXCEEDED);
    assert_int_equal(reel_redis_conn_command(conn, in_ms(5000), &f->arena, 1, &ping, NULL),
                     REEL_OK);
    reel_redis_conn_close(conn);
}

static void *count_up(void *arg)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    static struct reel_redis_script script = {.name = "count",
                                              .source = "return redis.call('INCR', KEYS[1])"};
    const struct reel_redis_arg key = reel_redis_str("test:redis");

    reel_arena_init(&arena, 1 << 16);
    for (int i = 0; i < 50; i++) {
        reel_arena_reset(&arena);
        if (reel_redis_eval(arg, in_ms(5000), &arena, &script, 1, &key, 0, NULL, NULL) != REEL_OK)
            return arg;
    }
    return NULL;
}

static void many_threads_share_few_links_and_a_script(void **state)
{
    struct fixture *f = *state;
    struct reel_redis_reply reply;
    pthread_t threads[8];

    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, f->redis), 0);
    for (int i = 0; i < 8; i++) {
        void *failed = f;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(run(f, "GET test:redis", &reply), REEL_OK);
    assert_string_equal(reply.str, "400");
}

static int start_server(void **state)
{
    (void)state;
    server = own_redis_start();
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    own_redis_stop(server);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_type_of_reply_is_read),
        CASE(strings_are_binary_safe),
        CASE(large_strings_cross_whole),
        CASE(nested_arrays_keep_their_shape_and_errors),
        CASE(a_reply_beyond_the_arena_is_refused_and_the_link_lives),
        CASE(more_arguments_than_the_stack_holds),
        CASE(an_error_reply_is_failed_precondition_with_its_text),
        CASE(a_script_that_was_flushed_is_sent_again),
        cmocka_unit_test(error_replies_have_outcomes),
        CASE(a_full_redis_is_resource_exhausted),
        CASE(a_paused_redis_costs_the_timeout_and_recovers),
        CASE(links_killed_while_idle_are_replaced_unseen),
        CASE(a_restart_is_noticed_and_survived),
        CASE(a_kill_in_mid_command_is_unavailable),
        CASE(a_server_that_is_away_is_unavailable),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(urls_are_taken_apart),
        CASE(a_connection_of_ones_own_waits_longer_than_the_timeout),
        CASE(it_shows_its_name_also_after_a_reconnect),
        CASE(a_blocked_pop_is_woken_by_a_push),
        CASE(its_deadline_still_bounds_a_blocked_command),
        CASE(many_threads_share_few_links_and_a_script),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
