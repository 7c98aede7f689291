// SPDX-License-Identifier: Apache-2.0
// Any bytes as an uploaded file: probed, and a thumbnail tried, through the same closed lists as in
// a worker.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "svc-job/media/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct media_task task = {.kind = MEDIA_INSPECT, .thumbnail_max = 64, .max_pixels = 1 << 20};
    struct media_io io = {.input_fd = memfd_create("in", MFD_CLOEXEC),
                          .output_fd = -1,
                          .thumbnail_fd = memfd_create("out", MFD_CLOEXEC)};
    struct media_ctl ctl = {0};
    struct media_outcome outcome;

    if (io.input_fd < 0 || io.thumbnail_fd < 0 || write(io.input_fd, data, size) != (ssize_t)size)
        abort();
    media_run(&task, &io, &ctl, &outcome);
    // A failure always says why; INTERNAL would be ours.
    if (outcome.code != MEDIA_OK && outcome.text[0] == '\0')
        abort();
    if (outcome.code == MEDIA_INTERNAL)
        abort();
    close(io.input_fd);
    close(io.thumbnail_fd);
    return 0;
}
