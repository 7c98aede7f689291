// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdatomic.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/scope.h"
#include "tests/lib/cmocka.h"

struct child {
    struct reel_scope_child in_scope;
    atomic_int held;
    atomic_int cancelled;
};

static void hold(struct reel_scope_child *in_scope)
{
    atomic_fetch_add(&REEL_CONTAINER_OF(in_scope, struct child, in_scope)->held, 1);
}

static void cancel(struct reel_scope_child *in_scope)
{
    struct child *child = REEL_CONTAINER_OF(in_scope, struct child, in_scope);

    assert_true(atomic_load(&child->held) == 1);
    atomic_fetch_add(&child->cancelled, 1);
}

#define CHILD ((struct child){.in_scope = {.hold = hold, .cancel = cancel}})

static void cancel_reaches_every_child_once(void **state)
{
    struct reel_scope *scope = reel_scope_new();
    struct child children[] = {CHILD, CHILD, CHILD, CHILD};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_true(reel_scope_join(scope, &children[i].in_scope));
    reel_scope_leave(&children[1].in_scope);
    reel_scope_cancel(scope);
    reel_scope_cancel(scope);
    assert_int_equal(children[0].cancelled, 1);
    assert_int_equal(children[1].cancelled, 0);
    assert_int_equal(children[2].cancelled, 1);
    assert_false(reel_scope_join(scope, &children[3].in_scope));
    for (size_t i = 0; i < 4; i++)
        reel_scope_leave(&children[i].in_scope);
    reel_scope_unref(scope);
}

static void a_child_may_leave_twice_and_join_again(void **state)
{
    struct reel_scope *scope = reel_scope_new();
    struct child child = CHILD;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(reel_scope_join(scope, &child.in_scope));
        reel_scope_leave(&child.in_scope);
        reel_scope_leave(&child.in_scope);
    }
    reel_scope_cancel(scope);
    assert_int_equal(child.cancelled, 0);
    reel_scope_unref(scope);
    reel_scope_unref(NULL);
}

static void a_scope_outlives_its_owner_while_a_child_is_in(void **state)
{
    struct reel_scope *scope = reel_scope_new();
    struct child child = CHILD;

    (void)state;
    assert_true(reel_scope_join(scope, &child.in_scope));
    reel_scope_unref(scope);
    reel_scope_leave(&child.in_scope);
}

static void *cancel_scope(void *scope)
{
    reel_scope_cancel(scope);
    return NULL;
}

// Whoever wins, no child is cancelled after it has left unheld, and none twice.
static void leaving_races_with_cancelling(void **state)
{
    enum { N = 50 };

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct reel_scope *scope = reel_scope_new();
        struct child children[N];
        pthread_t thread;

        for (size_t i = 0; i < N; i++) {
            children[i] = CHILD;
            assert_true(reel_scope_join(scope, &children[i].in_scope));
        }
        assert_int_equal(pthread_create(&thread, NULL, cancel_scope, scope), 0);
        for (size_t i = 0; i < N; i++) {
            reel_scope_leave(&children[i].in_scope);
            int held = atomic_load(&children[i].held);
            assert_true(held <= 1);
        }
        pthread_join(thread, NULL);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(children[i].cancelled, children[i].held);
        reel_scope_unref(scope);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_reaches_every_child_once),
        cmocka_unit_test(a_child_may_leave_twice_and_join_again),
        cmocka_unit_test(a_scope_outlives_its_owner_while_a_child_is_in),
        cmocka_unit_test(leaving_races_with_cancelling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
