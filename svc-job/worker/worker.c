// SPDX-License-Identifier: Apache-2.0
#include "svc-job/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "svc-job/worker/outcome.h"
#include "svc-job/worker/wire.h"

#define CANCEL_GRACE_US  (500 * 1000)
#define STALL_CHECK_US   (1000 * 1000)
#define DEFAULT_WALL_MS  (3600 * 1000)
#define DEFAULT_STALL_MS (60 * 1000)
#define DEFAULT_CPU_S    (4 * 3600)
#define DEFAULT_MEMORY   (INT64_C(1536) << 20)
#define DEFAULT_OUTPUT   (INT64_C(16) << 30)
#define MAX_SIDE         8192

struct worker {
    int channel;
    int wake; // eventfd: a cancel wakes the thread in worker_wait
    struct wire_page *page;
    struct worker_limits limits;
    int64_t started_us;
    _Atomic int64_t cancelled_us; // 0: not
    uint64_t seen_beats;
    int64_t beaten_us;          // when they last moved
    enum media_code killed_for; // MEDIA_OK: not killed
    _Atomic bool finished;
    struct media_outcome outcome;
    int64_t cpu_us;
    int64_t max_rss_bytes;
};

static bool is_sane(const struct worker_task *task)
{
    const struct media_task *media = &task->media;

    if (task->input_fd < 0 || task->nice < 0 || task->nice > 19)
        return false;
    if (media->kind < MEDIA_INSPECT || media->kind > MEDIA_EXTRACT_AUDIO)
        return false;
    if (media->kind != MEDIA_INSPECT && task->output_fd < 0)
        return false;
    if (media->width < 0 || media->height < 0 || media->width > MAX_SIDE ||
        media->height > MAX_SIDE)
        return false;
    return memchr(media->target_format, '\0', sizeof(media->target_format)) != NULL;
}

static void or_default(int64_t *field, int64_t value)
{
    if (*field <= 0)
        *field = value;
}

static struct worker_limits limits_of(const struct worker_task *task)
{
    struct worker_limits limits = task->limits;

    or_default(&limits.wall_ms, DEFAULT_WALL_MS);
    or_default(&limits.stall_ms, DEFAULT_STALL_MS);
    or_default(&limits.cpu_s, DEFAULT_CPU_S);
    or_default(&limits.memory_bytes, DEFAULT_MEMORY);
    or_default(&limits.output_bytes, DEFAULT_OUTPUT);
    return limits;
}

// A page that neither side can shrink under the other.
static int make_page(struct worker *worker, int *ret_fd)
{
    int fd = memfd_create("reel-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *page;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof(struct wire_page)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        close(fd);
        return -EIO;
    }
    page = mmap(NULL, sizeof(struct wire_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        close(fd);
        return -ENOMEM;
    }
    worker->page = page;
    worker->page->version = WIRE_VERSION;
    *ret_fd = fd;
    return 0;
}

static int send_start(int socket, const struct wire_start *start, const int *fds, size_t n_fds)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(WIRE_N_FDS * sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (void *)start, .iov_len = sizeof(*start)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(n_fds * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    ssize_t n;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
    memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
    do
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(*start))
        return REEL_OK;
    return n < 0 && errno != EPIPE && errno != ECONNRESET ? -errno : REEL_UNAVAILABLE;
}

static int request(struct worker *worker, const struct worker_zygote *zygote,
                   const struct worker_task *task, int channel, int page)
{
    struct wire_start start = {.version = WIRE_VERSION,
                               .has_output = task->output_fd >= 0,
                               .has_thumbnail = task->thumbnail_fd >= 0,
                               .task = *task};
    int fds[WIRE_N_FDS] = {channel, page, task->input_fd};
    size_t n = WIRE_FD_OUTPUT;

    start.task.limits = worker->limits;
    if (start.has_output)
        fds[n++] = task->output_fd;
    if (start.has_thumbnail)
        fds[n++] = task->thumbnail_fd;
    return send_start(worker_zygote_fd(zygote), &start, fds, n);
}

static int open_worker(struct worker *worker, const struct worker_zygote *zygote,
                       const struct worker_task *task)
{
    int pair[2];
    int page = -1;
    int rc = make_page(worker, &page);

    if (rc != 0)
        return rc;
    worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->wake < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        rc = -errno;
        close(page);
        return rc;
    }
    worker->channel = pair[0];
    rc = request(worker, zygote, task, pair[1], page);
    close(pair[1]);
    close(page);
    return rc;
}

static void release(struct worker *worker)
{
    if (worker->channel >= 0)
        close(worker->channel);
    if (worker->wake >= 0)
        close(worker->wake);
    if (worker->page)
        munmap(worker->page, sizeof(*worker->page));
    free(worker);
}

int worker_start(struct worker_zygote *zygote, const struct worker_task *task,
                 struct worker **ret_worker)
{
    struct worker *worker;
    int rc;

    if (!is_sane(task))
        return REEL_INVALID_ARGUMENT;
    worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->channel = -1;
    worker->wake = -1;
    worker->limits = limits_of(task);
    worker->started_us = reel_clock_mono_us();
    worker->beaten_us = worker->started_us;
    rc = open_worker(worker, zygote, task);
    if (rc != REEL_OK) {
        release(worker);
        return rc;
    }
    *ret_worker = worker;
    return REEL_OK;
}

void worker_get_progress(const struct worker *worker, struct worker_progress *ret_progress)
{
    struct media_ctl *ctl = &worker->page->ctl;
    uint32_t ppm = atomic_load_explicit(&ctl->ppm, memory_order_relaxed);

    // What a worker writes there is its own word only.
    ret_progress->fraction = ppm < 999999 ? ppm / 1e6 : 0.999999;
    if (atomic_load(&worker->finished) && worker->outcome.code == MEDIA_OK)
        ret_progress->fraction = 1.0;
    ret_progress->frames = atomic_load_explicit(&ctl->frames, memory_order_relaxed);
    ret_progress->position_us = atomic_load_explicit(&ctl->position_us, memory_order_relaxed);
    ret_progress->total_us = atomic_load_explicit(&ctl->total_us, memory_order_relaxed);
}

void worker_cancel(struct worker *worker)
{
    int64_t not_yet = 0;
    uint64_t one = 1;

    atomic_store_explicit(&worker->page->ctl.cancel, 1, memory_order_relaxed);
    if (atomic_compare_exchange_strong(&worker->cancelled_us, &not_yet, reel_clock_mono_us()))
        (void)!write(worker->wake, &one, sizeof(one));
}

static void kill_worker(struct worker *worker, enum media_code why)
{
    if (worker->killed_for != MEDIA_OK)
        return;
    worker->killed_for = why;
    (void)!send(worker->channel, "k", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Kills what has had its time. Returns when to look again.
static int64_t enforce(struct worker *worker, int64_t now_us)
{
    uint64_t beats = atomic_load_explicit(&worker->page->ctl.beats, memory_order_relaxed);
    int64_t cancelled_us = atomic_load(&worker->cancelled_us);
    int64_t wall_us = worker->started_us + worker->limits.wall_ms * 1000;
    int64_t next_us = now_us + STALL_CHECK_US;

    if (beats != worker->seen_beats) {
        worker->seen_beats = beats;
        worker->beaten_us = now_us;
    }
    if (cancelled_us && now_us >= cancelled_us + CANCEL_GRACE_US)
        kill_worker(worker, MEDIA_CANCELLED);
    else if (now_us >= wall_us || now_us >= worker->beaten_us + worker->limits.stall_ms * 1000)
        kill_worker(worker, MEDIA_TIMEOUT);
    if (worker->killed_for != MEDIA_OK)
        return INT64_MAX;
    if (cancelled_us && cancelled_us + CANCEL_GRACE_US < next_us)
        next_us = cancelled_us + CANCEL_GRACE_US;
    return wall_us < next_us ? wall_us : next_us;
}

static void finish(struct worker *worker, const struct wire_event *event)
{
    struct outcome_facts facts = {.event = event,
                                  .page = worker->page,
                                  .limits = &worker->limits,
                                  .killed_for = worker->killed_for};

    outcome_settle(&facts, &worker->outcome);
    if (event) {
        worker->cpu_us = event->cpu_us;
        worker->max_rss_bytes = event->max_rss_bytes;
    }
    atomic_store(&worker->finished, true);
}

// Waits for the end or the next thing to look at.
static void wait_once(struct worker *worker, int64_t until_us)
{
    struct pollfd polls[] = {{.fd = worker->channel, .events = POLLIN},
                             {.fd = worker->wake, .events = POLLIN}};
    struct wire_event event;
    uint64_t count;
    ssize_t n;

    if (poll(polls, 2, reel_deadline_left_ms(until_us, 1000)) <= 0)
        return;
    if (polls[1].revents)
        (void)!read(worker->wake, &count, sizeof(count));
    if (!polls[0].revents)
        return;
    n = recv(worker->channel, &event, sizeof(event), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    // Its end without a word: the zygote is dead, and every worker with it.
    finish(worker, n == sizeof(event) && event.version == WIRE_VERSION ? &event : NULL);
}

int worker_wait(struct worker *worker, int64_t deadline_us, struct media_outcome *ret_outcome)
{
    while (!atomic_load(&worker->finished)) {
        int64_t next_us = enforce(worker, reel_clock_mono_us());

        wait_once(worker, next_us < deadline_us ? next_us : deadline_us);
        if (!atomic_load(&worker->finished) && reel_deadline_passed(deadline_us))
            return REEL_DEADLINE_EXCEEDED;
    }
    *ret_outcome = worker->outcome;
    return REEL_OK;
}

void worker_get_usage(const struct worker *worker, int64_t *ret_cpu_us, int64_t *ret_max_rss_bytes)
{
    bool finished = atomic_load(&worker->finished);

    *ret_cpu_us = finished ? worker->cpu_us : 0;
    *ret_max_rss_bytes = finished ? worker->max_rss_bytes : 0;
}

void worker_free(struct worker *worker)
{
    struct media_outcome ignored;

    if (!worker)
        return;
    if (!atomic_load(&worker->finished)) {
        kill_worker(worker, MEDIA_CANCELLED);
        (void)!worker_wait(worker, REEL_NO_DEADLINE, &ignored);
    }
    release(worker);
}
