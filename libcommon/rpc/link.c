// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/link.h"

#include <string.h>

enum {
    // Packets are filled to this size unless one frame is larger: beyond it coalescing saves
    // nothing and makes small frames wait.
    PACKET_FILL_BYTES = 256 * 1024,
    // Memory kept between bursts.
    KEEP_BYTES = 256 * 1024,
};

void reel_link_init(struct reel_link *link, size_t packet_bytes, size_t max_bytes)
{
    *link = (struct reel_link){
        .max_bytes = max_bytes,
        .packet_bytes = packet_bytes,
        .window = REEL_WIRE_WINDOW,
    };
    reel_buf_init(&link->out, 2 * max_bytes + packet_bytes);
}

void reel_link_fini(struct reel_link *link)
{
    reel_buf_fini(&link->out);
    link->head = 0;
}

void reel_link_reset(struct reel_link *link)
{
    size_t packet_bytes = link->packet_bytes;
    size_t max_bytes = link->max_bytes;

    reel_link_fini(link);
    reel_link_init(link, packet_bytes, max_bytes);
}

size_t reel_link_waiting(const struct reel_link *link)
{
    return link->out.len - link->head;
}

static void compact(struct reel_link *link)
{
    size_t waiting = reel_link_waiting(link);

    if (waiting == 0 && link->out.cap > KEEP_BYTES)
        reel_buf_fini(&link->out);
    else if (waiting > 0 && link->head < link->out.len / 2)
        return;
    else if (waiting > 0)
        memmove(link->out.data, link->out.data + link->head, waiting);
    link->out.len = waiting;
    link->head = 0;
}

int reel_link_put(struct reel_link *link, const struct reel_frame *frame, bool urgent)
{
    size_t bound = urgent ? 2 * link->max_bytes : link->max_bytes;

    if (reel_link_waiting(link) >= bound)
        return REEL_RESOURCE_EXHAUSTED;
    reel_frame_write(&link->out, frame);
    if (!link->out.failed)
        return REEL_OK;
    link->out.failed = false;
    return REEL_RESOURCE_EXHAUSTED;
}

size_t reel_link_measure(struct reel_link *link)
{
    uint8_t head[REEL_PACKET_HEAD_MAX];
    size_t head_len = reel_packet_head(head, link->received);
    size_t waiting = reel_link_waiting(link);
    const uint8_t *frames;

    link->pending = 0;
    if (waiting == 0 || link->sent - link->acked >= link->window)
        return link->received - link->confirmed >= REEL_WIRE_ACK_EVERY ? head_len : 0;
    if (waiting <= PACKET_FILL_BYTES) {
        link->pending = waiting;
        return head_len + waiting;
    }
    frames = (const uint8_t *)link->out.data + link->head;
    while (link->pending < waiting) {
        size_t extent = reel_frame_extent(frames + link->pending, waiting - link->pending);

        if (link->pending > 0 && link->pending + extent > PACKET_FILL_BYTES)
            break;
        link->pending += extent;
    }
    return head_len + link->pending;
}

void reel_link_take(struct reel_link *link, uint8_t *ret_packet)
{
    size_t head_len = reel_packet_head(ret_packet, link->received);

    link->confirmed = link->received;
    if (link->pending == 0)
        return;
    memcpy(ret_packet + head_len, link->out.data + link->head, link->pending);
    link->head += link->pending;
    link->pending = 0;
    link->sent++;
    compact(link);
}

void reel_link_received(struct reel_link *link, const struct reel_packet *packet)
{
    if (packet->has_frames)
        link->received++;
    // An acknowledgement of what was never sent, or an old one, says nothing.
    if (packet->ack - link->acked <= link->sent - link->acked)
        link->acked = packet->ack;
}

bool reel_link_is_settled(const struct reel_link *link)
{
    return reel_link_waiting(link) == 0 && link->acked == link->sent;
}
