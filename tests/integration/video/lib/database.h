// SPDX-License-Identifier: Apache-2.0
// A database of a test's own on a real PostgreSQL, with the video service's tables.
#pragma once

// Makes sure a PostgreSQL is there: without one the program starts itself again under
// tests/lib/with-services.sh. Call it first in main.
void database_need(char **argv);

struct database {
    char name[48];
    char admin_url[512]; // of this database, as administrator
    char url[512];       // as the role of the video service
};

// Creates it and applies the migrations, fails the test when it cannot. Freed by database_drop.
struct database *database_create(void);

// Drops it, also when it is still connected to. NULL is fine.
void database_drop(struct database *database);

// Runs a statement as administrator; the first value of its first row, "" without one. The caller
// frees it. Fails the test on an error.
char *database_sql(const struct database *database, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
