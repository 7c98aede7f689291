// SPDX-License-Identifier: Apache-2.0
// The RPCs of UserService, and what the files that implement them share.
#pragma once

#include "libcommon/rpc/call.h"
#include "proto/user.reel.h"
#include "svc-user/store.h"
#include "svc-user/svc.h"
#include "svc-user/throttle.h"

// The vtable for reel_server_add; its state is a struct user_svc.
extern const struct user_service_impl user_handlers;

// The store for a call's statements: its arena, and its deadline but ten seconds at most.
struct store handlers_store(struct user_svc *svc, struct reel_call *call);

// The signed-in user, in *ret_user_id. REEL_UNAUTHENTICATED, already told to the caller.
int handlers_user(struct reel_call *call, const char **ret_user_id) REEL_MUST_CHECK;

// Fails a call with what the store or the hasher returned.
int handlers_fail(struct reel_call *call, int code);

// Begins an attempt at a password, which counts as wrong until handlers_settle_guess. REEL_OK; any
// other code is already told to the caller.
int handlers_guard_guess(struct reel_call *call, const struct store *db,
                         const struct throttle_key *key) REEL_MUST_CHECK;

// Corrects the count of an attempt that did not end with a wrong password: REEL_OK forgets the
// failures, for any other code the attempt does not count.
void handlers_settle_guess(const struct store *db, const struct throttle_key *key, int code);

// UserService.Register.
int handle_register(struct user_svc *svc, struct reel_call *call, const User__RegisterRequest *req,
                    User__RegisterResponse *res);

// UserService.GetUser, for the calls that came together; at most LOOKUP_MOST.
void handle_get_users(void *svc, struct reel_gathered *calls, size_t n);

// UserService.UpdateUser.
int handle_update_user(struct user_svc *svc, struct reel_call *call,
                       const User__UpdateUserRequest *req, User__UpdateUserResponse *res);

// UserService.WatchRevocations.
int handle_watch_revocations(struct user_svc *svc, struct reel_call *call,
                             const User__WatchRevocationsRequest *req);
