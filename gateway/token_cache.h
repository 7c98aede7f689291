// SPDX-License-Identifier: Apache-2.0
// Tokens whose signature has been verified, until they expire: a signature costs more than all the
// rest of a request.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/core/id.h"

struct token_cache;

// What a verified token says.
struct token_claims {
    char user_id[REEL_ID_SIZE];
    char session_id[REEL_ID_SIZE];
    int64_t expires_s; // since 1970
};

// An empty cache of fixed size.
int token_cache_new(struct token_cache **ret_cache) REEL_MUST_CHECK;

// Frees. NULL is fine.
void token_cache_free(struct token_cache *cache);

// The claims of a token that was put and has not expired at `now_s`; false when there are none. Any
// thread.
bool token_cache_get(struct token_cache *cache, const char *token, int64_t now_s,
                     struct token_claims *ret_claims);

// Keeps the claims of a token that has just been verified, in place of an older one. Any thread.
void token_cache_put(struct token_cache *cache, const char *token,
                     const struct token_claims *claims);
