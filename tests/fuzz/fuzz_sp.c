// SPDX-License-Identifier: Apache-2.0
// A byte stream through the SP splitter in pieces that the input chooses: messages lie inside the
// chunk, keep to the limit, and are those that the whole stream at once would give.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/rpc/sp.h"

enum { MAX_BYTES = 100000, MAX_MESSAGES = 64 };

struct outcome {
    enum reel_sp_event last;
    size_t n;
    size_t lens[MAX_MESSAGES];
    uint32_t sums[MAX_MESSAGES];
};

static uint32_t sum(struct reel_slice message)
{
    uint32_t total = 1;

    for (size_t i = 0; i < message.len; i++)
        total = total * 31 + message.data[i];
    return total;
}

static void take(struct reel_splitter *splitter, struct outcome *outcome)
{
    struct reel_slice message;

    for (;;) {
        outcome->last = reel_splitter_next(splitter, &message);
        if (outcome->last == REEL_SP_GREETED)
            continue;
        if (outcome->last != REEL_SP_MESSAGE)
            return;
        if (message.len > MAX_BYTES || message.data < splitter->chunk->data ||
            message.data + message.len > splitter->chunk->data + splitter->chunk->cap)
            abort();
        (void)reel_sp_route_len(message);
        if (outcome->n < MAX_MESSAGES) {
            outcome->lens[outcome->n] = message.len;
            outcome->sums[outcome->n] = sum(message);
        }
        outcome->n++;
    }
}

static void run(const uint8_t *data, size_t size, bool tagged, size_t piece,
                struct outcome *outcome)
{
    struct reel_splitter splitter;

    memset(outcome, 0, sizeof(*outcome));
    reel_splitter_init(&splitter, REEL_SP_REQ, tagged, MAX_BYTES);
    while (size > 0 && outcome->last == REEL_SP_MORE) {
        uint8_t *room;
        size_t n = reel_splitter_room(&splitter, &room);

        if (n == 0)
            abort();
        n = n < size ? n : size;
        n = n < piece ? n : piece;
        memcpy(room, data, n);
        reel_splitter_fed(&splitter, n);
        data += n;
        size -= n;
        take(&splitter, outcome);
    }
    reel_splitter_fini(&splitter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole;
    struct outcome pieces;

    if (size < 2)
        return 0;
    run(data + 2, size - 2, data[0] & 1, SIZE_MAX, &whole);
    run(data + 2, size - 2, data[0] & 1, (size_t)data[1] + 1, &pieces);
    if (memcmp(&whole, &pieces, sizeof(whole)) != 0)
        abort();
    return 0;
}
