// SPDX-License-Identifier: Apache-2.0
// What client and server share of NNG: sockets with every limit set, messages, errors.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/link.h"

struct nng_msg;

// A received message that several calls read from; gone with the last reference.
struct reel_inbound {
    atomic_uint refs;
    struct nng_msg *msg;
};

enum reel_transport_role { REEL_TRANSPORT_CLIENT, REEL_TRANSPORT_SERVER };

// Opens a raw REQ (client) or raw REP (server) socket whose receive size is bounded to hold a
// payload of `max_message_bytes`. *ret_socket is an nng_socket's id.
int reel_transport_open(enum reel_transport_role role, size_t max_message_bytes,
                        uint32_t *ret_socket) REEL_MUST_CHECK;

// Closes a socket. NNG 1.5.2 may never come back from that when a peer was sending at the moment,
// so it is waited for a second at most. False when it did not come back: the socket is leaked, and
// no connection of this process is cleaned up by NNG any more. Not from a callback.
bool reel_transport_close(uint32_t socket);

// An NNG error as a fault.
int reel_transport_fault(int nng_error);

// Takes a message over (freed also on failure) with one reference, or NULL.
struct reel_inbound *reel_inbound_new(struct nng_msg *msg);

// Takes another reference.
struct reel_inbound *reel_inbound_ref(struct reel_inbound *inbound);

// Drops a reference. NULL is fine.
void reel_inbound_unref(struct reel_inbound *inbound);

// The next packet of the link as a message to send with `header` before it, or NULL when nothing
// may leave now or memory is out.
struct nng_msg *reel_transport_take(struct reel_link *link, const void *header, size_t header_len);

// A packet of one frame outside of any link, as a message with `header`; NULL when memory is out.
struct nng_msg *reel_transport_single(const struct reel_frame *frame, const void *header,
                                      size_t header_len);
