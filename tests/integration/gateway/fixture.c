// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/gateway/fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/limiter.h"
#include "gateway/revocations.h"
#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"
#include "libcommon/svc/svc.h"

void fixture_wait(bool (*ready)(void *arg), void *arg)
{
    int64_t deadline_us = reel_deadline_in_us(10000000);
    const struct timespec pause = {.tv_nsec = 5000000};
    while (!ready(arg)) {
        assert_false(reel_deadline_passed(deadline_us));
        nanosleep(&pause, NULL);
    }
}

static bool redis_is_up(void *arg)
{
    const struct fixture *f = arg;
    char path[128];
    snprintf(path, sizeof(path), "%s/redis.sock", f->dir);
    return access(path, F_OK) == 0;
}

static void start_redis(struct fixture *f)
{
    char socket_path[128];
    snprintf(socket_path, sizeof(socket_path), "%s/redis.sock", f->dir);
    f->redis_pid = fork();
    if (f->redis_pid == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(1);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save",
               "", "--appendonly", "no", "--dir", f->dir, (char *)NULL);
        _exit(127);
    }
    fixture_wait(redis_is_up, f);
}

void fixture_prepare(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    strcpy(f->dir, "/tmp/reel-gateway-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof(f->url), "ipc://%s/rpc", f->dir);
    snprintf(f->events_url, sizeof(f->events_url), "ipc://%s/events", f->dir);
    snprintf(f->redis_url, sizeof(f->redis_url), "unix://%s/redis.sock", f->dir);
    f->config = (struct gateway_config){
        .log_level = "error",
        .host = "127.0.0.1",
        .user_url = f->url,
        .video_url = f->url,
        .job_url = f->url,
        .events_url = f->events_url,
        .redis_url = f->redis_url,
        .storage_dir = "",
        .key = "test-key",
        .threads = 2,
        .max_connections = 200,
        .max_connections_per_address = 200,
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 60000,
        .request_timeout_ms = 10000,
        .min_bytes_per_second = 1024,
        .rate_window_ms = 10000,
        .max_json_bytes = 64 * 1024,
        .max_upload_bytes = 64 * 1024 * 1024,
        .rate_limits = "default=0/1",
        .trusted_proxies = "",
        .cors_origins = "https://app.example",
        .metrics_allow = "127.0.0.0/8",
        .sse_heartbeat_ms = 200,
        .grace_ms = 2000,
    };
}

static bool is_up(void *arg)
{
    struct fixture *f = arg;
    return gateway_is_ready(f->gw) && revocations_is_fresh(f->gw->revocations);
}

static void start_gateway(struct fixture *f)
{
    assert_int_equal(gateway_open(&f->config, &f->gw), 0);
    f->port = gateway_port(f->gw);
    fixture_wait(is_up, f);
}

void fixture_start(struct fixture *f)
{
    reel_svc_init();
    reel_log_init("test", getenv("VERBOSE") ? REEL_LOG_DEBUG : REEL_LOG_ERROR);
    start_redis(f);
    assert_int_equal(services_start(&f->services, f->url, f->events_url), 0);
    services_token(&f->services, f->services.user_id, 300, f->token);
    snprintf(f->bearer, sizeof(f->bearer), "Authorization: Bearer %s\r\n", f->token);
    start_gateway(f);
}

void fixture_restart(struct fixture *f)
{
    gateway_close(f->gw);
    start_gateway(f);
}

void fixture_stop_redis(struct fixture *f)
{
    if (f->redis_pid <= 0)
        return;
    kill(f->redis_pid, SIGKILL);
    waitpid(f->redis_pid, NULL, 0);
    f->redis_pid = 0;
}

void fixture_stop(struct fixture *f)
{
    char command[128];
    gateway_close(f->gw);
    services_stop(&f->services);
    fixture_stop_redis(f);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
}
