// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/pool.h"
#include "tests/lib/cmocka.h"

// A source of items that can be told to fail; it counts what happens.
struct source {
    atomic_int open_rc;
    atomic_uint n_opened;
    atomic_uint n_tried;
    atomic_uint n_now;
    atomic_uint n_most;
    atomic_uint n_opening;
    atomic_uint n_opening_most;
    atomic_bool slow;
};

struct item {
    struct source *source;
    bool dead;
};

static void raise_to(atomic_uint *most, unsigned value)
{
    unsigned seen = atomic_load(most);

    while (value > seen && !atomic_compare_exchange_weak(most, &seen, value)) {
    }
}

static int open_item(void *owner, int64_t deadline_us, void **ret_item)
{
    struct source *s = owner;

    (void)deadline_us;
    atomic_fetch_add(&s->n_tried, 1);
    raise_to(&s->n_opening_most, atomic_fetch_add(&s->n_opening, 1) + 1);
    for (int64_t until = reel_deadline_in_us(2000); s->slow && !reel_deadline_passed(until);) {
    }
    atomic_fetch_sub(&s->n_opening, 1);
    if (s->open_rc != REEL_OK)
        return s->open_rc;
    struct item *item = calloc(1, sizeof(*item));
    item->source = s;
    atomic_fetch_add(&s->n_opened, 1);
    raise_to(&s->n_most, atomic_fetch_add(&s->n_now, 1) + 1);
    *ret_item = item;
    return REEL_OK;
}

static void close_item(void *item)
{
    struct item *it = item;

    atomic_fetch_sub(&it->source->n_now, 1);
    free(it);
}

static bool item_is_alive(void *item)
{
    return !((struct item *)item)->dead;
}

static const struct reel_pool_ops ops = {open_item, close_item, item_is_alive};

static int64_t in_ms(int ms)
{
    return reel_deadline_in_us(ms * INT64_C(1000));
}

static struct reel_pool *new_pool(struct source *source, unsigned max)
{
    struct reel_pool *pool = NULL;

    assert_int_equal(reel_pool_new(&ops, source, max, &pool), REEL_OK);
    return pool;
}

static void an_item_given_back_is_taken_again(void **state)
{
    struct source source = {0};
    struct reel_pool *pool = new_pool(&source, 2);
    void *first = NULL;
    void *again = NULL;

    (void)state;
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &first), REEL_OK);
    reel_pool_give(pool, first, true);
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &again), REEL_OK);
    assert_ptr_equal(first, again);
    reel_pool_give(pool, again, true);
    reel_pool_free(pool);
    assert_int_equal(source.n_opened, 1);
    assert_int_equal(source.n_now, 0);
}

static void broken_and_dead_items_are_closed_and_replaced(void **state)
{
    struct source source = {0};
    struct reel_pool *pool = new_pool(&source, 1);
    void *item = NULL;

    (void)state;
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &item), REEL_OK);
    reel_pool_give(pool, item, false);
    assert_int_equal(source.n_now, 0);
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &item), REEL_OK);
    ((struct item *)item)->dead = true;
    reel_pool_give(pool, item, true);
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &item), REEL_OK);
    assert_false(((struct item *)item)->dead);
    assert_int_equal(source.n_opened, 3);
    reel_pool_give(pool, item, true);
    reel_pool_free(pool);
}

static void none_free_is_deadline_exceeded(void **state)
{
    struct source source = {0};
    struct reel_pool *pool = new_pool(&source, 1);
    void *held = NULL;
    void *none = NULL;

    (void)state;
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &held), REEL_OK);
    assert_int_equal(reel_pool_take(pool, in_ms(20), &none), REEL_DEADLINE_EXCEEDED);
    assert_null(none);
    reel_pool_give(pool, held, true);
    reel_pool_free(pool);
}

static void failures_pause_the_attempts_and_are_told_at_once(void **state)
{
    struct source source = {.open_rc = REEL_UNAVAILABLE};
    struct reel_pool *pool = new_pool(&source, 4);
    void *item = NULL;
    int rc = REEL_UNAVAILABLE;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(reel_pool_take(pool, in_ms(60000), &item), REEL_UNAVAILABLE);
    assert_true(source.n_tried < 100);
    source.open_rc = REEL_OK;
    for (int64_t until = in_ms(5000); rc != REEL_OK && !reel_deadline_passed(until);)
        rc = reel_pool_take(pool, in_ms(1000), &item);
    assert_int_equal(rc, REEL_OK);
    reel_pool_give(pool, item, true);
    reel_pool_free(pool);
}

static void a_takers_own_deadline_starts_no_pause(void **state)
{
    struct source source = {.open_rc = REEL_DEADLINE_EXCEEDED};
    struct reel_pool *pool = new_pool(&source, 1);
    void *item = NULL;

    (void)state;
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &item), REEL_DEADLINE_EXCEEDED);
    source.open_rc = REEL_OK;
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &item), REEL_OK);
    reel_pool_give(pool, item, true);
    reel_pool_free(pool);
}

// The server has as many connections as it allows: whoever waits gets one that comes back.
static void while_some_are_out_a_failure_means_waiting_for_them(void **state)
{
    struct source source = {0};
    struct reel_pool *pool = new_pool(&source, 4);
    void *held = NULL;
    void *second = NULL;

    (void)state;
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &held), REEL_OK);
    source.open_rc = REEL_UNAVAILABLE;
    assert_int_equal(reel_pool_take(pool, in_ms(1000), &second), REEL_UNAVAILABLE);
    assert_int_equal(reel_pool_take(pool, in_ms(10), &second), REEL_DEADLINE_EXCEEDED);
    reel_pool_give(pool, held, true);
    assert_int_equal(reel_pool_take(pool, in_ms(10), &second), REEL_OK);
    reel_pool_give(pool, second, true);
    reel_pool_free(pool);
}

struct taker {
    struct reel_pool *pool;
    unsigned n_ok;
};

static void *take_many(void *arg)
{
    struct taker *t = arg;

    for (int i = 0; i < 200; i++) {
        void *item = NULL;

        if (reel_pool_take(t->pool, in_ms(20000), &item) != REEL_OK)
            continue;
        t->n_ok++;
        reel_pool_give(t->pool, item, i % 7 != 0);
    }
    return NULL;
}

static void a_crowd_opens_no_more_than_allowed_and_two_at_a_time(void **state)
{
    struct source source = {.slow = true};
    struct reel_pool *pool = new_pool(&source, 5);
    struct taker takers[12];
    pthread_t threads[12];

    (void)state;
    for (int i = 0; i < 12; i++) {
        takers[i] = (struct taker){.pool = pool};
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    }
    for (int i = 0; i < 12; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(takers[i].n_ok, 200);
    }
    assert_true(source.n_most <= 5);
    assert_true(source.n_opening_most <= 2);
    reel_pool_free(pool);
    assert_int_equal(source.n_now, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_given_back_is_taken_again),
        cmocka_unit_test(broken_and_dead_items_are_closed_and_replaced),
        cmocka_unit_test(none_free_is_deadline_exceeded),
        cmocka_unit_test(failures_pause_the_attempts_and_are_told_at_once),
        cmocka_unit_test(a_takers_own_deadline_starts_no_pause),
        cmocka_unit_test(while_some_are_out_a_failure_means_waiting_for_them),
        cmocka_unit_test(a_crowd_opens_no_more_than_allowed_and_two_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
