// SPDX-License-Identifier: Apache-2.0
#include <hiredis/hiredis.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/redis/conn.h"
#include "tests/lib/cmocka.h"

static struct reel_arena arena;
static bool broken;

// Sends a command to a server that answers `text`, whatever it is asked.
static int ask(const char *text, size_t cap, struct reel_redis_reply *ret_reply)
{
    const struct reel_redis_arg args[] = {{"PING", 4}};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
    shutdown(fds[1], SHUT_WR);
    redisContext *link = redisConnectFd(fds[0]);
    reel_arena_fini(&arena);
    reel_arena_init(&arena, cap);
    int rc = reel_redis_link_command(link, reel_deadline_in_us(2000000), &arena, 1, args, ret_reply,
                                     &broken);
    redisFree(link);
    close(fds[1]);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    reel_arena_fini(&arena);
    return 0;
}

static void replies_of_every_type_are_copied(void **state)
{
    struct reel_redis_reply r;

    (void)state;
    assert_int_equal(ask("+OK\r\n", 4096, &r), REEL_OK);
    assert_true(r.type == REEL_REDIS_STRING && strcmp(r.str, "OK") == 0 && !broken);
    assert_int_equal(ask(":-42\r\n", 4096, &r), REEL_OK);
    assert_true(r.type == REEL_REDIS_INTEGER && r.integer == -42);
    assert_int_equal(ask("$-1\r\n", 4096, &r), REEL_OK);
    assert_int_equal(r.type, REEL_REDIS_NIL);
    assert_int_equal(ask("*-1\r\n", 4096, &r), REEL_OK);
    assert_int_equal(r.type, REEL_REDIS_NIL);
    assert_int_equal(ask("*3\r\n:1\r\n*1\r\n$2\r\nhi\r\n-ERR x\r\n", 4096, &r), REEL_OK);
    assert_true(r.type == REEL_REDIS_ARRAY && r.n_items == 3 && r.items[0].integer == 1);
    assert_string_equal(r.items[1].items[0].str, "hi");
    assert_int_equal(r.items[2].type, REEL_REDIS_ERROR);
}

static void errors_are_outcomes(void **state)
{
    struct reel_redis_reply r;

    (void)state;
    assert_int_equal(ask("-NOSCRIPT No matching\r\n", 4096, &r), REEL_FAILED_PRECONDITION);
    assert_string_equal(r.str, "NOSCRIPT No matching");
    assert_false(broken);
    assert_int_equal(ask("-LOADING Redis is loading\r\n", 4096, &r), REEL_UNAVAILABLE);
    assert_int_equal(reel_redis_outcome_of("OOM command not allowed"), REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(reel_redis_outcome_of("MISCONF Redis is"), REEL_UNAVAILABLE);
    assert_int_equal(reel_redis_outcome_of("READONLY You can't"), REEL_UNAVAILABLE);
    assert_int_equal(reel_redis_outcome_of("OOMPH"), REEL_FAILED_PRECONDITION);
    assert_int_equal(reel_redis_outcome_of(""), REEL_FAILED_PRECONDITION);
}

static void a_broken_reply_breaks_the_link(void **state)
{
    static const char *const bad[] = {
        "",
        "+OK",
        "!\r\n",
        "$5\r\nab\r\n",
        "*2\r\n:1\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"};
    struct reel_redis_reply r;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        assert_int_equal(ask(bad[i], 4096, &r), REEL_UNAVAILABLE);
        assert_true(broken);
    }
}

static void a_full_arena_leaves_the_link_whole(void **state)
{
    struct reel_redis_reply r;

    (void)state;
    assert_int_equal(ask("$10\r\n0123456789\r\n", 10, &r), REEL_RESOURCE_EXHAUSTED);
    assert_false(broken);
    assert_int_equal(ask("*2\r\n:1\r\n:2\r\n", 10, &r), REEL_RESOURCE_EXHAUSTED);
    assert_false(broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_of_every_type_are_copied),
        cmocka_unit_test(errors_are_outcomes),
        cmocka_unit_test(a_broken_reply_breaks_the_link),
        cmocka_unit_test(a_full_arena_leaves_the_link_whole),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
