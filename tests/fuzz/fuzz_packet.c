// SPDX-License-Identifier: Apache-2.0
// A packet of the mesh through the hand-written decoder: every slice lies inside the packet, and
// what is read can be written and read again.
#include <stdint.h>
#include <stdlib.h>

#include "libcommon/rpc/metadata.h"
#include "libcommon/rpc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf again;
    struct reel_packet packet;
    struct reel_frame frame;
    int rc;

    reel_buf_init(&again, 4 << 20);
    if (!reel_packet_open(data, size, &packet))
        return 0;
    while ((rc = reel_packet_next(&packet, &frame)) != 0) {
        struct reel_slice key, value;
        size_t cursor = 0;

        while (rc > 0 && reel_frame_next_metadata(&frame, &cursor, &key, &value)) {
            if (key.data < data || value.data + value.len > data + size)
                abort();
            reel_metadata_value_is_valid(key, value);
        }
        for (cursor = 0; rc > 0 && reel_frame_next_violation(&frame, &cursor, &key, &value);)
            ;
        if (rc > 0)
            reel_frame_write(&again, &frame);
    }
    if (!again.failed && !reel_packet_open((const uint8_t *)again.data, again.len, &packet))
        abort();
    return 0;
}
