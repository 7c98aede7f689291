// SPDX-License-Identifier: Apache-2.0
// The engine's one entry. It runs inside a worker process: it opens nothing, reads and writes only
// the descriptors it is given, and may be killed at any moment.
#pragma once

#include "svc-job/media/ctl.h"
#include "svc-job/media/media.h"

struct media_io {
    int input_fd;
    int output_fd;    // -1 for INSPECT
    int thumbnail_fd; // -1: no thumbnail
};

// Does what a task says. Fills *ret_outcome, whatever happens. One call per process at a time.
void media_run(const struct media_task *task, const struct media_io *io, struct media_ctl *ctl,
               struct media_outcome *ret_outcome);

// Touches what every task needs first (codec tables, the libraries' lazily bound symbols), so that
// processes forked later find it done. Single-threaded; leaves nothing open.
void media_warm_up(void);
