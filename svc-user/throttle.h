// SPDX-License-Identifier: Apache-2.0
// Slows guessing: after ten wrong passwords for one account from one address within fifteen minutes
// no more are tried until those have passed. From elsewhere the account's owner still signs in.
//
// The database counts, so that all replicas count together. Beside what they say, all functions
// return an outcome of reel_pg_exec. Any thread.
#pragma once

#include "svc-user/store.h"

#define THROTTLE_POLICY "login" // as the RateLimit header names it

enum {
    THROTTLE_FAILURES = 10,
    THROTTLE_WINDOW_S = 15 * 60,
};

// Whose attempts count together.
struct throttle_key {
    const char *account; // as typed: compared without case, and it need not exist. A username and
                         // an email count apart: a count in common would tell whose they are
    const char *address; // an IP address in text, of which an IPv6 address' network counts; "":
                         // wherever it is tried from; NULL: nothing is counted
};

// Begins an attempt, which counts as a failure until the right password has come: *ret_wait_ms is
// 0; or the milliseconds until the account may be tried again from this address.
int throttle_attempt(const struct store *db, const struct throttle_key *key,
                     uint32_t *ret_wait_ms) REEL_MUST_CHECK;

// The attempt was not about the password: it does not count.
int throttle_refund(const struct store *db, const struct throttle_key *key) REEL_MUST_CHECK;

// Forgets the failures: the right password came.
int throttle_succeeded(const struct store *db, const struct throttle_key *key) REEL_MUST_CHECK;

// Removes at most `limit` rows whose window has passed. *ret_n is how many.
int throttle_sweep(const struct store *db, int64_t limit, int64_t *ret_n) REEL_MUST_CHECK;
