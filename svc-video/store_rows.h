// SPDX-License-Identifier: Apache-2.0
// What the two halves of the store share: turning columns into messages.
#pragma once

#include "svc-video/store.h"

// A timestamp message from microseconds since 1970. NULL when the arena is full.
Google__Protobuf__Timestamp *store_timestamp(struct reel_arena *arena, int64_t us);
