// SPDX-License-Identifier: Apache-2.0
// Private to libcommon/auth: reading the parts of a token, without any trust.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libcommon/auth/jwt.h"

enum { REEL_JWT_KID_SIZE = 65 };

// A token cut at its dots; all point into it.
struct reel_jwt_parts {
    const char *header;
    const char *payload;
    const char *signature;
    size_t header_len;
    size_t payload_len;
    size_t signature_len;
};

// Cuts a token into three non-empty parts of base64url without padding, the last as long as an
// ES256 signature. REEL_UNAUTHENTICATED when it is anything else or longer than REEL_JWT_MAX_LEN.
int reel_jwt_cut(const char *token, struct reel_jwt_parts *ret_parts) REEL_MUST_CHECK;

// Reads the header part and its kid. REEL_UNAUTHENTICATED unless it asks for ES256 and for nothing
// else.
int reel_jwt_read_header(const char *part, size_t len,
                         char ret_kid[REEL_JWT_KID_SIZE]) REEL_MUST_CHECK;

// Reads the payload part. REEL_UNAUTHENTICATED unless every claim is there, of its type, for us,
// and valid at `now_s`.
int reel_jwt_read_claims(const char *part, size_t len, int64_t now_s,
                         struct reel_jwt_claims *ret_claims) REEL_MUST_CHECK;
