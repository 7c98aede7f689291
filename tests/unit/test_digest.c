// SPDX-License-Identifier: Apache-2.0
#include "libcommon/auth/digest.h"
#include "tests/lib/cmocka.h"

static void known_answers(void **state)
{
    char hex[REEL_DIGEST_HEX_SIZE];

    (void)state;
    reel_digest_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    reel_digest_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
