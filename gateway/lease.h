// SPDX-License-Identifier: Apache-2.0
// Permits of the shared budget that this gateway has taken ahead, for clients that ask so often
// that each question of its own would cost more than the request. Pure but for its locks; any
// thread.
//
// A permit is taken from the budget before it is spent, so all gateways together allow what the
// policy allows; what was not spent within LEASE_US is lost to the client. The wish follows what
// the client did: at most twice what it got before, and what it spends in half of LEASE_US.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/gcra.h"
#include "libcommon/core/base.h"

enum { LEASE_US = 100 * 1000, LEASE_MAX = 128, LEASE_KEY_SIZE = 96 };

struct lease_table;

// Who is limited, and by what. Both are compared.
struct lease_client {
    const struct rate_policy *policy;
    const char *key; // shorter than LEASE_KEY_SIZE
};

// Makes an empty table.
int lease_table_new(struct lease_table **ret_table) REEL_MUST_CHECK;

// Frees. NULL is fine.
void lease_table_free(struct lease_table *table);

// Spends a permit; false when there is none, and the budget must be asked. *ret_ahead_us is how far
// the client is ahead of its rate then, as the budget would say if it were asked for each request.
bool lease_spend(struct lease_table *table, const struct lease_client *client, int64_t now_us,
                 int64_t *ret_ahead_us);

// How many permits to ask the budget for, at least 1: the one of the request that asks included.
uint32_t lease_wish(struct lease_table *table, const struct lease_client *client, int64_t now_us);

// Notes what the budget gave, at least 1, the one of the request that asked included; `ahead_us` is
// its answer. Returns it without what is yet to be spent.
int64_t lease_put(struct lease_table *table, const struct lease_client *client, int64_t now_us,
                  uint32_t granted, int64_t ahead_us);
