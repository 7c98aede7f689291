// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/core/arena.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

static void every_allocation_is_aligned_and_apart(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    unsigned char *blocks[200];

    (void)state;
    reel_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(blocks); i++) {
        blocks[i] = reel_arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
        memset(blocks[i], (int)i, i);
    }
    for (size_t i = 0; i < REEL_ARRAY_SIZE(blocks); i++) {
        for (size_t k = 0; k < i; k++)
            assert_int_equal(blocks[i][k], i & 0xff);
    }
}

static void empty_allocations_are_distinct(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 64);
    const void *a = reel_arena_alloc(&arena, 0);
    const void *b = reel_arena_alloc(&arena, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
}

static void the_cap_is_exact_and_marks_the_arena(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 1000);
    assert_non_null(reel_arena_alloc(&arena, 600));
    assert_non_null(reel_arena_alloc(&arena, 400));
    assert_false(arena.exhausted);
    assert_null(reel_arena_alloc(&arena, 1));
    assert_true(arena.exhausted);
    reel_arena_reset(&arena);
    assert_false(arena.exhausted);
    assert_non_null(reel_arena_alloc(&arena, 1000));
}

static void a_cap_of_zero_gives_nothing(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 0);
    assert_null(reel_arena_alloc(&arena, 1));
    assert_null(reel_arena_strdup(&arena, ""));
}

static void sizes_that_overflow_are_refused(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, SIZE_MAX / 4);
    assert_null(reel_arena_array(&arena, SIZE_MAX / 2, 4));
    assert_true(arena.exhausted);
    assert_null(reel_arena_alloc(&arena, SIZE_MAX));
    assert_null(reel_arena_alloc(&arena, SIZE_MAX - 8));
}

static void sizes_that_overflow_are_refused_without_a_cap(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, SIZE_MAX);
    assert_null(reel_arena_alloc(&arena, SIZE_MAX));
    assert_null(reel_arena_alloc(&arena, SIZE_MAX - 20));
    assert_true(arena.exhausted);
}

static void large_allocations_get_a_block_of_their_own(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 8 << 20);
    memset(reel_arena_alloc(&arena, 3 << 20), 1, 3 << 20);
    memset(reel_arena_alloc(&arena, 5), 2, 5);
    memset(reel_arena_alloc(&arena, 3 << 20), 3, 3 << 20);
}

static void strings_are_copied(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 4096);
    assert_null(reel_arena_strdup(&arena, NULL));
    assert_string_equal(reel_arena_strdup(&arena, "abc"), "abc");
    assert_string_equal(reel_arena_strndup(&arena, "abcdef", 3), "abc");
    assert_string_equal(reel_arena_printf(&arena, "%s-%d", "x", 42), "x-42");
    assert_memory_equal(reel_arena_memdup(&arena, "\0\1", 2), "\0\1", 2);
    assert_non_null(reel_arena_memdup(&arena, NULL, 0));
    const int *zeros = reel_arena_array(&arena, 3, sizeof(int));
    assert_true(zeros[0] == 0 && zeros[1] == 0 && zeros[2] == 0);
}

static void a_format_beyond_the_cap_is_null(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 10);
    assert_null(reel_arena_printf(&arena, "%s", "0123456789"));
    assert_string_equal(reel_arena_printf(&arena, "%s", "012345678"), "012345678");
}

static void unpacking_past_the_cap_fails_cleanly(void **state)
{
    Sample__Leaf leaf = SAMPLE__LEAF__INIT;
    uint8_t packed[256];

    (void)state;
    leaf.text = (char[]){"a text of some length, longer than the smallest caps below"};
    size_t n = sample__leaf__get_packed_size(&leaf);
    sample__leaf__pack(&leaf, packed);
    for (size_t cap = 0; cap < 200; cap++) {
        REEL_AUTO(reel_arena_fini) struct reel_arena arena;

        reel_arena_init(&arena, cap);
        const Sample__Leaf *back = sample__leaf__unpack(reel_arena_pb(&arena), n, packed);
        assert_true((back == NULL) == arena.exhausted);
        if (back)
            assert_string_equal(back->text, leaf.text);
    }
}

static void fini_is_safe_twice_and_on_zeros(void **state)
{
    struct reel_arena arena = {0};

    (void)state;
    reel_arena_fini(&arena);
    reel_arena_reset(&arena);
    reel_arena_init(&arena, 100);
    assert_non_null(reel_arena_alloc(&arena, 10));
    reel_arena_fini(&arena);
    reel_arena_fini(&arena);
}

static void reset_keeps_one_block(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 1 << 20);
    for (int i = 0; i < 100; i++)
        reel_arena_alloc(&arena, 1000);
    reel_arena_reset(&arena);
    const void *head = arena.head;
    assert_int_equal(arena.used_bytes, 0);
    reel_arena_alloc(&arena, 1000);
    assert_ptr_equal(arena.head, head);
}

static void reset_keeps_no_large_block(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;

    (void)state;
    reel_arena_init(&arena, 8 << 20);
    assert_non_null(reel_arena_alloc(&arena, 100));
    reel_arena_reset(&arena);
    assert_non_null(arena.head);
    assert_non_null(reel_arena_alloc(&arena, 4 << 20));
    reel_arena_reset(&arena);
    assert_null(arena.head);
    assert_non_null(reel_arena_alloc(&arena, 8 << 20));
}

#ifdef HAS_ASAN
// Runs `touch` on dead or foreign arena memory in a child, which the sanitizer must end.
static void assert_traps(void (*touch)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        close(STDERR_FILENO);
        touch();
        _exit(0);
    }
    assert_true(waitpid(pid, &status, 0) == pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void read_after_reset(void)
{
    struct reel_arena arena;

    reel_arena_init(&arena, 1000);
    volatile char *s = reel_arena_strdup(&arena, "secret");
    reel_arena_reset(&arena);
    (void)*s;
}

static void write_past_the_end(void)
{
    struct reel_arena arena;

    reel_arena_init(&arena, 1000);
    volatile char *s = reel_arena_alloc(&arena, 16);
    reel_arena_alloc(&arena, 16);
    s[16] = 1;
}

static void read_after_reset_traps(void **state)
{
    (void)state;
    assert_traps(read_after_reset);
}

static void write_past_the_end_traps(void **state)
{
    (void)state;
    assert_traps(write_past_the_end);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_is_aligned_and_apart),
        cmocka_unit_test(empty_allocations_are_distinct),
        cmocka_unit_test(the_cap_is_exact_and_marks_the_arena),
        cmocka_unit_test(a_cap_of_zero_gives_nothing),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(sizes_that_overflow_are_refused_without_a_cap),
        cmocka_unit_test(large_allocations_get_a_block_of_their_own),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(a_format_beyond_the_cap_is_null),
        cmocka_unit_test(unpacking_past_the_cap_fails_cleanly),
        cmocka_unit_test(fini_is_safe_twice_and_on_zeros),
        cmocka_unit_test(reset_keeps_one_block),
        cmocka_unit_test(reset_keeps_no_large_block),
#ifdef HAS_ASAN
        cmocka_unit_test(read_after_reset_traps),
        cmocka_unit_test(write_past_the_end_traps),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
