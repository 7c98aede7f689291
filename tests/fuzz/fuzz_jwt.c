// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/auth/jwt_parts.h"
#include "libcommon/core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The parts are read whether or not the cut succeeds: a signature cannot be guessed, so through
// reel_jwt_verify the fuzzer would never get to the claims.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    REEL_AUTO(reel_freep) char *token = strndup((const char *)data, size);
    struct reel_jwt_parts parts;
    struct reel_jwt_claims claims;
    char kid[REEL_JWT_KID_SIZE];

    if (reel_jwt_cut(token, &parts) == REEL_OK &&
        parts.header_len + parts.payload_len + parts.signature_len + 2 != strlen(token))
        abort();
    if (reel_jwt_read_header(token, strlen(token), kid) == REEL_OK && strlen(kid) > 64)
        abort();
    if (reel_jwt_read_claims(token, strlen(token), 1800000000, &claims) == REEL_OK &&
        !reel_id_is_valid(claims.user_id))
        abort();
    return 0;
}
