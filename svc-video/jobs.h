// SPDX-License-Identifier: Apache-2.0
// What the video service asks of the job service. Any thread. `call` is the request on whose behalf
// it asks, which lends its deadline, its cancellation and its user; NULL for the reconciler.
//
// All return what the job service answers; REEL_UNAVAILABLE or REEL_DEADLINE_EXCEEDED when it does
// not.
#pragma once

#include "libcommon/core/arena.h"
#include "libcommon/rpc/channel.h"
#include "proto/job.pb-c.h"
#include "proto/video.pb-c.h"

// Hands an operation over. Handing it over again is harmless.
int jobs_enqueue(struct reel_channel *jobs, struct reel_call *call, struct reel_arena *arena,
                 const char *user_id, const Video__Operation *operation) REEL_MUST_CHECK;

// Cancels all of a video's jobs.
int jobs_cancel_for_video(struct reel_channel *jobs, struct reel_call *call,
                          struct reel_arena *arena, const char *video_id) REEL_MUST_CHECK;

// Has the uploaded file of a video probed and its thumbnail made. *ret_status says why not.
int jobs_inspect(struct reel_channel *jobs, struct reel_call *call, const char *video_id,
                 Job__InspectResponse **ret_facts, struct reel_status *ret_status) REEL_MUST_CHECK;

// A job as it is now, asked for in the name of its user.
int jobs_get(struct reel_channel *jobs, struct reel_arena *arena, const char *user_id,
             const char *job_id, Job__Job **ret_job) REEL_MUST_CHECK;

// State changes after a sequence number.
int jobs_list_events(struct reel_channel *jobs, struct reel_call *call, struct reel_arena *arena,
                     int64_t after_seq, Job__ListEventsResponse **ret_events) REEL_MUST_CHECK;
