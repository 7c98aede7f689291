// SPDX-License-Identifier: Apache-2.0
// P-256 keys in PEM, for ES256.
#pragma once

#include <stdbool.h>

#include "libcommon/core/base.h"

enum { REEL_ECKEY_PEM_SIZE = 512, REEL_ECKEY_ID_SIZE = 33 };

// Makes a new private key (PKCS #8 PEM). Any thread.
int reel_eckey_generate(char ret_private_pem[REEL_ECKEY_PEM_SIZE]) REEL_MUST_CHECK;

// Derives the public key (SubjectPublicKeyInfo PEM) and its id: 32 hexadecimal digits of the
// SHA-256 of its DER form. REEL_INVALID_ARGUMENT when the text is no unencrypted private key on
// P-256. Any thread.
int reel_eckey_public(const char *private_pem, char ret_public_pem[REEL_ECKEY_PEM_SIZE],
                      char ret_id[REEL_ECKEY_ID_SIZE]) REEL_MUST_CHECK;

// Whether the text is a public key on P-256. Any thread.
bool reel_eckey_is_public(const char *pem);
