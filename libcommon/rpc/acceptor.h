// SPDX-License-Identifier: Apache-2.0
// A listening address of a server: byte streams come in, whoever vanishes.
#pragma once

#include "libcommon/core/base.h"

struct nng_stream;
struct reel_acceptor;

// Listens on `url`. A TCP port of 0 takes a free one; the file of a Unix socket that nobody listens
// on is replaced. `on_stream` takes each connection over (`url` is borrowed); it is called from one
// thread at a time and must not block. A fault of the system's: -EADDRINUSE and the like; the
// caller names the URL.
int reel_acceptor_open(const char *url,
                       void (*on_stream)(void *arg, const char *url, struct nng_stream *stream),
                       void *arg, struct reel_acceptor **ret_acceptor) REEL_MUST_CHECK;

// Stops listening, waits for on_stream to return, frees. Connections live on. NULL is fine; not
// from on_stream.
void reel_acceptor_close(struct reel_acceptor *acceptor);

// The URL with the port in use. Borrowed.
const char *reel_acceptor_url(const struct reel_acceptor *acceptor);

// Puts a listener that does not answer up again in its place; connections live on. Counts
// reel_rpc_listener_relistens_total. A fault when the address cannot be had again: try once more
// later. One thread at a time.
int reel_acceptor_revive(struct reel_acceptor *acceptor);
