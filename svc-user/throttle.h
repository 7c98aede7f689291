// SPDX-License-Identifier: Apache-2.0
// Slows guessing: after ten wrong passwords for one account from one address within fifteen minutes
// no more are tried until those have passed. From elsewhere the account's owner still signs in.
//
// Each replica counts for itself, in a table of fixed size: an attacker with very many addresses
// can make it forget, and then meets the bounds of the hasher and of the gateway.
#pragma once

#include <stdint.h>

#include "libcommon/core/base.h"

enum {
    THROTTLE_FAILURES = 10,
    THROTTLE_WINDOW_S = 15 * 60,
};

struct throttle;

// An empty table.
int throttle_new(struct throttle **ret_throttle) REEL_MUST_CHECK;

// Frees; nobody may be inside. NULL is fine.
void throttle_free(struct throttle *throttle);

// Begins an attempt, which counts as a failure until the right password has come: 0; or the
// milliseconds until the account may be tried again from this address. `account` is compared
// without case; whether it exists does not matter. `address` is an IP address in text (of an IPv6
// address its network counts), "" to count the account wherever it is tried from, or NULL: then
// nothing is counted. Any thread.
uint32_t throttle_attempt(struct throttle *throttle, const char *account, const char *address,
                          int64_t now_us);

// The attempt was not about the password: it does not count. Any thread.
void throttle_refund(struct throttle *throttle, const char *account, const char *address);

// Forgets the failures: the right password came. Any thread.
void throttle_succeeded(struct throttle *throttle, const char *account, const char *address);
