// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/redis/conn.h"
#include "tests/lib/cmocka.h"

// SHA-1 of "return 1", as Redis names it.
#define SHA "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"

// Stands for a server: notes the commands it gets and gives the outcomes it was told.
struct server {
    int outcomes[2];
    const char *error;
    unsigned n_calls;
    char line[2][256];
};

static int run(void *who, int64_t deadline_us, struct reel_arena *arena, size_t n_args,
               const struct reel_redis_arg *args, struct reel_redis_reply *ret_reply)
{
    struct server *server = who;
    char *line = server->line[server->n_calls];

    (void)arena;
    assert_int_equal(deadline_us, 77);
    for (size_t i = 0; i < n_args; i++) {
        strncat(line, args[i].data, args[i].len);
        strcat(line, "|");
    }
    *ret_reply = (struct reel_redis_reply){.type = REEL_REDIS_ERROR, .str = server->error};
    return server->outcomes[server->n_calls++];
}

static int eval(struct server *server, struct reel_redis_script *script, size_t cap)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    const struct reel_redis_arg keys[] = {{"k1", 2}, {"k2", 2}};
    const struct reel_redis_arg args[] = {{"a", 1}};
    const struct reel_redis_eval_call call = {
        .script = script, .keys = keys, .n_keys = 2, .args = args, .n_args = 1};
    struct reel_redis_reply reply;

    reel_arena_init(&arena, cap);
    return reel_redis_run_script(run, server, 77, &arena, &call, &reply);
}

static void a_known_script_is_run_by_its_hash(void **state)
{
    struct reel_redis_script script = {.name = "one", .source = "return 1"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct server server = {.outcomes = {REEL_OK}};

        assert_int_equal(eval(&server, &script, 4096), REEL_OK);
        assert_int_equal(server.n_calls, 1);
        assert_string_equal(server.line[0], "EVALSHA|" SHA "|2|k1|k2|a|");
    }
}

static void an_unknown_script_is_sent_whole(void **state)
{
    struct reel_redis_script script = {.name = "one", .source = "return 1"};
    struct server server = {.outcomes = {REEL_FAILED_PRECONDITION, REEL_OK},
                            .error = "NOSCRIPT No matching script."};

    (void)state;
    assert_int_equal(eval(&server, &script, 4096), REEL_OK);
    assert_int_equal(server.n_calls, 2);
    assert_string_equal(server.line[1], "EVAL|return 1|2|k1|k2|a|");
}

static void other_failures_are_not_tried_again(void **state)
{
    static const int outcomes[] = {REEL_FAILED_PRECONDITION, REEL_UNAVAILABLE,
                                   REEL_DEADLINE_EXCEEDED, REEL_RESOURCE_EXHAUSTED};
    struct reel_redis_script script = {.name = "one", .source = "return 1"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(outcomes); i++) {
        struct server server = {.outcomes = {outcomes[i]}, .error = "ERR user error"};

        assert_int_equal(eval(&server, &script, 4096), outcomes[i]);
        assert_int_equal(server.n_calls, 1);
    }
}

static void a_full_arena_runs_nothing(void **state)
{
    struct reel_redis_script script = {.name = "one", .source = "return 1"};
    struct server server = {0};

    (void)state;
    assert_int_equal(eval(&server, &script, 10), REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(server.n_calls, 0);
}

static void *eval_many(void *script)
{
    for (int i = 0; i < 2000; i++) {
        struct server server = {.outcomes = {REEL_OK}};

        eval(&server, script, 4096);
        if (strcmp(server.line[0], "EVALSHA|" SHA "|2|k1|k2|a|") != 0)
            return script;
    }
    return NULL;
}

static void threads_share_a_script(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct reel_redis_script script = {.name = "one", .source = "return 1"};
        pthread_t threads[4];
        void *failed;

        for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++)
            pthread_create(&threads[i], NULL, eval_many, &script);
        for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++) {
            pthread_join(threads[i], &failed);
            assert_null(failed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_script_is_run_by_its_hash),
        cmocka_unit_test(an_unknown_script_is_sent_whole),
        cmocka_unit_test(other_failures_are_not_tried_again),
        cmocka_unit_test(a_full_arena_runs_nothing),
        cmocka_unit_test(threads_share_a_script),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
