// SPDX-License-Identifier: Apache-2.0
// What the service, the zygote and a worker say to each other. All three are one program, so these
// are structs, with a version that refuses anything else.
//
//   service -> zygote   one seqpacket socket: wire_start with descriptors
//   zygote  -> service  a seqpacket channel per worker: wire_event. The service closes it, or
//                       sends a byte, to have the worker killed.
//   worker <-> service  one page of shared memory: progress and cancellation while it runs, the
//                       outcome when it is gone. A worker holds no socket at all.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "svc-job/media/ctl.h"
#include "svc-job/worker/worker.h"

#define WIRE_VERSION 1

// The descriptors of wire_start, in this order; those at the end may be missing.
enum wire_fd {
    WIRE_FD_CHANNEL,
    WIRE_FD_PAGE,
    WIRE_FD_INPUT,
    WIRE_FD_OUTPUT, // or the thumbnail, when there is no output
    WIRE_FD_THUMBNAIL,
    WIRE_N_FDS,
};

struct wire_start {
    uint32_t version;
    uint32_t has_output;
    uint32_t has_thumbnail;
    struct worker_task task; // its descriptors mean nothing here
};

enum wire_event_kind {
    WIRE_EXITED = 1, // status: as of waitpid
    WIRE_REFUSED,    // status: errno
};

struct wire_event {
    uint32_t version;
    uint32_t kind;
    int32_t status;
    int64_t cpu_us;
    int64_t max_rss_bytes;
};

struct wire_page {
    uint32_t version;
    _Atomic uint32_t done; // the outcome is written
    struct media_ctl ctl;
    struct media_outcome outcome;
};

// How a worker exits when it could not shut itself in.
#define WIRE_EXIT_NO_SANDBOX 120
