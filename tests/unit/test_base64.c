// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/base64.h"
#include "libcommon/core/err.h"
#include "tests/lib/cmocka.h"

static struct reel_arena arena;

static int setup(void **state)
{
    (void)state;
    reel_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reel_arena_fini(&arena);
    return 0;
}

struct vector {
    const char *plain;
    const char *standard;
    const char *url;
};

// RFC 4648, section 10, and two that show the difference of the alphabets.
static const struct vector vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"\xff\xef", "/+8=", "_-8"},
};

static void assert_decodes(const char *text, const char *plain)
{
    uint8_t *data;
    size_t len;

    assert_int_equal(reel_base64_decode(&arena, text, strlen(text), &data, &len), REEL_OK);
    assert_int_equal(len, strlen(plain));
    assert_memory_equal(data, plain, len);
}

static void the_vectors_hold_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(vectors); i++) {
        REEL_AUTO(reel_buf_fini) struct reel_buf out;
        const uint8_t *plain = (const uint8_t *)vectors[i].plain;

        reel_buf_init(&out, 100);
        reel_base64_add(&out, plain, strlen(vectors[i].plain));
        reel_buf_addc(&out, '.');
        reel_base64_add_url(&out, plain, strlen(vectors[i].plain));
        assert_string_equal(
            out.data, reel_arena_printf(&arena, "%s.%s", vectors[i].standard, vectors[i].url));
        assert_decodes(vectors[i].standard, vectors[i].plain);
        assert_decodes(vectors[i].url, vectors[i].plain);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "A",     "AAAAA",  "=",        "==",         "====",   "A===",  "AA=",  "AA=A", "AAA==",
        "AAAA=", "AAAA==", "AAAA====", "AB==",       "AAB=",   "AB",    "AAB",  "A A=", "AA A",
        "AA\n=", " AAA",   "AAA!",     "AA\xc3\xa9", "Zm9v\n", "Zg= =", "Z===", "=AAA",
    };
    uint8_t *data = NULL;
    size_t len = 99;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        if (reel_base64_decode(&arena, bad[i], strlen(bad[i]), &data, &len) !=
            REEL_INVALID_ARGUMENT)
            fail_msg("taken: %s", bad[i]);
    }
    assert_null(data);
    assert_int_equal(len, 99);
    assert_int_equal(reel_base64_decode(&arena, "AA\0A", 4, &data, &len), REEL_INVALID_ARGUMENT);
}

static void every_byte_survives_at_every_length(void **state)
{
    uint8_t bytes[256];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        REEL_AUTO(reel_buf_fini) struct reel_buf out;
        uint8_t *data;
        size_t len;

        reel_arena_reset(&arena);
        reel_buf_init(&out, 1000);
        reel_buf_adds(&out, "");
        reel_base64_add(&out, bytes, n);
        assert_int_equal(out.len, (n + 2) / 3 * 4);
        assert_int_equal(reel_base64_decode(&arena, out.data, out.len, &data, &len), REEL_OK);
        assert_int_equal(len, n);
        assert_memory_equal(data, bytes, n);
    }
}

static void a_full_arena_is_resource_exhausted(void **state)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena small;
    uint8_t *data;
    size_t len;

    (void)state;
    reel_arena_init(&small, 8);
    assert_int_equal(reel_base64_decode(&small, "AAAAAAAAAAAA", 12, &data, &len),
                     REEL_RESOURCE_EXHAUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_hold_both_ways),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(every_byte_survives_at_every_length),
        cmocka_unit_test(a_full_arena_is_resource_exhausted),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
