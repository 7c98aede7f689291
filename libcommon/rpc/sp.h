// SPDX-License-Identifier: Apache-2.0
// The SP protocol's wire as REQ and REP speak it: greeting, message lengths, request ids.
//
// A byte stream comes in pieces that have nothing to do with messages. The splitter says where the
// next piece is to be put, and then which messages are complete: they are read where they lie. No
// I/O and no lock: the owner has both.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/wire.h"

enum {
    REEL_SP_REQ = 0x30,
    REEL_SP_REP = 0x31,
    REEL_SP_GREETING_BYTES = 8,
    REEL_SP_HEAD_MAX = 9,
    REEL_SP_MAX_HOPS = 8,                           // devices that a request may have passed
    REEL_SP_CHUNK_BYTES = 64 * 1024,                // of memory for what comes
    REEL_SP_ROUTE_MAX = 4 * (1 + REEL_SP_MAX_HOPS), // bytes before a packet
};

#define REEL_SP_REQUEST_BIT 0x80000000u

// Received bytes that several calls read from; gone with the last reference.
struct reel_inbound {
    atomic_uint refs;
    size_t cap;
    uint8_t data[];
};

// Takes another reference.
struct reel_inbound *reel_inbound_ref(struct reel_inbound *inbound);

// Drops a reference. NULL is fine.
void reel_inbound_unref(struct reel_inbound *inbound);

// Writes the greeting of a side that speaks `protocol`.
void reel_sp_write_greeting(uint8_t ret_greeting[REEL_SP_GREETING_BYTES], uint16_t protocol);

// Writes what comes before a message of `len` bytes; on a Unix socket it is tagged. Returns the
// bytes written.
size_t reel_sp_write_head(uint8_t ret_head[REEL_SP_HEAD_MAX], bool tagged, uint64_t len);

// The bytes before the packet in a message to a server: the request id and the ids of the devices
// that it has passed. 0 when there is none, or when it has passed too many devices.
size_t reel_sp_route_len(struct reel_slice message);

// What the splitter has found.
enum reel_sp_event {
    REEL_SP_MORE,      // nothing complete: read on
    REEL_SP_GREETED,   // the peer's greeting
    REEL_SP_MESSAGE,   // a message
    REEL_SP_STRANGER,  // not a greeting, or that of another protocol
    REEL_SP_TOO_LARGE, // a message was announced that is beyond the limit
    REEL_SP_BROKEN,    // not a message
};

// Embed it; fields are private but for reading.
struct reel_splitter {
    struct reel_inbound *chunk; // what comes, from `start` to `end`
    size_t start;
    size_t end;
    size_t wanted; // bytes from `start` on that the next message has
    size_t max_bytes;
    uint64_t announced; // length of the message that was looked at last
    uint16_t peer;
    bool tagged;
    bool greeted;
};

// Before the first byte. `peer` is the protocol that the other side must speak, `max_bytes` bounds
// a message, `tagged` is for Unix sockets.
void reel_splitter_init(struct reel_splitter *splitter, uint16_t peer, bool tagged,
                        size_t max_bytes);

// Frees what has come and not been taken.
void reel_splitter_fini(struct reel_splitter *splitter);

// Where to put the next bytes, and how many; 0 when memory is out. To be called when
// reel_splitter_next has said MORE: messages that nobody has a reference to are gone.
size_t reel_splitter_room(struct reel_splitter *splitter, uint8_t **ret_room);

// Says that so many bytes have been put there.
void reel_splitter_fed(struct reel_splitter *splitter, size_t n);

// Takes the next event. A message lies in `splitter->chunk` and is borrowed until the next
// reel_splitter_room, unless a reference to the chunk is taken. After STRANGER, TOO_LARGE and
// BROKEN nothing more can be read.
enum reel_sp_event reel_splitter_next(struct reel_splitter *splitter,
                                      struct reel_slice *ret_message);
