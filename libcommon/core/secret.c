// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/secret.h"

#include <stdint.h>
#include <string.h>

bool reel_secret_matches(const char *secret, const void *shown, size_t shown_len)
{
    const uint8_t *bytes = shown;
    uint8_t differs = 0;

    if (!secret || secret[0] == '\0')
        return false;
    size_t len = strlen(secret);
    for (size_t i = 0; i < shown_len; i++)
        differs |= (uint8_t)(bytes[i] ^ (uint8_t)secret[i % len]);
    return differs == 0 && shown_len == len;
}
