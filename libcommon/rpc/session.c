// SPDX-License-Identifier: Apache-2.0
// One connection of the server: who is at the other end, and what it asks for.
#include <nng/nng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/secret.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/server_internal.h"

// A cooked client has one request in flight for each of its contexts.
enum { MAX_COOKED_CALLS = 32 };

static void free_session(struct reel_session *session)
{
    struct reel_server *server = session->server;

    while (session->cooked_first) {
        struct reel_cooked_reply *reply = session->cooked_first;

        session->cooked_first = reply->next;
        free(reply);
    }
    reel_link_fini(&session->link);
    reel_idmap_fini(&session->calls);
    pthread_mutex_destroy(&session->lock);
    reel_pipe_unref(session->pipe);
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

void reel_session_close(struct reel_session *session, void *unused)
{
    (void)unused;
    reel_pipe_close(session->pipe);
}

void reel_session_expire(struct reel_session *session, void *unused)
{
    struct reel_server *server = session->server;

    (void)unused;
    pthread_mutex_lock(&server->lock);
    bool late =
        !session->greeted && reel_clock_mono_us() - session->opened_us >= REEL_SERVER_GREETING_US;
    pthread_mutex_unlock(&server->lock);
    if (late)
        reel_pipe_close(session->pipe);
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
    reel_session_tell(session, &answer);
    if (atomic_load(&server->draining))
        reel_session_tell(session, &(struct reel_frame){.kind = REEL_FRAME_GOAWAY});
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

// The client is about to close, and is told when nothing more will come.
static void on_goaway(struct reel_session *session, const struct reel_frame *frame)
{
    const struct reel_frame answer = {.kind = REEL_FRAME_GOAWAY, .call_id = frame->call_id};

    pthread_mutex_lock(&session->lock);
    reel_session_tell(session, &answer);
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

static void receive(struct reel_session *session, struct reel_inbound *inbound,
                    struct reel_slice message, struct reel_return_address *address)
{
    const uint8_t *body = message.data + address->route_len;
    struct reel_packet packet;

    bool sound = reel_packet_open(body, message.len - address->route_len, &packet);
    pthread_mutex_lock(&session->lock);
    bool deaf = session->muted;
    if (sound && !session->multiplexed && starts_with_hello(&packet)) {
        session->multiplexed = true;
        memcpy(session->route, address->route, address->route_len);
        session->route_len = address->route_len;
    }
    address->cooked = !session->multiplexed;
    session->corked = true;
    if (sound && session->multiplexed)
        reel_link_received(&session->link, &packet);
    pthread_mutex_unlock(&session->lock);

    if (deaf)
        ; // only its acknowledgements count
    else if (sound)
        receive_frames(session, inbound, &packet, address);
    else
        reply_status(session, address, REEL_INVALID_ARGUMENT, "the packet is malformed");
}

static void on_message(void *arg, struct reel_inbound *inbound, struct reel_slice message)
{
    struct reel_session *session = arg;
    struct reel_return_address address = {.route_len = reel_sp_route_len(message)};

    if (address.route_len == 0) { // nobody whom an answer would reach
        reel_pipe_close(session->pipe);
        return;
    }
    memcpy(address.route, message.data, address.route_len);
    receive(session, inbound, message, &address);
}

static void on_pause(void *arg)
{
    reel_session_uncork(arg);
}

static void on_sent(void *arg)
{
    reel_session_sent(arg);
}

// The session counts among those that have not greeted, until it has.
static void end_greeting(struct reel_session *session)
{
    struct reel_server *server = session->server;

    pthread_mutex_lock(&server->lock);
    server->n_greeting -= !session->greeted;
    session->greeted = true;
    pthread_mutex_unlock(&server->lock);
}

static void on_open(void *arg)
{
    end_greeting(arg);
}

static void on_closed(void *arg, const char *reason)
{
    struct reel_session *session = arg;
    struct reel_server *server = session->server;

    if (reason)
        reel_log(REEL_LOG_WARN, "rpc.connection_ended", REEL_FS("service", server->config.service),
                 REEL_FS("reason", reason));
    end_greeting(session);
    pthread_mutex_lock(&server->lock);
    (void)reel_idmap_remove(&server->sessions, session->node.id);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    pthread_mutex_lock(&session->lock);
    session->closed = true;
    pthread_mutex_unlock(&session->lock);
    reel_session_cancel(session, NULL);
    reel_session_unref(session);
}

static struct reel_session *new_session(struct reel_server *server, const char *url,
                                        struct nng_stream *stream)
{
    struct reel_session *session = calloc(1, sizeof(*session));
    struct reel_pipe_handler handler = {
        .on_open = on_open,
        .on_message = on_message,
        .on_pause = on_pause,
        .on_sent = on_sent,
        .on_closed = on_closed,
        .arg = session,
    };

    if (!session) {
        nng_stream_free(stream);
        return NULL;
    }
    if (reel_pipe_new(stream, url, REEL_PIPE_SERVER,
                      server->config.max_message_bytes + 2 * REEL_WIRE_SLACK, &handler,
                      &session->pipe) != 0) {
        free(session);
        return NULL;
    }
    session->server = server;
    session->opened_us = reel_clock_mono_us();
    session->cooked_last = &session->cooked_first;
    session->peer_max_message = server->config.max_message_bytes;
    atomic_init(&session->refs, 1);
    pthread_mutex_init(&session->lock, NULL);
    reel_idmap_init(&session->calls);
    reel_link_init(&session->link, server->config.max_message_bytes + REEL_WIRE_SLACK,
                   REEL_LINK_MAX_BYTES);
    return session;
}

static void pick_oldest(struct reel_idmap_node *node, void *arg)
{
    struct reel_session *session = REEL_CONTAINER_OF(node, struct reel_session, node);
    struct reel_session **oldest = arg;

    if (!session->greeted && (!*oldest || session->node.id < (*oldest)->node.id))
        *oldest = session;
}

// Who is about to greet does so at once: of those that have not, the oldest is the one to go.
// Called with the server's lock held; the session has a reference.
static struct reel_session *crowd_out(struct reel_server *server)
{
    struct reel_session *oldest = NULL;

    if (server->n_greeting >= REEL_SERVER_MAX_GREETING)
        reel_idmap_each(&server->sessions, pick_oldest, &oldest);
    if (oldest)
        atomic_fetch_add(&oldest->refs, 1);
    return oldest;
}

void reel_session_open(struct reel_server *server, const char *url, struct nng_stream *stream)
{
    struct reel_session *session = new_session(server, url, stream);

    if (!session)
        return;
    pthread_mutex_lock(&server->lock);
    struct reel_session *oldest = crowd_out(server);
    server->n_sessions++;
    session->node.id = ++server->next_session_id;
    bool taken =
        !atomic_load(&server->stopping) && reel_idmap_add(&server->sessions, &session->node) == 0;
    server->n_greeting += taken;
    pthread_mutex_unlock(&server->lock);
    if (taken)
        reel_pipe_start(session->pipe);
    else
        reel_session_unref(session);
    if (oldest) {
        reel_pipe_close(oldest->pipe);
        reel_session_unref(oldest);
    }
}
