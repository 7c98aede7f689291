// SPDX-License-Identifier: Apache-2.0
// One attempt after another to reach an address; when and how often is the owner's to say.
#pragma once

#include "libcommon/core/base.h"

struct nng_stream;
struct reel_connector;

// Prepares for dialing `url`. The end of each attempt is told to `on_done`, from a thread of NNG's
// or, when memory is out, from inside reel_connector_dial: a stream, which it takes over, or NULL
// with a fault and, for people, the reason (borrowed). It must not block.
int reel_connector_open(const char *url,
                        void (*on_done)(void *arg, struct nng_stream *stream, int fault,
                                        const char *reason),
                        void *arg, struct reel_connector **ret_connector) REEL_MUST_CHECK;

// Lets the attempts that follow go to another address of the same kind. Not while one is in
// progress. -EINVAL when the URL is too long.
int reel_connector_aim(struct reel_connector *connector, const char *url) REEL_MUST_CHECK;

// Begins an attempt; not while one is in progress, and not from on_done.
void reel_connector_dial(struct reel_connector *connector);

// Ends the attempt, if there is one, with -ECANCELED. Any thread.
void reel_connector_cancel(struct reel_connector *connector);

// As reel_connector_cancel; waits for on_done to return and frees. Not from on_done. NULL is fine.
void reel_connector_close(struct reel_connector *connector);
