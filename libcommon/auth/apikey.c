// SPDX-License-Identifier: Apache-2.0
#include "libcommon/auth/apikey.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

// Digests have equal lengths, so the length of the key does not show either.
static bool equal(const char *key, const char *shown)
{
    unsigned char a[SHA256_DIGEST_LENGTH];
    unsigned char b[SHA256_DIGEST_LENGTH];

    if (!key || strlen(key) < REEL_APIKEY_MIN_LEN)
        return false;
    SHA256((const unsigned char *)key, strlen(key), a);
    SHA256((const unsigned char *)shown, strlen(shown), b);
    return CRYPTO_memcmp(a, b, sizeof(a)) == 0;
}

bool reel_apikey_matches(const char *key, const char *previous_key, const char *shown)
{
    if (!shown)
        return false;
    bool is_key = equal(key, shown);
    bool is_previous = equal(previous_key, shown);
    return is_key || is_previous;
}
