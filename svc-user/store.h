// SPDX-License-Identifier: Apache-2.0
// The SQL of users and sessions. Everything returned lives in the arena.
//
// All functions return an outcome of reel_pg_exec beside those they name.
#pragma once

#include <stdint.h>

#include "libcommon/auth/digest.h"
#include "libcommon/core/arena.h"
#include "libcommon/pg/pg.h"
#include "proto/user.pb-c.h"
#include "svc-user/model.h"

struct store {
    struct reel_pg *pg;
    int64_t deadline_us;
    struct reel_arena *arena;
};

// What a login needs of an account.
struct store_account {
    User__User *user;
    const char *password_hash;
    int64_t password_version;
};

// Columns to change; NULL keeps the value.
struct store_user_change {
    const char *username;
    const char *email;
    const char *password_hash;
    int64_t if_password_version; // a new password is refused unless the old one still has this
    const char *keep_session_id; // with a new password all other sessions are revoked
};

// Inserts a user and returns it. REEL_ALREADY_EXISTS with the constraint's name in
// *ret_constraint.
int store_user_insert(const struct store *db, const char *id, const User__RegisterRequest *request,
                      const char *password_hash, User__User **ret_user,
                      const char **ret_constraint) REEL_MUST_CHECK;

// One user. REEL_NOT_FOUND.
int store_user_get(const struct store *db, const char *id, User__User **ret_user) REEL_MUST_CHECK;

// The users with these ids, each NULL when there is none; `ret_users` has room for `n`.
int store_user_get_many(const struct store *db, const char *const *ids, size_t n,
                        User__User **ret_users) REEL_MUST_CHECK;

// Copies a user into another arena. REEL_RESOURCE_EXHAUSTED.
int store_user_copy(struct reel_arena *arena, const User__User *user,
                    User__User **ret_copy) REEL_MUST_CHECK;

// The account with this id. REEL_NOT_FOUND.
int store_user_account(const struct store *db, const char *id,
                       struct store_account *ret_account) REEL_MUST_CHECK;

// The account with this username or email, without regard to case. REEL_NOT_FOUND.
int store_user_find(const struct store *db, const char *name,
                    struct store_account *ret_account) REEL_MUST_CHECK;

// Changes a user and, when the password changes, revokes its sessions but for one, in one
// transaction. REEL_NOT_FOUND, REEL_ABORTED when its password is another one by now,
// REEL_ALREADY_EXISTS with the constraint's name in *ret_constraint.
int store_user_update(const struct store *db, const char *id,
                      const struct store_user_change *change, User__User **ret_user,
                      const char **ret_constraint) REEL_MUST_CHECK;

// Replaces a password hash by another of the same password, unless it has changed meanwhile.
int store_user_rehash(const struct store *db, const char *id, const char *old_hash,
                      const char *new_hash) REEL_MUST_CHECK;

// What a new session is made of.
struct store_new_session {
    const char *id;
    const struct model_refresh *refresh;
    const char *user_agent;
    int64_t ttl_s;
};

// Inserts a session of an account. REEL_NOT_FOUND when the account is gone or its password is
// another one by now.
int store_session_insert(const struct store *db, const struct store_account *account,
                         const struct store_new_session *session) REEL_MUST_CHECK;

// Trades a refresh token for the next one and prolongs the session by `ttl_s`. REEL_NOT_FOUND when
// the token is not the present one of a living session.
int store_session_rotate(const struct store *db, const struct model_refresh *old,
                         const struct model_refresh *next, int64_t ttl_s,
                         const char **ret_session_id, User__User **ret_user) REEL_MUST_CHECK;

// Revokes the living session whose family is that of the token but whose present token is another:
// somebody replays an old one. *ret_session_id is it, or NULL when there is none.
int store_session_revoke_replayed(const struct store *db, const struct model_refresh *replayed,
                                  const char **ret_session_id) REEL_MUST_CHECK;

// Revokes a session of a user; one that is not there, or not living, is fine.
int store_session_revoke(const struct store *db, const char *user_id,
                         const char *session_id) REEL_MUST_CHECK;

// Whether the session lives.
int store_session_is_live(const struct store *db, const char *session_id,
                          bool *ret_live) REEL_MUST_CHECK;

// Removes at most `limit` sessions that expired, or were revoked `keep_s` ago. *ret_n is how many.
int store_session_sweep(const struct store *db, int64_t keep_s, int64_t limit,
                        int64_t *ret_n) REEL_MUST_CHECK;

// Where a reader of revocations stands.
struct store_feed {
    const char *snapshot; // what it has seen; NULL: nothing yet
    int64_t at_us;        // the database's time then
};

struct store_revocation {
    const char *session_id;
    int64_t revoked_us; // wall clock
};

// The sessions revoked since `feed` was last passed, each once however late its transaction
// committed; at first those revoked in the last `life_s`. Advances `feed` (its text is in the
// arena).
int store_session_revoked(const struct store *db, int64_t life_s, struct store_feed *feed,
                          struct store_revocation **ret_revocations, size_t *ret_n) REEL_MUST_CHECK;
