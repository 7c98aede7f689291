// SPDX-License-Identifier: Apache-2.0
#include "svc-job/worker/worker_main.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "svc-job/worker/sandbox.h"

#define FIRST_FD 3

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

// Closes every descriptor above the standard three but those of `io`.
static void close_others(const struct media_io *io)
{
    int keep[] = {io->input_fd, io->output_fd, io->thumbnail_fd};
    unsigned next = FIRST_FD;

    qsort(keep, REEL_ARRAY_SIZE(keep), sizeof(keep[0]), compare_ints);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(keep); i++) {
        if (keep[i] < (int)next)
            continue;
        if (keep[i] > (int)next)
            (void)close_range(next, (unsigned)keep[i] - 1, 0);
        next = (unsigned)keep[i] + 1;
    }
    (void)close_range(next, ~0U, 0);
}

static void restore_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void leave(int status)
{
#if SANDBOX_SANITIZED
    // Through atexit: the leak check.
    exit(status);
#else
    // The kernel frees faster than the libraries do.
    _exit(status);
#endif
}

void worker_main(const struct wire_start *start, const int fds[WIRE_N_FDS], worker_body *body)
{
    const struct worker_limits *asked = &start->task.limits;
    struct sandbox_limits limits = {.memory_bytes = asked->memory_bytes,
                                    .cpu_s = asked->cpu_s,
                                    .output_bytes = asked->output_bytes};
    struct media_io io = {.input_fd = fds[WIRE_FD_INPUT],
                          .output_fd = fds[WIRE_FD_OUTPUT],
                          .thumbnail_fd = fds[WIRE_FD_THUMBNAIL]};
    struct media_task task = start->task.media;
    struct wire_page *page =
        mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fds[WIRE_FD_PAGE], 0);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "reel-media");
    close_others(&io);
    restore_signals();
    if (start->task.nice > 0)
        (void)setpriority(PRIO_PROCESS, 0, start->task.nice);
    if (page == MAP_FAILED || sandbox_enter(&limits) < 0)
        _exit(WIRE_EXIT_NO_SANDBOX);
    if (SANDBOX_ONE_THREAD)
        task.threads = 1;
    body(&task, &io, &page->ctl, &page->outcome);
    atomic_store_explicit(&page->done, 1, memory_order_release);
    leave(0);
}
