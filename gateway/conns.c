// SPDX-License-Identifier: Apache-2.0
#include "gateway/conns.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/metrics.h"

enum {
    SCAN_MS = 500,
    EVENTS = 64,
    ADDRESS_SLOTS = 4096,
    LINGER_US = 5000000,
    FRESH_US = 1000000, // in the drain, for the first byte of a new connection
};

struct conn {
    pthread_mutex_t lock;
    uint32_t generation; // tells a late event of an earlier connection in this slot
    bool used;
    bool gone;
    bool shut;
    bool given_up; // by us: the client is there
    enum conn_phase phase;
    int fd;
    struct netaddr addr;
    int64_t deadline_us;
    int64_t window_start_us;
    uint64_t window_bytes;
    uint64_t acked_bytes;
    uint64_t answered_bytes; // received in all up to the last reply; known in the drain
    int64_t since_us;        // of the connection
    void (*hook)(void *arg);
    void *hook_arg;
    struct conns *conns;
    struct conn *next_free;
};

struct address_count {
    struct address_count *next;
    struct netaddr network;
    unsigned n;
};

struct conns {
    struct conns_config config;
    pthread_mutex_t lock; // guards the free list and the counts
    struct conn *slots;
    struct conn *free_list;
    struct address_count *addresses[ADDRESS_SLOTS];
    unsigned n;
    atomic_bool draining;
    int epoll_fd;
    int stop_fd;
    pthread_t thread;
    struct reel_counter *overrun;
    struct reel_gauge *open_gauge;
};

static struct netaddr network_of(const struct netaddr *addr)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct netaddr network = *addr;
    if (memcmp(addr->bytes, mapped, sizeof(mapped)) != 0)
        memset(network.bytes + 8, 0, 8);
    return network;
}

static struct address_count **address_slot(struct conns *conns, const struct netaddr *network)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof(network->bytes); i++)
        hash = (hash ^ network->bytes[i]) * 16777619u;
    struct address_count **slot = &conns->addresses[hash % ADDRESS_SLOTS];
    while (*slot && memcmp(&(*slot)->network, network, sizeof(*network)) != 0)
        slot = &(*slot)->next;
    return slot;
}

static bool count_address(struct conns *conns, const struct netaddr *addr)
{
    struct netaddr network = network_of(addr);
    struct address_count **slot = address_slot(conns, &network);
    if (!*slot) {
        *slot = calloc(1, sizeof(**slot));
        if (!*slot)
            return false;
        (*slot)->network = network;
    }
    (*slot)->n++;
    return true;
}

static void uncount_address(struct conns *conns, const struct netaddr *addr)
{
    struct netaddr network = network_of(addr);
    struct address_count **slot = address_slot(conns, &network);
    if (!*slot || --(*slot)->n > 0)
        return;
    struct address_count *empty = *slot;
    *slot = empty->next;
    free(empty);
}

bool conns_admit(struct conns *conns, const struct netaddr *addr)
{
    if (netaddr_list_holds(&conns->config.exempt, addr))
        return true;
    struct netaddr network = network_of(addr);
    pthread_mutex_lock(&conns->lock);
    struct address_count *count = *address_slot(conns, &network);
    bool admit = !count || count->n < conns->config.max_per_address;
    pthread_mutex_unlock(&conns->lock);
    return admit;
}

static struct conn *slot_take(struct conns *conns, const struct netaddr *addr)
{
    pthread_mutex_lock(&conns->lock);
    struct conn *conn = conns->free_list;
    if (conn && count_address(conns, addr)) {
        conns->free_list = conn->next_free;
        conns->n++;
    } else {
        conn = NULL;
    }
    reel_gauge_set(conns->open_gauge, conns->n);
    pthread_mutex_unlock(&conns->lock);
    return conn;
}

static void slot_give(struct conns *conns, struct conn *conn)
{
    pthread_mutex_lock(&conns->lock);
    uncount_address(conns, &conn->addr);
    conn->next_free = conns->free_list;
    conns->free_list = conn;
    conns->n--;
    reel_gauge_set(conns->open_gauge, conns->n);
    pthread_mutex_unlock(&conns->lock);
}

struct conn *conns_add(struct conns *conns, int fd, const struct netaddr *addr)
{
    struct conn *conn = slot_take(conns, addr);
    if (!conn)
        return NULL;
    pthread_mutex_lock(&conn->lock);
    conn->generation++;
    conn->used = true;
    conn->gone = conn->shut = conn->given_up = false;
    conn->phase = CONN_HEAD;
    conn->fd = fd;
    conn->addr = *addr;
    conn->deadline_us = reel_deadline_in_us(conns->config.header_timeout_us);
    conn->since_us = reel_clock_mono_us();
    conn->answered_bytes = 0;
    conn->hook = NULL;
    struct epoll_event event = {
        .events = EPOLLRDHUP | EPOLLET,
        .data.u64 = (uint64_t)(conn - conns->slots) << 32 | conn->generation,
    };
    int rc = epoll_ctl(conns->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    conn->used = rc == 0;
    pthread_mutex_unlock(&conn->lock);
    if (rc != 0) {
        slot_give(conns, conn);
        return NULL;
    }
    return conn;
}

void conns_remove(struct conns *conns, struct conn *conn)
{
    if (!conn)
        return;
    pthread_mutex_lock(&conn->lock);
    epoll_ctl(conns->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->used = false;
    conn->hook = NULL;
    pthread_mutex_unlock(&conn->lock);
    slot_give(conns, conn);
}

unsigned conns_count(struct conns *conns)
{
    pthread_mutex_lock(&conns->lock);
    unsigned n = conns->n;
    pthread_mutex_unlock(&conns->lock);
    return n;
}

static void shut_locked(struct conn *conn)
{
    if (!conn->shut)
        shutdown(conn->fd, SHUT_RDWR);
    conn->shut = true;
}

// The library takes a short read for the last one and so may miss an end that is queued behind it;
// this makes it look again. What was received can still be read, and replies still sent.
static void nudge_locked(struct conn *conn)
{
    shutdown(conn->fd, SHUT_RD);
}

static struct tcp_info tcp_info_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return (struct tcp_info){0};
    return info;
}

void conns_drain(struct conns *conns)
{
    atomic_store(&conns->draining, true);
    for (unsigned i = 0; i < conns->config.max_connections; i++) {
        struct conn *conn = &conns->slots[i];
        pthread_mutex_lock(&conn->lock);
        if (conn->used && conn->phase == CONN_HEAD)
            conn->answered_bytes = tcp_info_of(conn->fd).tcpi_bytes_received;
        pthread_mutex_unlock(&conn->lock);
    }
}

static bool is_idle(const struct conn *conn)
{
    if (!conn->used || conn->shut || conn->phase != CONN_HEAD)
        return false;
    uint64_t received = tcp_info_of(conn->fd).tcpi_bytes_received;
    bool fresh = received == 0 && reel_clock_mono_us() - conn->since_us < FRESH_US;
    return received == conn->answered_bytes && !fresh;
}

void conns_close_idle(struct conns *conns)
{
    for (unsigned i = 0; i < conns->config.max_connections; i++) {
        struct conn *conn = &conns->slots[i];
        pthread_mutex_lock(&conn->lock);
        if (is_idle(conn))
            nudge_locked(conn);
        pthread_mutex_unlock(&conn->lock);
    }
}

static void gone_locked(struct conn *conn)
{
    void (*hook)(void *arg) = conn->hook;
    conn->gone = true;
    conn->hook = NULL;
    if (hook)
        hook(conn->hook_arg);
}

void conns_end_waits(struct conns *conns)
{
    for (unsigned i = 0; i < conns->config.max_connections; i++) {
        struct conn *conn = &conns->slots[i];
        pthread_mutex_lock(&conn->lock);
        if (conn->used && conn->phase == CONN_BUSY && !conn->gone) {
            conn->given_up = true;
            gone_locked(conn);
        }
        pthread_mutex_unlock(&conn->lock);
    }
}

void conns_close_all(struct conns *conns)
{
    for (unsigned i = 0; i < conns->config.max_connections; i++) {
        struct conn *conn = &conns->slots[i];
        pthread_mutex_lock(&conn->lock);
        if (conn->used) {
            shut_locked(conn);
            gone_locked(conn);
        }
        pthread_mutex_unlock(&conn->lock);
    }
}

void conn_head_begun(struct conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    int64_t latest = reel_deadline_in_us(conn->conns->config.header_timeout_us);
    if (conn->deadline_us > latest)
        conn->deadline_us = latest;
    pthread_mutex_unlock(&conn->lock);
}

// How many bytes of ours the peer has acknowledged.
static uint64_t acked_bytes(int fd)
{
    return tcp_info_of(fd).tcpi_bytes_acked;
}

void conn_enter(struct conn *conn, enum conn_phase phase)
{
    pthread_mutex_lock(&conn->lock);
    conn->phase = phase;
    conn->window_bytes = 0;
    conn->deadline_us = phase == CONN_LINGER ? reel_deadline_in_us(LINGER_US) : REEL_NO_DEADLINE;
    if (phase == CONN_BODY || phase == CONN_REPLY)
        conn->window_start_us = reel_clock_mono_us();
    if (phase == CONN_REPLY)
        conn->acked_bytes = 0;
    pthread_mutex_unlock(&conn->lock);
}

void conn_request_done(struct conn *conn)
{
    const struct conns_config *config = &conn->conns->config;
    pthread_mutex_lock(&conn->lock);
    conn->phase = CONN_HEAD;
    conn->hook = NULL;
    if (atomic_load_explicit(&conn->conns->draining, memory_order_relaxed))
        conn->answered_bytes = tcp_info_of(conn->fd).tcpi_bytes_received;
    conn->deadline_us = reel_deadline_in_us(config->idle_timeout_us + config->header_timeout_us);
    pthread_mutex_unlock(&conn->lock);
}

void conn_progress(struct conn *conn, uint64_t bytes)
{
    pthread_mutex_lock(&conn->lock);
    conn->window_bytes += bytes;
    pthread_mutex_unlock(&conn->lock);
}

void conn_on_gone(struct conn *conn, void (*hook)(void *arg), void *arg)
{
    pthread_mutex_lock(&conn->lock);
    conn->hook = hook;
    conn->hook_arg = arg;
    if (conn->gone && hook)
        gone_locked(conn);
    pthread_mutex_unlock(&conn->lock);
}

bool conn_is_gone(struct conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    bool gone = conn->gone;
    pthread_mutex_unlock(&conn->lock);
    return gone;
}

const struct netaddr *conn_peer(const struct conn *conn)
{
    return &conn->addr;
}

int conn_fd(const struct conn *conn)
{
    return conn->fd;
}

// Whether the peer has moved too few bytes in the window that ends now.
static bool too_slow(struct conn *conn, int64_t now_us)
{
    const struct conns_config *config = &conn->conns->config;
    int64_t elapsed_us = now_us - conn->window_start_us;
    bool learning = false; // the first window of a reply only learns where the count stands
    if ((conn->phase != CONN_BODY && conn->phase != CONN_REPLY) ||
        elapsed_us < config->rate_window_us)
        return false;
    if (conn->phase == CONN_REPLY) {
        uint64_t acked = acked_bytes(conn->fd);
        learning = conn->acked_bytes == 0;
        conn->window_bytes = acked - conn->acked_bytes;
        conn->acked_bytes = acked;
    }
    uint64_t least = (uint64_t)(config->min_bytes_per_second * (elapsed_us / 1000) / 1000);
    bool slow = !learning && conn->window_bytes < least;
    conn->window_start_us = now_us;
    conn->window_bytes = 0;
    return slow;
}

static void scan(struct conns *conns)
{
    int64_t now_us = reel_clock_mono_us();
    for (unsigned i = 0; i < conns->config.max_connections; i++) {
        struct conn *conn = &conns->slots[i];
        pthread_mutex_lock(&conn->lock);
        if (conn->used && !conn->shut && (conn->deadline_us <= now_us || too_slow(conn, now_us))) {
            reel_counter_add(conns->overrun, 1);
            shut_locked(conn);
        } else if (conn->used && conn->gone && !conn->shut && !conn->given_up) {
            nudge_locked(conn);
        }
        pthread_mutex_unlock(&conn->lock);
    }
}

static void on_event(struct conns *conns, const struct epoll_event *event)
{
    struct conn *conn = &conns->slots[event->data.u64 >> 32];
    pthread_mutex_lock(&conn->lock);
    // Once: the shutdown is itself an event.
    if (conn->used && !conn->gone && conn->generation == (uint32_t)event->data.u64) {
        gone_locked(conn);
        nudge_locked(conn);
    }
    pthread_mutex_unlock(&conn->lock);
}

static void *watch(void *arg)
{
    struct conns *conns = arg;
    int64_t next_scan_us = reel_deadline_in_us(SCAN_MS * 1000);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(conns->epoll_fd, events, EVENTS,
                           reel_deadline_left_ms(next_scan_us, SCAN_MS));
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == UINT64_MAX)
                return NULL;
            on_event(conns, &events[i]);
        }
        if (reel_deadline_passed(next_scan_us)) {
            scan(conns);
            next_scan_us = reel_deadline_in_us(SCAN_MS * 1000);
        }
    }
}

static int slots_init(struct conns *conns)
{
    conns->slots = calloc(conns->config.max_connections, sizeof(*conns->slots));
    if (!conns->slots)
        return -ENOMEM;
    for (unsigned i = conns->config.max_connections; i-- > 0;) {
        struct conn *conn = &conns->slots[i];
        pthread_mutex_init(&conn->lock, NULL);
        conn->conns = conns;
        conn->next_free = conns->free_list;
        conns->free_list = conn;
    }
    return 0;
}

int conns_open(const struct conns_config *config, struct conns **ret_conns)
{
    struct conns *conns = calloc(1, sizeof(*conns));
    if (!conns)
        return -ENOMEM;
    conns->config = *config;
    pthread_mutex_init(&conns->lock, NULL);
    conns->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conns->stop_fd = eventfd(0, EFD_CLOEXEC);
    conns->overrun = reel_counter_get("reel_http_overrun_total",
                                      "Connections cut for a missed deadline or rate", NULL);
    conns->open_gauge = reel_gauge_get("reel_http_connections", "Client connections", NULL);
    struct epoll_event stop = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    int rc = conns->epoll_fd < 0 || conns->stop_fd < 0 ||
                     epoll_ctl(conns->epoll_fd, EPOLL_CTL_ADD, conns->stop_fd, &stop) != 0
                 ? -errno
                 : slots_init(conns);
    if (rc == 0)
        rc = -pthread_create(&conns->thread, NULL, watch, conns);
    if (rc != 0) {
        close(conns->epoll_fd);
        close(conns->stop_fd);
        free(conns->slots);
        free(conns);
        return rc;
    }
    *ret_conns = conns;
    return 0;
}

void conns_close(struct conns *conns)
{
    if (!conns)
        return;
    uint64_t one = 1;
    if (write(conns->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(conns->thread, NULL);
    for (unsigned i = 0; i < ADDRESS_SLOTS; i++) {
        while (conns->addresses[i]) {
            struct address_count *next = conns->addresses[i]->next;
            free(conns->addresses[i]);
            conns->addresses[i] = next;
        }
    }
    for (unsigned i = 0; i < conns->config.max_connections; i++)
        pthread_mutex_destroy(&conns->slots[i].lock);
    close(conns->epoll_fd);
    close(conns->stop_fd);
    free(conns->slots);
    free(conns);
}
