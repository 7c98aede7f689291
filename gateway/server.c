// SPDX-License-Identifier: Apache-2.0
#include "gateway/server.h"

#include <errno.h>
#include <linux/filter.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"

enum { CONNECTION_MEMORY = 64 * 1024, BACKLOG = 1024, SPARE_FDS = 512 };

struct server {
    struct gateway *gw;
    struct MHD_Daemon *daemon;
    int listen_fd;
    int port;
    bool quiet; // takes no connections any more
};

static enum MHD_Result on_accept(void *cls, const struct sockaddr *sa, socklen_t len)
{
    struct gateway *gw = cls;
    (void)len;
    struct netaddr addr = netaddr_from_sockaddr(sa);
    return conns_admit(gw->conns, &addr) ? MHD_YES : MHD_NO;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct gateway *gw = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        conns_remove(gw->conns, *socket_context);
        *socket_context = NULL;
        return;
    }
    // The library answers both questions in the same place: the first answer is gone after the
    // second.
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = info ? info->connect_fd : -1;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct netaddr addr = netaddr_from_sockaddr(info ? info->client_addr : NULL);
    *socket_context = conns_add(gw->conns, fd, &addr);
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *conn = info ? info->socket_context : NULL;
    if (!conn)
        return NULL;
    conn_head_begun(conn);
    return request_new(cls, mhd, conn, target);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **context)
{
    struct request *req = *context;
    (void)cls;
    (void)mhd;
    (void)url;
    if (!req)
        return MHD_NO;
    bool go_on = *data_len > 0 ? exchange_body(req, data, data_len)
                               : exchange_head_or_end(req, method, version);
    return go_on ? MHD_YES : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)mhd;
    if (*context)
        exchange_done(*context, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *context = NULL;
}

REEL_PRINTF(2, 0)
static void on_library_log(void *cls, const char *fmt, va_list args)
{
    char text[512];
    (void)cls;
    vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = '\0';
    reel_log(REEL_LOG_DEBUG, "http.library", REEL_FS("text", text));
}

// The target is decoded by ourselves, once, after the guard has seen it.
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

static int listen_on(const struct gateway_config *config, int *ret_fd)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    char port[8];
    int one = 1;
    snprintf(port, sizeof(port), "%d", (int)config->port);
    if (getaddrinfo(config->host, port, &hints, &address) != 0)
        return -EINVAL;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        rc = -errno;
        close(fd);
    }
    freeaddrinfo(address);
    *ret_fd = fd;
    return rc;
}

static int bound_port(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char port[8];
    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
        getnameinfo((struct sockaddr *)&sa, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV) != 0)
        return 0;
    return (int)strtol(port, NULL, 10);
}

// Each connection is one descriptor here and may hold a file besides.
static void raise_fd_limit(int64_t connections)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)(2 * connections + SPARE_FDS);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < (rlim_t)connections + SPARE_FDS)
        reel_log(REEL_LOG_WARN, "http.fd_limit", REEL_FI("limit", limit.rlim_cur),
                 REEL_FI("wanted", want));
}

static struct MHD_Daemon *start_daemon(struct server *server)
{
    const struct gateway_config *config = &server->gw->config;
    const unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags, 0, on_accept, server->gw, on_request, server->gw, MHD_OPTION_EXTERNAL_LOGGER,
        on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)config->threads, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)config->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((config->idle_timeout_ms + config->header_timeout_ms) / 1000 + 1),
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        server->gw, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server->gw,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server->gw, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

int server_open(struct gateway *gw, struct server **ret_server)
{
    struct server *server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->gw = gw;
    raise_fd_limit(gw->config.max_connections);
    int rc = listen_on(&gw->config, &server->listen_fd);
    if (rc != 0) {
        reel_log(REEL_LOG_ERROR, "http.listen_failed", REEL_FS("host", gw->config.host),
                 REEL_FI("port", gw->config.port), REEL_FS("reason", strerror(-rc)),
                 REEL_FS("setting", "REEL_GATEWAY_PORT"));
        free(server);
        return rc;
    }
    server->port = bound_port(server->listen_fd);
    server->daemon = start_daemon(server);
    if (!server->daemon) {
        close(server->listen_fd);
        free(server);
        return -ENOMEM;
    }
    *ret_server = server;
    return 0;
}

int server_port(const struct server *server)
{
    return server->port;
}

// From here on the packet that asks for a connection (SYN without ACK) is dropped. The client sends
// it again in a second; then the next process listens, or nobody does. A connection that the system
// has completed for us would be reset when the port closes, so that none must be begun before that.
static void begin_no_connection(int fd)
{
    enum { TCP_FLAGS = 13, SYN = 0x02, ACK = 0x10 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = REEL_ARRAY_SIZE(code), .filter = code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0)
        return;
    // A hardened kernel leaves filters to root. Then one at a time may still begin.
    reel_log(REEL_LOG_INFO, "http.no_filter", REEL_FS("reason", strerror(errno)));
    (void)listen(fd, 0);
}

static bool somebody_waits(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, 0) > 0;
}

void server_quiesce(struct server *server, int64_t deadline_us)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    if (server->quiet)
        return;
    server->quiet = true;
    begin_no_connection(server->listen_fd);
    // Twice: the last step of a connection that was begun may be on its way.
    for (int empty = 0; empty < 2 && !reel_deadline_passed(deadline_us); nanosleep(&pause, NULL))
        empty = somebody_waits(server->listen_fd) ? 0 : empty + 1;
    MHD_quiesce_daemon(server->daemon);
    // Frees the port and refuses clients. The descriptor itself may still be in the hands of the
    // library's threads, and must not become somebody else's.
    shutdown(server->listen_fd, SHUT_RDWR);
}

void server_close(struct server *server)
{
    if (!server)
        return;
    server_quiesce(server, 0);
    // The library may not be stopped while a connection is parked: everybody is told that the
    // client is gone, which wakes them, until none is left.
    while (conns_count(server->gw->conns) > 0) {
        const struct timespec pause = {.tv_nsec = 5000000};
        conns_close_all(server->gw->conns);
        nanosleep(&pause, NULL);
    }
    MHD_stop_daemon(server->daemon);
    close(server->listen_fd);
    free(server);
}
