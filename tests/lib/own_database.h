// SPDX-License-Identifier: Apache-2.0
// An empty database of the test's own on the server of DATABASE_URL: tests run side by side.
#pragma once

struct own_database;

// Creates it. Without DATABASE_URL it says how to run the test and exits with status 1.
struct own_database *own_database_create(void);

// Its URL, as the administrator. Borrowed.
const char *own_database_url(const struct own_database *database);

// Its URL, as the role `role` ("reel_user"). Borrowed until the next call.
const char *own_database_url_as(struct own_database *database, const char *role);

// Runs statements as the administrator; fails the test when one fails.
void own_database_exec(const struct own_database *database, const char *sql);

// Drops it, though connections may be open, and frees.
void own_database_drop(struct own_database *database);
