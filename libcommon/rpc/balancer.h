// SPDX-License-Identifier: Apache-2.0
// The replicas behind one name: a lane, which is a channel of its own, to each of its addresses,
// and calls spread over the lanes that are ready.
//
// The name is looked up again and again, at once when a connection is lost: replicas that come are
// dialed, those that went are forgotten when their connection has ended. A call belongs to its lane
// until its end. Any thread.
#pragma once

#include "libcommon/rpc/channel.h"
#include "libcommon/rpc/resolve.h"

struct reel_balancer;

// How addresses are looked up; as reel_resolve. It may block, and be in progress still when the
// balancer has been closed.
typedef int (*reel_lookup_fn)(const char *url, struct reel_resolved *ret_resolved,
                              const char **ret_reason);

// Opens the first lane and looks the name up in the background. Strings are copied.
int reel_balancer_open(const struct reel_channel_config *config, reel_lookup_fn lookup,
                       struct reel_balancer **ret_balancer) REEL_MUST_CHECK;

// Closes every lane as reel_channel_close does and frees. NULL is fine.
void reel_balancer_close(struct reel_balancer *balancer);

// The lane for the next call, with a reference: of those that are ready the next in turn; when none
// is, one that connects for the first time; else any.
struct reel_channel *reel_balancer_pick(struct reel_balancer *balancer);

// Whether any lane's peer has answered lately.
bool reel_balancer_is_ready(struct reel_balancer *balancer);

// Waits until a lane is ready; false when the deadline passes first.
bool reel_balancer_wait_ready(struct reel_balancer *balancer, int64_t deadline_us);

// A lane has become ready, or has lost its connection. Not with the lane's lock held.
void reel_balancer_notice(struct reel_balancer *balancer);

// How many lanes there are.
size_t reel_balancer_n_lanes(struct reel_balancer *balancer);
