// SPDX-License-Identifier: Apache-2.0
// The process that forks workers: one thread, a socket, nothing else.
#pragma once

#include "svc-job/media/engine.h"
#include "svc-job/worker/worker.h"

// What a worker runs once it is shut in.
typedef void worker_body(const struct media_task *task, const struct media_io *io,
                         struct media_ctl *ctl, struct media_outcome *ret_outcome);

// As worker_zygote_start, with another body than the media engine: for tests that misbehave.
int worker_zygote_start_with(worker_body *body, struct worker_zygote **ret_zygote) REEL_MUST_CHECK;

// Serves requests on `socket` until it hangs up, then ends every worker and exits. Called in the
// freshly forked zygote.
_Noreturn void zygote_serve(int socket, worker_body *body);
