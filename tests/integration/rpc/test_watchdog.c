// SPDX-License-Identifier: Apache-2.0
// The listener against clients that vanish at every moment: each of these ends a listener of NNG
// 1.5.2's sockets for good within a few tries.
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
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/metrics.h"
#include "libcommon/rpc/bus.h"
#include "tests/integration/rpc/fixture.h"

enum {
    KILLS = 300,
    BURSTS = 10,
    BURST = 10,
    FRESH_CALL_US = 2000 * 1000,
    REVIVED_US = 20000 * 1000
};

extern char **environ;

// The process that is killed: connects, calls, connects again, until the end.
static _Noreturn void run_client(const char *url)
{
    for (;;) {
        struct reel_channel *channel = fixture_open(url, "gateway", FIXTURE_KEY);

        for (int i = 0; i < 20; i++)
            (void)fixture_echo(channel, 64);
        reel_channel_close(channel);
    }
}

static void pause_us(long us)
{
    const struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&pause, NULL);
}

// Starts a client and kills it a random while later.
static void kill_client(const char *url)
{
    char *const argv[] = {(char *)"client", (char *)"--client", (char *)url, NULL};
    pid_t pid;

    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    pause_us(random() % 30000);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int connect_to(const char *url)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    bool ipc = strncmp(url, "ipc://", 6) == 0;
    int fd = socket(ipc ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (ipc) {
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", url + 6);
        if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
            return fd;
    } else {
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
        if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
            return fd;
    }
    close(fd);
    return -1;
}

static void connect_and_close(const char *url)
{
    int fd = connect_to(url);

    if (fd >= 0)
        close(fd);
}

static void connect_and_reset(const char *url)
{
    const struct linger linger = {.l_onoff = 1};
    int fd = connect_to(url);

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static void assert_fresh_call_within(const char *url, int64_t us)
{
    struct reel_call_options options = {.deadline_us = reel_deadline_in_us(us),
                                        .wait_for_ready = true};
    struct reel_channel *channel = fixture_open(url, "gateway", FIXTURE_KEY);
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__EchoResponse *response;
    struct reel_arena arena;
    struct reel_status status;

    reel_arena_init(&arena, 4096);
    int rc = echo_service_echo(channel, &options, &request, &arena, &response, &status);
    if (rc != REEL_OK)
        print_message("%s: %s\n", reel_code_name(rc), status.message);
    assert_int_equal(rc, REEL_OK);
    reel_arena_fini(&arena);
    reel_channel_close(channel);
}

static void assert_fresh_call(const char *url)
{
    assert_fresh_call_within(url, FRESH_CALL_US);
}

// A client that was there before keeps its connection, whatever happens to the listener.
struct witness {
    struct reel_channel *channel;
    struct reel_stream *stream;
};

static void witness_open(struct witness *witness, const struct fixture *fixture)
{
    witness->channel = fixture_connect(fixture);
    assert_int_equal(reel_stream_open(witness->channel, &echo_service.methods[ECHO_SERVICE_CHAT],
                                      NULL, NULL, NULL, &witness->stream),
                     REEL_OK);
}

static void witness_check(struct witness *witness)
{
    uint8_t *payload;
    size_t len;

    assert_int_equal(reel_stream_send(witness->stream, NULL, 0), REEL_OK);
    assert_int_equal(reel_stream_recv(witness->stream, &payload, &len), REEL_OK);
    assert_non_null(payload);
    free(payload);
}

static void witness_close(struct witness *witness)
{
    reel_stream_close(witness->stream);
    reel_channel_close(witness->channel);
}

static void torment(const char *url)
{
    struct fixture fixture;
    struct witness witness;

    fixture_start(&fixture, NULL, url);
    witness_open(&witness, &fixture);
    for (int i = 0; i < KILLS; i++) {
        kill_client(fixture.url);
        assert_fresh_call(fixture.url);
    }
    witness_check(&witness);
    for (int burst = 0; burst < BURSTS; burst++) {
        for (int i = 0; i < BURST; i++)
            connect_and_close(fixture.url);
        assert_fresh_call(fixture.url);
        for (int i = 0; i < BURST; i++)
            connect_and_reset(fixture.url);
        assert_fresh_call(fixture.url);
    }
    witness_check(&witness);
    witness_close(&witness);
    fixture_stop(&fixture);
}

static uint64_t relistens(void)
{
    return reel_counter_value(reel_counter_get("reel_rpc_listener_relistens_total", "", NULL));
}

static void tcp_listener_survives(void **state)
{
    (void)state;
    torment(NULL);
    print_message("listeners put up again so far: %lu\n", (unsigned long)relistens());
}

static void ipc_listener_survives(void **state)
{
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    torment(url);
    print_message("listeners put up again so far: %lu\n", (unsigned long)relistens());
}

// The descriptor of this process that listens at the path.
static int find_listener(const char *path)
{
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_un address = {0};
        socklen_t len = sizeof(address);
        int listening = 0;
        socklen_t listening_len = sizeof(listening);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len) == 0 &&
            listening && getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
            address.sun_family == AF_UNIX && strcmp(address.sun_path, path) == 0)
            return fd;
    }
    return -1;
}

static void a_listener_that_is_shut_down_is_put_up_again(void **state)
{
    struct fixture fixture;
    struct witness witness;
    char url[100];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    fixture_start(&fixture, NULL, url);
    witness_open(&witness, &fixture);
    for (int i = 0; i < 3; i++) {
        uint64_t before = relistens();
        int fd = find_listener(url + strlen("ipc://"));

        assert_true(fd >= 0);
        assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
        assert_fresh_call_within(url, REVIVED_US);
        assert_true(relistens() > before);
        witness_check(&witness);
    }
    witness_close(&witness);
    fixture_stop(&fixture);
}

static bool has_ended(int fd, int ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char greeting[16];

    while (poll(&ready, 1, ms) == 1)
        if (recv(fd, greeting, sizeof(greeting), MSG_DONTWAIT) <= 0)
            return true;
    return false;
}

static void who_does_not_greet_makes_room(void **state)
{
    struct fixture fixture;
    int fds[400];
    int64_t last_us = 0;
    char url[100];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    fixture_start(&fixture, NULL, url);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(fds); i++) {
        last_us = reel_clock_mono_us();
        // The queue of the listener may be full for a moment.
        for (int tries = 0; (fds[i] = connect_to(url)) < 0 && tries < 1000; tries++)
            pause_us(1000);
        assert_true(fds[i] >= 0);
    }
    for (int i = 0; i < 100; i++)
        assert_true(has_ended(fds[i], 5000));
    assert_fresh_call(url);
    // The last one has its five seconds.
    assert_true(has_ended(fds[REEL_ARRAY_SIZE(fds) - 1], 15000));
    assert_true(reel_clock_mono_us() - last_us >= 5000000);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(fds); i++)
        close(fds[i]);
    fixture_stop(&fixture);
}

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t payload_len)
{
    (void)topic;
    (void)payload;
    (void)payload_len;
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void publisher_survives(void **state)
{
    struct reel_publisher *publisher;
    atomic_uint heard = 0;
    const struct reel_subscriber_handler handler = {.on_message = on_message, .arg = &heard};
    struct reel_subscriber *subscriber;
    char url[160];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    assert_int_equal(reel_publisher_open(url, &publisher), 0);
    for (int i = 0; i < 20; i++)
        connect_and_close(url);
    assert_int_equal(reel_subscriber_open(url, "", &handler, &subscriber), 0);
    for (int i = 0; i < 100 && atomic_load(&heard) == 0; i++) {
        assert_int_equal(reel_publisher_send(publisher, "t", NULL, 0), 0);
        (void)fixture_wait(&heard, 1, 50);
    }
    assert_true(atomic_load(&heard) > 0);
    reel_subscriber_close(subscriber);
    reel_publisher_close(publisher);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_listener_survives),
        cmocka_unit_test(ipc_listener_survives),
        cmocka_unit_test(a_listener_that_is_shut_down_is_put_up_again),
        cmocka_unit_test(who_does_not_greet_makes_room),
        cmocka_unit_test(publisher_survives),
    };

    if (argc == 3 && strcmp(argv[1], "--client") == 0)
        run_client(argv[2]);
    srandom((unsigned)time(NULL));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
