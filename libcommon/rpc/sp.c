// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/sp.h"

#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_BYTES = 8,
    TAG = 1,
    // Less room than this at the end of a chunk is not worth a read of its own.
    MIN_ROOM_BYTES = 4096,
};

static struct reel_inbound *new_inbound(size_t cap)
{
    struct reel_inbound *inbound = malloc(sizeof(*inbound) + cap);

    if (!inbound)
        return NULL;
    atomic_init(&inbound->refs, 1);
    inbound->cap = cap;
    return inbound;
}

struct reel_inbound *reel_inbound_ref(struct reel_inbound *inbound)
{
    atomic_fetch_add_explicit(&inbound->refs, 1, memory_order_relaxed);
    return inbound;
}

void reel_inbound_unref(struct reel_inbound *inbound)
{
    if (inbound && atomic_fetch_sub_explicit(&inbound->refs, 1, memory_order_acq_rel) == 1)
        free(inbound);
}

void reel_sp_write_greeting(uint8_t ret_greeting[REEL_SP_GREETING_BYTES], uint16_t protocol)
{
    const uint8_t greeting[REEL_SP_GREETING_BYTES] = {
        0, 'S', 'P', 0, (uint8_t)(protocol >> 8), (uint8_t)protocol, 0, 0};

    memcpy(ret_greeting, greeting, sizeof(greeting));
}

size_t reel_sp_write_head(uint8_t ret_head[REEL_SP_HEAD_MAX], bool tagged, uint64_t len)
{
    uint8_t *out = ret_head;

    if (tagged)
        *out++ = TAG;
    for (int shift = 56; shift >= 0; shift -= 8)
        *out++ = (uint8_t)(len >> shift);
    return (size_t)(out - ret_head);
}

size_t reel_sp_route_len(struct reel_slice message)
{
    for (size_t len = 4; len <= REEL_SP_ROUTE_MAX && len <= message.len; len += 4)
        if (message.data[len - 4] & 0x80)
            return len;
    return 0;
}

void reel_splitter_init(struct reel_splitter *splitter, uint16_t peer, bool tagged,
                        size_t max_bytes)
{
    *splitter = (struct reel_splitter){.peer = peer, .tagged = tagged, .max_bytes = max_bytes};
}

void reel_splitter_fini(struct reel_splitter *splitter)
{
    reel_inbound_unref(splitter->chunk);
    splitter->chunk = NULL;
}

// Nobody else has a reference, nor can get one before the next message is taken.
static bool is_ours(struct reel_inbound *chunk)
{
    return atomic_load_explicit(&chunk->refs, memory_order_acquire) == 1;
}

// Moves what has not been taken to the start of a chunk with `cap` bytes.
static bool move(struct reel_splitter *splitter, size_t cap)
{
    struct reel_inbound *old = splitter->chunk;
    size_t have = splitter->end - splitter->start;

    if (old && old->cap == cap && is_ours(old)) {
        memmove(old->data, old->data + splitter->start, have);
    } else {
        struct reel_inbound *fresh = new_inbound(cap);

        if (!fresh)
            return false;
        if (have > 0)
            memcpy(fresh->data, old->data + splitter->start, have);
        reel_inbound_unref(old);
        splitter->chunk = fresh;
    }
    splitter->start = 0;
    splitter->end = have;
    return true;
}

size_t reel_splitter_room(struct reel_splitter *splitter, uint8_t **ret_room)
{
    size_t cap = REEL_SP_CHUNK_BYTES;

    // A large message has a chunk of its own size, so that none of it is copied twice.
    if (splitter->wanted > cap)
        cap = splitter->wanted;
    const struct reel_inbound *chunk = splitter->chunk;
    bool empty = splitter->start == splitter->end;
    bool filling = chunk && splitter->wanted > REEL_SP_CHUNK_BYTES && chunk->cap == cap &&
                   splitter->start == 0;
    bool roomy = chunk && chunk->cap == cap && chunk->cap - splitter->start >= splitter->wanted &&
                 chunk->cap - splitter->end >= (size_t)MIN_ROOM_BYTES;

    if (!filling && (empty || !roomy) && !move(splitter, cap))
        return 0;
    *ret_room = splitter->chunk->data + splitter->end;
    return splitter->chunk->cap - splitter->end;
}

void reel_splitter_fed(struct reel_splitter *splitter, size_t n)
{
    splitter->end += n;
}

static enum reel_sp_event greet(struct reel_splitter *splitter)
{
    const uint8_t *bytes = splitter->chunk->data + splitter->start;
    uint8_t expected[REEL_SP_GREETING_BYTES];
    size_t have = splitter->end - splitter->start;

    reel_sp_write_greeting(expected, splitter->peer);
    // What is wrong from the first byte on need not be waited for.
    if (memcmp(bytes, expected, have < sizeof(expected) ? have : sizeof(expected)) != 0)
        return REEL_SP_STRANGER;
    if (have < sizeof(expected))
        return REEL_SP_MORE;
    splitter->start += sizeof(expected);
    splitter->greeted = true;
    return REEL_SP_GREETED;
}

enum reel_sp_event reel_splitter_next(struct reel_splitter *splitter,
                                      struct reel_slice *ret_message)
{
    size_t have = splitter->end - splitter->start;
    size_t head = LENGTH_BYTES + splitter->tagged;

    if (have == 0)
        return REEL_SP_MORE;
    if (!splitter->greeted)
        return greet(splitter);
    const uint8_t *bytes = splitter->chunk->data + splitter->start;
    if (splitter->tagged && bytes[0] != TAG)
        return REEL_SP_BROKEN;
    if (have < head)
        return REEL_SP_MORE;
    uint64_t len = 0;
    for (size_t i = head - LENGTH_BYTES; i < head; i++)
        len = len << 8 | bytes[i];
    splitter->announced = len;
    if (len > splitter->max_bytes)
        return REEL_SP_TOO_LARGE;
    splitter->wanted = head + (size_t)len;
    if (have < splitter->wanted)
        return REEL_SP_MORE;
    *ret_message = (struct reel_slice){.data = bytes + head, .len = (size_t)len};
    splitter->start += splitter->wanted;
    splitter->wanted = 0;
    return REEL_SP_MESSAGE;
}
