// SPDX-License-Identifier: Apache-2.0
// One attempt of a job in a worker process: files, worker, progress. It changes neither the record
// nor the queue.
#pragma once

#include "svc-job/request.h"
#include "svc-job/run.h"

// Runs the request's task until the worker is gone or the run is stopped (then the outcome's code
// is MEDIA_CANCELLED). On MEDIA_OK *ret_file is the complete, unpublished result; otherwise NULL.
void attempt_execute(struct run_env *env, struct run *run, const struct job_row *row,
                     const Job__EnqueueRequest *request, struct reel_storage_file **ret_file,
                     struct media_outcome *ret_outcome);
