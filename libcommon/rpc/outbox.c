// SPDX-License-Identifier: Apache-2.0
// What leaves a session: frames that gather in its link, and the answers to cooked clients.
#include <stdlib.h>
#include <string.h>

#include "libcommon/rpc/server_internal.h"

static bool send_cooked(struct reel_session *session)
{
    struct reel_cooked_reply *reply = session->cooked_first;
    uint8_t *room = reel_pipe_room(session->pipe, reply->len);

    if (!room)
        return false;
    memcpy(room, reply->message, reply->len);
    session->cooked_first = reply->next;
    if (!session->cooked_first)
        session->cooked_last = &session->cooked_first;
    free(reply);
    return true;
}

static bool send_packet(struct reel_session *session)
{
    size_t len = reel_link_measure(&session->link);
    uint8_t *room = len > 0 ? reel_pipe_room(session->pipe, session->route_len + len) : NULL;

    if (!room)
        return false;
    memcpy(room, session->route, session->route_len);
    reel_link_take(&session->link, room + session->route_len);
    return true;
}

// More may come soon that can leave with what waits.
static bool is_gathering(const struct reel_session *session)
{
    return (session->corked || session->n_holds > 0) &&
           reel_link_waiting(&session->link) < (size_t)REEL_LINK_PART_BYTES;
}

// Lets what waits leave, unless something is on its way. Called with the lock held.
static void flush(struct reel_session *session)
{
    while (!session->sending && !is_gathering(session) && !session->closed &&
           (session->cooked_first ? send_cooked(session) : send_packet(session)))
        session->sending = reel_pipe_send(session->pipe);
}

static void wake_stream(struct reel_idmap_node *node, void *arg)
{
    struct reel_call *call = REEL_CONTAINER_OF(node, struct reel_call, node);

    (void)arg;
    pthread_cond_broadcast(&call->event);
}

// Called with the lock held, after the link may have drained.
static void wake_link_waiters(struct reel_session *session)
{
    if (session->n_link_waiters > 0 &&
        reel_link_waiting(&session->link) < (size_t)REEL_LINK_SOFT_BYTES)
        reel_idmap_each(&session->calls, wake_stream, NULL);
}

void reel_session_sent(struct reel_session *session)
{
    pthread_mutex_lock(&session->lock);
    session->sending = false;
    flush(session);
    wake_link_waiters(session);
    pthread_mutex_unlock(&session->lock);
}

int reel_session_put(struct reel_session *session, const struct reel_frame *frame, bool urgent)
{
    int rc = reel_link_put(&session->link, frame, urgent);

    flush(session);
    return rc;
}

static struct reel_cooked_reply *new_cooked(const struct reel_return_address *address,
                                            const struct reel_frame *frame)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;
    uint8_t head[REEL_PACKET_HEAD_MAX];

    reel_buf_init(&buf, SIZE_MAX / 2);
    reel_buf_add(&buf, address->route, address->route_len);
    reel_buf_add(&buf, head, reel_packet_head(head, 0));
    reel_frame_write(&buf, frame);
    struct reel_cooked_reply *reply = buf.failed ? NULL : malloc(sizeof(*reply) + buf.len);
    if (!reply)
        return NULL;
    reply->next = NULL;
    reply->len = buf.len;
    memcpy(reply->message, buf.data, buf.len);
    return reply;
}

static void reply_cooked(struct reel_session *session, const struct reel_return_address *address,
                         const struct reel_frame *frame)
{
    struct reel_cooked_reply *reply = new_cooked(address, frame);

    if (!reply)
        return;
    *session->cooked_last = reply;
    session->cooked_last = &reply->next;
    flush(session);
}

void reel_session_tell(struct reel_session *session, const struct reel_frame *frame)
{
    if (session->muted || reel_session_put(session, frame, true) == REEL_OK || session->closed)
        return;
    session->muted = true;
    reel_link_reset(&session->link);
    reel_pipe_close(session->pipe);
}

void reel_session_reply(struct reel_session *session, const struct reel_return_address *address,
                        const struct reel_frame *frame)
{
    pthread_mutex_lock(&session->lock);
    if (session->closed)
        ;
    else if (address->cooked)
        reply_cooked(session, address, frame);
    else
        reel_session_tell(session, frame);
    pthread_mutex_unlock(&session->lock);
}

void reel_session_hold(struct reel_session *session)
{
    atomic_fetch_add(&session->refs, 1);
    pthread_mutex_lock(&session->lock);
    session->n_holds++;
    pthread_mutex_unlock(&session->lock);
}

void reel_session_release(struct reel_session *session)
{
    pthread_mutex_lock(&session->lock);
    session->n_holds--;
    flush(session);
    wake_link_waiters(session);
    pthread_mutex_unlock(&session->lock);
    reel_session_unref(session);
}

void reel_session_uncork(struct reel_session *session)
{
    pthread_mutex_lock(&session->lock);
    session->corked = false;
    flush(session);
    wake_link_waiters(session);
    pthread_mutex_unlock(&session->lock);
}

static void put_plain(struct reel_session *session, enum reel_frame_kind kind)
{
    pthread_mutex_lock(&session->lock);
    if (session->multiplexed && !session->closed)
        reel_session_tell(session, &(struct reel_frame){.kind = kind});
    pthread_mutex_unlock(&session->lock);
}

void reel_session_goaway(struct reel_session *session, void *unused)
{
    (void)unused;
    put_plain(session, REEL_FRAME_GOAWAY);
}

void reel_session_ping(struct reel_session *session, void *unused)
{
    (void)unused;
    put_plain(session, REEL_FRAME_PING);
}

bool reel_session_is_settled(struct reel_session *session)
{
    pthread_mutex_lock(&session->lock);
    bool settled =
        session->closed || session->muted ||
        (!session->sending && !session->cooked_first && reel_link_is_settled(&session->link));
    pthread_mutex_unlock(&session->lock);
    return settled;
}
