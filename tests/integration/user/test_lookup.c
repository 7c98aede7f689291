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

static int get_user(struct reel_channel *channel, int64_t deadline_us, const char *user_id,
                    struct reel_arena *arena, User__User **ret_user)
{
    const struct reel_metadata metadata[] = {{"reel-user-id", user_id}};
    const struct reel_call_options options = {
        .deadline_us = deadline_us, .metadata = metadata, .n_metadata = 1};
    const User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    User__GetUserResponse *response;
    struct reel_status status;
    int rc = user_service_get_user(channel, &options, &request, arena, &response, &status);

    *ret_user = rc == REEL_OK ? response->user : NULL;
    return rc;
}

struct reader {
    struct reel_channel *channel;
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
        int rc = get_user(r->channel, in_ms(20000), id, &arena, &user);
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
        readers[i] = (struct reader){s->channel, ids, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_many, &readers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].n_wrong, 0);
    }
}

struct background {
    struct reel_channel *channel;
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

        (void)!get_user(b->channel, in_ms(20000), b->id, &arena, &user);
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
    struct background background = {.channel = s->channel, .id = registered->id};
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
        assert_int_equal(get_user(s->channel, in_ms(20000), registered->id, &s->arena, &user),
                         REEL_OK);
        assert_string_equal(user->username, change.username);
    }
    background.stop = true;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

// Keeps every statement on users waiting until *ret_locker is given back.
static void lock_users(struct service *s, struct reel_pg_conn **ret_locker)
{
    assert_int_equal(reel_pg_take(s->pg, in_ms(20000), ret_locker), REEL_OK);
    assert_int_equal(reel_pg_begin(*ret_locker), REEL_OK);
    assert_int_equal(reel_pg_exec(*ret_locker, &s->arena,
                                  "LOCK TABLE users IN ACCESS EXCLUSIVE MODE", 0, NULL, NULL),
                     REEL_OK);
}

static void await_blocked(struct service *s, const char *n)
{
    const char *blocked = "0";

    for (int64_t until = in_ms(10000); strcmp(blocked, n) != 0 && !reel_deadline_passed(until);)
        blocked = service_sql(s, "SELECT count(*) FROM pg_locks WHERE NOT granted");
    assert_string_equal(blocked, n);
}

static void a_statement_that_hangs_does_not_hold_up_the_others(void **state)
{
    struct service *s = *state;
    const User__User *alice = service_register(s, "alice");
    struct background stuck = {.channel = s->channel, .id = alice->id};
    struct reel_pg_conn *locker = NULL;
    User__User *user = NULL;
    pthread_t threads[2];

    lock_users(s, &locker);
    assert_int_equal(pthread_create(&threads[0], NULL, keep_reading, &stuck), 0);
    await_blocked(s, "1");
    // Another is sent beside it.
    assert_int_equal(pthread_create(&threads[1], NULL, keep_reading, &stuck), 0);
    await_blocked(s, "2");
    stuck.stop = true;
    reel_pg_give(&locker);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(get_user(s->channel, in_ms(20000), alice->id, &s->arena, &user), REEL_OK);
}

static void the_deadline_of_one_is_not_that_of_the_other(void **state)
{
    struct service *s = *state;
    const User__User *alice = service_register(s, "alice");
    struct lookup lookups[] = {
        {alice->id, in_ms(20000), &s->arena, NULL, 0},
        {alice->id, reel_clock_mono_us() - 1, &s->arena, NULL, 0},
        {alice->id, in_ms(20000), &s->arena, NULL, 0},
    };

    lookup_users(s->svc->pg, lookups, 3);
    assert_int_equal(lookups[0].rc, REEL_OK);
    assert_int_equal(lookups[1].rc, REEL_DEADLINE_EXCEEDED);
    assert_int_equal(lookups[2].rc, REEL_OK);
    assert_string_equal(lookups[2].user->id, alice->id);
}

static void an_outage_reaches_everybody(void **state)
{
    struct service *s = *state;
    const struct reel_pg_config config = {.url = "host=/nonexistent"};
    struct lookup lookups[3];
    struct reel_pg *pg = NULL;

    assert_int_equal(reel_pg_new(&config, &pg), REEL_OK);
    for (int i = 0; i < 3; i++)
        lookups[i] = (struct lookup){"0190a000-0000-7000-8000-00000000dead", in_ms(5000), &s->arena,
                                     NULL, 0};
    lookup_users(pg, lookups, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lookups[i].rc, REEL_UNAVAILABLE);
    reel_pg_free(pg);
}

static void an_arena_without_room_fails_its_own(void **state)
{
    struct service *s = *state;
    const User__User *alice = service_register(s, "alice");
    struct reel_arena tiny;

    reel_arena_init(&tiny, 16);
    struct lookup lookups[] = {
        {alice->id, in_ms(20000), &tiny, NULL, 0},
        {alice->id, in_ms(20000), &s->arena, NULL, 0},
    };
    lookup_users(s->svc->pg, lookups, 2);
    assert_int_equal(lookups[0].rc, REEL_RESOURCE_EXHAUSTED);
    assert_int_equal(lookups[1].rc, REEL_OK);
    assert_string_equal(lookups[1].user->username, "alice");
    lookup_users(s->svc->pg, lookups, 0);
    reel_arena_fini(&tiny);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, service_start, service_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_crowd_gets_everyone_the_right_user),
        CASE(what_was_written_before_the_call_is_read),
        CASE(a_statement_that_hangs_does_not_hold_up_the_others),
        CASE(the_deadline_of_one_is_not_that_of_the_other),
        CASE(an_outage_reaches_everybody),
        CASE(an_arena_without_room_fails_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
