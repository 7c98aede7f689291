// SPDX-License-Identifier: Apache-2.0
// The rules of accounts and sessions, as pure functions.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/auth/digest.h"

// A refresh token: 32 digits that name its family, 64 that change with every refresh.
enum { MODEL_FAMILY_LEN = 32, MODEL_REFRESH_LEN = 96, MODEL_REFRESH_SIZE = MODEL_REFRESH_LEN + 1 };

enum { MODEL_USER_AGENT_SIZE = 257 };

// The digests of a refresh token that are stored in its place.
struct model_refresh {
    char family_hash[REEL_DIGEST_HEX_SIZE];
    char refresh_hash[REEL_DIGEST_HEX_SIZE];
};

// Makes a token of a new family, or of the one of `former` (a valid token).
void model_refresh_new(const char *former, char ret_token[MODEL_REFRESH_SIZE]);

// Digests a token. False when it does not have the form of one.
bool model_refresh_digest(const char *token, struct model_refresh *ret_refresh);

// Why the password must not be used with this account, for people to read; NULL when it may.
const char *model_password_flaw(const char *password, const char *username, const char *email);

// The field ("username", "email") whose uniqueness the constraint guards; NULL for another one.
const char *model_taken_field(const char *constraint);

// Copies what a client says of itself: printable ASCII, cut; NULL gives "".
void model_user_agent(const char *shown, char ret_user_agent[MODEL_USER_AGENT_SIZE]);
