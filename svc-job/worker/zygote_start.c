// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "svc-job/worker/sandbox.h"
#include "svc-job/worker/zygote.h"

struct worker_zygote {
    pid_t pid;
    int socket;
};

// A fork takes one thread along and every lock that the others hold.
static bool has_one_thread(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    // A sanitizer has a thread of its own.
    if (!dir || SANDBOX_SANITIZED) {
        if (dir)
            closedir(dir);
        return true;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n <= 1;
}

int worker_zygote_start_with(worker_body *body, struct worker_zygote **ret_zygote)
{
    struct worker_zygote *zygote;
    int pair[2];
    int rc;

    if (!has_one_thread())
        return -EBUSY;
    zygote = calloc(1, sizeof(*zygote));
    if (!zygote)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        rc = -errno;
        free(zygote);
        return rc;
    }
    zygote->socket = pair[0];
    zygote->pid = sandbox_fork();
    if (zygote->pid == 0)
        zygote_serve(pair[1], body);
    close(pair[1]);
    if (zygote->pid < 0) {
        rc = zygote->pid;
        close(pair[0]);
        free(zygote);
        return rc;
    }
    *ret_zygote = zygote;
    return 0;
}

int worker_zygote_start(struct worker_zygote **ret_zygote)
{
    return worker_zygote_start_with(media_run, ret_zygote);
}

void worker_zygote_stop(struct worker_zygote *zygote)
{
    if (!zygote)
        return;
    close(zygote->socket);
    while (waitpid(zygote->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    free(zygote);
}

int worker_zygote_fd(const struct worker_zygote *zygote)
{
    return zygote->socket;
}

bool worker_zygote_is_alive(const struct worker_zygote *zygote)
{
    struct pollfd poll_one = {.fd = zygote->socket, .events = POLLIN};

    return poll(&poll_one, 1, 0) == 0;
}
