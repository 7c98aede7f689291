// SPDX-License-Identifier: Apache-2.0
// Times one media task as the job service runs it: sandboxed worker, warm zygote.
//
//   media_bench resize IN OUT WIDTH HEIGHT THREADS
//   media_bench thumbnail IN OUT POSITION_MS
//   media_bench exec COMMAND ARGUMENT...
//
// Prints the wall time from start to end and the CPU time, in milliseconds; exec measures another
// program with the same clock. The zygote is started, and warm, before the clock; that is its
// point.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "svc-job/worker/worker.h"

static int usage(void)
{
    fprintf(stderr, "usage: media_bench resize IN OUT WIDTH HEIGHT THREADS\n"
                    "       media_bench thumbnail IN OUT POSITION_MS\n"
                    "       media_bench exec COMMAND ARGUMENT...\n");
    return 2;
}

static void print_times(int64_t wall_us, int64_t cpu_us)
{
    printf("%.1f %.1f\n", (double)wall_us / 1000, (double)cpu_us / 1000);
}

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static bool parse(int argc, char **argv, struct worker_task *ret_task)
{
    struct worker_task task = {.output_fd = -1, .thumbnail_fd = -1};
    int out;

    if (argc < 4)
        return false;
    task.input_fd = open(argv[2], O_RDONLY | O_CLOEXEC);
    out = open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (strcmp(argv[1], "resize") == 0 && argc == 7) {
        task.media.kind = MEDIA_RESIZE;
        task.output_fd = out;
        task.media.width = number(argv[4]);
        task.media.height = number(argv[5]);
        task.media.threads = number(argv[6]);
    } else if (strcmp(argv[1], "thumbnail") == 0 && argc == 5) {
        task.media.kind = MEDIA_INSPECT;
        task.thumbnail_fd = out;
        task.media.thumbnail_ms = number(argv[4]);
    } else {
        return false;
    }
    *ret_task = task;
    return true;
}

static int run(struct worker_zygote *zygote, const struct worker_task *task,
               struct media_outcome *ret_outcome, int64_t *ret_cpu_us)
{
    int64_t rss;
    struct worker *worker;
    int rc = worker_start(zygote, task, &worker);

    if (rc != REEL_OK)
        return rc;
    rc = worker_wait(worker, REEL_NO_DEADLINE, ret_outcome);
    worker_get_usage(worker, ret_cpu_us, &rss);
    worker_free(worker);
    return rc;
}

// The zygote answers once it is warm.
static int wait_until_warm(struct worker_zygote *zygote, const struct worker_task *task)
{
    struct worker_task look = {.media.kind = MEDIA_INSPECT,
                               .input_fd = task->input_fd,
                               .output_fd = -1,
                               .thumbnail_fd = -1};
    struct media_outcome ignored;
    int64_t cpu_us;

    return run(zygote, &look, &ignored, &cpu_us);
}

static int measure_command(char **argv)
{
    int64_t started_us = reel_clock_mono_us();
    struct rusage usage;
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        return 1;
    print_times(reel_clock_mono_us() - started_us,
                (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                    usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return status != 0;
}

int main(int argc, char **argv)
{
    struct worker_zygote *zygote;
    struct worker_task task;
    struct media_outcome outcome = {0};
    int64_t started_us;
    int64_t cpu_us = 0;
    int rc;

    if (argc > 2 && strcmp(argv[1], "exec") == 0)
        return measure_command(argv + 2);
    if (worker_zygote_start(&zygote) != 0 || !parse(argc, argv, &task))
        return usage();
    rc = wait_until_warm(zygote, &task);
    started_us = reel_clock_mono_us();
    if (rc == REEL_OK)
        rc = run(zygote, &task, &outcome, &cpu_us);
    print_times(reel_clock_mono_us() - started_us, cpu_us);
    if (rc != REEL_OK || outcome.code != MEDIA_OK)
        fprintf(stderr, "%s: %s\n", media_code_name(outcome.code), outcome.text);
    worker_zygote_stop(zygote);
    return rc != REEL_OK || outcome.code != MEDIA_OK;
}
