// SPDX-License-Identifier: Apache-2.0
// A proxy in front of PostgreSQL that fails on purpose, for tests.
#pragma once

enum cut {
    CUT_REQUEST, // both connections are cut before the marked bytes reach the server
    CUT_ANSWER,  // the marked bytes reach the server, its answer reaches nobody
    CUT_SILENCE, // from the marked bytes on nothing is passed on, and nothing is closed
};

struct cutter;

// Starts a proxy in a thread, on a Unix socket in a new directory, in front of the server of `url`.
// Bytes pass until `marker` is seen from the client. Fails the test when it cannot.
struct cutter *cutter_start(const char *url, const char *marker, enum cut cut);

// A libpq connection string that leads through the proxy. Borrowed.
const char *cutter_conninfo(const struct cutter *cutter);

// Stops the thread, removes the directory, frees.
void cutter_stop(struct cutter *cutter);
