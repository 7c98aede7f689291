// SPDX-License-Identifier: Apache-2.0
// Sessions that have ended before their tokens expire, as the user service tells them.
#pragma once

#include <stdbool.h>

#include "libcommon/core/base.h"

struct revocations;
struct reel_channel;

// Follows UserService.WatchRevocations for ever, on a thread of its own. `channel` is borrowed.
int revocations_open(struct reel_channel *channel,
                     struct revocations **ret_revocations) REEL_MUST_CHECK;

// Stops and frees. NULL is fine.
void revocations_close(struct revocations *revocations);

// Whether the feed was heard of within the last second. When not, ask the user service. Any thread.
bool revocations_is_fresh(struct revocations *revocations);

// Whether the session is known to have ended. Any thread.
bool revocations_holds(struct revocations *revocations, const char *session_id);
