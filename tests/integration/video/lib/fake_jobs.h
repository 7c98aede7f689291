// SPDX-License-Identifier: Apache-2.0
// A job service that does nothing but remember and answer as told, over the real RPC core. It
// numbers and publishes events as the real one does.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fake_jobs;

// Starts it on these URLs; fails the test when it cannot.
struct fake_jobs *fake_jobs_start(const char *url, const char *events_url);

// Stops and frees. NULL is fine.
void fake_jobs_stop(struct fake_jobs *jobs);

// What every Enqueue (or Inspect) answers from now on: an enum reel_code.
void fake_jobs_answer_enqueue(struct fake_jobs *jobs, int code);

// Refuses the Enqueue of one operation as malformed from now on.
void fake_jobs_refuse(struct fake_jobs *jobs, const char *operation_id);

// As above, for Inspect.
void fake_jobs_answer_inspect(struct fake_jobs *jobs, int code);

// What the next Inspect reports besides 640x360, 25 frames a second.
void fake_jobs_media(struct fake_jobs *jobs, const char *format, const char *video_codec,
                     const char *audio_codec);

// How often an operation was enqueued, how often in all, and how often a video's jobs cancelled.
int fake_jobs_enqueued(struct fake_jobs *jobs, const char *operation_id);

// How many calls of Enqueue were accepted.
int fake_jobs_enqueued_in_all(struct fake_jobs *jobs);

// How often CancelForVideo came for the video.
int fake_jobs_cancelled(struct fake_jobs *jobs, const char *video_id);

// Lets GetStatus answer this state for a job; NULL: NOT_FOUND.
void fake_jobs_set_state(struct fake_jobs *jobs, const char *state);

// Records a state change as the next event and, unless `silent`, publishes it. Its number.
int64_t fake_jobs_event(struct fake_jobs *jobs, const char *operation_id, const char *state,
                        int version, bool silent);

// Publishes a recorded event again.
void fake_jobs_replay(struct fake_jobs *jobs, int64_t seq);

// Publishes progress, which is not recorded.
void fake_jobs_progress(struct fake_jobs *jobs, const char *operation_id, int version,
                        double progress);
