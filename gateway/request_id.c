// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "gateway/chain.h"

static const char hex[] = "0123456789abcdef";

static bool is_usable_id(const char *id)
{
    size_t len = id ? strlen(id) : 0;
    return len >= 8 && len <= 64 &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

// version "00": 2-32-16-2 lower-case hexadecimal digits, ids not all zero (W3C Trace Context).
static bool is_traceparent(const char *text)
{
    static const unsigned lengths[] = {2, 32, 16, 2};
    const char *s = text;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(lengths); i++) {
        if (strspn(s, hex) != lengths[i] || (i < 3 && s[lengths[i]] != '-'))
            return false;
        if ((i == 1 || i == 2) && strspn(s, "0") == lengths[i])
            return false;
        s += lengths[i] + (i < 3);
    }
    return *s == '\0' && strncmp(text, "00-", 3) == 0;
}

static const char *new_traceparent(struct request *req)
{
    char digits[49];
    reel_id_random_hex(digits, 24);
    return reel_arena_printf(&req->arena, "00-%.32s-%s-01", digits, digits + 32);
}

void request_id_set(struct request *req)
{
    const char *given = request_header(req, "X-Request-Id");
    const char *trace = request_header(req, "traceparent");
    if (is_usable_id(given)) {
        req->id = given;
    } else {
        char id[REEL_ID_SIZE];
        reel_id_new(id);
        req->id = reel_arena_strdup(&req->arena, id);
    }
    req->traceparent = trace && is_traceparent(trace) ? trace : new_traceparent(req);
}
