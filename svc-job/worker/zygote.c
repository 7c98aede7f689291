// SPDX-License-Identifier: Apache-2.0
#include "svc-job/worker/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "svc-job/worker/sandbox.h"
#include "svc-job/worker/wire.h"
#include "svc-job/worker/worker_main.h"

#define MAX_WORKERS 128

extern char **environ;

struct child {
    pid_t pid;
    int channel; // where its end is reported
    bool killed;
};

struct zygote {
    int socket;
    int signals;
    worker_body *body;
    size_t n_children;
    struct child children[MAX_WORKERS];
};

static void send_event(int channel, enum wire_event_kind kind, int status,
                       const struct rusage *usage)
{
    struct wire_event event = {.version = WIRE_VERSION, .kind = kind, .status = status};

    if (usage) {
        event.cpu_us = (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                       usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
        event.max_rss_bytes = (int64_t)usage->ru_maxrss * 1024;
    }
    // Nobody may be listening any more.
    (void)!send(channel, &event, sizeof(event), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void wipe_environment(void)
{
    for (char **entry = environ; entry && *entry; entry++)
        explicit_bzero(*entry, strlen(*entry));
    clearenv();
}

// Under memory pressure the kernel ends a worker before the service.
static void volunteer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)!write(fd, "500", 3);
    close(fd);
}

// Leaves the socket as the only descriptor; returns its new number. The standard three lead
// nowhere, so that no file of a job gets their numbers.
static int keep_only(int socket)
{
    int null = open("/dev/null", O_RDWR);

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        if (!SANDBOX_SANITIZED)
            dup2(null, STDERR_FILENO);
    }
    if (socket != 3)
        dup2(socket, 3);
    (void)close_range(4, ~0U, 0);
    return 3;
}

static int block_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    sigset_t set;

    // A handler of the program that forked us would go on with its work in here.
    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL);
    // Ctrl-C reaches the whole process group; the service decides when its workers end.
    for (size_t i = 0; i < REEL_ARRAY_SIZE(ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static size_t take_descriptors(struct msghdr *message, int fds[WIRE_N_FDS])
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    size_t n;

    if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
        return 0;
    n = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (n > WIRE_N_FDS)
        n = WIRE_N_FDS;
    memcpy(fds, CMSG_DATA(control), n * sizeof(int));
    return n;
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

// Without an output the thumbnail's descriptor comes in its place.
static void place_descriptors(const struct wire_start *start, int fds[WIRE_N_FDS])
{
    if (start->has_output)
        return;
    fds[WIRE_FD_THUMBNAIL] = fds[WIRE_FD_OUTPUT];
    fds[WIRE_FD_OUTPUT] = -1;
}

static void fork_worker(struct zygote *zygote, const struct wire_start *start, const int *fds)
{
    struct child *child = &zygote->children[zygote->n_children];
    pid_t pid;

    if (zygote->n_children == MAX_WORKERS) {
        send_event(fds[WIRE_FD_CHANNEL], WIRE_REFUSED, EAGAIN, NULL);
        close(fds[WIRE_FD_CHANNEL]);
        return;
    }
    pid = fork();
    if (pid == 0)
        worker_main(start, fds, zygote->body);
    if (pid < 0) {
        send_event(fds[WIRE_FD_CHANNEL], WIRE_REFUSED, errno, NULL);
        close(fds[WIRE_FD_CHANNEL]);
        return;
    }
    *child = (struct child){.pid = pid, .channel = fds[WIRE_FD_CHANNEL]};
    zygote->n_children++;
}

// One request. False when the service is gone.
static bool serve_request(struct zygote *zygote)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(WIRE_N_FDS * sizeof(int))];
    int fds[WIRE_N_FDS] = {-1, -1, -1, -1, -1};
    struct wire_start start;
    struct iovec iov = {.iov_base = &start, .iov_len = sizeof(start)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(zygote->socket, &message, MSG_CMSG_CLOEXEC);
    size_t n_fds;

    if (n <= 0)
        return n < 0 && errno == EINTR;
    n_fds = take_descriptors(&message, fds);
    if (n != sizeof(start) || start.version != WIRE_VERSION ||
        n_fds != WIRE_FD_OUTPUT + (size_t) !!start.has_output + (size_t) !!start.has_thumbnail) {
        close_all(fds, WIRE_N_FDS);
        return true;
    }
    place_descriptors(&start, fds);
    fork_worker(zygote, &start, fds);
    close_all(fds + 1, WIRE_N_FDS - 1);
    return true;
}

static void report(struct zygote *zygote, pid_t pid, int status, const struct rusage *usage)
{
    for (size_t i = 0; i < zygote->n_children; i++) {
        struct child *child = &zygote->children[i];

        if (child->pid != pid)
            continue;
        send_event(child->channel, WIRE_EXITED, status, usage);
        close(child->channel);
        *child = zygote->children[--zygote->n_children];
        return;
    }
}

static void reap(struct zygote *zygote)
{
    struct signalfd_siginfo info;
    struct rusage usage;
    int status;
    pid_t pid;

    while (read(zygote->signals, &info, sizeof(info)) == sizeof(info))
        continue;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
        report(zygote, pid, status, &usage);
}

static void kill_child(struct child *child)
{
    char ignored[16];

    // Left unread it would reset the channel when that is closed, and the report be lost.
    (void)!recv(child->channel, ignored, sizeof(ignored), MSG_DONTWAIT);
    if (!child->killed)
        kill(child->pid, SIGKILL);
    child->killed = true;
}

static size_t fill_poll(const struct zygote *zygote, struct pollfd *polls)
{
    polls[0] = (struct pollfd){.fd = zygote->socket, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = zygote->signals, .events = POLLIN};
    for (size_t i = 0; i < zygote->n_children; i++)
        polls[2 + i] = (struct pollfd){
            .fd = zygote->children[i].killed ? -1 : zygote->children[i].channel, .events = POLLIN};
    return 2 + zygote->n_children;
}

void zygote_serve(int socket, worker_body *body)
{
    static struct zygote zygote;
    struct pollfd polls[2 + MAX_WORKERS];
    bool go_on = true;

    prctl(PR_SET_NAME, "reel-zygote");
    volunteer_for_oom();
    wipe_environment();
    zygote.socket = keep_only(socket);
    zygote.body = body;
    zygote.signals = block_signals();
    sandbox_drop_privileges();
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    media_warm_up();
    while (go_on) {
        size_t n = fill_poll(&zygote, polls);

        if (poll(polls, n, -1) < 0)
            continue;
        // A byte or a hang-up on its channel: the service wants the worker gone.
        for (size_t i = 2; i < n; i++)
            if (polls[i].revents)
                kill_child(&zygote.children[i - 2]);
        if (polls[1].revents)
            reap(&zygote);
        if (polls[0].revents)
            go_on = serve_request(&zygote);
    }
    for (size_t i = 0; i < zygote.n_children; i++)
        kill_child(&zygote.children[i]);
    _exit(0);
}
