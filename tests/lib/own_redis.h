// SPDX-License-Identifier: Apache-2.0
// A redis-server of the test's own, for what would disturb others: killing, pausing, flushing.
#pragma once

struct own_redis;

// Starts one on a Unix socket in a new directory, without persistence, and waits until it answers.
struct own_redis *own_redis_start(void);

// Its URL. Borrowed.
const char *own_redis_url(const struct own_redis *redis);

// Kills it at once (SIGKILL) and waits until it is gone.
void own_redis_kill(struct own_redis *redis);

// Starts it again, empty, after own_redis_kill.
void own_redis_restart(struct own_redis *redis);

// Kills it, removes the directory, frees.
void own_redis_stop(struct own_redis *redis);
