// SPDX-License-Identifier: Apache-2.0
// The keys that sign access tokens: every "*.pem" file (an unencrypted private key on P-256, for
// the owner's eyes only) of a directory.
//
// The newest signs, all verify. To rotate, add a file; it signs once it is older than the delay,
// when every replica and gateway has read it. Remove the old file when its last token has expired.
#pragma once

#include <stdint.h>

#include "libcommon/auth/jwt.h"
#include "libcommon/core/base.h"
#include "proto/user.pb-c.h"

struct keys;
struct reel_arena;

// Reads the directory, which is created (mode 0700) if it is missing; makes a first key if there is
// none. -EACCES when a key could be read by others, another fault when none can be used; the log
// names the file.
int keys_open(const char *dir, int64_t delay_s, struct keys **ret_keys) REEL_MUST_CHECK;

// Frees. NULL is fine.
void keys_close(struct keys *keys);

// Reads the directory again. On failure the keys in use stay. Any thread.
int keys_reload(struct keys *keys) REEL_MUST_CHECK;

// Signs a token with the newest key that is old enough. As reel_jwt_mint. Any thread.
int keys_mint(struct keys *keys, const struct reel_jwt_claims *claims,
              char ret_token[REEL_JWT_SIZE]) REEL_MUST_CHECK;

// As reel_jwt_verify. Any thread.
int keys_verify(struct keys *keys, const char *token, int64_t now_s,
                struct reel_jwt_claims *ret_claims) REEL_MUST_CHECK;

// The public keys, newest first, in the arena. REEL_RESOURCE_EXHAUSTED. Any thread.
int keys_list(struct keys *keys, struct reel_arena *arena, User__PublicKey ***ret_keys,
              size_t *ret_n) REEL_MUST_CHECK;
