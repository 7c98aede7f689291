// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "tests/lib/cmocka.h"

static void a_new_id_is_a_valid_uuid_of_version_7(void **state)
{
    char id[REEL_ID_SIZE];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        reel_id_new(id);
        assert_true(reel_id_is_valid(id));
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
    }
}

static void an_id_begins_with_its_millisecond(void **state)
{
    char id[REEL_ID_SIZE];
    char hex[13];

    (void)state;
    int64_t before = reel_clock_wall_us() / 1000;
    reel_id_new(id);
    int64_t after = reel_clock_wall_us() / 1000;
    memcpy(hex, id, 8);
    memcpy(hex + 8, id + 9, 4);
    hex[12] = '\0';
    int64_t ms = strtoll(hex, NULL, 16);
    assert_true(ms >= before && ms <= after);
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void ids_do_not_repeat(void **state)
{
    enum { N = 20000 };
    REEL_AUTO(reel_freep) char *ids = calloc(N, REEL_ID_SIZE);

    (void)state;
    for (size_t i = 0; i < N; i++)
        reel_id_new(ids + i * REEL_ID_SIZE);
    qsort(ids, N, REEL_ID_SIZE, compare);
    for (size_t i = 1; i < N; i++)
        assert_string_not_equal(ids + i * REEL_ID_SIZE, ids + (i - 1) * REEL_ID_SIZE);
}

static void only_the_lower_case_form_is_valid(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "01890a5dac96774bbcceb302099a8057",
        "01890A5D-ac96-774b-bcce-b302099a8057",
        "01890a5d-ac96-774b-bcce-b302099a805",
        "01890a5d-ac96-774b-bcce-b302099a80577",
        "01890a5d-ac96-774b-bcce-b302099a805g",
        "01890a5d_ac96-774b-bcce-b302099a8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057",
        " 1890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5d-ac96-774b-bcce-b302099a8057\n",
        "../../../../../etc/passwd/etc/passwd",
        "01890a5d-ac96-774b-bcce-b302099a80\xc3\xa9",
    };

    (void)state;
    assert_true(reel_id_is_valid("01890a5d-ac96-774b-bcce-b302099a8057"));
    assert_true(reel_id_is_valid("00000000-0000-0000-0000-000000000000"));
    assert_false(reel_id_is_valid(NULL));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_false(reel_id_is_valid(bad[i]));
}

static void random_hex_has_two_digits_a_byte(void **state)
{
    char hex[129], other[129];

    (void)state;
    for (size_t n = 0; n <= 64; n++) {
        memset(hex, 'x', sizeof(hex));
        hex[0] = '\0';
        reel_id_random_hex(hex, n);
        assert_int_equal(strspn(hex, "0123456789abcdef"), 2 * n);
        assert_int_equal(hex[2 * n], n ? '\0' : hex[0]);
    }
    reel_id_random_hex(hex, 32);
    reel_id_random_hex(other, 32);
    assert_string_not_equal(hex, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_id_is_a_valid_uuid_of_version_7),
        cmocka_unit_test(an_id_begins_with_its_millisecond),
        cmocka_unit_test(ids_do_not_repeat),
        cmocka_unit_test(only_the_lower_case_form_is_valid),
        cmocka_unit_test(random_hex_has_two_digits_a_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
