// SPDX-License-Identifier: Apache-2.0
// One direction-pair of a connection: frames that wait to be sent, and the acknowledgement window.
//
// While a packet is on its way further frames gather here and leave together. At most
// REEL_WIRE_WINDOW packets are unacknowledged: that bounds what is on its way to a slow reader, and
// tells a drain what has arrived. Packets without frames (bare acknowledgements) do not count. No
// I/O and no lock: the owner has both.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/buf.h"
#include "libcommon/rpc/wire.h"

enum {
    // What waits while more is being made leaves in parts of this size: the peer begins with the
    // first while the next is made. Of 600 to 3000 bytes, this answered most calls at 64 in flight.
    REEL_LINK_PART_BYTES = 2048,
    // A stream's sender waits while more than this does.
    REEL_LINK_SOFT_BYTES = 1 << 20,
};

// Embed it; fields are private but for reading.
struct reel_link {
    struct reel_buf out; // encoded frames from `head` on
    size_t head;
    size_t max_bytes;    // of `out`, beyond which a frame is refused
    size_t packet_bytes; // the largest packet
    size_t pending;      // bytes of frames of the packet that was measured last
    uint32_t window;
    uint32_t sent;
    uint32_t acked; // of `sent`, by the peer
    uint32_t received;
    uint32_t confirmed; // of `received`, to the peer
};

// An empty link. `packet_bytes` bounds a packet, `max_bytes` what may wait.
void reel_link_init(struct reel_link *link, size_t packet_bytes, size_t max_bytes);

// Frees what waits.
void reel_link_fini(struct reel_link *link);

// Back to the state of a new connection; what waits is dropped.
void reel_link_reset(struct reel_link *link);

// Bytes that wait.
size_t reel_link_waiting(const struct reel_link *link);

// Queues a frame. REEL_RESOURCE_EXHAUSTED when too much waits already; frames that end or steer
// calls are small and go in with `urgent`, up to twice the bound.
int reel_link_put(struct reel_link *link, const struct reel_frame *frame, bool urgent);

// The size of the packet that may leave now, 0 when there is none: nothing waits or the window is
// closed, and no acknowledgement is due.
size_t reel_link_measure(struct reel_link *link);

// Writes the packet that reel_link_measure has just measured and counts it as sent.
void reel_link_take(struct reel_link *link, uint8_t *ret_packet);

// Counts a packet that came in and takes note of what it acknowledges.
void reel_link_received(struct reel_link *link, const struct reel_packet *packet);

// Whether all that was put has been sent and acknowledged.
bool reel_link_is_settled(const struct reel_link *link);
