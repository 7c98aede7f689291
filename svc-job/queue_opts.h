// SPDX-License-Identifier: Apache-2.0
// A job's options as BullMQ writes them in JSON, and a claimed job's fields. Pure. Any thread.
#pragma once

#include "libcommon/core/arena.h"
#include "libcommon/core/base.h"
#include "libcommon/redis/redis.h"
#include "svc-job/queue.h"

// The options of a new job, in the arena; NULL when it is full. The keep rules are JSON.
const char *queue_opts_write(struct reel_arena *arena, const struct queue_entry *entry,
                             const char *keep_completed, const char *keep_failed);

// Reads a claim as lua/lib.lua returns it. -EPROTO when it has another shape. Strings are borrowed
// from the reply.
int queue_claim_read(const struct reel_redis_reply *reply,
                     struct queue_claim *ret_claim) REEL_MUST_CHECK;
