// SPDX-License-Identifier: Apache-2.0
// One connection of the server: who is at the other end, what it asked for, what waits for it.
#include <nng/nng.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/secret.h"
#include "libcommon/rpc/server_internal.h"

// A cooked client has one request in flight for each of its contexts; beyond this many the raw
// socket's queue, which drops, comes into sight.
enum { MAX_COOKED_CALLS = 32 };

static void free_session(struct reel_session *session)
{
    struct reel_server *server = session->server;

    while (session->cooked_first) {
        struct reel_cooked_reply *reply = session->cooked_first;

        session->cooked_first = reply->next;
        nng_msg_free(reply->msg);
        free(reply);
    }
    reel_link_fini(&session->link);
    reel_idmap_fini(&session->calls);
    pthread_mutex_destroy(&session->lock);
    // The last reference may fall in the aio's own callback, where it cannot be freed.
    nng_aio_reap(session->send_aio);
    free(session);
    pthread_mutex_lock(&server->lock);
    server->n_sessions--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void reel_session_unref(struct reel_session *session)
{
    if (atomic_fetch_sub(&session->refs, 1) == 1)
        free_session(session);
}

static struct nng_msg *next_message(struct reel_session *session)
{
    struct reel_cooked_reply *reply = session->cooked_first;

    if (!reply)
        return reel_transport_take(&session->link, session->header, session->header_len);
    session->cooked_first = reply->next;
    if (!session->cooked_first)
        session->cooked_last = &session->cooked_first;
    struct nng_msg *msg = reply->msg;
    free(reply);
    return msg;
}

// Lets what waits leave, unless something is on its way. Called with the lock held; NNG runs
// callbacks on threads of its own, never inside nng_send_aio.
static void flush(struct reel_session *session)
{
    nng_socket socket = {.id = session->server->socket};

    if (session->sending || session->corked || session->closed)
        return;
    struct nng_msg *msg = next_message(session);
    if (!msg)
        return;
    session->sending = true;
    atomic_fetch_add(&session->refs, 1);
    nng_aio_set_msg(session->send_aio, msg);
    nng_send_aio(socket, session->send_aio);
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

static void on_sent(void *arg)
{
    struct reel_session *session = arg;

    if (nng_aio_result(session->send_aio) != 0) {
        nng_msg_free(nng_aio_get_msg(session->send_aio));
        nng_aio_set_msg(session->send_aio, NULL);
    }
    pthread_mutex_lock(&session->lock);
    session->sending = false;
    flush(session);
    wake_link_waiters(session);
    pthread_mutex_unlock(&session->lock);
    reel_session_unref(session);
}

struct reel_session *reel_session_open(struct reel_server *server, uint32_t pipe)
{
    struct reel_session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    if (nng_aio_alloc(&session->send_aio, on_sent, session) != 0) {
        free(session);
        return NULL;
    }
    session->node.id = pipe;
    session->server = server;
    session->cooked_last = &session->cooked_first;
    session->peer_max_message = server->config.max_message_bytes;
    atomic_init(&session->refs, 1);
    pthread_mutex_init(&session->lock, NULL);
    reel_idmap_init(&session->calls);
    reel_link_init(&session->link, server->config.max_message_bytes + REEL_WIRE_SLACK,
                   REEL_LINK_MAX_BYTES);
    pthread_mutex_lock(&server->lock);
    server->n_sessions++;
    int rc = reel_idmap_add(&server->sessions, &session->node);
    pthread_mutex_unlock(&server->lock);
    if (rc == 0)
        return session;
    reel_session_unref(session);
    return NULL;
}

struct reel_session *reel_session_find(struct reel_server *server, uint32_t pipe)
{
    struct reel_session *session = NULL;

    pthread_mutex_lock(&server->lock);
    struct reel_idmap_node *node = reel_idmap_find(&server->sessions, pipe);
    if (node) {
        session = REEL_CONTAINER_OF(node, struct reel_session, node);
        atomic_fetch_add(&session->refs, 1);
    }
    pthread_mutex_unlock(&server->lock);
    return session;
}

struct each_call {
    struct reel_call **calls;
    size_t n;
};

static void collect_call(struct reel_idmap_node *node, void *arg)
{
    struct each_call *each = arg;
    struct reel_call *call = REEL_CONTAINER_OF(node, struct reel_call, node);

    atomic_fetch_add(&call->refs, 1);
    each->calls[each->n++] = call;
}

void reel_session_cancel(struct reel_session *session, void *code_ptr)
{
    struct each_call each = {0};
    int code = code_ptr ? *(int *)code_ptr : REEL_CANCELLED;

    pthread_mutex_lock(&session->lock);
    each.calls = calloc(session->calls.count + 1, sizeof(struct reel_call *));
    if (each.calls)
        reel_idmap_each(&session->calls, collect_call, &each);
    pthread_mutex_unlock(&session->lock);
    for (size_t i = 0; i < each.n; i++) {
        reel_call_cancel(each.calls[i], code);
        reel_call_unref(each.calls[i]);
    }
    free(each.calls);
}

void reel_session_shut(struct reel_session *session, void *unused)
{
    pthread_mutex_lock(&session->lock);
    session->closed = true;
    pthread_mutex_unlock(&session->lock);
    reel_session_cancel(session, unused);
}

void reel_session_close(struct reel_server *server, uint32_t pipe)
{
    pthread_mutex_lock(&server->lock);
    struct reel_idmap_node *node = reel_idmap_remove(&server->sessions, pipe);
    pthread_mutex_unlock(&server->lock);
    if (!node)
        return;
    struct reel_session *session = REEL_CONTAINER_OF(node, struct reel_session, node);
    reel_session_shut(session, NULL);
    reel_session_unref(session);
}

struct each_session {
    struct reel_session **sessions;
    size_t n;
};

static void collect_session(struct reel_idmap_node *node, void *arg)
{
    struct each_session *each = arg;
    struct reel_session *session = REEL_CONTAINER_OF(node, struct reel_session, node);

    atomic_fetch_add(&session->refs, 1);
    each->sessions[each->n++] = session;
}

void reel_session_each(struct reel_server *server,
                       void (*fn)(struct reel_session *session, void *arg), void *arg)
{
    struct each_session each = {0};

    pthread_mutex_lock(&server->lock);
    each.sessions = calloc(server->sessions.count + 1, sizeof(struct reel_session *));
    if (each.sessions)
        reel_idmap_each(&server->sessions, collect_session, &each);
    pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < each.n; i++) {
        fn(each.sessions[i], arg);
        reel_session_unref(each.sessions[i]);
    }
    free(each.sessions);
}

int reel_session_put(struct reel_session *session, const struct reel_frame *frame, bool urgent)
{
    int rc = reel_link_put(&session->link, frame, urgent);

    flush(session);
    return rc;
}

static void reply_cooked(struct reel_session *session, const struct reel_return_address *address,
                         const struct reel_frame *frame)
{
    struct reel_cooked_reply *reply = calloc(1, sizeof(*reply));

    if (!reply)
        return;
    reply->msg = reel_transport_single(frame, address->header, address->header_len);
    if (!reply->msg) {
        free(reply);
        return;
    }
    *session->cooked_last = reply;
    session->cooked_last = &reply->next;
    flush(session);
}

// A client that reads nothing for so long that not even answers fit is not worth its memory. Its
// connection is not closed but ignored: NNG 1.5.2 may hang in closing what a peer is sending on.
// The client's own heartbeat finds out.
static void put_or_mute(struct reel_session *session, const struct reel_frame *frame)
{
    if (session->muted || reel_session_put(session, frame, true) == REEL_OK || session->closed)
        return;
    session->muted = true;
    reel_link_reset(&session->link);
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
        put_or_mute(session, frame);
    pthread_mutex_unlock(&session->lock);
}

static void reply_status(struct reel_session *session, const struct reel_return_address *address,
                         int code, const char *text)
{
    struct reel_frame frame = {
        .kind = REEL_FRAME_RESPONSE,
        .call_id = address->call_id,
        .has_status = true,
        .code = (uint32_t)code,
        .message = reel_slice_of(text),
    };

    reel_session_reply(session, address, &frame);
}

static const struct reel_peer_key *authenticate(const struct reel_server *server,
                                                struct reel_slice service, struct reel_slice key)
{
    for (size_t i = 0; i < server->config.n_peers; i++) {
        const struct reel_peer_key *peer = &server->config.peers[i];

        if (!reel_slice_is(service, peer->service))
            continue;
        bool now = reel_secret_matches(peer->key, key.data, key.len);
        bool before = reel_secret_matches(peer->previous_key, key.data, key.len);
        return now || before ? peer : NULL;
    }
    return NULL;
}

static const char wrong_key[] =
    "the service name or its API key is wrong: check the key of this service on both sides";

static void on_hello(struct reel_session *session, const struct reel_packet *packet,
                     const struct reel_frame *hello)
{
    struct reel_server *server = session->server;
    const struct reel_peer_key *peer = authenticate(server, hello->hello.service, hello->hello.key);
    struct reel_frame answer = {
        .kind = REEL_FRAME_HELLO,
        .has_hello = true,
        .hello = {.service = reel_slice_of(server->config.service),
                  .window = REEL_WIRE_WINDOW,
                  .stream_credit = REEL_WIRE_STREAM_CREDIT,
                  .max_message_bytes = server->config.max_message_bytes},
    };
    char text[96];

    if (packet->version != REEL_WIRE_VERSION) {
        snprintf(text, sizeof(text), "protocol version %u is not spoken here, only %d",
                 packet->version, REEL_WIRE_VERSION);
        answer.has_status = true;
        answer.code = REEL_UNIMPLEMENTED;
        answer.message = reel_slice_of(text);
    } else if (!peer) {
        answer.has_status = true;
        answer.code = REEL_UNAUTHENTICATED;
        answer.message = reel_slice_of(wrong_key);
    }
    pthread_mutex_lock(&session->lock);
    if (session->peer) { // said already; what calls rely on does not change under them
        pthread_mutex_unlock(&session->lock);
        return;
    }
    session->peer = answer.has_status ? NULL : peer;
    session->peer_stream_credit = hello->hello.stream_credit;
    if (hello->hello.max_message_bytes > 0 &&
        hello->hello.max_message_bytes < session->peer_max_message)
        session->peer_max_message = (size_t)hello->hello.max_message_bytes;
    if (hello->hello.window > 0 && hello->hello.window < session->link.window)
        session->link.window = hello->hello.window;
    put_or_mute(session, &answer);
    if (atomic_load(&server->draining))
        put_or_mute(session, &(struct reel_frame){.kind = REEL_FRAME_GOAWAY});
    pthread_mutex_unlock(&session->lock);
}

static void answer_version(struct reel_session *session, const struct reel_return_address *address,
                           uint32_t version)
{
    char text[96];

    snprintf(text, sizeof(text), "protocol version %u is not spoken here, only %d", version,
             REEL_WIRE_VERSION);
    reply_status(session, address, REEL_UNIMPLEMENTED, text);
}

// The call with the id, with a reference, or NULL.
static struct reel_call *find_call(struct reel_session *session, uint64_t id)
{
    struct reel_call *call = NULL;

    pthread_mutex_lock(&session->lock);
    struct reel_idmap_node *node = reel_idmap_find(&session->calls, id);
    if (node) {
        call = REEL_CONTAINER_OF(node, struct reel_call, node);
        atomic_fetch_add(&call->refs, 1);
    }
    pthread_mutex_unlock(&session->lock);
    return call;
}

// DATA, END, CREDIT and CANCEL. A frame for a call that is over is no error: they cross.
static void on_call_frame(struct reel_session *session, const struct reel_frame *frame)
{
    struct reel_call *call = find_call(session, frame->call_id);
    int overdrawn = REEL_OK;

    if (!call)
        return;
    if (frame->kind == REEL_FRAME_CANCEL) {
        reel_call_cancel(call, REEL_CANCELLED);
        reel_call_unref(call);
        return;
    }
    pthread_mutex_lock(&session->lock);
    if (frame->kind == REEL_FRAME_CREDIT)
        reel_flow_grant(&call->flow, frame->credit);
    else if (frame->kind == REEL_FRAME_END)
        call->flow.ended = true;
    else if (call->entry->method->client_streaming || call->entry->method->server_streaming)
        overdrawn = reel_flow_push(&call->flow, frame->payload);
    pthread_cond_broadcast(&call->event);
    pthread_mutex_unlock(&session->lock);
    if (overdrawn != REEL_OK)
        reel_call_cancel(call, REEL_RESOURCE_EXHAUSTED);
    reel_call_unref(call);
}

static const struct reel_peer_key *peer_of_cooked(struct reel_session *session,
                                                  const struct reel_frame *frame)
{
    struct reel_slice service = {0};
    struct reel_slice secret = {0};
    struct reel_slice key;
    struct reel_slice value;
    size_t cursor = 0;

    while (reel_frame_next_metadata(frame, &cursor, &key, &value)) {
        if (reel_slice_is(key, REEL_META_SERVICE))
            service = value;
        else if (reel_slice_is(key, REEL_META_KEY))
            secret = value;
    }
    return authenticate(session->server, service, secret);
}

static size_t count_calls(struct reel_session *session)
{
    pthread_mutex_lock(&session->lock);
    size_t n = session->calls.count;
    pthread_mutex_unlock(&session->lock);
    return n;
}

static void on_request(struct reel_session *session, struct reel_inbound *inbound,
                       const struct reel_frame *frame, const struct reel_return_address *address)
{
    const struct reel_peer_key *peer =
        address->cooked ? peer_of_cooked(session, frame) : session->peer;

    if (!peer)
        reply_status(session, address, REEL_UNAUTHENTICATED, wrong_key);
    else if (address->cooked && count_calls(session) >= MAX_COOKED_CALLS)
        reply_status(session, address, REEL_RESOURCE_EXHAUSTED,
                     "too many requests at once on this connection: at most 32 are answered "
                     "without a HELLO");
    else
        reel_dispatch_request(session, inbound, peer, frame, address);
}

// The client is about to close. It is told when nothing more will come, since closing while a peer
// sends is what NNG 1.5.2 may hang in.
static void on_goaway(struct reel_session *session, const struct reel_frame *frame)
{
    const struct reel_frame answer = {.kind = REEL_FRAME_GOAWAY, .call_id = frame->call_id};

    pthread_mutex_lock(&session->lock);
    put_or_mute(session, &answer);
    session->muted = true;
    pthread_mutex_unlock(&session->lock);
    reel_session_cancel(session, NULL);
}

static const char not_multiplexed[] =
    "without a HELLO only a REQUEST or a PING is answered, one in a packet";

static void on_frame(struct reel_session *session, struct reel_inbound *inbound,
                     const struct reel_packet *packet, const struct reel_frame *frame,
                     struct reel_return_address *address)
{
    address->call_id = frame->call_id;
    switch (frame->kind) {
    case REEL_FRAME_HELLO:
        on_hello(session, packet, frame);
        return;
    case REEL_FRAME_REQUEST:
        if (packet->version == REEL_WIRE_VERSION)
            on_request(session, inbound, frame, address);
        else
            answer_version(session, address, packet->version);
        return;
    case REEL_FRAME_PING:
        reel_session_reply(
            session, address,
            &(struct reel_frame){.kind = REEL_FRAME_PONG, .call_id = frame->call_id});
        return;
    case REEL_FRAME_GOAWAY:
        if (!address->cooked)
            on_goaway(session, frame);
        break;
    case REEL_FRAME_DATA:
    case REEL_FRAME_END:
    case REEL_FRAME_CANCEL:
    case REEL_FRAME_CREDIT:
        if (!address->cooked)
            on_call_frame(session, frame);
        break;
    default:
        break; // a later version's, or one that only a server sends
    }
    if (address->cooked)
        reply_status(session, address, REEL_INVALID_ARGUMENT, not_multiplexed);
}

// What a packet is before its frames are acted on.
static bool starts_with_hello(const struct reel_packet *packet)
{
    struct reel_packet copy = *packet;
    struct reel_frame first;

    return reel_packet_next(&copy, &first) == 1 && first.kind == REEL_FRAME_HELLO;
}

static void receive_frames(struct reel_session *session, struct reel_inbound *inbound,
                           struct reel_packet *packet, struct reel_return_address *address)
{
    struct reel_frame frame;
    unsigned n_frames = 0;
    int rc;

    while ((rc = reel_packet_next(packet, &frame)) != 0) {
        if (address->cooked && n_frames++ > 0)
            return; // a cooked client can take one answer
        if (rc > 0) {
            on_frame(session, inbound, packet, &frame, address);
            continue;
        }
        address->call_id = frame.call_id;
        reply_status(session, address, REEL_INVALID_ARGUMENT, "the frame is malformed");
    }
    if (address->cooked && n_frames == 0 && packet->version != REEL_WIRE_VERSION)
        answer_version(session, address, packet->version);
    else if (address->cooked && n_frames == 0)
        reply_status(session, address, REEL_INVALID_ARGUMENT, "the packet has no frame");
}

void reel_session_receive(struct reel_session *session, struct reel_inbound *inbound)
{
    struct reel_return_address address = {.header_len = nng_msg_header_len(inbound->msg)};
    struct reel_packet packet;

    if (address.header_len > sizeof(address.header))
        return;
    memcpy(address.header, nng_msg_header(inbound->msg), address.header_len);
    bool sound = reel_packet_open(nng_msg_body(inbound->msg), nng_msg_len(inbound->msg), &packet);
    pthread_mutex_lock(&session->lock);
    bool deaf = session->muted;
    if (sound && !session->multiplexed && starts_with_hello(&packet)) {
        session->multiplexed = true;
        memcpy(session->header, address.header, address.header_len);
        session->header_len = address.header_len;
    }
    address.cooked = !session->multiplexed;
    session->corked = true;
    if (sound && session->multiplexed)
        reel_link_received(&session->link, &packet);
    pthread_mutex_unlock(&session->lock);

    if (deaf)
        ; // only its acknowledgements count
    else if (sound)
        receive_frames(session, inbound, &packet, &address);
    else
        reply_status(session, &address, REEL_INVALID_ARGUMENT, "the packet is malformed");

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
        put_or_mute(session, &(struct reel_frame){.kind = kind});
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
