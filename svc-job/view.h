// SPDX-License-Identifier: Apache-2.0
// Rows as messages and JSON. Everything is in the arena given; strings of the row are borrowed. Any
// thread, as each has its own arena.
#pragma once

#include "libcommon/core/arena.h"
#include "libcommon/core/base.h"
#include "proto/job.pb-c.h"
#include "svc-job/media/media.h"
#include "svc-job/store.h"

// Fills `ret_job` (initialised) from a row. Progress is 100 for a completed job, else 0. REEL_OK or
// REEL_RESOURCE_EXHAUSTED. A stored request or result that cannot be read is left out.
int view_job(struct reel_arena *arena, const struct job_row *row,
             Job__Job *ret_job) REEL_MUST_CHECK;

// Fills `ret_event` (initialised) from a recorded event.
int view_event(struct reel_arena *arena, const struct event_row *row,
               Job__JobEvent *ret_event) REEL_MUST_CHECK;

// Fills `ret_event` with progress of a running job; it has no number.
int view_progress(struct reel_arena *arena, const struct job_row *row, double percent,
                  Job__JobEvent *ret_event) REEL_MUST_CHECK;

// The message as proto3 JSON; NULL when the arena is full.
const char *view_json(struct reel_arena *arena, const ProtobufCMessage *message);

// What a worker made, as JSON of job.JobResult; NULL when the arena is full.
const char *view_result(struct reel_arena *arena, const char *storage_key,
                        const struct media_outcome *outcome);
