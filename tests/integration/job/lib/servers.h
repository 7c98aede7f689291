// SPDX-License-Identifier: Apache-2.0
// A real PostgreSQL and a real Redis for a test: a database of its own with the job service's
// tables, a queue of its own.
#pragma once

#include <stddef.h>

// Makes sure the servers are there: without them the program starts itself again under
// tests/lib/with-services.sh. Call it first in main.
void servers_need(char **argv);

struct database {
    char name[48];
    char admin_url[512]; // of this database, as administrator
    char url[512];       // as the role of the job service
};

// Creates it and applies the migrations; fails the test when it cannot. Freed by database_drop.
struct database *database_create(void);

// Drops it, also when it is still connected to. NULL is fine.
void database_drop(struct database *database);

// Runs a statement as administrator; the first value of its first row, "" without one. The caller
// frees it. Fails the test on an error.
char *database_sql(const struct database *database, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// As database_sql, the value as a number.
long database_number(const struct database *database, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

struct redisReply;
struct redisContext;

// A queue's keys, seen from outside.
struct tap {
    struct redisContext *redis;
    char name[48];   // of the queue, new with each tap
    char prefix[64]; // "test:<name>:"
};

// Connects under a new queue name; fails the test when it cannot.
void tap_open(struct tap *tap);

// Deletes the queue's keys and disconnects.
void tap_close(struct tap *tap);

// Runs a command; fails the test on an error. The caller frees the reply with freeReplyObject.
struct redisReply *tap_run(struct tap *tap, const char *fmt, ...);

// Runs a command and forgets its answer; fails the test on an error.
void tap_do(struct tap *tap, const char *fmt, ...);

// "<prefix><suffix>", in one of eight buffers used in turn.
const char *tap_key(const struct tap *tap, const char *suffix);

// The integer that a command answers.
long long tap_int(struct tap *tap, const char *fmt, ...);

// The string that a command answers, "" for nil. The caller frees it.
char *tap_text(struct tap *tap, const char *fmt, ...);

// Names of the queue's events so far, joined by commas. The caller frees it.
char *tap_events(struct tap *tap);

// Fails the test unless every job is in exactly one state, every id in a state has a job, and every
// lock belongs to an active job.
void tap_check(struct tap *tap);
