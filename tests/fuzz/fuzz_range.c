// SPDX-License-Identifier: Apache-2.0
// Range, entity-tag and date headers against a size; a part must lie inside the whole.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/conditional.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512];
    int64_t seconds;
    if (size < 2 || size > sizeof(text))
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';

    int64_t whole = data[0] % 64;
    struct byte_range range;
    if (range_resolve(text, whole, &range) == RANGE_PART &&
        (range.first < 0 || range.length <= 0 || range.first + range.length > whole))
        abort();
    conditions_check(&(struct conditions){.if_match = text, .if_none_match = text}, "abc", 1);
    conditions_check(&(struct conditions){.if_unmodified_since = text, .if_modified_since = text},
                     "abc", 1);
    if_range_holds(text, "abc", 1);
    http_date_parse(text, &seconds);
    return 0;
}
