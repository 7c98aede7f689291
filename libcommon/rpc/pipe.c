// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/pipe.h"

#include <errno.h>
#include <nng/nng.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/buf.h"
#include "libcommon/rpc/transport.h"

// Memory for sending that is kept between messages.
enum { KEEP_BYTES = 256 * 1024 };

struct reel_pipe {
    nng_stream *stream;
    nng_aio *recv_aio;
    nng_aio *try_aio;  // without a callback: what it does is done when the call returns
    nng_aio *send_aio; // for what cannot be sent at once
    struct reel_pipe_handler handler;
    struct reel_splitter in;
    uint16_t protocol;
    bool tagged;
    bool greeted; // our greeting has left
    atomic_uint refs;
    char reason[128];

    struct reel_buf out; // the message that is being sent
    size_t sent;         // of it

    // An operation that begins on a stream that is closed would never end, in NNG 1.5.2: so both
    // happen under the lock.
    pthread_mutex_t lock;
    unsigned n_busy; // operations in progress that will call back; on_closed is the last one's
    bool closed;
};

static void set_iov(nng_aio *aio, uint8_t *data, size_t len)
{
    nng_iov iov = {.iov_buf = data, .iov_len = len};

    (void)nng_aio_set_iov(aio, 1, &iov);
}

static void free_pipe(struct reel_pipe *pipe)
{
    // Nothing is in progress, so the order does not matter; but the last reference may fall in a
    // callback, where an aio cannot be freed.
    nng_stream_free(pipe->stream);
    if (pipe->recv_aio)
        nng_aio_reap(pipe->recv_aio);
    if (pipe->send_aio)
        nng_aio_reap(pipe->send_aio);
    if (pipe->try_aio)
        nng_aio_reap(pipe->try_aio);
    reel_splitter_fini(&pipe->in);
    reel_buf_fini(&pipe->out);
    pthread_mutex_destroy(&pipe->lock);
    free(pipe);
}

void reel_pipe_unref(struct reel_pipe *pipe)
{
    if (pipe && atomic_fetch_sub(&pipe->refs, 1) == 1)
        free_pipe(pipe);
}

// Called with the lock held.
static void close_stream(struct reel_pipe *pipe)
{
    if (!pipe->closed)
        nng_stream_close(pipe->stream);
    pipe->closed = true;
}

void reel_pipe_close(struct reel_pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    close_stream(pipe);
    pthread_mutex_unlock(&pipe->lock);
}

// An operation has ended and no other takes its place: the stream is closed, or its part is done.
static void leave(struct reel_pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    bool last = --pipe->n_busy == 0;
    pthread_mutex_unlock(&pipe->lock);
    if (!last)
        return;
    pipe->handler.on_closed(pipe->handler.arg, pipe->reason[0] ? pipe->reason : NULL);
    reel_pipe_unref(pipe);
}

// Sends what is left of the message and calls back. Called with the lock held; false when the
// stream is closed.
static bool send_rest(struct reel_pipe *pipe)
{
    if (pipe->closed)
        return false;
    set_iov(pipe->send_aio, (uint8_t *)pipe->out.data + pipe->sent, pipe->out.len - pipe->sent);
    nng_stream_send(pipe->stream, pipe->send_aio);
    return true;
}

static void forget_sent(struct reel_pipe *pipe)
{
    if (pipe->out.cap > (size_t)KEEP_BYTES)
        reel_buf_fini(&pipe->out);
    else
        reel_buf_reset(&pipe->out);
    pipe->sent = 0;
}

// Goes on receiving, or leaves.
static void receive(struct reel_pipe *pipe)
{
    uint8_t *room;
    size_t len = reel_splitter_room(&pipe->in, &room);

    pthread_mutex_lock(&pipe->lock);
    if (len == 0) // memory is out
        close_stream(pipe);
    bool open = !pipe->closed;
    if (open) {
        set_iov(pipe->recv_aio, room, len);
        nng_stream_recv(pipe->stream, pipe->recv_aio);
    }
    pthread_mutex_unlock(&pipe->lock);
    if (!open)
        leave(pipe);
}

static void on_sent(void *arg)
{
    struct reel_pipe *pipe = arg;
    bool sound = nng_aio_result(pipe->send_aio) == 0;
    bool more = false;

    pthread_mutex_lock(&pipe->lock);
    if (sound) {
        pipe->sent += nng_aio_count(pipe->send_aio);
        more = pipe->sent < pipe->out.len;
        sound = !more || send_rest(pipe);
    }
    if (!sound)
        close_stream(pipe);
    pthread_mutex_unlock(&pipe->lock);
    if (sound && more)
        return;
    if (sound) {
        forget_sent(pipe);
        if (!pipe->greeted) { // nothing is received before, so that nothing else is sent
            pipe->greeted = true;
            receive(pipe);
            return;
        }
        pipe->handler.on_sent(pipe->handler.arg);
    }
    leave(pipe);
}

uint8_t *reel_pipe_room(struct reel_pipe *pipe, size_t len)
{
    uint8_t head[REEL_SP_HEAD_MAX];

    reel_buf_add(&pipe->out, head, reel_sp_write_head(head, pipe->tagged, len));
    if (!reel_buf_reserve(&pipe->out, len)) {
        reel_buf_fini(&pipe->out);
        return NULL;
    }
    uint8_t *room = (uint8_t *)pipe->out.data + pipe->out.len;
    pipe->out.len += len;
    return room;
}

// Sends as much as the system takes now, on this thread and without waking another. True when
// nothing is left, or nothing can be sent any more. Called with the lock held.
static bool try_send(struct reel_pipe *pipe)
{
    nng_aio *aio = pipe->try_aio;

    while (!pipe->closed && pipe->sent < pipe->out.len) {
        set_iov(aio, (uint8_t *)pipe->out.data + pipe->sent, pipe->out.len - pipe->sent);
        nng_stream_send(pipe->stream, aio);
        // Neither an error nor a byte: it waits for room in the socket.
        if (nng_aio_result(aio) == 0 && nng_aio_count(aio) == 0)
            nng_aio_cancel(aio);
        nng_aio_wait(aio);
        if (nng_aio_result(aio) == NNG_ECANCELED)
            return false;
        if (nng_aio_result(aio) != 0)
            close_stream(pipe);
        else
            pipe->sent += nng_aio_count(aio);
    }
    return true;
}

bool reel_pipe_send(struct reel_pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    // While the stream is open the receiving side is in, so this is never the last one.
    bool pending = !try_send(pipe) && send_rest(pipe);
    pipe->n_busy += pending;
    pthread_mutex_unlock(&pipe->lock);
    if (!pending)
        forget_sent(pipe);
    return pending;
}

static void explain(struct reel_pipe *pipe, enum reel_sp_event event)
{
    if (event == REEL_SP_TOO_LARGE)
        snprintf(pipe->reason, sizeof(pipe->reason),
                 "a message of %llu bytes is too large: at most %zu are allowed",
                 (unsigned long long)pipe->in.announced, pipe->in.max_bytes);
    else if (event == REEL_SP_STRANGER)
        snprintf(pipe->reason, sizeof(pipe->reason), "it speaks another protocol");
    else
        snprintf(pipe->reason, sizeof(pipe->reason), "it sends what is no message");
}

// Tells what has come. False when nothing more can be read.
static bool tell(struct reel_pipe *pipe)
{
    const struct reel_pipe_handler *handler = &pipe->handler;
    enum reel_sp_event event;
    struct reel_slice message;
    bool told = false;

    while ((event = reel_splitter_next(&pipe->in, &message)) != REEL_SP_MORE) {
        if (event == REEL_SP_MESSAGE)
            handler->on_message(handler->arg, pipe->in.chunk, message);
        else if (event == REEL_SP_GREETED)
            handler->on_open(handler->arg);
        else
            break;
        told = true;
    }
    if (told)
        handler->on_pause(handler->arg);
    if (event != REEL_SP_MORE)
        explain(pipe, event);
    return event == REEL_SP_MORE;
}

static void on_received(void *arg)
{
    struct reel_pipe *pipe = arg;

    if (nng_aio_result(pipe->recv_aio) == 0) {
        reel_splitter_fed(&pipe->in, nng_aio_count(pipe->recv_aio));
        if (tell(pipe)) {
            receive(pipe);
            return;
        }
    }
    reel_pipe_close(pipe);
    leave(pipe);
}

int reel_pipe_new(struct nng_stream *stream, const char *url, enum reel_pipe_role role,
                  size_t max_bytes, const struct reel_pipe_handler *handler,
                  struct reel_pipe **ret_pipe)
{
    struct reel_pipe *pipe = calloc(1, sizeof(*pipe));
    bool client = role == REEL_PIPE_CLIENT;

    if (!pipe) {
        nng_stream_free(stream);
        return -ENOMEM;
    }
    pipe->stream = stream;
    pipe->handler = *handler;
    pipe->protocol = client ? REEL_SP_REQ : REEL_SP_REP;
    pipe->tagged = reel_transport_is_local(url);
    atomic_init(&pipe->refs, 1);
    pthread_mutex_init(&pipe->lock, NULL);
    reel_buf_init(&pipe->out, SIZE_MAX / 2);
    reel_splitter_init(&pipe->in, client ? REEL_SP_REP : REEL_SP_REQ, pipe->tagged, max_bytes);
    if (nng_aio_alloc(&pipe->recv_aio, on_received, pipe) != 0 ||
        nng_aio_alloc(&pipe->send_aio, on_sent, pipe) != 0 ||
        nng_aio_alloc(&pipe->try_aio, NULL, NULL) != 0) {
        free_pipe(pipe);
        return -ENOMEM;
    }
    *ret_pipe = pipe;
    return 0;
}

void reel_pipe_start(struct reel_pipe *pipe)
{
    uint8_t greeting[REEL_SP_GREETING_BYTES];

    // The connection's own, until on_closed.
    atomic_fetch_add(&pipe->refs, 1);
    reel_sp_write_greeting(greeting, pipe->protocol);
    reel_buf_add(&pipe->out, greeting, sizeof(greeting));
    pthread_mutex_lock(&pipe->lock);
    pipe->n_busy = 1;
    bool pending = !try_send(pipe) && send_rest(pipe);
    pthread_mutex_unlock(&pipe->lock);
    if (pending)
        return;
    pipe->greeted = true;
    forget_sent(pipe);
    receive(pipe);
}
