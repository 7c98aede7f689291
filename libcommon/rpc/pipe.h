// SPDX-License-Identifier: Apache-2.0
// A connection that carries SP messages: one of NNG's byte streams, greeted, split and joined.
//
// NNG's own req and rep sockets would do the same with two more thread changes on each message's
// way, and with listeners and connections that its 1.5.2 loses when peers vanish (docs/decisions/
// 0017). Callbacks come from NNG's threads, and on_closed may come from inside reel_pipe_start.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/sp.h"

struct nng_stream;
struct reel_pipe;

enum reel_pipe_role { REEL_PIPE_CLIENT, REEL_PIPE_SERVER };

// What its owner does. on_open, on_message and on_pause come one at a time; on_sent beside them.
// They must not block.
struct reel_pipe_handler {
    // The peer has greeted: messages may be sent.
    void (*on_open)(void *arg);
    // A message with the request id that it starts with. Borrowed until return, or for as long as a
    // reference to `inbound` is held.
    void (*on_message)(void *arg, struct reel_inbound *inbound, struct reel_slice message);
    // All that has come so far has been told.
    void (*on_pause)(void *arg);
    // What reel_pipe_send could not send at once has left.
    void (*on_sent)(void *arg);
    // The connection has ended; nothing is called after it. `reason` says what the peer did that is
    // against the protocol, for people, borrowed; NULL when it did not.
    void (*on_closed)(void *arg, const char *reason);
    void *arg;
};

// Takes a stream over (freed also on failure). `url` says what kind it is; a message may have
// `max_bytes`. Starts nothing yet. One reference is the caller's.
int reel_pipe_new(struct nng_stream *stream, const char *url, enum reel_pipe_role role,
                  size_t max_bytes, const struct reel_pipe_handler *handler,
                  struct reel_pipe **ret_pipe) REEL_MUST_CHECK;

// Greets and receives. From here on on_closed comes, once.
void reel_pipe_start(struct reel_pipe *pipe);

// Room for the next message of `len` bytes, NULL when memory is out. To be filled, then sent. One
// thread at a time, and not while a message is on its way.
uint8_t *reel_pipe_room(struct reel_pipe *pipe, size_t len);

// Sends the message. True while it is on its way: then on_sent will come, or on_closed. Of what
// cannot be sent on_closed tells.
bool reel_pipe_send(struct reel_pipe *pipe);

// Ends the connection; on_closed follows. Any thread, more than once.
void reel_pipe_close(struct reel_pipe *pipe);

// Drops the caller's reference. NULL is fine.
void reel_pipe_unref(struct reel_pipe *pipe);
