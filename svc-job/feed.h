// SPDX-License-Identifier: Apache-2.0
// Publishes events. A thread of its own follows job_events by number and sends every row, whichever
// replica wrote it: so each event socket carries all state changes, in order, and one that was
// recorded just before a crash is sent by the others.
#pragma once

#include "libcommon/core/base.h"
#include "libcommon/pg/pg.h"
#include "libcommon/rpc/bus.h"
#include "svc-job/store.h"

struct feed;

// Starts following at the newest event. Both are borrowed for its life.
int feed_open(struct reel_pg *pg, struct reel_publisher *publisher,
              struct feed **ret_feed) REEL_MUST_CHECK;

// Stops the thread and frees. NULL is fine.
void feed_close(struct feed *feed);

// Says that there are new events, so that they leave at once. Any thread.
void feed_poke(struct feed *feed);

// Publishes progress of a running job, 0 to 100. Any thread.
void feed_progress(struct feed *feed, const struct job_row *row, double percent);
