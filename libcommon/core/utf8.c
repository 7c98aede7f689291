// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/utf8.h"

#include <stdint.h>
#include <string.h>

#include "libcommon/core/base.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

// The second byte's range is what rules out overlong forms, surrogates and values past U+10FFFF.
static bool second_is_in_range(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return is_tail(second);
    }
}

size_t reel_utf8_char_len(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n;

    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (len < n || !second_is_in_range(u[0], u[1]))
        return 0;
    for (size_t i = 2; i < n; i++) {
        if (!is_tail(u[i]))
            return 0;
    }
    return n;
}

size_t reel_utf8_decode(const char *s, size_t len, uint32_t *ret_code_point)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t n = reel_utf8_char_len(s, len);
    uint32_t value = (unsigned char)s[0] & mask[n];

    for (size_t i = 1; i < n; i++)
        value = value << 6 | ((unsigned char)s[i] & 0x3f);
    *ret_code_point = value;
    return n;
}

// Controls, White_Space and Default_Ignorable_Code_Point of Unicode 15.
static bool is_invisible(uint32_t c)
{
    static const uint32_t ranges[][2] = {
        {0x0000, 0x0020},   {0x007f, 0x00a0}, {0x00ad, 0x00ad},   {0x034f, 0x034f},
        {0x061c, 0x061c},   {0x115f, 0x1160}, {0x1680, 0x1680},   {0x17b4, 0x17b5},
        {0x180b, 0x180f},   {0x2000, 0x200f}, {0x2028, 0x202f},   {0x205f, 0x206f},
        {0x3000, 0x3000},   {0x3164, 0x3164}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
        {0xffa0, 0xffa0},   {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
        {0xe0000, 0xe0fff},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(ranges); i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return false;
}

bool reel_utf8_is_blank(const char *s, size_t len)
{
    uint32_t c;

    for (size_t i = 0, n; i < len; i += n) {
        n = reel_utf8_decode(s + i, len - i, &c);
        if (n == 0 || !is_invisible(c))
            return false;
    }
    return true;
}

static size_t ascii_prefix(const char *s, size_t len)
{
    size_t i = 0;
    uint64_t word;

    for (; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return i;
}

bool reel_utf8_is_valid(const char *s, size_t len)
{
    for (size_t i = len ? ascii_prefix(s, len) : 0; i < len;) {
        size_t n = reel_utf8_char_len(s + i, len - i);

        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

bool reel_utf8_is_text(const char *s, size_t len)
{
    return (len == 0 || !memchr(s, '\0', len)) && reel_utf8_is_valid(s, len);
}

size_t reel_utf8_cut(const char *s, size_t len, size_t max)
{
    size_t cut = max;

    if (len <= max)
        return len;
    for (int i = 0; i < 3 && cut > 0 && is_tail((unsigned char)s[cut]); i++)
        cut--;
    return is_tail((unsigned char)s[cut]) ? max : cut;
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static void add_escape(struct reel_buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorthand[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                     ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};

    if (c < sizeof(shorthand) && shorthand[c]) {
        reel_buf_add(out, (char[]){'\\', shorthand[c]}, 2);
        return;
    }
    reel_buf_add(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

void reel_utf8_add_escaped(struct reel_buf *out, const char *s, size_t len)
{
    size_t plain = 0;

    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)s[i];
        size_t n = c < 0x80 ? 1 : reel_utf8_char_len(s + i, len - i);

        if (n > 0 && !needs_escape(c)) {
            i += n;
            continue;
        }
        reel_buf_add(out, s + plain, i - plain);
        if (n == 0)
            reel_buf_adds(out, "\xef\xbf\xbd");
        else
            add_escape(out, c);
        plain = ++i;
    }
    reel_buf_add(out, s + plain, len - plain);
}
