// SPDX-License-Identifier: Apache-2.0
// Probes a stored file in a worker and makes its thumbnail, at once, past the queue.
#pragma once

#include "libcommon/core/base.h"
#include "libcommon/rpc/call.h"
#include "libcommon/storage/storage.h"
#include "proto/job.pb-c.h"
#include "svc-job/permits.h"
#include "svc-job/worker/worker.h"

// All borrowed.
struct inspector {
    struct reel_storage *storage;
    struct worker_zygote *zygote;
    struct permits *permits; // how many go on at once
};

// Fills `res` (initialised) in the call's arena, waiting for a permit and the worker until the
// call's deadline; a call that is over kills its worker. Fails the call with REEL_NOT_FOUND (no
// such file), REEL_INVALID_ARGUMENT (the file is at fault: the text says why, and a violation of
// input_key carries the code), REEL_RESOURCE_EXHAUSTED, REEL_UNAVAILABLE, or a fault.
int inspect(const struct inspector *inspector, struct reel_call *call,
            const Job__InspectRequest *req, Job__InspectResponse *res) REEL_MUST_CHECK;
