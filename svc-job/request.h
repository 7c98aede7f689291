// SPDX-License-Identifier: Apache-2.0
// What an enqueue request must be beyond the rules in proto/job.proto, and what it asks of the
// media engine. Pure. Any thread.
#pragma once

#include "libcommon/core/arena.h"
#include "libcommon/core/base.h"
#include "proto/job.pb-c.h"
#include "svc-job/media/media.h"

// What is wrong with a request: `field` is its JSON path, `text` a clause that follows the name.
struct request_fault {
    char field[160];
    char text[256];
};

// Checks keys (both below the video's folder) and the parameters of the type. REEL_OK, or
// REEL_INVALID_ARGUMENT with *ret_fault filled.
int request_check(const Job__EnqueueRequest *request,
                  struct request_fault *ret_fault) REEL_MUST_CHECK;

// Reads a job's data as any producer may have written it, with every check an RPC would get.
// Errors as request_check; REEL_RESOURCE_EXHAUSTED when the arena is full.
int request_parse(struct reel_arena *arena, const char *json, size_t len,
                  Job__EnqueueRequest **ret_request,
                  struct request_fault *ret_fault) REEL_MUST_CHECK;

// The task for the media engine.
void request_task(const Job__EnqueueRequest *request, struct media_task *ret_task);
