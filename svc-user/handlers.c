// SPDX-License-Identifier: Apache-2.0
#include "svc-user/handlers.h"

#include <stdio.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "libcommon/obs/log.h"
#include "svc-user/hasher.h"
#include "svc-user/keys.h"
#include "svc-user/password.h"

enum { STORE_TIMEOUT_US = 10 * 1000 * 1000 };

struct store handlers_store(struct user_svc *svc, struct reel_call *call)
{
    int64_t deadline_us = reel_deadline_in_us(STORE_TIMEOUT_US);

    if (reel_call_deadline_us(call) < deadline_us)
        deadline_us = reel_call_deadline_us(call);
    return (struct store){svc->pg, deadline_us, reel_call_arena(call)};
}

int handlers_user(struct reel_call *call, const char **ret_user_id)
{
    const char *user_id = reel_call_user_id(call);

    if (!reel_id_is_valid(user_id))
        return reel_call_fail(call, REEL_UNAUTHENTICATED,
                              "Sign in first: this call is made for a user.");
    *ret_user_id = user_id;
    return REEL_OK;
}

int handlers_fail(struct reel_call *call, int code)
{
    switch (code) {
    case REEL_NOT_FOUND:
        return reel_call_fail(call, code, "This account does not exist any more.");
    case REEL_ABORTED:
        return reel_call_fail(call, code, "The account was changed meanwhile. Try again.");
    case REEL_RESOURCE_EXHAUSTED:
        reel_call_retry_after_ms(call, HASHER_RETRY_MS);
        return reel_call_fail(call, code, "Too many people are signing in. Try again.");
    case REEL_UNAVAILABLE:
        reel_call_retry_after_ms(call, 1000);
        return reel_call_fail(call, code, "The user database cannot be reached. Try again.");
    default:
        return reel_call_fail(call, code, "The account could not be worked on. Try again.");
    }
}

static int fail_guess(struct reel_call *call, uint32_t wait_ms)
{
    reel_call_retry_after_ms(call, wait_ms);
    reel_call_quota(call, THROTTLE_POLICY, THROTTLE_FAILURES, THROTTLE_WINDOW_S);
    return reel_call_fail(call, REEL_RESOURCE_EXHAUSTED,
                          "Too many wrong passwords, at most %d in %d minutes. Try again later.",
                          THROTTLE_FAILURES, THROTTLE_WINDOW_S / 60);
}

int handlers_guard_guess(struct reel_call *call, const struct store *db,
                         const struct throttle_key *key)
{
    uint32_t wait_ms;
    int rc = throttle_attempt(db, key, &wait_ms);

    if (rc != REEL_OK)
        return handlers_fail(call, rc);
    return wait_ms > 0 ? fail_guess(call, wait_ms) : REEL_OK;
}

// A count that cannot be set right is no reason to refuse anybody: it passes with its window.
void handlers_settle_guess(const struct store *db, const struct throttle_key *key, int code)
{
    int rc = code == REEL_OK ? throttle_succeeded(db, key) : throttle_refund(db, key);

    if (rc != REEL_OK)
        reel_log(REEL_LOG_WARN, "throttle.not_settled", REEL_FI("code", rc));
}

// Fills the answer to a login or a refresh: a new access token for the session, and what is given.
static int grant(struct user_svc *svc, struct reel_call *call, User__User *user,
                 const char *session_id, const char *refresh_token, User__TokenResponse *res)
{
    struct reel_arena *arena = reel_call_arena(call);
    int64_t now_s = reel_clock_wall_us() / 1000000;
    struct reel_jwt_claims claims = {
        .issued_at_s = now_s,
        .expires_at_s = now_s + svc->config->access_ttl_s,
    };

    snprintf(claims.user_id, sizeof(claims.user_id), "%s", user->id);
    snprintf(claims.session_id, sizeof(claims.session_id), "%s", session_id);
    reel_id_new(claims.token_id);
    res->access_token = reel_arena_alloc(arena, REEL_JWT_SIZE);
    res->refresh_token = reel_arena_strdup(arena, refresh_token);
    if (!res->access_token || !res->refresh_token)
        return REEL_RESOURCE_EXHAUSTED;
    res->token_type = (char *)"Bearer";
    res->expires_in = (int32_t)svc->config->access_ttl_s;
    res->user = user;
    return keys_mint(svc->keys, &claims, res->access_token);
}

// A hash made in another way is replaced while the password is at hand. It can wait when there is
// no room.
static void rehash(struct user_svc *svc, const struct store *db,
                   const struct store_account *account, const char *password)
{
    char hash[PASSWORD_HASH_SIZE];

    if (!password_is_outdated(account->password_hash))
        return;
    int rc = hasher_hash(svc->hasher, db->deadline_us, password, hash);
    if (rc == REEL_OK)
        rc = store_user_rehash(db, account->user->id, account->password_hash, hash);
    reel_log(REEL_LOG_INFO, "password.rehashed", REEL_FS("user_id", account->user->id),
             REEL_FI("code", rc));
}

// An unknown user takes as long as a known one, and gets the same answer as a wrong password.
static int find_account(struct user_svc *svc, const struct store *db, const User__LoginRequest *req,
                        struct store_account *ret_account)
{
    struct store_account account = {0};
    int rc = store_user_find(db, req->username, &account);

    if (rc != REEL_OK && rc != REEL_NOT_FOUND)
        return rc;
    rc = hasher_check(svc->hasher, db->deadline_us, req->password, account.password_hash);
    if (rc == REEL_OK)
        *ret_account = account;
    return rc;
}

// As find_account, unless too many wrong passwords came from where this call comes from.
static int guard_account(struct user_svc *svc, struct reel_call *call, const struct store *db,
                         const User__LoginRequest *req, struct store_account *ret_account)
{
    const struct throttle_key key = {req->username,
                                     reel_call_metadata(call, "reel-client-address")};
    int rc = handlers_guard_guess(call, db, &key);

    if (rc != REEL_OK)
        return rc;
    rc = find_account(svc, db, req, ret_account);
    if (rc == REEL_UNAUTHENTICATED)
        return reel_call_fail(call, rc, "The username or the password is wrong.");
    handlers_settle_guess(db, &key, rc);
    return rc == REEL_OK ? rc : handlers_fail(call, rc);
}

static int handle_login(struct user_svc *svc, struct reel_call *call, const User__LoginRequest *req,
                        User__TokenResponse *res)
{
    const struct store db = handlers_store(svc, call);
    char session_id[REEL_ID_SIZE];
    char token[MODEL_REFRESH_SIZE];
    char user_agent[MODEL_USER_AGENT_SIZE];
    struct model_refresh refresh;
    struct store_account account;
    int rc = guard_account(svc, call, &db, req, &account);

    if (rc != REEL_OK)
        return rc;
    reel_id_new(session_id);
    model_refresh_new(NULL, token);
    model_refresh_digest(token, &refresh);
    model_user_agent(reel_call_metadata(call, "reel-user-agent"), user_agent);
    const struct store_new_session session = {session_id, &refresh, user_agent,
                                              svc->config->session_ttl_s};
    rc = store_session_insert(&db, &account, &session);
    if (rc == REEL_NOT_FOUND)
        return reel_call_fail(call, REEL_UNAUTHENTICATED, "The username or the password is wrong.");
    if (rc != REEL_OK)
        return handlers_fail(call, rc);

    rehash(svc, &db, &account, req->password);
    return grant(svc, call, account.user, session_id, token, res);
}

static int handle_logout(struct user_svc *svc, struct reel_call *call,
                         const User__LogoutRequest *req, User__LogoutResponse *res)
{
    const struct store db = handlers_store(svc, call);
    const char *session_id = reel_call_session_id(call);
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    (void)req;
    (void)res;
    if (rc != REEL_OK)
        return rc;
    if (!reel_id_is_valid(session_id))
        return reel_call_fail(call, REEL_UNAUTHENTICATED, "Sign in first: there is no session.");
    rc = store_session_revoke(&db, user_id, session_id);
    return rc == REEL_OK ? rc : handlers_fail(call, rc);
}

// Whoever shows an old token of a living family may have stolen it, or the thief has the new one:
// the family ends.
static int end_replayed(const struct store *db, struct reel_call *call,
                        const struct model_refresh *replayed)
{
    const char *session_id = NULL;
    int rc = store_session_revoke_replayed(db, replayed, &session_id);

    if (rc != REEL_OK)
        return handlers_fail(call, rc);
    if (session_id)
        reel_log(REEL_LOG_WARN, "session.replayed", REEL_FS("session_id", session_id),
                 REEL_FS("request_id", reel_call_request_id(call)));
    return reel_call_fail(call, REEL_UNAUTHENTICATED,
                          "The refresh token is not valid any more. Sign in again.");
}

static int handle_refresh(struct user_svc *svc, struct reel_call *call,
                          const User__RefreshRequest *req, User__TokenResponse *res)
{
    const struct store db = handlers_store(svc, call);
    struct model_refresh old;
    struct model_refresh next;
    char token[MODEL_REFRESH_SIZE];
    const char *session_id;
    User__User *user;

    if (!model_refresh_digest(req->refresh_token, &old))
        return reel_call_fail(call, REEL_UNAUTHENTICATED,
                              "The refresh token is not valid any more. Sign in again.");
    model_refresh_new(req->refresh_token, token);
    model_refresh_digest(token, &next);
    int rc = store_session_rotate(&db, &old, &next, svc->config->session_ttl_s, &session_id, &user);
    if (rc == REEL_NOT_FOUND)
        return end_replayed(&db, call, &old);
    if (rc != REEL_OK)
        return handlers_fail(call, rc);
    return grant(svc, call, user, session_id, token, res);
}

static int handle_validate(struct user_svc *svc, struct reel_call *call,
                           const User__ValidateRequest *req, User__ValidateResponse *res)
{
    const struct store db = handlers_store(svc, call);
    struct reel_jwt_claims claims;
    bool is_live = false;

    if (keys_verify(svc->keys, req->token, reel_clock_wall_us() / 1000000, &claims) != REEL_OK)
        return REEL_OK;
    int rc = store_session_is_live(&db, claims.session_id, &is_live);
    if (rc != REEL_OK)
        return handlers_fail(call, rc);
    if (!is_live)
        return REEL_OK;

    res->expires_at = reel_arena_alloc(db.arena, sizeof(*res->expires_at));
    res->user_id = reel_arena_strdup(db.arena, claims.user_id);
    res->session_id = reel_arena_strdup(db.arena, claims.session_id);
    if (!res->expires_at || !res->user_id || !res->session_id)
        return REEL_RESOURCE_EXHAUSTED;
    google__protobuf__timestamp__init(res->expires_at);
    res->expires_at->seconds = claims.expires_at_s;
    res->valid = true;
    return REEL_OK;
}

static int handle_list_keys(struct user_svc *svc, struct reel_call *call,
                            const User__ListKeysRequest *req, User__ListKeysResponse *res)
{
    (void)req;
    return keys_list(svc->keys, reel_call_arena(call), &res->keys, &res->n_keys);
}

static int handle_check_session(struct user_svc *svc, struct reel_call *call,
                                const User__CheckSessionRequest *req,
                                User__CheckSessionResponse *res)
{
    const struct store db = handlers_store(svc, call);
    bool is_live = false;
    int rc = store_session_is_live(&db, req->session_id, &is_live);

    if (rc != REEL_OK)
        return handlers_fail(call, rc);
    res->live = is_live;
    return REEL_OK;
}

const struct user_service_impl user_handlers = {
    .register_ = handle_register,
    .login = handle_login,
    .logout = handle_logout,
    .get_user = NULL, // many at once, by handle_get_users
    .update_user = handle_update_user,
    .refresh = handle_refresh,
    .validate = handle_validate,
    .list_keys = handle_list_keys,
    .check_session = handle_check_session,
    .watch_revocations = handle_watch_revocations,
};
