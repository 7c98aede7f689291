// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/metadata.h"

#include <stdio.h>
#include <string.h>

enum { KEY_MAX_BYTES = 128 };

static bool is_base64(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

static bool is_key_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool reel_metadata_key_is_valid(struct reel_slice key)
{
    if (key.len == 0 || key.len > KEY_MAX_BYTES)
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (!is_key_char(key.data[i]))
            return false;
    return true;
}

static bool base64_is_valid(struct reel_slice value)
{
    size_t len = value.len;

    if (len % 4 != 0)
        return false;
    for (unsigned pad = 0; pad < 2 && len > 0 && value.data[len - 1] == '='; pad++)
        len--;
    for (size_t i = 0; i < len; i++)
        if (!is_base64(value.data[i]))
            return false;
    return true;
}

bool reel_metadata_value_is_valid(struct reel_slice key, struct reel_slice value)
{
    if (key.len > 4 && memcmp(key.data + key.len - 4, "-bin", 4) == 0)
        return base64_is_valid(value);
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return false;
    return true;
}

int reel_metadata_check(const struct reel_metadata *metadata, size_t n, char *ret_text,
                        size_t text_size)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++) {
        struct reel_slice key = reel_slice_of(metadata[i].key);
        struct reel_slice value = reel_slice_of(metadata[i].value);

        total += key.len + value.len;
        if (!reel_metadata_key_is_valid(key)) {
            snprintf(ret_text, text_size,
                     "metadata key %zu is malformed: use 1 to %d of a-z, 0-9, '-', '_' and '.'", i,
                     KEY_MAX_BYTES);
            return REEL_INVALID_ARGUMENT;
        }
        if (!reel_metadata_value_is_valid(key, value)) {
            snprintf(ret_text, text_size,
                     "the value of metadata '%s' is malformed: it must be printable ASCII, or "
                     "base64 for a key that ends in -bin",
                     metadata[i].key);
            return REEL_INVALID_ARGUMENT;
        }
    }
    if (n > REEL_METADATA_MAX_ENTRIES || total > REEL_METADATA_MAX_BYTES) {
        snprintf(ret_text, text_size,
                 "metadata of %zu bytes in %zu entries is too large: at most %d bytes in %d "
                 "entries are allowed",
                 total, n, REEL_METADATA_MAX_BYTES, REEL_METADATA_MAX_ENTRIES);
        return REEL_RESOURCE_EXHAUSTED;
    }
    return REEL_OK;
}
