// SPDX-License-Identifier: Apache-2.0
// Access tokens: JWTs signed with ES256, and nothing else (RFC 8725).
//
// libjwt verifies what a token asks for, so we read the token ourselves first and let it ask for
// nothing: three parts of canonical base64url, at most REEL_JWT_MAX_LEN characters; a header of
// exactly alg "ES256", kid and perhaps typ "JWT"; a kid from the table; then the signature; then
// claims of the right types, each once.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/core/id.h"

enum {
    REEL_JWT_MAX_LEN = 1024,
    REEL_JWT_SIZE = REEL_JWT_MAX_LEN + 1,
    REEL_JWT_MAX_KEYS = 16,
    REEL_JWT_MAX_LIFE_S = 15 * 60,
    REEL_JWT_LEEWAY_S = 30, // for clocks that differ
};

#define REEL_JWT_ISSUER   "reelmesh"
#define REEL_JWT_AUDIENCE "reelmesh-api"

struct reel_jwt_keys;

struct reel_jwt_public_key {
    const char *kid;
    const char *pem;
};

struct reel_jwt_claims {
    char user_id[REEL_ID_SIZE];    // sub
    char session_id[REEL_ID_SIZE]; // sid
    char token_id[REEL_ID_SIZE];   // jti
    int64_t issued_at_s;           // iat and nbf, Unix time
    int64_t expires_at_s;          // exp
};

// Builds the immutable table of keys that verify tokens; everything is copied. Any thread may use
// it. REEL_INVALID_ARGUMENT when one is no public P-256 key, a kid is empty, longer than 64 or
// there twice, or there are more than REEL_JWT_MAX_KEYS. An empty table is fine: it verifies
// nothing.
int reel_jwt_keys_new(const struct reel_jwt_public_key *keys, size_t n_keys,
                      struct reel_jwt_keys **ret_keys) REEL_MUST_CHECK;

// Frees. NULL is fine.
void reel_jwt_keys_free(struct reel_jwt_keys *keys);

// Verifies a token at `now_s` (Unix time) and reads its claims. REEL_UNAUTHENTICATED for whatever
// is wrong with it: a client is not told what. Whether the session has been revoked is for the
// caller to know. Takes some 200 µs: cache the outcome until expires_at_s. Any thread.
int reel_jwt_verify(const struct reel_jwt_keys *keys, const char *token, int64_t now_s,
                    struct reel_jwt_claims *ret_claims) REEL_MUST_CHECK;

// Makes a token from claims, with iss, aud and nbf beside them, signed by `private_pem` under the
// name `kid`. REEL_INVALID_ARGUMENT when an id is no UUID or the life is not within
// REEL_JWT_MAX_LIFE_S. Any thread.
int reel_jwt_mint(const char *kid, const char *private_pem, const struct reel_jwt_claims *claims,
                  char ret_token[REEL_JWT_SIZE]) REEL_MUST_CHECK;
