// SPDX-License-Identifier: Apache-2.0
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/json/json.h"
#include "tests/lib/cmocka.h"

static struct reel_buf out;

static int setup(void **state)
{
    (void)state;
    reel_buf_init(&out, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reel_buf_fini(&out);
    return 0;
}

static void strings_are_quoted_and_escaped(void **state)
{
    (void)state;
    reel_json_add_string(&out, "a\"b\\c\n\x02\x7f");
    reel_json_add_string(&out, "");
    reel_json_add_string(&out, NULL);
    reel_json_add_string_n(&out, "\0x", 2);
    reel_json_add_string(&out, "\xff");
    assert_string_equal(out.data,
                        "\"a\\\"b\\\\c\\n\\u0002\\u007f\"\"\"null\"\\u0000x\"\"\xef\xbf\xbd\"");
}

static void keys_are_parted_by_commas(void **state)
{
    (void)state;
    reel_buf_addc(&out, '{');
    reel_json_add_key(&out, "a");
    reel_buf_addc(&out, '{');
    reel_json_add_key(&out, "b{");
    reel_json_add_int(&out, -1);
    reel_buf_addc(&out, '}');
    reel_json_add_key(&out, "c\"");
    reel_json_add_uint(&out, 2);
    reel_buf_addc(&out, '}');
    assert_string_equal(out.data, "{\"a\":{\"b{\":-1},\"c\\\"\":2}");
}

static void integers_print_to_their_edges(void **state)
{
    (void)state;
    reel_json_add_int(&out, 0);
    reel_buf_addc(&out, ' ');
    reel_json_add_int(&out, INT64_MIN);
    reel_buf_addc(&out, ' ');
    reel_json_add_int(&out, INT64_MAX);
    reel_buf_addc(&out, ' ');
    reel_json_add_uint(&out, UINT64_MAX);
    assert_string_equal(out.data,
                        "0 -9223372036854775808 9223372036854775807 18446744073709551615");
}

struct real {
    double value;
    const char *text;
};

static void doubles_print_short_and_exact(void **state)
{
    static const struct real reals[] = {
        {0, "0"},
        {-0.0, "-0.0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {29.97, "29.97"},
        {-0.001, "-0.001"},
        {0.0009, "0.0009"},
        {23.976024, "23.976024"},
        {999999999.999999, "999999999.999999"},
        {1e9 + 0.5, "1000000000.5"},
        {1.0 / 3, "0.3333333333333333"},
        {9007199254740992.0, "9007199254740992"},
        {1e21, "1e+21"},
        {5e-324, "4.94065645841247e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(reals); i++) {
        reel_buf_reset(&out);
        reel_json_add_double(&out, reals[i].value);
        assert_string_equal(out.data, reals[i].text);
        assert_true(strtod(out.data, NULL) == reals[i].value);
    }
}

static void floats_print_as_floats(void **state)
{
    (void)state;
    reel_json_add_float(&out, 0.1f);
    reel_buf_addc(&out, ' ');
    reel_json_add_float(&out, FLT_MAX);
    reel_buf_addc(&out, ' ');
    reel_json_add_float(&out, 16777216.0f);
    assert_string_equal(out.data, "0.1 3.4028235e+38 16777216");
}

static void what_json_cannot_say_is_a_string(void **state)
{
    (void)state;
    reel_json_add_double(&out, (double)NAN);
    reel_json_add_double(&out, (double)INFINITY);
    reel_json_add_float(&out, -(float)INFINITY);
    assert_string_equal(out.data, "\"NaN\"\"Infinity\"\"-Infinity\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strings_are_quoted_and_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_parted_by_commas, setup, teardown),
        cmocka_unit_test_setup_teardown(integers_print_to_their_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(doubles_print_short_and_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(floats_print_as_floats, setup, teardown),
        cmocka_unit_test_setup_teardown(what_json_cannot_say_is_a_string, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
