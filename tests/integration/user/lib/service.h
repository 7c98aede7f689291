// SPDX-License-Identifier: Apache-2.0
// The whole user service in the test's process: real PostgreSQL, real RPC over inproc://, keys in a
// directory of its own.
#pragma once

#include "libcommon/rpc/channel.h"
#include "proto/user.reel.h"
#include "svc-user/svc.h"
#include "tests/lib/own_database.h"

#define SERVICE_PASSWORD "correct horse battery"

struct service {
    struct own_database *database;
    struct user_config config;
    struct user_svc *svc;
    struct reel_channel *channel; // to the service, as the gateway
    struct reel_arena arena;      // for requests and answers, until service_stop
    struct reel_pg *pg;           // as the administrator
    char keys_dir[40];
    char url[64];
};

// Who makes a call.
struct caller {
    const char *user_id;
    const char *session_id;
    const char *address; // where the client is
};

// What a login gave.
struct login {
    User__TokenResponse *tokens;
    struct caller caller;
};

// Starts everything and waits until it can be called. Fits a cmocka setup.
int service_start(void **state);

// Stops everything and removes database and keys. Fits a cmocka teardown.
int service_stop(void **state);

// Forgets every user and session: a service started by the group's setup is as new for the next
// case. Fits a cmocka setup.
int service_reset(void **state);

// Another replica on the same database and the same keys, at `url`; the caller frees it.
struct user_svc *service_replica(struct service *service, struct user_config *config,
                                 const char *url);

// A channel to the service at `url` as the gateway, ready; the caller closes it.
struct reel_channel *service_channel(const char *url);

// Calls a method for somebody (NULL: for nobody). The request is built from JSON-style paths and
// texts, ended by NULL. Answers the code; *ret_response (if not NULL) and ret_status' strings live
// in the arena.
int service_call(struct service *service, unsigned method, const struct caller *caller,
                 void *ret_response, struct reel_status *ret_status, ...);

// Registers a user with SERVICE_PASSWORD and the email <username>@example.org.
User__User *service_register(struct service *service, const char *username);

// Signs a user in with SERVICE_PASSWORD.
struct login service_login(struct service *service, const char *username);

// Runs a statement as the administrator; its first value, in the arena, or NULL.
const char *service_sql(struct service *service, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// The first violation's field, or "".
const char *service_violation(const struct reel_status *status);
