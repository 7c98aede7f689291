// SPDX-License-Identifier: Apache-2.0
// A worker's life: from the fork in the zygote to its exit.
#pragma once

#include "svc-job/worker/wire.h"
#include "svc-job/worker/zygote.h"

// Runs in the freshly forked worker: keeps only the media descriptors, maps the page, shuts itself
// in, runs the task, leaves the outcome on the page, exits.
_Noreturn void worker_main(const struct wire_start *start, const int fds[WIRE_N_FDS],
                           worker_body *body);
