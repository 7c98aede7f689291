// SPDX-License-Identifier: Apache-2.0
// Reads many users with one statement.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "proto/user.pb-c.h"

struct reel_arena;
struct reel_pg;

enum { LOOKUP_MOST = 64 };

struct lookup {
    const char *id; // a valid one
    int64_t deadline_us;
    struct reel_arena *arena; // for `user`
    User__User *user;         // when rc is REEL_OK
    int rc;                   // as of store_user_get
};

// Reads the users of `n` lookups, at most LOOKUP_MOST. Each keeps its own deadline: those that can
// wait longer than the first whose time is up are asked for again.
void lookup_users(struct reel_pg *pg, struct lookup *lookups, size_t n);
