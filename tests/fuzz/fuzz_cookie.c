// SPDX-License-Identifier: Apache-2.0
// A Cookie header: a value that is found lies inside it, without a separator, after its name.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // Of the exact size, so that a step past its end is seen.
    char *header = malloc(size + 1);
    size_t len;
    if (!header)
        return 0;
    memcpy(header, data, size);
    header[size] = '\0';

    const char *value = cookie_find(header, "token", &len);
    if (value && (value < header + 6 || value + len > header + strlen(header) ||
                  memcmp(value - 6, "token=", 6) != 0 || memchr(value, ';', len)))
        abort();
    if (!value && strncmp(header, "token=", 6) == 0)
        abort();
    free(header);
    return 0;
}
