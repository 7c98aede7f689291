// SPDX-License-Identifier: Apache-2.0
// Sandboxed media workers: one process a job, forked by a zygote that has the codecs linked.
//
// The zygote is forked first thing in main, while the process has one thread, no NNG, no secrets
// read and no files open; it is the only process that ever forks again. It closes every descriptor
// but its socket, wipes the environment, moves into empty namespaces where the kernel lets it, and
// dies with the service. A worker gets its descriptors over the socket, drops everything else
// (rlimits, no_new_privs, Landlock, seccomp: sandbox.h) and runs one task.
//
// A dead zygote cannot be replaced: the service has threads by then, and what a fork after that
// would inherit is unsafe. The service polls worker_zygote_fd and exits when it hangs up; its
// supervisor starts it again (crash-only), and the jobs that ran are claimed again.
//
// All functions but worker_zygote_start may be called from any thread; one worker is waited for by
// one thread at a time, while others may cancel it and read its progress.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "svc-job/media/media.h"

struct worker_zygote;
struct worker;

// 0 in any field: the default beside it.
struct worker_limits {
    int64_t wall_ms;      // from start to end; 1 hour
    int64_t stall_ms;     // without the worker doing anything measurable; 60 s
    int64_t cpu_s;        // CPU seconds over all threads; 4 hours
    int64_t memory_bytes; // of private memory; 1.5 GiB
    int64_t output_bytes; // of each file written; 16 GiB
};

struct worker_task {
    struct media_task media;
    int input_fd;     // readable and seekable; borrowed until worker_start returns
    int output_fd;    // read-write, empty, seekable; -1 for INSPECT; borrowed likewise
    int thumbnail_fd; // as output_fd, for INSPECT; -1: no thumbnail
    int nice;         // 0 to 19
    struct worker_limits limits;
};

struct worker_progress {
    double fraction;     // 0 to 1, never decreases; 1 only when the worker has ended well
    int64_t frames;      // video frames done
    int64_t position_us; // of the input, reached
    int64_t total_us;    // 0: unknown
};

// Forks the zygote. Call it first in main, before any thread and any secret is read. On success
// *ret_zygote is the caller's to stop with worker_zygote_stop. -errno when the fork fails, or
// -EBUSY when the process already has more than one thread.
int worker_zygote_start(struct worker_zygote **ret_zygote) REEL_MUST_CHECK;

// Ends the zygote, with it every worker, and frees. NULL is fine. No worker may be in use.
void worker_zygote_stop(struct worker_zygote *zygote);

// A descriptor to poll: POLLIN or POLLHUP on it means that the zygote has died. Borrowed, never
// read from it.
int worker_zygote_fd(const struct worker_zygote *zygote);

// Whether the zygote lives.
bool worker_zygote_is_alive(const struct worker_zygote *zygote);

// Starts a worker. The descriptors of the task are duplicated into it and stay the caller's. On
// success *ret_worker is the caller's to free with worker_free. REEL_INVALID_ARGUMENT for a task
// that makes no sense; REEL_UNAVAILABLE when the zygote is dead; else -errno.
int worker_start(struct worker_zygote *zygote, const struct worker_task *task,
                 struct worker **ret_worker) REEL_MUST_CHECK;

// How far the worker is; costs no system call.
void worker_get_progress(const struct worker *worker, struct worker_progress *ret_progress);

// Asks the worker to stop; it is killed if it has not within 500 ms (by the thread in worker_wait,
// or at worker_free). Its output file is then worthless. Returns at once; again is harmless.
void worker_cancel(struct worker *worker);

// Waits until the process is gone (reaped), at most until `deadline_us` (monotonic), enforcing the
// wall and stall limits and the cancel grace meanwhile. REEL_OK and *ret_outcome filled: it is
// gone, what became of it is in ret_outcome->code (MEDIA_*; never an error of this function), its
// text and facts validated and printable. REEL_DEADLINE_EXCEEDED: it still runs, wait again. A
// finished worker answers the same outcome each time.
int worker_wait(struct worker *worker, int64_t deadline_us,
                struct media_outcome *ret_outcome) REEL_MUST_CHECK;

// What a finished worker has used: CPU over all threads, and its largest resident size. Zeros
// while it runs.
void worker_get_usage(const struct worker *worker, int64_t *ret_cpu_us, int64_t *ret_max_rss_bytes);

// Kills the process if it still runs, waits until it is gone, frees. NULL is fine.
void worker_free(struct worker *worker);
