// SPDX-License-Identifier: Apache-2.0
// Reads users by id, many callers with one statement.
//
// While a statement is under way, further callers gather; one of them then asks for all. So under
// load a statement serves dozens, and alone a caller waits for nobody.
#pragma once

#include <stdint.h>

#include "libcommon/core/base.h"
#include "proto/user.pb-c.h"

struct lookup;
struct reel_arena;
struct reel_pg;

// The pool is borrowed until lookup_free.
int lookup_new(struct reel_pg *pg, struct lookup **ret_lookup) REEL_MUST_CHECK;

// Frees; nobody may be inside. NULL is fine.
void lookup_free(struct lookup *lookup);

// The user with this id, in the arena: as store_user_get, as the database has it when the call is
// made or later. Any thread.
int lookup_user(struct lookup *lookup, int64_t deadline_us, struct reel_arena *arena,
                const char *id, User__User **ret_user) REEL_MUST_CHECK;
