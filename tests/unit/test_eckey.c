// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/auth/eckey.h"
#include "libcommon/core/err.h"
#include "tests/lib/cmocka.h"

static void a_new_key_has_a_public_half_and_an_id(void **state)
{
    char private_pem[REEL_ECKEY_PEM_SIZE];
    char public_pem[REEL_ECKEY_PEM_SIZE];
    char again[REEL_ECKEY_PEM_SIZE];
    char id[REEL_ECKEY_ID_SIZE];
    char id_again[REEL_ECKEY_ID_SIZE];

    (void)state;
    assert_int_equal(reel_eckey_generate(private_pem), REEL_OK);
    assert_int_equal(reel_eckey_public(private_pem, public_pem, id), REEL_OK);
    assert_int_equal(reel_eckey_public(private_pem, again, id_again), REEL_OK);
    assert_string_equal(public_pem, again);
    assert_string_equal(id, id_again);
    assert_int_equal(strlen(id), 32);
    assert_true(reel_eckey_is_public(public_pem));
    assert_false(reel_eckey_is_public(private_pem));
}

static void two_new_keys_differ(void **state)
{
    char a[REEL_ECKEY_PEM_SIZE];
    char b[REEL_ECKEY_PEM_SIZE];

    (void)state;
    assert_int_equal(reel_eckey_generate(a), REEL_OK);
    assert_int_equal(reel_eckey_generate(b), REEL_OK);
    assert_string_not_equal(a, b);
}

// Made with openssl genpkey: P-384, Ed25519, and an encrypted P-256 key.
static const char *const foreign[] = {
    "",
    "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\n"
    "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDeLkMV5QTQxzylie47\n"
    "2z5cKSQIBvc+JCnidJ/KpWwpCUUK86HtUAr1Mk0cCl9ND3+hZANiAAQFUDNy4U4L\n"
    "lTZhgXoR3TkyXnEX8x1P3nfS8jvzI9PfZQ070otpNXvTdtQrai4cUq1DPe0ksOw2\n"
    "2BtZ/dsx3Cvskn3DMVVshxikyuGRjAbHxIPLGxuOBIcYpzI5UKojneA=\n"
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINTrOkER+tbgDdpq6OuYaGt5dq8SxumIaKb5kjGClclJ\n"
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAitcDCGBnkm8QICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEENmmgBiDFyqSOo4tsqjfw5MEgZCc\n"
    "To+10bWwyh+jbneEAsssOX1jzsLYMCnwPUFwqVhKj+5tZDTbwCB18eu4RIpKIr3G\n"
    "0SonkX2aMLdvtlmJxJFJXRSfZjo9FEJcDxeX7V/1f6ebMx1Rsz05fqo6lqEDVeAz\n"
    "vGrgS75o6kbCNsOtLHkqtBhighqJO+RCCfqLxESxeKOyYCCQ6eGY3TUGkGt2P50=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n",
};

static void other_keys_are_refused(void **state)
{
    char public_pem[REEL_ECKEY_PEM_SIZE];
    char id[REEL_ECKEY_ID_SIZE];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(foreign); i++) {
        assert_int_equal(reel_eckey_public(foreign[i], public_pem, id), REEL_INVALID_ARGUMENT);
        assert_false(reel_eckey_is_public(foreign[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_key_has_a_public_half_and_an_id),
        cmocka_unit_test(two_new_keys_differ),
        cmocka_unit_test(other_keys_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
