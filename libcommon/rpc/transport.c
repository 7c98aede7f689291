// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/transport.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "libcommon/core/clock.h"

enum { CLOSE_US = 1000 * 1000 };

int reel_transport_fault(int nng_error)
{
    static const struct {
        int nng;
        int fault;
    } table[] = {
        {NNG_ENOMEM, ENOMEM},
        {NNG_EINVAL, EINVAL},
        {NNG_EADDRINVAL, EINVAL},
        {NNG_ENOTSUP, EINVAL},
        {NNG_EBUSY, EBUSY},
        {NNG_ETIMEDOUT, ETIMEDOUT},
        {NNG_ECONNREFUSED, ECONNREFUSED},
        {NNG_ECLOSED, EPIPE},
        {NNG_EAGAIN, EAGAIN},
        {NNG_EADDRINUSE, EADDRINUSE},
        {NNG_ENOENT, ENOENT},
        {NNG_EUNREACHABLE, EHOSTUNREACH},
        {NNG_EPERM, EACCES},
        {NNG_EMSGSIZE, EMSGSIZE},
        {NNG_ECONNABORTED, ECONNABORTED},
        {NNG_ECONNRESET, ECONNRESET},
        {NNG_ECANCELED, ECANCELED},
        {NNG_ENOFILES, EMFILE},
    };

    if (nng_error == 0)
        return 0;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(table); i++)
        if (table[i].nng == nng_error)
            return -table[i].fault;
    return nng_error & NNG_ESYSERR ? -(nng_error & ~NNG_ESYSERR) : -EIO;
}

int reel_transport_open(enum reel_transport_role role, size_t max_message_bytes,
                        uint32_t *ret_socket)
{
    nng_socket socket;
    size_t recv_max = max_message_bytes + 2 * REEL_WIRE_SLACK;
    int rv =
        role == REEL_TRANSPORT_CLIENT ? nng_req0_open_raw(&socket) : nng_rep0_open_raw(&socket);

    if (rv != 0)
        return reel_transport_fault(rv);
    rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, recv_max);
    if (rv != 0) {
        nng_close(socket);
        return reel_transport_fault(rv);
    }
    *ret_socket = socket.id;
    return 0;
}

// Shared by the caller and the thread that closes; the last one frees it.
struct closing {
    uint32_t socket;
    pthread_mutex_t lock;
    pthread_cond_t changed; // monotonic
    bool done;
    bool abandoned;
};

static void free_closing(struct closing *closing)
{
    pthread_mutex_destroy(&closing->lock);
    pthread_cond_destroy(&closing->changed);
    free(closing);
}

static void *close_socket(void *arg)
{
    struct closing *closing = arg;
    nng_socket socket = {.id = closing->socket};

    nng_close(socket);
    pthread_mutex_lock(&closing->lock);
    closing->done = true;
    bool abandoned = closing->abandoned;
    pthread_cond_signal(&closing->changed);
    pthread_mutex_unlock(&closing->lock);
    if (abandoned)
        free_closing(closing);
    return NULL;
}

static bool await_closing(struct closing *closing)
{
    int64_t until_us = reel_deadline_in_us(CLOSE_US);
    struct timespec at = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};

    pthread_mutex_lock(&closing->lock);
    while (!closing->done && !reel_deadline_passed(until_us))
        pthread_cond_timedwait(&closing->changed, &closing->lock, &at);
    bool done = closing->done;
    closing->abandoned = !done;
    pthread_mutex_unlock(&closing->lock);
    return done;
}

bool reel_transport_close(uint32_t socket)
{
    struct closing *closing = calloc(1, sizeof(*closing));
    pthread_condattr_t attr;
    pthread_t thread;

    if (!closing)
        return false;
    closing->socket = socket;
    pthread_mutex_init(&closing->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&closing->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&thread, NULL, close_socket, closing) != 0) {
        free_closing(closing);
        return false;
    }
    bool done = await_closing(closing);
    if (done) {
        pthread_join(thread, NULL);
        free_closing(closing);
    } else {
        pthread_detach(thread);
    }
    return done;
}

struct reel_inbound *reel_inbound_new(struct nng_msg *msg)
{
    struct reel_inbound *inbound = malloc(sizeof(*inbound));

    if (!inbound) {
        nng_msg_free(msg);
        return NULL;
    }
    atomic_init(&inbound->refs, 1);
    inbound->msg = msg;
    return inbound;
}

struct reel_inbound *reel_inbound_ref(struct reel_inbound *inbound)
{
    atomic_fetch_add_explicit(&inbound->refs, 1, memory_order_relaxed);
    return inbound;
}

void reel_inbound_unref(struct reel_inbound *inbound)
{
    if (!inbound || atomic_fetch_sub_explicit(&inbound->refs, 1, memory_order_acq_rel) > 1)
        return;
    nng_msg_free(inbound->msg);
    free(inbound);
}

static struct nng_msg *new_message(size_t size, const void *header, size_t header_len)
{
    nng_msg *msg;

    if (nng_msg_alloc(&msg, size) != 0)
        return NULL;
    if (nng_msg_header_append(msg, header, header_len) != 0) {
        nng_msg_free(msg);
        return NULL;
    }
    return msg;
}

struct nng_msg *reel_transport_take(struct reel_link *link, const void *header, size_t header_len)
{
    size_t size = reel_link_measure(link);

    if (size == 0)
        return NULL;
    nng_msg *msg = new_message(size, header, header_len);
    if (msg)
        reel_link_take(link, nng_msg_body(msg));
    return msg;
}

struct nng_msg *reel_transport_single(const struct reel_frame *frame, const void *header,
                                      size_t header_len)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;
    uint8_t head[REEL_PACKET_HEAD_MAX];

    reel_buf_init(&buf, SIZE_MAX / 2);
    reel_buf_add(&buf, head, reel_packet_head(head, 0));
    reel_frame_write(&buf, frame);
    if (buf.failed)
        return NULL;
    nng_msg *msg = new_message(buf.len, header, header_len);
    if (msg)
        memcpy(nng_msg_body(msg), buf.data, buf.len);
    return msg;
}
