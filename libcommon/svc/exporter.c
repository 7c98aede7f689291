// SPDX-License-Identifier: Apache-2.0
#include "libcommon/svc/exporter.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/core/buf.h"
#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"
#include "libcommon/obs/metrics.h"

enum {
    MAX_CLIENTS = 8,
    CLIENT_US = 5 * 1000 * 1000, // for the request and the answer together
    HEAD_BYTES = 4096,
    BODY_BYTES = 16 << 20, // beyond what the registry's 2,000 series take
    ANSWER_BYTES = BODY_BYTES + 1024,
    ACCEPT_PAUSE_MS = 100,
    BACKLOG = 64,
    CLOSE_FD = MAX_CLIENTS, // places in the array for poll
    LISTEN_FD,
    N_FDS,
};

struct client {
    int fd; // -1: a free place
    int64_t deadline_us;
    size_t head_len;
    struct reel_buf out; // empty until the head is there
    size_t sent;
    char head[HEAD_BYTES];
};

struct reel_exporter {
    int listener;
    int closing; // an eventfd
    uint16_t port;
    pthread_t thread;
    struct client clients[MAX_CLIENTS];
};

static void drop(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    reel_buf_fini(&client->out);
}

// A free place, else that of the client who came first: who holds connections open shuts nobody
// out.
static struct client *place(struct reel_exporter *exporter)
{
    struct client *oldest = &exporter->clients[0];

    for (int i = 0; i < MAX_CLIENTS; i++) {
        struct client *client = &exporter->clients[i];

        if (client->fd < 0)
            return client;
        if (client->deadline_us < oldest->deadline_us)
            oldest = client;
    }
    drop(oldest);
    return oldest;
}

static void take_client(struct reel_exporter *exporter)
{
    int fd = accept4(exporter->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        // Out of descriptors: the client stays in the queue, and poll would tell of it at once
        // again.
        if (errno != EAGAIN)
            (void)poll(NULL, 0, ACCEPT_PAUSE_MS);
        return;
    }
    struct client *client = place(exporter);
    client->fd = fd;
    client->deadline_us = reel_deadline_in_us(CLIENT_US);
    client->head_len = 0;
    client->sent = 0;
    reel_buf_init(&client->out, ANSWER_BYTES);
}

static void answer(struct reel_buf *out, const char *status, const char *more, const char *body,
                   size_t body_len)
{
    reel_buf_addf(out,
                  "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                  "Content-Length: %zu\r\nConnection: close\r\n%s\r\n",
                  status, body_len, more);
    reel_buf_add(out, body, body_len);
}

static void refuse(struct reel_buf *out, const char *status, const char *more)
{
    answer(out, status, more, "GET /metrics is all that is served here.\n",
           strlen("GET /metrics is all that is served here.\n"));
}

static void answer_metrics(struct reel_buf *out, bool with_body)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf body;

    reel_buf_init(&body, BODY_BYTES);
    reel_metrics_render(&body);
    if (body.failed) {
        refuse(out, "503 Service Unavailable", "");
        return;
    }
    answer(out, "200 OK", "", body.data ? body.data : "", body.len);
    if (!with_body)
        out->len -= body.len;
}

static bool asks_for_metrics(const char *head)
{
    const char *target = strchr(head, ' ');

    return target && strncmp(target, " /metrics", 9) == 0 && (target[9] == ' ' || target[9] == '?');
}

static void answer_head(struct client *client)
{
    const char *head = client->head;
    bool get = strncmp(head, "GET ", 4) == 0;

    if (memchr(head, '\0', client->head_len))
        refuse(&client->out, "400 Bad Request", "");
    else if (!asks_for_metrics(head))
        refuse(&client->out, "404 Not Found", "");
    else if (get || strncmp(head, "HEAD ", 5) == 0)
        answer_metrics(&client->out, get);
    else
        refuse(&client->out, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    if (client->out.failed)
        drop(client);
}

static void read_head(struct client *client)
{
    size_t room = sizeof(client->head) - 1 - client->head_len;
    ssize_t n = recv(client->fd, client->head + client->head_len, room, 0);

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            drop(client);
        return;
    }
    client->head_len += (size_t)n;
    client->head[client->head_len] = '\0';
    if (memmem(client->head, client->head_len, "\r\n\r\n", 4))
        answer_head(client);
    else if ((size_t)n == room)
        refuse(&client->out, "431 Request Header Fields Too Large", "");
}

static void write_answer(struct client *client)
{
    ssize_t n = send(client->fd, client->out.data + client->sent, client->out.len - client->sent,
                     MSG_NOSIGNAL);

    if (n >= 0)
        client->sent += (size_t)n;
    else if (errno != EAGAIN && errno != EINTR)
        drop(client);
    if (client->fd >= 0 && client->sent == client->out.len)
        drop(client);
}

static void serve_client(struct client *client, short events)
{
    if (reel_deadline_passed(client->deadline_us)) {
        drop(client);
        return;
    }
    if (events != 0 && client->out.len == 0)
        read_head(client);
    if (client->fd >= 0 && client->out.len > 0)
        write_answer(client);
}

// Until when nothing has to be done unless something happens; -1: for ever.
static int patience_ms(const struct reel_exporter *exporter)
{
    int64_t first_us = REEL_NO_DEADLINE;

    for (int i = 0; i < MAX_CLIENTS; i++)
        if (exporter->clients[i].fd >= 0 && exporter->clients[i].deadline_us < first_us)
            first_us = exporter->clients[i].deadline_us;
    return first_us == REEL_NO_DEADLINE ? -1 : reel_deadline_left_ms(first_us, CLIENT_US / 1000);
}

static void *serve(void *arg)
{
    struct reel_exporter *exporter = arg;
    struct pollfd fds[N_FDS];

    pthread_setname_np(pthread_self(), "metrics");
    for (;;) {
        for (int i = 0; i < MAX_CLIENTS; i++)
            fds[i] = (struct pollfd){
                .fd = exporter->clients[i].fd,
                .events = exporter->clients[i].out.len > 0 ? POLLOUT : POLLIN,
            };
        fds[CLOSE_FD] = (struct pollfd){.fd = exporter->closing, .events = POLLIN};
        fds[LISTEN_FD] = (struct pollfd){.fd = exporter->listener, .events = POLLIN};
        if (poll(fds, N_FDS, patience_ms(exporter)) < 0 && errno != EINTR)
            return NULL;
        if (fds[CLOSE_FD].revents)
            return NULL;
        for (int i = 0; i < MAX_CLIENTS; i++)
            if (exporter->clients[i].fd >= 0)
                serve_client(&exporter->clients[i], fds[i].revents);
        if (fds[LISTEN_FD].revents)
            take_client(exporter);
    }
}

static int listen_on(struct reel_exporter *exporter, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof(address);
    const int on = 1;

    exporter->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    exporter->closing = eventfd(0, EFD_CLOEXEC);
    if (exporter->listener < 0 || exporter->closing < 0 ||
        setsockopt(exporter->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(exporter->listener, (struct sockaddr *)&address, len) != 0 ||
        listen(exporter->listener, BACKLOG) != 0 ||
        getsockname(exporter->listener, (struct sockaddr *)&address, &len) != 0)
        return -errno;
    exporter->port = ntohs(address.sin_port);
    return 0;
}

static void free_exporter(struct reel_exporter *exporter)
{
    for (int i = 0; i < MAX_CLIENTS; i++)
        if (exporter->clients[i].fd >= 0)
            drop(&exporter->clients[i]);
    if (exporter->listener >= 0)
        close(exporter->listener);
    if (exporter->closing >= 0)
        close(exporter->closing);
    free(exporter);
}

int reel_exporter_open(uint16_t port, struct reel_exporter **ret_exporter)
{
    struct reel_exporter *exporter = calloc(1, sizeof(*exporter));

    if (!exporter)
        return -ENOMEM;
    exporter->closing = -1;
    for (int i = 0; i < MAX_CLIENTS; i++)
        exporter->clients[i].fd = -1;
    int rc = listen_on(exporter, port);
    if (rc == 0)
        rc = -pthread_create(&exporter->thread, NULL, serve, exporter);
    if (rc != 0) {
        free_exporter(exporter);
        return rc;
    }
    reel_log(REEL_LOG_INFO, "metrics.served", REEL_FI("port", exporter->port));
    *ret_exporter = exporter;
    return 0;
}

uint16_t reel_exporter_port(const struct reel_exporter *exporter)
{
    return exporter->port;
}

void reel_exporter_close(struct reel_exporter *exporter)
{
    if (!exporter)
        return;
    (void)eventfd_write(exporter->closing, 1);
    pthread_join(exporter->thread, NULL);
    free_exporter(exporter);
}
