// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <string.h>

#include "libcommon/auth/jwt.h"
#include "svc-user/handlers.h"

enum {
    POLL_MS = 200,
    ARENA_BYTES = 64 * 1024 * 1024,
    // Nobody holds a valid access token of a session revoked longer ago.
    LIFE_S = REEL_JWT_MAX_LIFE_S + 2 * REEL_JWT_LEEWAY_S,
};

// One reader of the feed. It reads from PostgreSQL, so that it hears of the sessions that other
// replicas revoke, and a heartbeat proves that the whole way from there is fresh.
struct watch {
    struct user_svc *svc;
    struct reel_call *call;
    struct reel_arena arena; // of one round
    struct store_feed feed;
    char *snapshot; // what feed.snapshot points to
};

static int send_one(struct watch *watch, const char *session_id, int64_t revoked_us)
{
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    User__Revocation item = USER__REVOCATION__INIT;

    at.seconds = revoked_us / 1000000;
    at.nanos = (int32_t)(revoked_us % 1000000 * 1000);
    item.session_id = (char *)session_id;
    item.revoked_at = &at;
    return reel_call_send(watch->call, &item.base);
}

// Keeps the feed's text beyond the arena's reset.
static int keep_snapshot(struct watch *watch)
{
    char *copy = strdup(watch->feed.snapshot);

    if (!copy)
        return REEL_RESOURCE_EXHAUSTED;
    free(watch->snapshot);
    watch->snapshot = copy;
    watch->feed.snapshot = copy;
    return REEL_OK;
}

static int send_news(struct watch *watch)
{
    struct store db = handlers_store(watch->svc, watch->call);
    struct store_revocation *news = NULL;
    size_t n = 0;

    reel_arena_reset(&watch->arena);
    db.arena = &watch->arena;
    int rc = store_session_revoked(&db, LIFE_S, &watch->feed, &news, &n);
    if (rc == REEL_OK)
        rc = keep_snapshot(watch);
    for (size_t i = 0; rc == REEL_OK && i < n; i++)
        rc = send_one(watch, news[i].session_id, news[i].revoked_us);
    if (rc == REEL_OK)
        rc = send_one(watch, "", watch->feed.at_us);
    return rc;
}

int handle_watch_revocations(struct user_svc *svc, struct reel_call *call,
                             const User__WatchRevocationsRequest *req)
{
    struct watch watch = {.svc = svc, .call = call};
    int rc = REEL_OK;

    (void)req;
    reel_arena_init(&watch.arena, ARENA_BYTES);
    while (rc == REEL_OK && !reel_call_cancelled(call)) {
        rc = send_news(&watch);
        if (rc == REEL_OK && atomic_load(&svc->draining))
            rc = REEL_UNAVAILABLE;
        if (rc == REEL_OK)
            poll(NULL, 0, POLL_MS);
    }
    reel_arena_fini(&watch.arena);
    free(watch.snapshot);
    return rc == REEL_OK ? rc : handlers_fail(call, rc);
}
