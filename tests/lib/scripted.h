// SPDX-License-Identifier: Apache-2.0
// A server that greets like Redis and then says one scripted thing, for tests.
#pragma once

struct scripted;

// Starts it in a thread, on a Unix socket in a new directory. Every command is answered with "+OK"
// until `marker` is seen; that one is answered with `says`, or by hanging up when it is NULL.
struct scripted *scripted_start(const char *marker, const char *says);

// Its Redis URL. Borrowed.
const char *scripted_url(const struct scripted *server);

// Stops the thread, removes the directory, frees.
void scripted_stop(struct scripted *server);
