// SPDX-License-Identifier: Apache-2.0
// Packed bytes → packed check → unpack in a capped arena → validation → JSON: the way of a request.
// What the packed check takes, protobuf-c must be able to walk; what both checks take, the writer
// must be able to write.
#include <stdint.h>
#include <stdlib.h>

#include "libcommon/core/err.h"
#include "libcommon/core/validate.h"
#include "libcommon/json/pbjson.h"
#include "tests/fixtures/sample.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct reel_field_rule rows[] = {
        {.field = "a_string", .email = true, .pattern = "a-z@.", .max_length = 64},
        {.field = "words", .one_of = "a,,b", .uuid = true, .max_items = 5},
        {.field = "a_double", .min = -5, .max = 5},
        {.field = NULL}};
    static const struct reel_message_rules rules[] = {{&sample__everything__descriptor, rows}};
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    reel_arena_init(&arena, 256 * 1024);
    reel_buf_init(&out, 8 << 20);
    if (reel_validate_packed(rules[0].message, data, size, NULL, NULL) != REEL_OK)
        return 0;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(rules[0].message, reel_arena_pb(&arena), size, data);
    if (!message || reel_validate(rules, 1, message, NULL, NULL) != REEL_OK)
        return 0;
    if (reel_pbjson_write(message, &out) != REEL_OK)
        abort();
    return 0;
}
