// SPDX-License-Identifier: Apache-2.0
#include "libcommon/svc/svc.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/obs/log.h"
#include "libcommon/svc/exporter.h"

enum {
    STARTING_POLL_MS = 50, // until the service is ready for the first time
    READY_POLL_MS = 1000,
};

static void service_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
}

// A core file would hold keys, passwords and tokens. The limit alone would not keep a core from a
// program that the kernel pipes it to.
static void leave_no_core(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

void reel_svc_init(void)
{
    sigset_t set;

    leave_no_core();
    service_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

// Tells a supervisor, in the protocol of sd_notify(3).
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;

    if (len < 2 || len >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

// Waits for a signal at most `ms`; 0 when none came.
static int await_signal(int ms)
{
    const struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    sigset_t set;

    service_signals(&set);
    int signal_number = sigtimedwait(&set, NULL, &timeout);
    return signal_number > 0 ? signal_number : 0;
}

// Follows what is_ready says until a signal ends the service; the signal.
static int serve_until_signal(const struct reel_svc *svc)
{
    bool announced = false;
    int signal_number;

    do {
        bool ready = !svc->is_ready || svc->is_ready(svc->arg);

        if (svc->server)
            reel_server_set_serving(svc->server, ready);
        if (ready && !announced) {
            reel_log(REEL_LOG_INFO, "svc.ready",
                     REEL_FS("address", svc->server ? reel_server_url(svc->server, 0) : NULL),
                     REEL_FI("pid", getpid()));
            notify("READY=1");
            announced = true;
        }
        signal_number = await_signal(announced ? READY_POLL_MS : STARTING_POLL_MS);
    } while (signal_number == 0 || signal_number == SIGHUP);
    return signal_number;
}

static int start_exporter(int64_t port, struct reel_exporter **ret_exporter)
{
    int rc = port != 0 ? reel_exporter_open((uint16_t)port, ret_exporter) : 0;

    if (rc != 0)
        reel_log(REEL_LOG_ERROR, "svc.start_failed", REEL_FS("setting", "REEL_METRICS_PORT"),
                 REEL_FI("value", port), REEL_FS("fault", strerror(-rc)));
    return rc;
}

static int start_server(struct reel_server *server)
{
    reel_server_set_serving(server, false);
    int rc = reel_server_start(server);

    if (rc != 0)
        reel_log(REEL_LOG_ERROR, "svc.start_failed", REEL_FS("fault", strerror(-rc)));
    return rc;
}

static void drain(const struct reel_svc *svc, int signal_number)
{
    bool clean = true;

    reel_log(REEL_LOG_INFO, "svc.draining", REEL_FS("signal", strsignal(signal_number)));
    notify("STOPPING=1");
    if (svc->on_drain)
        svc->on_drain(svc->arg);
    if (svc->server)
        clean = reel_server_drain(svc->server, svc->grace_us);
    reel_log(REEL_LOG_INFO, "svc.stopped", REEL_FB("drained", clean));
}

int reel_svc_serve(const struct reel_svc *svc)
{
    struct reel_exporter *exporter = NULL;
    int rc = start_exporter(svc->metrics_port, &exporter);

    if (rc == 0 && svc->server)
        rc = start_server(svc->server);
    if (rc == 0)
        drain(svc, serve_until_signal(svc));
    reel_exporter_close(exporter);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
