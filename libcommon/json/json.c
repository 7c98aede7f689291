// SPDX-License-Identifier: Apache-2.0
#include "libcommon/json/json.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/utf8.h"

enum { INT_DIGITS = 24, REAL_CHARS = 40 };

void reel_json_add_string_n(struct reel_buf *out, const char *s, size_t len)
{
    reel_buf_addc(out, '"');
    reel_utf8_add_escaped(out, s, len);
    reel_buf_addc(out, '"');
}

void reel_json_add_string(struct reel_buf *out, const char *s)
{
    if (s)
        reel_json_add_string_n(out, s, strlen(s));
    else
        reel_buf_add(out, "null", 4);
}

void reel_json_add_key(struct reel_buf *out, const char *key)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        reel_buf_addc(out, ',');
    reel_json_add_string(out, key);
    reel_buf_addc(out, ':');
}

static void add_decimal(struct reel_buf *out, uint64_t value, bool negative)
{
    char digits[INT_DIGITS];
    char *at = digits + sizeof(digits);

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (negative)
        *--at = '-';
    reel_buf_add(out, at, (size_t)(digits + sizeof(digits) - at));
}

void reel_json_add_int(struct reel_buf *out, int64_t value)
{
    add_decimal(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

void reel_json_add_uint(struct reel_buf *out, uint64_t value)
{
    add_decimal(out, value, false);
}

// Whole numbers up to 2^53 print exactly as integers, far faster than through printf. True when
// the value was one of them or not finite.
static bool add_simple_real(struct reel_buf *out, double value)
{
    if (isnan(value))
        reel_buf_adds(out, "\"NaN\"");
    else if (value == 0 && signbit(value))
        reel_buf_adds(out, "-0.0"); // "-0" would read back as the integer 0
    else if (isinf(value))
        reel_buf_adds(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else if (fabs(value) <= 9007199254740992.0 && value == trunc(value))
        reel_json_add_int(out, (int64_t)value);
    else
        return false;
    return true;
}

// Up to six decimals, as most reals in answers have: the quotient of two exact numbers is rounded
// once, as reading the text would be, so equality proves the text exact.
static bool add_short_real(struct reel_buf *out, double value)
{
    char decimals[] = ".000000";

    if (fabs(value) >= 1e9 || fabs(value) < 1e-3)
        return false;

    uint64_t digits = (uint64_t)(fabs(value) * 1e6 + 0.5);
    if ((double)digits / 1e6 != fabs(value))
        return false;
    uint64_t rest = digits % 1000000;
    size_t n = 6;
    for (size_t i = n; i > 0; i--, rest /= 10)
        decimals[i] = (char)('0' + rest % 10);
    while (decimals[n] == '0')
        n--;
    add_decimal(out, digits / 1000000, value < 0);
    reel_buf_add(out, decimals, n + 1);
    return true;
}

void reel_json_add_double(struct reel_buf *out, double value)
{
    char text[REAL_CHARS];

    if (add_simple_real(out, value) || add_short_real(out, value))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    reel_buf_adds(out, text);
}

void reel_json_add_float(struct reel_buf *out, float value)
{
    char text[REAL_CHARS];

    if (add_simple_real(out, (double)value))
        return;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    reel_buf_adds(out, text);
}
