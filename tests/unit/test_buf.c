// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/buf.h"
#include "tests/lib/cmocka.h"

static void appends_grow_and_stay_terminated(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 10000; i++) {
        reel_buf_addc(&buf, 'a');
        assert_int_equal(buf.data[buf.len], '\0');
    }
    reel_buf_adds(&buf, "bc");
    reel_buf_addf(&buf, "%d-%s", 7, "x");
    reel_buf_add(&buf, "\0z", 2);
    assert_int_equal(buf.len, 10007);
    assert_memory_equal(buf.data + 10000, "bc7-x\0z", 7);
    assert_false(buf.failed);
}

static void the_maximum_is_exact(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, 5);
    reel_buf_adds(&buf, "12345");
    assert_false(buf.failed);
    reel_buf_add(&buf, "", 0);
    assert_false(buf.failed);
    reel_buf_addc(&buf, '6');
    assert_true(buf.failed);
    assert_int_equal(buf.len, 5);
    assert_string_equal(buf.data, "12345");
}

static void after_a_failure_nothing_is_appended(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, 5);
    reel_buf_addf(&buf, "%s", "too long for it");
    assert_true(buf.failed);
    reel_buf_addc(&buf, 'x');
    assert_int_equal(buf.len, 0);
    assert_null(reel_buf_steal(&buf));
}

static void reset_clears_the_failure_and_keeps_the_memory(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, 8);
    reel_buf_adds(&buf, "12345678");
    const char *data = buf.data;
    reel_buf_adds(&buf, "9");
    reel_buf_reset(&buf);
    reel_buf_adds(&buf, "abc");
    assert_string_equal(buf.data, "abc");
    assert_ptr_equal(buf.data, data);
}

static void huge_reserves_are_refused(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, 100);
    reel_buf_adds(&buf, "x");
    assert_false(reel_buf_reserve(&buf, SIZE_MAX));
    reel_buf_reset(&buf);
    assert_false(reel_buf_reserve(&buf, SIZE_MAX - 1));
}

static void a_buffer_without_bound_refuses_what_no_memory_holds(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, SIZE_MAX);
    reel_buf_adds(&buf, "x");
    assert_false(reel_buf_reserve(&buf, SIZE_MAX - 1));
    assert_true(buf.failed);
}

static void steal_gives_a_string_and_leaves_the_buffer_empty(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, 100);
    REEL_AUTO(reel_freep) char *empty = reel_buf_steal(&buf);
    assert_string_equal(empty, "");
    reel_buf_adds(&buf, "abc");
    REEL_AUTO(reel_freep) char *text = reel_buf_steal(&buf);
    assert_string_equal(text, "abc");
    assert_int_equal(buf.len, 0);
    reel_buf_adds(&buf, "def");
    assert_string_equal(buf.data, "def");
    assert_string_equal(text, "abc");
}

static void fini_is_safe_on_zeros(void **state)
{
    struct reel_buf buf = {0};

    (void)state;
    reel_buf_fini(&buf);
    reel_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_grow_and_stay_terminated),
        cmocka_unit_test(the_maximum_is_exact),
        cmocka_unit_test(after_a_failure_nothing_is_appended),
        cmocka_unit_test(reset_clears_the_failure_and_keeps_the_memory),
        cmocka_unit_test(huge_reserves_are_refused),
        cmocka_unit_test(a_buffer_without_bound_refuses_what_no_memory_holds),
        cmocka_unit_test(steal_gives_a_string_and_leaves_the_buffer_empty),
        cmocka_unit_test(fini_is_safe_on_zeros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
