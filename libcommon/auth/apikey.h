// SPDX-License-Identifier: Apache-2.0
// Internal API keys, compared without telling by time how much of a guess was right.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { REEL_APIKEY_MIN_LEN = 16 };

// Whether `shown` is one of the two valid keys; either may be NULL. A valid key shorter than
// REEL_APIKEY_MIN_LEN is not one: it opens nothing. The time depends on the lengths alone. Any
// thread.
bool reel_apikey_matches(const char *key, const char *previous_key, const char *shown);
