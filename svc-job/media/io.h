// SPDX-License-Identifier: Apache-2.0
// AVIO over a descriptor that somebody else opened: pread and pwrite on a position of its own, so
// that two contexts may share one descriptor. Cancellation is checked at every transfer, because
// a custom AVIO never consults an interrupt callback.
#pragma once

#include <stdbool.h>

#include "svc-job/media/run.h"

struct AVIOContext;
struct AVFormatContext;

// A reader over `fd` (borrowed) from its start. *ret_pb is the caller's to close with io_close.
int io_open_reader(struct run *run, int fd, struct AVIOContext **ret_pb) REEL_MUST_CHECK;

// A writer over `fd` (borrowed) from its start; it can seek.
int io_open_writer(struct run *run, int fd, struct AVIOContext **ret_pb) REEL_MUST_CHECK;

// Flushes a writer and frees. Sets *pb to NULL. Fits REEL_AUTO.
void io_close(struct AVIOContext **pb);

// The error the last failed transfer met, an AVERROR; 0: none. Muxers often lose it.
int io_error(const struct AVIOContext *pb);

// Makes a format context unable to open anything by name.
void io_forbid_opens(struct AVFormatContext *fmt);
