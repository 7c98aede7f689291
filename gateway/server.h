// SPDX-License-Identifier: Apache-2.0
// The HTTP daemon: from the library's callbacks to requests, and from replies to the library.
#pragma once

#include <stdint.h>

#include "libcommon/core/base.h"

struct gateway;
struct server;

// Listens and serves on a pool of threads. Logs what is wrong: a port that is taken by its number.
int server_open(struct gateway *gw, struct server **ret_server) REEL_MUST_CHECK;

// The port it listens on.
int server_port(const struct server *server);

// Begins no more connections and closes the port as soon as nobody waits there to be accepted, or
// at `deadline_us` (monotonic).
void server_quiesce(struct server *server, int64_t deadline_us);

// Ends every connection, stops the threads and frees. NULL is fine.
void server_close(struct server *server);
