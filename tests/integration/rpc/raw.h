// SPDX-License-Identifier: Apache-2.0
// One end of a connection by hand: packets as a test likes them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/rpc/wire.h"

struct nng_msg;

// A raw REQ socket that has dialed a server, or a raw REP socket that listens for a channel.
struct raw {
    uint32_t socket;
    uint32_t pipe; // raw REP: of the message received last
};

// A frame that was received, with its message; freed by the next raw_receive or raw_close.
struct raw_packet {
    struct nng_msg *msg;
    struct reel_packet packet;
    struct reel_packet rest; // the frames that raw_await has not looked at
    struct reel_frame frame; // the first, or the one that was awaited
    bool has_frame;
};

// Dials `url`.
void raw_dial(struct raw *raw, const char *url);

// Listens on a free port; the URL goes to ret_url.
void raw_listen(struct raw *raw, char *ret_url, size_t size);

// Closes the socket.
void raw_close(struct raw *raw, struct raw_packet *packet);

// Sends a packet of one frame (or none) with the version and ack. A REP socket answers the
// connection that the last message came from.
void raw_send(struct raw *raw, uint32_t version, uint32_t ack, const struct reel_frame *frame);

// Sends bytes as the content of a packet.
void raw_send_bytes(struct raw *raw, const void *bytes, size_t len);

// Receives the next packet; false after `ms` of silence. Start with a zeroed *packet.
bool raw_receive(struct raw *raw, int ms, struct raw_packet *packet);

// Reads frames, in this packet and those to come, until one is of the kind.
bool raw_await(struct raw *raw, uint32_t kind, struct raw_packet *packet);
