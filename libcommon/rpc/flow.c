// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_RING = 8 };

// No peer needs more, and sums of it cannot overflow.
static const int64_t largest_credit = INT64_C(1) << 40;

static int64_t clamp(uint64_t credit)
{
    return credit > (uint64_t)largest_credit ? largest_credit : (int64_t)credit;
}

void reel_flow_init(struct reel_flow *flow, uint64_t send_credit)
{
    *flow = (struct reel_flow){
        .send_credit = clamp(send_credit),
        .recv_credit = REEL_WIRE_STREAM_CREDIT,
    };
}

void reel_flow_fini(struct reel_flow *flow)
{
    for (size_t i = 0; i < flow->count; i++)
        free(flow->ring[(flow->head + i) & (flow->ring_size - 1)].data);
    free(flow->ring);
    flow->ring = NULL;
    flow->count = 0;
    flow->ring_size = 0;
}

static int grow(struct reel_flow *flow)
{
    size_t size = flow->ring_size ? flow->ring_size * 2 : FIRST_RING;
    struct reel_flow_message *ring = calloc(size, sizeof(*ring));

    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < flow->count; i++)
        ring[i] = flow->ring[(flow->head + i) & (flow->ring_size - 1)];
    free(flow->ring);
    flow->ring = ring;
    flow->ring_size = size;
    flow->head = 0;
    return 0;
}

int reel_flow_push_last(struct reel_flow *flow, struct reel_slice payload)
{
    if (flow->count == flow->ring_size) {
        int rc = grow(flow);

        if (rc != 0)
            return rc;
    }

    uint8_t *data = malloc(payload.len + 1);
    if (!data)
        return -ENOMEM;
    if (payload.len > 0)
        memcpy(data, payload.data, payload.len);
    flow->ring[(flow->head + flow->count) & (flow->ring_size - 1)] =
        (struct reel_flow_message){.data = data, .len = payload.len};
    flow->count++;
    return REEL_OK;
}

int reel_flow_push(struct reel_flow *flow, struct reel_slice payload)
{
    if (flow->recv_credit <= 0)
        return REEL_RESOURCE_EXHAUSTED;
    int rc = reel_flow_push_last(flow, payload);
    if (rc == REEL_OK)
        flow->recv_credit -= (int64_t)payload.len + REEL_WIRE_STREAM_OVERHEAD;
    return rc;
}

bool reel_flow_pop(struct reel_flow *flow, struct reel_flow_message *ret_message,
                   uint64_t *ret_credit)
{
    if (flow->count == 0)
        return false;
    *ret_message = flow->ring[flow->head];
    flow->head = (flow->head + 1) & (flow->ring_size - 1);
    flow->count--;
    flow->consumed += (int64_t)ret_message->len + REEL_WIRE_STREAM_OVERHEAD;
    *ret_credit = 0;
    if (flow->consumed >= REEL_WIRE_STREAM_CREDIT / 2) {
        *ret_credit = (uint64_t)flow->consumed;
        flow->recv_credit += flow->consumed;
        flow->consumed = 0;
    }
    return true;
}

bool reel_flow_may_send(const struct reel_flow *flow)
{
    return flow->send_credit > 0;
}

void reel_flow_spend(struct reel_flow *flow, size_t payload_len)
{
    flow->send_credit -= (int64_t)payload_len + REEL_WIRE_STREAM_OVERHEAD;
}

void reel_flow_grant(struct reel_flow *flow, uint64_t credit)
{
    flow->send_credit += clamp(credit);
    if (flow->send_credit > largest_credit)
        flow->send_credit = largest_credit;
}
