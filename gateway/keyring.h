// SPDX-License-Identifier: Apache-2.0
// The user service's public keys, as last fetched.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/token_cache.h"
#include "libcommon/core/base.h"

struct keyring;

// An empty ring: verifies nothing, wants a fetch.
int keyring_new(struct keyring **ret_ring) REEL_MUST_CHECK;

// Frees. NULL is fine.
void keyring_free(struct keyring *ring);

// Whether a token that did not verify may do so after a fetch: the keys are older than a second. So
// forged tokens cost at most one fetch a second. Any thread.
bool keyring_wants_fetch(struct keyring *ring);

// Whether the keys should be fetched anew in any case: never yet, or minutes ago. Any thread.
bool keyring_is_old(struct keyring *ring);

// Takes a packed user.ListKeysResponse in place of what there was. REEL_INVALID_ARGUMENT when it
// cannot be read; the old keys then stay. Any thread.
int keyring_put(struct keyring *ring, const uint8_t *payload, size_t len) REEL_MUST_CHECK;

// Verifies a token at `now_s`: REEL_OK, REEL_UNAUTHENTICATED, or a fault. Any thread.
int keyring_verify(struct keyring *ring, const char *token, int64_t now_s,
                   struct token_claims *ret_claims) REEL_MUST_CHECK;
