// SPDX-License-Identifier: Apache-2.0
// Password hashes: Argon2id with OWASP's parameters; bcrypt is verified, for imported accounts.
#pragma once

#include <stdbool.h>

#include "libcommon/core/base.h"

enum { PASSWORD_HASH_SIZE = 129, PASSWORD_MAX_LEN = 1024 };

// Hashes with a new salt. Takes some 50 ms and 19 MiB: go through struct hasher. Any thread.
int password_hash(const char *password, char ret_hash[PASSWORD_HASH_SIZE]) REEL_MUST_CHECK;

// Whether the password is the one hashed. A hash of another kind, or one whose parameters would
// cost more than 64 MiB, 10 passes or bcrypt's 2^12, matches nothing. Any thread.
bool password_matches(const char *password, const char *hash);

// Whether the hash was made in another way than password_hash makes it now.
bool password_is_outdated(const char *hash);
