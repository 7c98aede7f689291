// SPDX-License-Identifier: Apache-2.0
// What client, server and events share of NNG: its errors, its URLs, the end of its sockets.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"

enum { REEL_TRANSPORT_URL_MAX = 256 };

// Closes a socket. NNG 1.5.2 may never come back from that when a peer was sending at the moment,
// so it is waited for a second at most. False when it did not come back: the socket is leaked, and
// no socket of this process is cleaned up by NNG any more. Not from a callback.
bool reel_transport_close(uint32_t socket);

// An NNG error as a fault.
int reel_transport_fault(int nng_error);

// The URL by which NNG makes byte streams for one of ours: inproc://NAME, which it has only for
// sockets, becomes an abstract Unix socket of this process. -EINVAL when the URL is too long, or
// neither TCP's nor a Unix socket's.
int reel_transport_stream_url(const char *url,
                              char ret_url[REEL_TRANSPORT_URL_MAX]) REEL_MUST_CHECK;

// Whether the URL stays on this machine, on a Unix socket.
bool reel_transport_is_local(const char *url);

// Whether the URL asks for a TCP port that is free.
bool reel_transport_has_free_port(const char *url);

// Puts the port that was found in the place of the 0 in such a URL, which is freed and replaced.
// -ENOMEM leaves it as it is.
int reel_transport_set_port(char **url, int port) REEL_MUST_CHECK;

// Counts a dead listener that is put up again: reel_rpc_listener_relistens_total.
void reel_transport_count_relisten(void);
