// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/id.h"
#include "svc-user/handlers.h"
#include "svc-user/hasher.h"
#include "svc-user/lookup.h"
#include "svc-user/password.h"

// Says which field is taken, and fails in the usual way for everything else.
static int fail_write(struct reel_call *call, int code, const char *constraint)
{
    const char *field = code == REEL_ALREADY_EXISTS ? model_taken_field(constraint) : NULL;

    if (!field)
        return handlers_fail(call, code);
    reel_call_violation(call, field, "is taken");
    return reel_call_fail(call, code, "This %s is taken. Choose another, or sign in.", field);
}

static int refuse_password(struct reel_call *call, const char *flaw)
{
    reel_call_violation(call, "password", "%s", flaw);
    return reel_call_fail(call, REEL_INVALID_ARGUMENT, "The password %s.", flaw);
}

int handle_register(struct user_svc *svc, struct reel_call *call, const User__RegisterRequest *req,
                    User__RegisterResponse *res)
{
    const struct store db = handlers_store(svc, call);
    const char *flaw = model_password_flaw(req->password, req->username, req->email);
    const char *constraint = "";
    char id[REEL_ID_SIZE];
    char hash[PASSWORD_HASH_SIZE];

    if (flaw)
        return refuse_password(call, flaw);
    int rc = hasher_hash(svc->hasher, db.deadline_us, req->password, hash);
    if (rc != REEL_OK)
        return handlers_fail(call, rc);
    reel_id_new(id);
    rc = store_user_insert(&db, id, req, hash, &res->user, &constraint);
    return rc == REEL_OK ? rc : fail_write(call, rc, constraint);
}

_Static_assert((int)LOOKUP_MOST >= (int)REEL_GATHER_MOST, "what comes together is asked together");

void handle_get_users(void *svc, struct reel_gathered *calls, size_t n)
{
    struct user_svc *user_svc = svc;
    struct lookup lookups[LOOKUP_MOST];
    struct reel_gathered *asking[LOOKUP_MOST];
    size_t n_asking = 0;

    for (size_t i = 0; i < n; i++) {
        const struct store db = handlers_store(user_svc, calls[i].call);
        const char *user_id;

        calls[i].rc = handlers_user(calls[i].call, &user_id);
        if (calls[i].rc != REEL_OK)
            continue;
        lookups[n_asking] = (struct lookup){user_id, db.deadline_us, db.arena, NULL, 0};
        asking[n_asking++] = &calls[i];
    }
    lookup_users(user_svc->pg, lookups, n_asking);
    for (size_t i = 0; i < n_asking; i++) {
        User__GetUserResponse *res = asking[i]->res;
        int rc = lookups[i].rc;

        res->user = lookups[i].user;
        asking[i]->rc = rc == REEL_OK ? rc : handlers_fail(asking[i]->call, rc);
    }
}

static const char *value_of(const Google__Protobuf__StringValue *optional)
{
    return optional ? optional->value : NULL;
}

// Whoever has got hold of a token may not guess the password with it: it would be theirs to change.
static int check_current(struct user_svc *svc, struct reel_call *call, const struct store *db,
                         const struct store_account *account, const char *current)
{
    const struct throttle_key key = {account->user->id, ""};
    int rc = handlers_guard_guess(call, db, &key);

    if (rc != REEL_OK)
        return rc;
    rc = hasher_check(svc->hasher, db->deadline_us, current, account->password_hash);
    if (rc == REEL_UNAUTHENTICATED) {
        reel_call_violation(call, "currentPassword", "is wrong");
        return reel_call_fail(call, REEL_PERMISSION_DENIED, "The current password is wrong.");
    }
    handlers_settle_guess(db, &key, rc);
    return rc == REEL_OK ? rc : handlers_fail(call, rc);
}

// Checks the current password and hashes the new one, into the arena and `change`.
static int change_password(struct user_svc *svc, struct reel_call *call, const struct store *db,
                           const char *user_id, const User__UpdateUserRequest *req,
                           struct store_user_change *change)
{
    const char *password = req->password->value;
    const char *current = value_of(req->current_password);
    char *hash = reel_arena_alloc(db->arena, PASSWORD_HASH_SIZE);
    struct store_account account;

    if (!current) {
        reel_call_violation(call, "currentPassword", "is needed to change the password");
        return reel_call_fail(call, REEL_INVALID_ARGUMENT,
                              "To change the password, give the current one as well.");
    }
    int rc = hash ? store_user_account(db, user_id, &account) : REEL_RESOURCE_EXHAUSTED;
    if (rc != REEL_OK)
        return handlers_fail(call, rc);
    const char *flaw =
        model_password_flaw(password, change->username ? change->username : account.user->username,
                            change->email ? change->email : account.user->email);
    if (flaw)
        return refuse_password(call, flaw);
    rc = check_current(svc, call, db, &account, current);
    if (rc != REEL_OK)
        return rc;
    rc = hasher_hash(svc->hasher, db->deadline_us, password, hash);
    change->password_hash = hash;
    change->if_password_version = account.password_version;
    return rc == REEL_OK ? rc : handlers_fail(call, rc);
}

int handle_update_user(struct user_svc *svc, struct reel_call *call,
                       const User__UpdateUserRequest *req, User__UpdateUserResponse *res)
{
    const struct store db = handlers_store(svc, call);
    const char *session_id = reel_call_session_id(call);
    struct store_user_change change = {
        .username = value_of(req->username),
        .email = value_of(req->email),
        .keep_session_id = reel_id_is_valid(session_id) ? session_id : NULL,
    };
    const char *constraint = "";
    const char *user_id;
    int rc = handlers_user(call, &user_id);

    if (rc == REEL_OK && req->password)
        rc = change_password(svc, call, &db, user_id, req, &change);
    if (rc != REEL_OK)
        return rc;
    if (change.username || change.email || change.password_hash)
        rc = store_user_update(&db, user_id, &change, &res->user, &constraint);
    else
        rc = store_user_get(&db, user_id, &res->user);
    return rc == REEL_OK ? rc : fail_write(call, rc, constraint);
}
