// SPDX-License-Identifier: Apache-2.0
// One stream's messages that have come and not been taken, and the credit of both directions.
//
// Credit is in bytes; a message costs its payload and REEL_WIRE_STREAM_OVERHEAD. A sender may send
// while its credit is above zero, so one message of any size passes at the end of it. No lock: the
// owner has it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/rpc/wire.h"

struct reel_flow_message {
    uint8_t *data; // malloc'ed, never NULL
    size_t len;
};

// Embed it; fields are private but for reading.
struct reel_flow {
    struct reel_flow_message *ring; // a power of two, or NULL
    size_t ring_size;
    size_t head;
    size_t count;
    int64_t send_credit;
    int64_t recv_credit; // what the peer may still send
    int64_t consumed;    // taken and not yet given back as credit
    bool ended;          // the peer has sent its last message
};

// An empty stream that may send `send_credit` bytes and lets the peer send
// REEL_WIRE_STREAM_CREDIT.
void reel_flow_init(struct reel_flow *flow, uint64_t send_credit);

// Frees what waits.
void reel_flow_fini(struct reel_flow *flow);

// Queues a copy of a message from the peer. REEL_RESOURCE_EXHAUSTED when the peer has overdrawn its
// credit, -ENOMEM.
int reel_flow_push(struct reel_flow *flow, struct reel_slice payload);

// As reel_flow_push for the message that comes with the end of a call, which needs no credit.
int reel_flow_push_last(struct reel_flow *flow, struct reel_slice payload);

// Takes the next message (the caller frees its data); false when none waits. *ret_credit is what to
// give back to the peer now, 0 while it is not worth a frame.
bool reel_flow_pop(struct reel_flow *flow, struct reel_flow_message *ret_message,
                   uint64_t *ret_credit);

// Whether a message may be sent.
bool reel_flow_may_send(const struct reel_flow *flow);

// Counts a message that is sent.
void reel_flow_spend(struct reel_flow *flow, size_t payload_len);

// Adds credit from the peer.
void reel_flow_grant(struct reel_flow *flow, uint64_t credit);
