// SPDX-License-Identifier: Apache-2.0
// Secrets such as API keys, compared without telling by time how much of a guess was right.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Whether the `shown_len` bytes at `shown` are the text `secret`. NULL and "" are no secret:
// nothing matches them. The time depends on `shown_len` and the length of the secret alone. `shown`
// may be NULL when `shown_len` is 0. Any thread.
bool reel_secret_matches(const char *secret, const void *shown, size_t shown_len);
