// SPDX-License-Identifier: Apache-2.0
// A pipe against a peer made of bytes.
#include "libcommon/rpc/pipe.h"

#include <errno.h>
#include <nng/nng.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/rpc/acceptor.h"
#include "tests/integration/rpc/fixture.h"

enum { MAX_BYTES = 1 << 20 };

static const uint8_t greeting[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

struct peer {
    struct reel_acceptor *acceptor;
    struct reel_pipe *pipe;
    int fd; // the other end
    atomic_uint opened;
    atomic_uint messages;
    atomic_uint pauses;
    atomic_uint sent;
    atomic_uint closed;
    atomic_uint accepted;
    size_t last_len;
    char reason[128];
    char url[160];
};

static void on_open(void *arg)
{
    atomic_fetch_add(&((struct peer *)arg)->opened, 1);
}

static void on_message(void *arg, struct reel_inbound *inbound, struct reel_slice message)
{
    struct peer *peer = arg;

    assert_non_null(inbound);
    peer->last_len = message.len;
    atomic_fetch_add(&peer->messages, 1);
}

static void on_pause(void *arg)
{
    atomic_fetch_add(&((struct peer *)arg)->pauses, 1);
}

static void on_sent(void *arg)
{
    atomic_fetch_add(&((struct peer *)arg)->sent, 1);
}

static void on_closed(void *arg, const char *reason)
{
    struct peer *peer = arg;

    snprintf(peer->reason, sizeof(peer->reason), "%s", reason ? reason : "");
    atomic_fetch_add(&peer->closed, 1);
}

static void on_stream(void *arg, const char *url, struct nng_stream *stream)
{
    struct peer *peer = arg;
    const struct reel_pipe_handler handler = {
        .on_open = on_open,
        .on_message = on_message,
        .on_pause = on_pause,
        .on_sent = on_sent,
        .on_closed = on_closed,
        .arg = peer,
    };

    assert_int_equal(reel_pipe_new(stream, url, REEL_PIPE_SERVER, MAX_BYTES, &handler, &peer->pipe),
                     0);
    reel_pipe_start(peer->pipe);
    atomic_fetch_add(&peer->accepted, 1);
}

static int set_up(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct peer *peer = calloc(1, sizeof(*peer));

    fixture_ipc_url(peer->url, sizeof(peer->url));
    assert_int_equal(reel_acceptor_open(peer->url, on_stream, peer, &peer->acceptor), 0);
    peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", peer->url + strlen("ipc://"));
    assert_int_equal(connect(peer->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_true(fixture_wait(&peer->accepted, 1, 5000));
    *state = peer;
    return 0;
}

static int tear_down(void **state)
{
    struct peer *peer = *state;

    if (peer->fd >= 0)
        close(peer->fd);
    assert_true(fixture_wait(&peer->closed, 1, 5000));
    assert_int_equal(atomic_load(&peer->closed), 1);
    reel_acceptor_close(peer->acceptor);
    reel_pipe_unref(peer->pipe);
    free(peer);
    return 0;
}

static void write_all(int fd, const void *data, size_t len)
{
    const char *bytes = data;

    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
}

static void read_all(int fd, void *data, size_t len)
{
    char *bytes = data;

    while (len > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        assert_int_equal(poll(&ready, 1, 5000), 1);
        ssize_t n = recv(fd, bytes, len, 0);
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
}

static void shake_hands(struct peer *peer)
{
    uint8_t theirs[8];

    write_all(peer->fd, greeting, sizeof(greeting));
    read_all(peer->fd, theirs, sizeof(theirs));
    assert_memory_equal(theirs, "\0SP\0\0\x31\0\0", 8);
    assert_true(fixture_wait(&peer->opened, 1, 5000));
}

static void messages_come_however_they_are_cut(void **state)
{
    struct peer *peer = *state;
    const uint8_t two[] = {1,   0, 0, 0, 0, 0, 0, 0, 3, 'a', 'b',
                           'c', 1, 0, 0, 0, 0, 0, 0, 0, 1,   'd'};

    shake_hands(peer);
    for (size_t i = 0; i < sizeof(two); i++)
        write_all(peer->fd, &two[i], 1);
    assert_true(fixture_wait(&peer->messages, 2, 5000));
    write_all(peer->fd, two, sizeof(two));
    assert_true(fixture_wait(&peer->messages, 4, 5000));
    assert_int_equal(peer->last_len, 1);
    assert_true(atomic_load(&peer->pauses) >= 3);
}

static void send_message(struct peer *peer, size_t len, bool *ret_pending)
{
    uint8_t *room = reel_pipe_room(peer->pipe, len);

    assert_non_null(room);
    for (size_t i = 0; i < len; i++)
        room[i] = (uint8_t)(i * 13);
    *ret_pending = reel_pipe_send(peer->pipe);
}

static void check_message(struct peer *peer, size_t len)
{
    uint8_t head[9];
    uint8_t *body = malloc(len + 1);
    size_t announced = 0;

    read_all(peer->fd, head, sizeof(head));
    assert_int_equal(head[0], 1);
    for (int i = 1; i < 9; i++)
        announced = announced << 8 | head[i];
    assert_int_equal(announced, len);
    read_all(peer->fd, body, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(body[i], (uint8_t)(i * 13));
    free(body);
}

static void a_small_message_leaves_at_once(void **state)
{
    struct peer *peer = *state;
    bool pending;

    shake_hands(peer);
    for (int i = 0; i < 100; i++) {
        send_message(peer, 100, &pending);
        assert_false(pending);
        check_message(peer, 100);
    }
    assert_int_equal(atomic_load(&peer->sent), 0);
}

static void what_the_socket_cannot_take_is_called_back(void **state)
{
    struct peer *peer = *state;
    const size_t len = 8 << 20;
    bool pending;

    shake_hands(peer);
    for (unsigned i = 1; i <= 3; i++) {
        send_message(peer, len, &pending);
        assert_true(pending);
        assert_int_equal(atomic_load(&peer->sent), i - 1);
        check_message(peer, len);
        assert_true(fixture_wait(&peer->sent, i, 5000));
    }
    send_message(peer, 10, &pending);
    assert_false(pending);
    check_message(peer, 10);
}

static void closing_while_a_message_is_on_its_way_ends_both(void **state)
{
    struct peer *peer = *state;
    bool pending;

    shake_hands(peer);
    send_message(peer, 8 << 20, &pending);
    assert_true(pending);
    reel_pipe_close(peer->pipe);
    reel_pipe_close(peer->pipe);
    assert_true(fixture_wait(&peer->closed, 1, 5000));
    assert_int_equal(atomic_load(&peer->sent), 0);
    // After the end nothing can be sent, and nothing is called back.
    send_message(peer, 10, &pending);
    assert_false(pending);
}

static void a_peer_that_leaves_amid_a_message_is_noticed(void **state)
{
    struct peer *peer = *state;
    bool pending;

    shake_hands(peer);
    write_all(peer->fd, "\1\0\0\0\0\0\1\0\0half", 13);
    send_message(peer, 8 << 20, &pending);
    close(peer->fd);
    peer->fd = -1;
    assert_true(fixture_wait(&peer->closed, 1, 5000));
    assert_int_equal(atomic_load(&peer->messages), 0);
    assert_string_equal(peer->reason, "");
}

static void a_message_that_is_too_large_names_both_sizes(void **state)
{
    struct peer *peer = *state;

    shake_hands(peer);
    write_all(peer->fd, "\1\0\0\0\0\0\x10\0\1", 9);
    assert_true(fixture_wait(&peer->closed, 1, 5000));
    assert_non_null(strstr(peer->reason, "1048577"));
    assert_non_null(strstr(peer->reason, "1048576"));
}

static void a_stranger_is_turned_away(void **state)
{
    struct peer *peer = *state;

    write_all(peer->fd, "GET / HTTP/1.1\r\n", 16);
    assert_true(fixture_wait(&peer->closed, 1, 5000));
    assert_non_null(strstr(peer->reason, "protocol"));
    assert_int_equal(atomic_load(&peer->opened), 0);
}

static void what_is_no_message_ends_the_connection(void **state)
{
    struct peer *peer = *state;

    shake_hands(peer);
    write_all(peer->fd, "\7", 1);
    assert_true(fixture_wait(&peer->closed, 1, 5000));
    assert_non_null(strstr(peer->reason, "no message"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_come_however_they_are_cut),
        TEST(a_small_message_leaves_at_once),
        TEST(what_the_socket_cannot_take_is_called_back),
        TEST(closing_while_a_message_is_on_its_way_ends_both),
        TEST(a_peer_that_leaves_amid_a_message_is_noticed),
        TEST(a_message_that_is_too_large_names_both_sizes),
        TEST(a_stranger_is_turned_away),
        TEST(what_is_no_message_ends_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
