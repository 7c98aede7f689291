// SPDX-License-Identifier: Apache-2.0
// JSON text → message → JSON → message: what is written must read back to the same text.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/json/pbjson.h"
#include "tests/fixtures/sample.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    REEL_AUTO(reel_buf_fini) struct reel_buf first, second;
    const ProtobufCMessageDescriptor *descriptor = &sample__everything__descriptor;
    struct reel_pbjson_error error;
    ProtobufCMessage *message, *again;

    reel_arena_init(&arena, 1 << 20);
    reel_buf_init(&first, 8 << 20);
    reel_buf_init(&second, 8 << 20);
    if (reel_pbjson_parse((const char *)data, size, descriptor, &arena, &message, &error) != 0) {
        if (strnlen(error.message, sizeof(error.message)) == sizeof(error.message))
            abort();
        return 0;
    }
    if (reel_pbjson_write(message, &first) != REEL_OK)
        abort();
    int rc = reel_pbjson_parse(first.data, first.len, descriptor, &arena, &again, &error);
    if (rc == REEL_RESOURCE_EXHAUSTED || first.len > REEL_PBJSON_MAX_BYTES)
        return 0;
    if (rc != REEL_OK || reel_pbjson_write(again, &second) != REEL_OK || first.len != second.len ||
        memcmp(first.data, second.data, first.len) != 0)
        abort();
    return 0;
}
