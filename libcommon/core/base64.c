// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/base64.h"

#include <string.h>

#include "libcommon/core/err.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Appends the characters of the 1 to 3 bytes at `data`, without padding.
static void add_group(struct reel_buf *out, const uint8_t *data, size_t len, const char *alphabet)
{
    uint32_t bits = (uint32_t)data[0] << 16;
    char group[4];

    if (len > 1)
        bits |= (uint32_t)data[1] << 8;
    if (len > 2)
        bits |= data[2];
    for (int i = 0; i < 4; i++)
        group[i] = alphabet[bits >> (18 - 6 * i) & 63];
    reel_buf_add(out, group, len + 1);
}

static void add(struct reel_buf *out, const uint8_t *data, size_t len, const char *alphabet)
{
    for (size_t i = 0; i < len; i += 3)
        add_group(out, data + i, len - i < 3 ? len - i : 3, alphabet);
}

void reel_base64_add(struct reel_buf *out, const uint8_t *data, size_t len)
{
    add(out, data, len, standard);
    if (len % 3)
        reel_buf_add(out, "==", 3 - len % 3);
}

void reel_base64_add_url(struct reel_buf *out, const uint8_t *data, size_t len)
{
    add(out, data, len, url_safe);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

// Length without padding; SIZE_MAX when there is padding that does not fill the last group.
static size_t unpadded_len(const char *text, size_t len)
{
    size_t n = len;

    while (n > 0 && text[n - 1] == '=')
        n--;
    if (n == len)
        return n;
    return len % 4 == 0 && len - n <= 2 ? n : SIZE_MAX;
}

int reel_base64_decode(struct reel_arena *arena, const char *text, size_t len, uint8_t **ret_data,
                       size_t *ret_len)
{
    size_t n = unpadded_len(text, len);
    uint32_t bits = 0;
    size_t out = 0;

    if (n == SIZE_MAX || n % 4 == 1)
        return REEL_INVALID_ARGUMENT;
    uint8_t *data = reel_arena_alloc(arena, n / 4 * 3 + 3);
    if (!data)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < n; i++) {
        int value = value_of(text[i]);

        if (value < 0)
            return REEL_INVALID_ARGUMENT;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0)
            data[out++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    if ((n % 4 == 2 && (bits & 15)) || (n % 4 == 3 && (bits & 3)))
        return REEL_INVALID_ARGUMENT;
    *ret_data = data;
    *ret_len = out;
    return REEL_OK;
}
