// SPDX-License-Identifier: Apache-2.0
#include "gateway/cookie.h"

#include <string.h>

#include "libcommon/core/base.h"
#include "tests/lib/cmocka.h"

static void a_cookie_is_found_by_its_whole_name(void **state)
{
    static const struct {
        const char *header;
        const char *value; // NULL: none
    } cases[] = {
        {"token=a", "a"},         {"a=b; token=c", "c"},  {"token=", ""},      {"token=a=b", "a=b"},
        {"token=a;token=b", "a"}, {";; \ttoken=x;", "x"}, {"mytoken=a", NULL}, {"token2=a", NULL},
        {"TOKEN=a", NULL},        {"token", NULL},        {"", NULL},          {"a=token=b", NULL},
        {"a=b;token = c", NULL},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        size_t len = 99;
        const char *value = cookie_find(cases[i].header, "token", &len);

        assert_int_equal(value != NULL, cases[i].value != NULL);
        if (value) {
            assert_int_equal(len, strlen(cases[i].value));
            assert_memory_equal(value, cases[i].value, len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_is_found_by_its_whole_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
