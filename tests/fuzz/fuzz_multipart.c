// SPDX-License-Identifier: Apache-2.0
// The first byte says how the rest, a multipart body, is cut; whole and cut parses must agree.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    uint64_t hash;
    enum multipart_event last;
};

static void mix(struct outcome *outcome, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        outcome->hash = (outcome->hash ^ (uint8_t)bytes[i]) * 1099511628211u;
}

static struct outcome parse(const char *body, size_t size, size_t step)
{
    struct multipart parser;
    struct outcome outcome = {0, MULTIPART_NEED_MORE};
    multipart_init(&parser, "multipart/form-data; boundary=b");
    for (size_t at = 0; at < size && outcome.last != MULTIPART_ERROR;) {
        size_t len = size - at < step ? size - at : step;
        size_t used;
        enum multipart_event event = multipart_next(&parser, body + at, len, &used);
        if (used > len)
            abort();
        at += used;
        if (event == MULTIPART_DATA)
            mix(&outcome, parser.data, parser.data_len);
        else if (event == MULTIPART_PART)
            mix(&outcome, parser.name, strlen(parser.name));
        else if (event == MULTIPART_NEED_MORE && used != len)
            abort();
        if (event != MULTIPART_NEED_MORE)
            outcome.last = event;
    }
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *body = (const char *)data + 1;
    struct outcome whole = parse(body, size - 1, size);
    struct outcome cut = parse(body, size - 1, 1 + data[0] % 7);
    if (whole.last != cut.last || (whole.last != MULTIPART_ERROR && whole.hash != cut.hash))
        abort();
    return 0;
}
