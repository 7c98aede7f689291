// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/gateway/services.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/auth/jwt.h"
#include "libcommon/core/clock.h"
#include "libcommon/rpc/bus.h"
#include "libcommon/rpc/call.h"
#include "proto/job.reel.h"
#include "proto/user.reel.h"
#include "proto/video.reel.h"

struct user_svc {
    struct services s;
};
struct video_svc {
    struct services s;
};
struct job_svc {
    struct services s;
};

static void nap_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static User__User *make_user(struct services *s, struct reel_call *call, const char *name)
{
    User__User *user = reel_arena_alloc(reel_call_arena(call), sizeof(*user));
    user__user__init(user);
    user->id = s->user_id;
    user->username = reel_arena_strdup(reel_call_arena(call), name);
    user->email = (char *)"a@example.org";
    return user;
}

static int handle_register(struct user_svc *svc, struct reel_call *call,
                           const User__RegisterRequest *req, User__RegisterResponse *res)
{
    atomic_fetch_add(&svc->s.calls, 1);
    if (strcmp(req->username, "taken") == 0)
        return reel_call_fail(call, REEL_ALREADY_EXISTS, "The name is taken. Choose another.");
    res->user = make_user(&svc->s, call, req->username);
    return REEL_OK;
}

static int handle_login(struct user_svc *svc, struct reel_call *call, const User__LoginRequest *req,
                        User__TokenResponse *res)
{
    char token[REEL_JWT_SIZE];
    const char *agent = reel_call_metadata(call, "reel-user-agent");
    atomic_fetch_add(&svc->s.calls, 1);
    pthread_mutex_lock(&svc->s.lock);
    snprintf(svc->s.user_agent, sizeof(svc->s.user_agent), "%s", agent ? agent : "none");
    pthread_mutex_unlock(&svc->s.lock);
    if (strncmp(req->password, "guessed", 7) == 0) {
        reel_call_retry_after_ms(call, 899100);
        if (strcmp(req->password, "guessed too often") == 0)
            reel_call_quota(call, "login", 10, 900);
        return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED, "Too many wrong passwords.");
    }
    if (strcmp(req->password, "right password") != 0)
        return reel_call_fail(call, REEL_UNAUTHENTICATED, "Name or password is wrong.");
    services_token(&svc->s, svc->s.user_id, 300, token);
    res->access_token = reel_arena_strdup(reel_call_arena(call), token);
    res->token_type = (char *)"Bearer";
    res->expires_in = 300;
    res->user = make_user(&svc->s, call, req->username);
    return REEL_OK;
}

static int handle_logout(struct user_svc *svc, struct reel_call *call,
                         const User__LogoutRequest *req, User__LogoutResponse *res)
{
    (void)call;
    (void)req;
    (void)res;
    atomic_fetch_add(&svc->s.calls, 1);
    return REEL_OK;
}

static int handle_get_user(struct user_svc *svc, struct reel_call *call,
                           const User__GetUserRequest *req, User__GetUserResponse *res)
{
    (void)req;
    atomic_fetch_add(&svc->s.calls, 1);
    if (!reel_call_user_id(call))
        return reel_call_fail(call, REEL_UNAUTHENTICATED, "no user");
    res->user = make_user(&svc->s, call, reel_call_request_id(call));
    return REEL_OK;
}

static int handle_list_keys(struct user_svc *svc, struct reel_call *call,
                            const User__ListKeysRequest *req, User__ListKeysResponse *res)
{
    struct reel_arena *arena = reel_call_arena(call);
    (void)req;
    res->keys = reel_arena_array(arena, 1, sizeof(*res->keys));
    res->n_keys = 1;
    res->keys[0] = reel_arena_alloc(arena, sizeof(**res->keys));
    user__public_key__init(res->keys[0]);
    res->keys[0]->kid = svc->s.kid;
    res->keys[0]->pem = atomic_load(&svc->s.keys_broken) ? (char *)"no key" : svc->s.public_pem;
    return REEL_OK;
}

static int handle_check_session(struct user_svc *svc, struct reel_call *call,
                                const User__CheckSessionRequest *req,
                                User__CheckSessionResponse *res)
{
    (void)call;
    (void)req;
    res->live = !atomic_load(&svc->s.session_ended);
    return REEL_OK;
}

static int handle_watch_revocations(struct user_svc *svc, struct reel_call *call,
                                    const User__WatchRevocationsRequest *req)
{
    bool told = false;
    (void)req;
    while (!reel_call_cancelled(call) && !reel_call_draining(call)) {
        User__Revocation item = USER__REVOCATION__INIT;
        const bool silent = atomic_load(&svc->s.feed_silent);
        // What is not sent is not told.
        if (!silent && atomic_load(&svc->s.session_ended) &&
            (!told || atomic_load(&svc->s.feed_repeats))) {
            item.session_id = svc->s.session_id;
            told = true;
            atomic_fetch_add(&svc->s.feed_told, 1);
        }
        if (!silent && reel_call_send(call, &item.base) != REEL_OK)
            break;
        nap_ms(50);
    }
    return REEL_UNAVAILABLE;
}

static int handle_list_videos(struct video_svc *svc, struct reel_call *call,
                              const Video__ListVideosRequest *req, Video__ListVideosResponse *res)
{
    atomic_fetch_add(&svc->s.calls, 1);
    if (strcmp(req->cursor, "slow") == 0) {
        while (!reel_call_cancelled(call))
            nap_ms(5);
        atomic_fetch_add(&svc->s.cancelled, 1);
        return REEL_CANCELLED;
    }
    res->next_cursor = req->cursor;
    return REEL_OK;
}

static int handle_get_video(struct video_svc *svc, struct reel_call *call,
                            const Video__GetVideoRequest *req, Video__GetVideoResponse *res)
{
    (void)res;
    atomic_fetch_add(&svc->s.calls, 1);
    return reel_call_fail(call, REEL_NOT_FOUND, "There is no video %s.", req->video_id);
}

static int handle_resize(struct video_svc *svc, struct reel_call *call,
                         const Video__ResizeRequest *req, Video__OperationResponse *res)
{
    atomic_fetch_add(&svc->s.calls, 1);
    if (req->width == 16)
        return reel_call_fail(call, -5, "disk on fire at /secret/path");
    res->job_id = res->operation_id = req->video_id;
    res->status = (char *)"pending";
    return REEL_OK;
}

static int receive_all(struct services *s, struct reel_call *call, struct reel_arena *arena,
                       char *ret_name)
{
    uint64_t hash = 0;
    int64_t bytes = 0;
    ProtobufCMessage *message = NULL;
    int rc;
    while ((rc = reel_call_recv(call, arena, &message)) == REEL_OK && message) {
        const Video__UploadRequest *part = (const Video__UploadRequest *)message;
        if (part->part_case == VIDEO__UPLOAD_REQUEST__PART_START) {
            strncpy(ret_name, part->start->filename, 255);
        } else {
            hash = services_hash(hash, part->chunk.data, part->chunk.len);
            bytes += (int64_t)part->chunk.len;
            atomic_store(&s->uploaded_bytes, bytes);
        }
        reel_arena_reset(arena);
        while (atomic_load(&s->upload_stuck) && !reel_call_cancelled(call))
            nap_ms(5);
    }
    atomic_store(&s->uploaded_hash, hash);
    if (rc != REEL_OK)
        atomic_fetch_add(&s->uploads_cancelled, 1);
    return rc;
}

static int handle_upload(struct video_svc *svc, struct reel_call *call, Video__Video *res)
{
    char name[256] = "";
    struct reel_arena arena;
    atomic_fetch_add(&svc->s.calls, 1);
    reel_arena_init(&arena, 4 * 1024 * 1024);
    int rc = receive_all(&svc->s, call, &arena, name);
    reel_arena_fini(&arena);
    if (rc != REEL_OK)
        return rc;
    if (strcmp(name, "refused.mp4") == 0)
        return reel_call_fail(call, REEL_INVALID_ARGUMENT, "This is no video.");
    res->video_id = svc->s.user_id;
    res->name = reel_arena_strdup(reel_call_arena(call), name);
    res->size_bytes = atomic_load(&svc->s.uploaded_bytes);
    return REEL_OK;
}

static int handle_get_asset(struct video_svc *svc, struct reel_call *call,
                            const Video__GetAssetRequest *req, Video__Asset *res)
{
    Google__Protobuf__Timestamp *modified =
        reel_arena_alloc(reel_call_arena(call), sizeof(*modified));
    google__protobuf__timestamp__init(modified);
    modified->seconds = 784111777;
    (void)req;
    res->storage_key = svc->s.asset_key;
    res->size_bytes = ASSET_BYTES;
    res->etag = (char *)"tag-1";
    res->content_type = (char *)"video/mp4";
    res->filename = (char *)"a \"b\"\r\nX: y\xc3\xa9.mp4";
    res->last_modified = modified;
    res->attachment = true;
    return REEL_OK;
}

static int handle_read_asset(struct video_svc *svc, struct reel_call *call,
                             const Video__ReadAssetRequest *req)
{
    static const size_t piece = 65536;
    uint8_t *data = reel_arena_alloc(reel_call_arena(call), piece);
    (void)svc;
    for (int64_t at = 0; at < req->length;) {
        Video__AssetChunk chunk = VIDEO__ASSET_CHUNK__INIT;
        size_t n = req->length - at < (int64_t)piece ? (size_t)(req->length - at) : piece;
        for (size_t i = 0; i < n; i++)
            data[i] = services_asset_byte((uint64_t)(req->offset + at) + i);
        chunk.data.data = data;
        chunk.data.len = n;
        int rc = reel_call_send(call, &chunk.base);
        if (rc != REEL_OK)
            return rc;
        at += (int64_t)n;
    }
    return REEL_OK;
}

static void fill_event(struct services *s, Job__JobEvent *event, const char *user_id, int64_t seq)
{
    job__job_event__init(event);
    event->seq = seq;
    event->type = (char *)(seq > 0 ? "job.started" : "job.progress");
    event->job_id = s->session_id;
    event->user_id = (char *)user_id;
}

static int handle_list_events(struct job_svc *svc, struct reel_call *call,
                              const Job__ListEventsRequest *req, Job__ListEventsResponse *res)
{
    struct services *s = &svc->s;
    struct reel_arena *arena = reel_call_arena(call);
    atomic_fetch_add(*req->user_id ? &s->events_asked : &s->events_read, 1);
    atomic_bool *held = *req->user_id ? &s->events_held : &s->record_held;
    while (atomic_load(held) && !reel_call_cancelled(call))
        nap_ms(5);
    if (atomic_load(&s->events_refused))
        return REEL_UNAVAILABLE;
    pthread_mutex_lock(&s->lock);
    res->events = reel_arena_array(arena, MAX_EVENTS, sizeof(*res->events));
    for (unsigned i = 0; i < s->n_events; i++) {
        if (s->events[i] <= req->after_seq || res->n_events == (size_t)req->limit)
            continue;
        Job__JobEvent *event = reel_arena_alloc(arena, sizeof(*event));
        fill_event(s, event, s->user_id, s->events[i]);
        res->events[res->n_events++] = event;
    }
    res->last_seq = s->n_events > 0 ? s->events[s->n_events - 1] : 0;
    res->oldest_seq = s->oldest_seq;
    pthread_mutex_unlock(&s->lock);
    return REEL_OK;
}

void services_event(struct services *s, const char *user_id, int64_t seq, bool lost)
{
    Job__JobEvent event;
    uint8_t packed[512];
    fill_event(s, &event, user_id, seq);
    pthread_mutex_lock(&s->lock);
    if (seq > 0)
        s->events[s->n_events++] = seq;
    pthread_mutex_unlock(&s->lock);
    size_t len = job__job_event__pack(&event, packed);
    if (!lost)
        reel_publisher_send(s->publisher, event.type, packed, len);
}

unsigned char services_asset_byte(uint64_t position)
{
    return (unsigned char)(position * 31 + (position >> 8) * 17 + (position >> 16));
}

uint64_t services_hash(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++)
        hash = hash * 1099511628211u + bytes[i] + 1;
    return hash;
}

void services_token(struct services *s, const char *user_id, int64_t life_s, char ret_token[1025])
{
    struct reel_jwt_claims claims = {0};
    int64_t now_s = reel_clock_wall_us() / 1000000;
    memcpy(claims.user_id, user_id, REEL_ID_SIZE);
    memcpy(claims.session_id, s->session_id, REEL_ID_SIZE);
    reel_id_new(claims.token_id);
    // A life that is over already began before now.
    claims.issued_at_s = life_s > 0 ? now_s : now_s + life_s - 60;
    claims.expires_at_s = now_s + life_s;
    if (reel_jwt_mint(s->kid, s->private_pem, &claims, ret_token) != REEL_OK)
        ret_token[0] = '\0';
}

static const struct user_service_impl user_impl = {
    .register_ = handle_register,
    .login = handle_login,
    .logout = handle_logout,
    .get_user = handle_get_user,
    .list_keys = handle_list_keys,
    .check_session = handle_check_session,
    .watch_revocations = handle_watch_revocations,
};
static const struct video_service_impl video_impl = {
    .list_videos = handle_list_videos,
    .get_video = handle_get_video,
    .resize = handle_resize,
    .upload = handle_upload,
    .get_asset = handle_get_asset,
    .read_asset = handle_read_asset,
};
static const struct job_service_impl job_impl = {.list_events = handle_list_events};

int services_start(struct services *s, const char *url, const char *events_url)
{
    static const struct reel_peer_key peer = {
        .service = "gateway", .key = "test-key", .may_speak_for_users = true};
    const struct reel_server_config config = {
        .service = "test", .urls = &url, .n_urls = 1, .peers = &peer, .n_peers = 1};
    pthread_mutex_init(&s->lock, NULL);
    reel_id_new(s->user_id);
    reel_id_new(s->other_user_id);
    reel_id_new(s->session_id);
    strcpy(s->asset_key, "asset/original");
    int rc = reel_eckey_generate(s->private_pem);
    if (rc == REEL_OK)
        rc = reel_eckey_public(s->private_pem, s->public_pem, s->kid);
    if (rc == REEL_OK)
        rc = reel_server_new(&config, &s->server);
    if (rc == REEL_OK)
        rc = reel_publisher_open(events_url, &s->publisher);
    if (rc != REEL_OK)
        return rc;
    reel_server_add(s->server, &user_service, &user_impl, s);
    reel_server_add(s->server, &video_service, &video_impl, s);
    reel_server_add(s->server, &job_service, &job_impl, s);
    return reel_server_start(s->server);
}

void services_stop(struct services *s)
{
    reel_server_free(s->server);
    s->server = NULL;
    reel_publisher_close(s->publisher);
    s->publisher = NULL;
}
