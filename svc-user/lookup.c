// SPDX-License-Identifier: Apache-2.0
#include "svc-user/lookup.h"

#include <errno.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/clock.h"
#include "svc-user/store.h"

enum { ARENA_BYTES = 256 * 1024, PENDING = -EINPROGRESS };

// A lookup that a statement was for.
static void settle(struct lookup *lookup, int rc, const User__User *user)
{
    if (rc == REEL_DEADLINE_EXCEEDED && !reel_deadline_passed(lookup->deadline_us))
        return; // it was another's deadline
    lookup->rc = rc;
    if (rc == REEL_OK)
        lookup->rc = user ? store_user_copy(lookup->arena, user, &lookup->user) : REEL_NOT_FOUND;
}

// Asks for those that are pending; false when none is.
static bool ask(struct reel_pg *pg, struct lookup *lookups, size_t n)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    struct store db = {pg, REEL_NO_DEADLINE, &arena};
    struct lookup *asked[LOOKUP_MOST];
    const char *ids[LOOKUP_MOST];
    User__User *users[LOOKUP_MOST] = {0};
    size_t n_asked = 0;

    reel_arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < n; i++) {
        if (lookups[i].rc != PENDING)
            continue;
        asked[n_asked] = &lookups[i];
        ids[n_asked++] = lookups[i].id;
        if (lookups[i].deadline_us < db.deadline_us)
            db.deadline_us = lookups[i].deadline_us;
    }
    if (n_asked == 0)
        return false;
    int rc = store_user_get_many(&db, ids, n_asked, users);
    for (size_t i = 0; i < n_asked; i++)
        settle(asked[i], rc, users[i]);
    return true;
}

void lookup_users(struct reel_pg *pg, struct lookup *lookups, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lookups[i].rc = PENDING;
    while (ask(pg, lookups, n))
        continue;
}
