// SPDX-License-Identifier: Apache-2.0
// Finishes what was left half done: by a crash, or while another part was away.
//
// - an operation that the job service has not taken over is handed over again, or ended as failed
//   when it is refused;
// - job events that were dropped on the way are read back;
// - an operation that has not moved for long is asked about;
// - a deleted video's jobs are cancelled, its files and then its rows removed;
// - files that no row knows are removed once their upload cannot be running any more.
#pragma once

#include "svc-video/svc.h"

struct reconciler;

// Starts a thread that looks every REEL_RECONCILE_MS; `svc` is borrowed until reconciler_stop.
int reconciler_start(struct video_svc *svc, struct reconciler **ret_reconciler) REEL_MUST_CHECK;

// Stops the thread and frees. NULL is fine.
void reconciler_stop(struct reconciler *reconciler);

// One round, now, on the calling thread: what the thread does. With `sweep` it also looks through
// all folders for those of abandoned uploads, which the thread does only now and then.
void reconciler_run(struct video_svc *svc, bool sweep);
