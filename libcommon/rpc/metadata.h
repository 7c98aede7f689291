// SPDX-License-Identifier: Apache-2.0
// What metadata may look like, the same on both sides.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/rpc/channel.h"
#include "libcommon/rpc/wire.h"

enum { REEL_METADATA_MAX_BYTES = 8192, REEL_METADATA_MAX_ENTRIES = 64 };

// Metadata keys of our own.
#define REEL_META_SERVICE    "reel-service"
#define REEL_META_KEY        "reel-key"
#define REEL_META_USER_ID    "reel-user-id"
#define REEL_META_SESSION_ID "reel-session-id"
#define REEL_META_REQUEST_ID "reel-request-id"
#define REEL_META_TRACE      "traceparent"

// Whether the key is made of a-z, 0-9, '-', '_' and '.', 1 to 128 of them.
bool reel_metadata_key_is_valid(struct reel_slice key);

// Whether the value fits its key: printable ASCII, or base64 for a key that ends in "-bin".
bool reel_metadata_value_is_valid(struct reel_slice key, struct reel_slice value);

// Checks all of it. REEL_OK, REEL_INVALID_ARGUMENT or REEL_RESOURCE_EXHAUSTED, then with one
// sentence that says what is wrong in ret_text.
int reel_metadata_check(const struct reel_metadata *metadata, size_t n, char *ret_text,
                        size_t text_size);
