// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "svc-user/lookup.h"
#include "svc-user/store.h"
#include "tests/integration/user/lib/service.h"
#include "tests/lib/cmocka.h"

enum { N_USERS = 5, N_THREADS = 24, N_ROUNDS = 100 };

static int64_t in_ms(int ms)
{
    return reel_deadline_in_us(ms * INT64_C(1000));
}

struct reader {
    struct lookup *lookup;
    const char *const *ids;
    unsigned seed;
    unsigned n_wrong;
};

// Asks for known and unknown users by turns; whoever gets another's answer counts it.
static void *read_many(void *arg)
{
    struct reader *r = arg;
    struct reel_arena arena;

    reel_arena_init(&arena, 64 * 1024);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        const unsigned which = (r->seed + i) % (N_USERS + 1);
        User__User *user = NULL;
        char unknown[REEL_ID_SIZE];

        reel_id_new(unknown);
        const char *id = which < N_USERS ? r->ids[which] : unknown;
        int rc = lookup_user(r->lookup, in_ms(20000), &arena, id, &user);
        if (which < N_USERS ? rc != REEL_OK || strcmp(user->id, id) != 0 : rc != REEL_NOT_FOUND)
            r->n_wrong++;
        reel_arena_reset(&arena);
    }
    reel_arena_fini(&arena);
    return NULL;
}

static void a_crowd_gets_everyone_the_right_user(void **state)
{
    struct service *s = *state;
    struct reader readers[N_THREADS];
    pthread_t threads[N_THREADS];
    const char *ids[N_USERS];

    for (int i = 0; i < N_USERS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "user%d", i);
        ids[i] = service_register(s, name)->id;
    }
    for (unsigned i = 0; i < N_THREADS; i++) {
        readers[i] = (struct reader){s->svc->lookup, ids, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_many, &readers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].n_wrong, 0);
    }
}

struct background {
    struct lookup *lookup;
    const char *id;
    atomic_bool stop;
};

static void *keep_reading(void *arg)
{
    struct background *b = arg;
    struct reel_arena arena;

    reel_arena_init(&arena, 64 * 1024);
    while (!b->stop) {
        User__User *user;

        (void)!lookup_user(b->lookup, in_ms(20000), &arena, b->id, &user);
        reel_arena_reset(&arena);
    }
    reel_arena_fini(&arena);
    return NULL;
}

// A caller must not be served by a statement that was sent before it came.
static void what_was_written_before_the_call_is_read(void **state)
{
    struct service *s = *state;
    const User__User *registered = service_register(s, "alice");
    struct background background = {.lookup = s->svc->lookup, .id = registered->id};
    const struct store db = {s->svc->pg, in_ms(60000), &s->arena};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_reading, &background), 0);
    for (int i = 0; i < 100; i++) {
        struct store_user_change change = {.username = reel_arena_printf(&s->arena, "alice%d", i)};
        const char *constraint = "";
        User__User *user = NULL;

        assert_int_equal(store_user_update(&db, registered->id, &change, &user, &constraint),
                         REEL_OK);
        assert_int_equal(
            lookup_user(s->svc->lookup, in_ms(20000), &s->arena, registered->id, &user), REEL_OK);
        assert_string_equal(user->username, change.username);
    }
    background.stop = true;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void a_statement_that_hangs_does_not_hold_up_the_others(void **state)
{
    struct service *s = *state;
    const User__User *alice = service_register(s, "alice");
    struct background stuck = {.lookup = s->svc->lookup, .id = alice->id};
    struct reel_pg_conn *locker = NULL;
    User__User *user = NULL;
    pthread_t thread;

    assert_int_equal(reel_pg_take(s->pg, in_ms(20000), &locker), REEL_OK);
    assert_int_equal(reel_pg_begin(locker), REEL_OK);
    assert_int_equal(
        reel_pg_exec(locker, &s->arena, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE", 0, NULL, NULL),
        REEL_OK);
    assert_int_equal(pthread_create(&thread, NULL, keep_reading, &stuck), 0);
    const char *waiting = "f";
    for (int64_t until = in_ms(10000); waiting[0] == 'f' && !reel_deadline_passed(until);)
        waiting = service_sql(s, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
    assert_string_equal(waiting, "t");
    // It cannot be answered either, but it comes back by its own deadline.
    assert_int_equal(lookup_user(s->svc->lookup, in_ms(200), &s->arena, alice->id, &user),
                     REEL_DEADLINE_EXCEEDED);
    stuck.stop = true;
    reel_pg_give(&locker);
    pthread_join(thread, NULL);
    assert_int_equal(lookup_user(s->svc->lookup, in_ms(20000), &s->arena, alice->id, &user),
                     REEL_OK);
}

static void an_outage_reaches_every_caller(void **state)
{
    struct service *s = *state;
    const struct reel_pg_config config = {.url = "host=/nonexistent"};
    struct lookup *lookup = NULL;
    struct reel_pg *pg = NULL;
    User__User *user = NULL;

    assert_int_equal(reel_pg_new(&config, &pg), REEL_OK);
    assert_int_equal(lookup_new(pg, &lookup), REEL_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lookup_user(lookup, in_ms(5000), &s->arena,
                                     "0190a000-0000-7000-8000-00000000dead", &user),
                         REEL_UNAVAILABLE);
    lookup_free(lookup);
    lookup_free(NULL);
    reel_pg_free(pg);
}

static void an_arena_without_room_fails_its_own_caller(void **state)
{
    struct service *s = *state;
    const User__User *alice = service_register(s, "alice");
    User__User *user = NULL;
    struct reel_arena tiny;

    reel_arena_init(&tiny, 16);
    assert_int_equal(lookup_user(s->svc->lookup, in_ms(20000), &tiny, alice->id, &user),
                     REEL_RESOURCE_EXHAUSTED);
    reel_arena_fini(&tiny);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, service_start, service_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_crowd_gets_everyone_the_right_user),
        CASE(what_was_written_before_the_call_is_read),
        CASE(a_statement_that_hangs_does_not_hold_up_the_others),
        CASE(an_outage_reaches_every_caller),
        CASE(an_arena_without_room_fails_its_own_caller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
