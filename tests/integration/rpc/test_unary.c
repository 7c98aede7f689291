// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "tests/integration/rpc/fixture.h"

static void empty_and_large_unary(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    struct reel_channel *channel = fixture_connect(&fixture);
    assert_int_equal(fixture_echo(channel, 0), REEL_OK);
    assert_int_equal(fixture_echo(channel, 1), REEL_OK);
    assert_int_equal(fixture_echo(channel, 2000000), REEL_OK);
    reel_channel_close(channel);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_and_large_unary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
