// SPDX-License-Identifier: Apache-2.0
// Keeps one connection of a socket up.
//
// NNG's own dialer tells nobody why it fails, waits ten seconds for a greeting that does not come,
// and in 1.5.2 gives up for good when a peer vanishes at the wrong moment. So every attempt here is
// a dialer of its own, bounded in time, with jittered backoff between them.
#pragma once

#include <stdint.h>

#include "libcommon/core/base.h"

struct reel_dialer;

// Dials `url` with the socket (an nng_socket's id) from a thread of its own. After each attempt
// that fails `on_failure` is called from that thread with the reason, which is borrowed.
int reel_dialer_open(uint32_t socket, const char *url,
                     void (*on_failure)(void *arg, const char *reason), void *arg,
                     struct reel_dialer **ret_dialer) REEL_MUST_CHECK;

// Ends the dialer that made the connection `pipe`. To be called from the callback that says that
// the connection is gone (NNG_PIPE_EV_REM_POST): later NNG dials again by itself, in half of all
// cases at once, and what it makes is closed under its calls by the attempt that follows.
void reel_dialer_retire(uint32_t pipe);

// Says that the connection is gone: dial again. From any thread, also from a callback.
void reel_dialer_lost(struct reel_dialer *dialer);

// Gives an attempt up that has taken too long. To be called a few times a second while there is no
// connection; not from a callback.
void reel_dialer_tick(struct reel_dialer *dialer);

// Stops dialing and frees; to be called before the socket closes, with no other call in progress.
// The connection that is up ends. NULL is fine.
void reel_dialer_close(struct reel_dialer *dialer);
