// SPDX-License-Identifier: Apache-2.0
// Linked into every test program: TEST_ONLY='*cursor*' runs the tests whose names match alone.
#include "tests/lib/cmocka.h"

#include <stdlib.h>

__attribute__((constructor)) static void read_filter(void)
{
    const char *pattern = getenv("TEST_ONLY");

    if (pattern)
        cmocka_set_test_filter(pattern);
}
