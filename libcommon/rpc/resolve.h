// SPDX-License-Identifier: Apache-2.0
// The addresses behind the name in a URL.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/core/base.h"

enum {
    REEL_RESOLVE_MAX = 16, // addresses of a name that are used
    REEL_RESOLVE_URL_BYTES = 96,
};

struct reel_resolved {
    size_t n;
    char urls[REEL_RESOLVE_MAX][REEL_RESOLVE_URL_BYTES]; // as the URL, with an address for the name
};

// Whether a name stands in the URL that may mean several addresses: in "tcp://user:3001", not in
// "tcp://10.0.0.1:3001" or "ipc:///run/user".
bool reel_resolve_has_name(const char *url);

// Asks the system for the addresses. Blocks, for as long as the name servers take. On failure
// *ret_reason says why, for people (static).
int reel_resolve(const char *url, struct reel_resolved *ret_resolved,
                 const char **ret_reason) REEL_MUST_CHECK;
