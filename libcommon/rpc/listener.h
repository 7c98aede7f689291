// SPDX-License-Identifier: Apache-2.0
// A publisher's listening address, which can be healed.
//
// NNG 1.5.2's listener can die for good when a peer vanishes during the handshake: the process
// lives, connections are taken and swallowed. A listener here can be probed by its owner and put
// up again in its place. One thread at a time.
#pragma once

#include <stdint.h>

#include "libcommon/core/base.h"

struct reel_listener;

// Listens with the socket (an nng_socket's id) on `url`. A TCP port of 0 takes a free one. A fault
// of NNG's: -EADDRINUSE and the like; the caller names the URL.
int reel_listener_open(uint32_t socket, const char *url,
                       struct reel_listener **ret_listener) REEL_MUST_CHECK;

// Stops listening and frees. Connections end. NULL is fine.
void reel_listener_close(struct reel_listener *listener);

// The URL with the port in use. Borrowed.
const char *reel_listener_url(const struct reel_listener *listener);

// Puts a dead listener up again in its place. Its connections end, those that it has greeted and
// swallowed as well. Counts reel_rpc_listener_relistens_total. A fault when the address cannot be
// had again: try once more later.
int reel_listener_revive(struct reel_listener *listener);
