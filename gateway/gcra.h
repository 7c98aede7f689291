// SPDX-License-Identifier: Apache-2.0
// The generic cell rate algorithm: one number a client says how far ahead of its rate it is. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { RATE_POLICY_NAME_SIZE = 32, RATE_MAX_POLICIES = 16 };

// `quota` requests at once, regained evenly over `window_s` seconds. A quota of 0 limits nothing.
struct rate_policy {
    char name[RATE_POLICY_NAME_SIZE];
    uint32_t quota;
    uint32_t window_s;
};

struct rate_policies {
    struct rate_policy items[RATE_MAX_POLICIES];
    unsigned n;
};

// Reads "auth=100/900,default=6000/60". False for a malformed text, a name given twice, or a text
// without "default".
bool rate_policies_parse(const char *text, struct rate_policies *ret_policies);

// The policy of that name, or "default". Borrowed.
const struct rate_policy *rate_policy_find(const struct rate_policies *policies, const char *name);

// Microseconds in which one request is regained.
int64_t gcra_interval_us(const struct rate_policy *policy);

// Takes one request. *tat_us is the client's theoretical arrival time (0 at first), advanced when
// the request is allowed. *ret_ahead_us is how far it is ahead of `now_us` then.
bool gcra_take(const struct rate_policy *policy, int64_t now_us, int64_t *tat_us,
               int64_t *ret_ahead_us);

struct gcra_verdict {
    uint32_t remaining; // requests that would be allowed now
    uint32_t reset_s;   // until the whole quota is back; when refused: until one request is
};

// Puts the outcome of gcra_take, here or in Redis, into the terms of the RateLimit header.
struct gcra_verdict gcra_verdict_of(const struct rate_policy *policy, bool allowed,
                                    int64_t ahead_us);
