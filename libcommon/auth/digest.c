// SPDX-License-Identifier: Apache-2.0
#include "libcommon/auth/digest.h"

#include <openssl/sha.h>
#include <stdio.h>

void reel_digest_sha256_hex(const void *data, size_t len, char ret_hex[REEL_DIGEST_HEX_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256(data, len, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}
