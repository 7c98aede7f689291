// SPDX-License-Identifier: Apache-2.0
#include "gateway/uri.h"

#include <string.h>

#include "libcommon/core/utf8.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte an escape at `s` stands for, or -1.
static int escape_value(const char *s, size_t left)
{
    if (left < 3)
        return -1;
    int high = hex_value(s[1]);
    int low = hex_value(s[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool uri_decode(const char *s, size_t len, bool plus_is_space, char *ret_text, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '%') {
            int value = escape_value(s + i, len - i);
            if (value <= 0)
                return false;
            c = (char)value;
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        ret_text[n++] = c;
    }
    ret_text[n] = '\0';
    if (ret_len)
        *ret_len = n;
    return true;
}

bool uri_encodes_control(const char *s)
{
    size_t len = strlen(s);
    for (size_t i = 0; i < len; i++) {
        int value = s[i] == '%' ? escape_value(s + i, len - i) : -1;
        if ((value >= 0 && value < 0x20) || value == 0x7f)
            return true;
        if (value >= 0)
            i += 2;
    }
    return false;
}

// Reads one byte of the path, decoded; -1 when it may not stand there.
static int path_byte(const char *path, size_t len, size_t *pos)
{
    unsigned char c = (unsigned char)path[*pos];
    if (c != '%') {
        *pos += 1;
        return c <= 0x20 || c == 0x7f || c == '\\' ? -1 : c;
    }
    int value = escape_value(path + *pos, len - *pos);
    *pos += 3;
    return value < 0x20 || value == 0x7f || value == '/' || value == '\\' ? -1 : value;
}

bool uri_path_is_safe(const char *path, size_t len)
{
    size_t segment_len = 0;
    bool only_dots = true;
    for (size_t i = 0; i < len;) {
        bool raw_slash = path[i] == '/';
        int c = path_byte(path, len, &i);
        if (c < 0)
            return false;
        if (!raw_slash) {
            only_dots = only_dots && c == '.';
            segment_len++;
            continue;
        }
        if (only_dots && segment_len > 0 && segment_len <= 2)
            return false;
        segment_len = 0;
        only_dots = true;
    }
    return !(only_dots && segment_len > 0 && segment_len <= 2);
}

bool uri_is_printable_utf8(const char *s, size_t len)
{
    if (!reel_utf8_is_text(s, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool c1 = c == 0xc2 && (unsigned char)s[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1)
            return false;
    }
    return true;
}

bool uri_query_next(const char **cursor, struct uri_pair *ret_pair)
{
    const char *s = *cursor;
    while (*s == '&')
        s++;
    if (*s == '\0') {
        *cursor = s;
        return false;
    }
    size_t len = strcspn(s, "&");
    const char *equals = memchr(s, '=', len);
    ret_pair->name = s;
    ret_pair->name_len = equals ? (size_t)(equals - s) : len;
    ret_pair->value = equals ? equals + 1 : s + len;
    ret_pair->value_len = equals ? len - ret_pair->name_len - 1 : 0;
    *cursor = s + len;
    return true;
}
