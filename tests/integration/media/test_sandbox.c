// SPDX-License-Identifier: Apache-2.0
// What a worker under the sandbox can still do: nothing but its work. The attempts run in real
// workers, in place of the media engine.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/integration/media/fixture.h"

extern char **environ;

// An attempt answers 0 when it was refused, and does not return when it was killed.
struct attempt {
    const char *name;
    int (*run)(void);
    bool kills;
};

static int refused(long rc)
{
    return rc >= 0;
}

static int open_file(void)
{
    return refused(open("/etc/passwd", O_RDONLY));
}

static int open_for_writing(void)
{
    return refused(open("/tmp/reel-media-escape", O_WRONLY | O_CREAT, 0600));
}

static int stat_file(void)
{
    struct stat st;

    return refused(stat("/etc/passwd", &st));
}

static int make_tcp_socket(void)
{
    return refused(socket(AF_INET, SOCK_STREAM, 0));
}

static int make_udp_socket(void)
{
    return refused(socket(AF_INET, SOCK_DGRAM, 0));
}

static int make_unix_socket(void)
{
    return refused(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int connect_out(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};

    return refused(connect(0, (struct sockaddr *)&address, sizeof(address)));
}

static int trace_parent(void)
{
    return refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int run_shell(void)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"true", NULL};

    return refused(execve("/bin/sh", argv, NULL));
}

static int fork_process(void)
{
    return refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int kill_others(void)
{
    return refused(kill(-1, SIGTERM));
}

static int map_executable(void)
{
    return refused(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0) == MAP_FAILED
                       ? -1
                       : 0);
}

static int make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return refused(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int load_kernel_code(void)
{
    return refused(syscall(SYS_bpf, 0, NULL, 0));
}

static int use_io_uring(void)
{
    return refused(syscall(SYS_io_uring_setup, 1, NULL));
}

static int unshare_all(void)
{
    return refused(syscall(SYS_unshare, 0x10000000));
}

static int raise_limit(void)
{
    struct rlimit more = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

    return refused(setrlimit(RLIMIT_FSIZE, &more));
}

static int become_dumpable(void)
{
    return refused(prctl(PR_SET_DUMPABLE, 1));
}

static int find_a_secret(void)
{
    return environ && environ[0] ? 1 : 0;
}

// Only the file it was given: every other number is closed.
static int find_a_descriptor(void)
{
    int open_ones = 0;

    for (int fd = 3; fd < 64; fd++)
        open_ones += lseek(fd, 0, SEEK_CUR) >= 0 || errno != EBADF;
    return open_ones == 2 ? 0 : 1;
}

static const struct attempt attempts[] = {
    {"open a file", open_file, false},
    {"open a file for writing", open_for_writing, false},
    {"stat a file", stat_file, false},
    {"make a TCP socket", make_tcp_socket, true},
    {"make a UDP socket", make_udp_socket, true},
    {"make a Unix socket", make_unix_socket, true},
    {"connect", connect_out, true},
    {"trace its parent", trace_parent, true},
    {"run a shell", run_shell, true},
    {"fork", fork_process, true},
    {"kill others", kill_others, true},
    {"map executable memory", map_executable, true},
    {"make memory executable", make_executable, true},
    {"load kernel code", load_kernel_code, true},
    {"use io_uring", use_io_uring, true},
    {"unshare namespaces", unshare_all, true},
    {"raise a limit", raise_limit, false},
    {"become dumpable", become_dumpable, true},
    {"find the environment", find_a_secret, false},
    {"find a descriptor", find_a_descriptor, false},
};

// The attempt's number comes as the width.
static void attempt_body(const struct media_task *task, const struct media_io *io,
                         struct media_ctl *ctl, struct media_outcome *ret_outcome)
{
    (void)io;
    (void)ctl;
    memset(ret_outcome, 0, sizeof(*ret_outcome));
    ret_outcome->facts.width = 1 + attempts[task->width].run();
}

static int setup(void **state)
{
    // The zygote must not carry this into a worker.
    setenv("REEL_TEST_SECRET", "hunter2", 1);
    return fixture_setup_with(attempt_body, state);
}

static void every_attempt_is_refused(void **state)
{
    struct fixture *fx = *state;

    if (SANDBOX_SANITIZED)
        skip();
    for (size_t i = 0; i < REEL_ARRAY_SIZE(attempts); i++) {
        struct worker_task task = fixture_task(MEDIA_RESIZE);
        struct media_outcome out;
        struct worker *worker;

        task.media.width = (int32_t)i;
        task.input_fd = fixture_create(fx, "in");
        task.output_fd = fixture_create(fx, "out");
        assert_int_equal(worker_start(fx->zygote, &task, &worker), REEL_OK);
        assert_int_equal(worker_wait(worker, reel_deadline_in_us(10000000), &out), REEL_OK);
        worker_free(worker);
        close(task.input_fd);
        close(task.output_fd);
        if (attempts[i].kills && out.code != MEDIA_CRASHED)
            fail_msg("a worker could %s and live: %s", attempts[i].name, out.text);
        if (!attempts[i].kills && (out.code != MEDIA_OK || out.facts.width != 1))
            fail_msg("a worker could %s: %s %s", attempts[i].name, media_code_name(out.code),
                     out.text);
        if (attempts[i].kills)
            assert_non_null(strstr(out.text, "sandbox"));
    }
    assert_true(worker_zygote_is_alive(fx->zygote));
    assert_int_equal(access("/tmp/reel-media-escape", F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_attempt_is_refused)};

    return cmocka_run_group_tests(tests, setup, fixture_teardown);
}
