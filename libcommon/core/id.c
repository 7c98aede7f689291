// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/id.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "libcommon/core/base.h"

static void random_bytes(void *buf, size_t n)
{
    // getrandom() up to 256 bytes is never cut short or interrupted once the pool is ready.
    if (getrandom(buf, n, 0) != (ssize_t)n)
        abort();
}

static void write_hex(char *to, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 0xf];
    }
    to[2 * n] = '\0';
}

void reel_id_new(char ret_id[REEL_ID_SIZE])
{
    uint8_t b[16];
    struct timespec now;

    random_bytes(b, sizeof(b));
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    // The next 12 bits are the fraction of the millisecond (RFC 9562, 6.2, method 3).
    uint32_t fraction = (uint32_t)((uint64_t)now.tv_nsec % 1000000 * 4096 / 1000000);
    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    b[6] = (uint8_t)(0x70 | fraction >> 8);
    b[7] = (uint8_t)fraction;
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    const uint8_t *from = b;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(groups); i++) {
        write_hex(ret_id, from, groups[i]);
        ret_id += 2 * groups[i];
        from += groups[i];
        *ret_id++ = i + 1 < REEL_ARRAY_SIZE(groups) ? '-' : '\0';
    }
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool reel_id_is_valid(const char *s)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (!s)
        return false;
    for (size_t i = 0; i < REEL_ID_LEN; i++) {
        if (form[i] == '-' ? s[i] != '-' : !is_hex(s[i]))
            return false;
    }
    return s[REEL_ID_LEN] == '\0';
}

void reel_id_random_hex(char *ret_hex, size_t n)
{
    uint8_t b[64];

    if (n > sizeof(b))
        abort();
    random_bytes(b, n);
    write_hex(ret_hex, b, n);
}
