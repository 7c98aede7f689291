// SPDX-License-Identifier: Apache-2.0
// Job events, applied to video_operations: a subscriber of the job service's event socket that
// reads back what it missed.
#pragma once

#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/base.h"
#include "libcommon/pg/pg.h"
#include "libcommon/rpc/channel.h"

struct events;

// Starts to follow the events on `url`; pool and channel are borrowed until events_close.
int events_open(const char *url, struct reel_pg *pg, struct reel_channel *jobs,
                struct events **ret_events) REEL_MUST_CHECK;

// Reads back and applies what has been recorded since the last event applied, using `arena`, which
// it resets: not the arena of `call`, the request that waits for it (or NULL). Any thread; whatever
// keeps it from that comes back as a code, to be tried again.
int events_catch_up(struct events *events, struct reel_call *call,
                    struct reel_arena *arena) REEL_MUST_CHECK;

// Stops and frees. NULL is fine.
void events_close(struct events *events);
