// SPDX-License-Identifier: Apache-2.0
// The life of a service, in a process of its own: this program with an argument.
#include "libcommon/svc/svc.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"
#include "tests/integration/rpc/fixture.h"

extern char **environ;

static bool is_ready(void *arg)
{
    unsigned *asked = arg;

    return ++*asked >= 3;
}

static void on_drain(void *arg)
{
    (void)arg;
    reel_log(REEL_LOG_INFO, "test.drain");
}

static int run_service(const char *url, const char *metrics_port)
{
    static const struct reel_peer_key peer = {.service = "gateway", .key = FIXTURE_KEY};
    const struct reel_server_config config = {
        .service = "test", .urls = &url, .n_urls = 1, .peers = &peer, .n_peers = 1};
    unsigned asked = 0;
    struct rlimit core;
    struct reel_svc svc = {.grace_us = 1000000,
                           .metrics_port = atoi(metrics_port),
                           .is_ready = is_ready,
                           .on_drain = on_drain,
                           .arg = &asked};

    reel_svc_init();
    reel_log_init("test", REEL_LOG_INFO);
    getrlimit(RLIMIT_CORE, &core);
    reel_log(REEL_LOG_INFO, "test.core", REEL_FI("dumpable", prctl(PR_GET_DUMPABLE)),
             REEL_FI("most", (int64_t)core.rlim_max));
    if (strcmp(url, "none") != 0 && reel_server_new(&config, &svc.server) != 0)
        return EXIT_FAILURE;
    int status = reel_svc_serve(&svc);
    reel_server_free(svc.server);
    return status;
}

struct service {
    pid_t pid;
    int out;    // its log
    int notify; // what a supervisor hears
    char log[16384];
    size_t len;
};

static void start_with(struct service *service, const char *url, const char *metrics_port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(address.sun_family);
    char *const argv[] = {(char *)"service", (char *)"--serve", (char *)url, (char *)metrics_port,
                          NULL};
    posix_spawn_file_actions_t actions;
    char path[128];
    int out[2];

    *service = (struct service){0};
    service->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    // The kernel picks an abstract name.
    assert_int_equal(bind(service->notify, (struct sockaddr *)&address, len), 0);
    len = sizeof(address);
    assert_int_equal(getsockname(service->notify, (struct sockaddr *)&address, &len), 0);
    snprintf(path, sizeof(path), "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
             &address.sun_path[1]);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(pipe(out), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
    assert_int_equal(posix_spawn(&service->pid, "/proc/self/exe", &actions, NULL, argv, environ),
                     0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    service->out = out[0];
}

static void start(struct service *service, const char *url)
{
    start_with(service, url, "0");
}

// Reads the log until it holds `text`.
static void await_log(struct service *service, const char *text)
{
    struct pollfd readable = {.fd = service->out, .events = POLLIN};

    while (!strstr(service->log, text)) {
        assert_int_equal(poll(&readable, 1, 10000), 1);
        ssize_t n = read(service->out, service->log + service->len,
                         sizeof(service->log) - 1 - service->len);
        assert_true(n > 0);
        service->len += (size_t)n;
        service->log[service->len] = '\0';
    }
}

static void assert_notified(struct service *service, const char *expected)
{
    struct pollfd readable = {.fd = service->notify, .events = POLLIN};
    char text[64] = "";

    assert_int_equal(poll(&readable, 1, 10000), 1);
    assert_true(recv(service->notify, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, expected);
}

static int stop(struct service *service, int signal_number)
{
    int status;

    if (signal_number)
        assert_int_equal(kill(service->pid, signal_number), 0);
    assert_int_equal(waitpid(service->pid, &status, 0), service->pid);
    close(service->out);
    close(service->notify);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void serves_until_sigterm(void **state)
{
    struct service service;

    (void)state;
    start(&service, "tcp://127.0.0.1:0");
    await_log(&service, "svc.ready");
    assert_non_null(strstr(service.log, "tcp://127.0.0.1:"));
    assert_notified(&service, "READY=1");
    assert_int_equal(kill(service.pid, SIGHUP), 0); // not the end
    assert_int_equal(kill(service.pid, SIGPIPE), 0);
    assert_int_equal(kill(service.pid, SIGTERM), 0);
    await_log(&service, "svc.stopped");
    assert_non_null(strstr(service.log, "test.drain"));
    assert_non_null(strstr(service.log, "\"drained\":true"));
    assert_notified(&service, "STOPPING=1");
    assert_int_equal(stop(&service, 0), EXIT_SUCCESS);
}

static void a_service_without_server_is_one_too(void **state)
{
    struct service service;

    (void)state;
    start(&service, "none");
    await_log(&service, "svc.ready");
    assert_int_equal(stop(&service, SIGINT), EXIT_SUCCESS);
}

// Its memory holds keys and passwords.
static void a_crash_leaves_no_core_file(void **state)
{
    struct service service;
    int status;

    (void)state;
    start(&service, "none");
    await_log(&service, "svc.ready");
    assert_non_null(strstr(service.log, "\"dumpable\":0,\"most\":0"));
    assert_int_equal(kill(service.pid, SIGABRT), 0);
    assert_int_equal(waitpid(service.pid, &status, 0), service.pid);
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
    close(service.out);
    close(service.notify);
}

static void an_address_in_use_is_named(void **state)
{
    struct fixture fixture;
    struct service service;

    (void)state;
    fixture_start(&fixture, NULL, NULL);
    start(&service, fixture.url);
    await_log(&service, "svc.start_failed");
    assert_non_null(strstr(service.log, fixture.url));
    assert_int_equal(stop(&service, 0), EXIT_FAILURE);
    fixture_stop(&fixture);
}

// A socket with a port of 127.0.0.1, which the service may take as long as it does not listen.
static int reserve_port(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*address);
    const int on = 1;

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
    return fd;
}

static void serves_its_metrics_until_it_stops(void **state)
{
    struct sockaddr_in address;
    struct service service;
    char answer[64] = "";
    char port[8];

    (void)state;
    int reserved = reserve_port(&address);
    snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
    start_with(&service, "tcp://127.0.0.1:0", port);
    await_log(&service, "svc.ready");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL), 25);
    assert_int_equal(recv(fd, answer, 15, MSG_WAITALL), 15);
    assert_string_equal(answer, "HTTP/1.1 200 OK");
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); // and one that never says a thing
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(stop(&service, SIGTERM), EXIT_SUCCESS);
    close(fd);
    close(reserved);
}

static void a_metrics_port_in_use_is_named(void **state)
{
    struct sockaddr_in address;
    struct service service;
    char port[8];

    (void)state;
    int taken = reserve_port(&address);
    assert_int_equal(listen(taken, 1), 0);
    snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
    start_with(&service, "tcp://127.0.0.1:0", port);
    await_log(&service, "svc.start_failed");
    assert_non_null(strstr(service.log, "\"setting\":\"REEL_METRICS_PORT\""));
    assert_non_null(strstr(service.log, port));
    assert_int_equal(stop(&service, 0), EXIT_FAILURE);
    close(taken);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_until_sigterm),
        cmocka_unit_test(a_service_without_server_is_one_too),
        cmocka_unit_test(a_crash_leaves_no_core_file),
        cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(serves_its_metrics_until_it_stops),
        cmocka_unit_test(a_metrics_port_in_use_is_named),
    };

    if (argc == 4 && strcmp(argv[1], "--serve") == 0)
        return run_service(argv[2], argv[3]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
