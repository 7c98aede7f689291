// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void reel_buf_init(struct reel_buf *buf, size_t max_bytes)
{
    *buf = (struct reel_buf){.max_bytes = max_bytes};
}

void reel_buf_fini(struct reel_buf *buf)
{
    free(buf->data);
    *buf = (struct reel_buf){.max_bytes = buf->max_bytes};
}

void reel_buf_reset(struct reel_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

bool reel_buf_reserve(struct reel_buf *buf, size_t n)
{
    if (buf->failed || n > buf->max_bytes - buf->len || n > SIZE_MAX / 4) {
        buf->failed = true;
        return false;
    }

    size_t need = buf->len + n + 1;
    if (need <= buf->cap)
        return true;
    size_t cap = buf->cap ? buf->cap * 2 : 256;
    if (cap < need)
        cap = need;
    char *data = realloc(buf->data, cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void reel_buf_add(struct reel_buf *buf, const void *data, size_t n)
{
    if (!reel_buf_reserve(buf, n))
        return;
    if (n > 0)
        memcpy(buf->data + buf->len, data, n);
    buf->len += n;
    buf->data[buf->len] = '\0';
}

void reel_buf_adds(struct reel_buf *buf, const char *s)
{
    reel_buf_add(buf, s, strlen(s));
}

void reel_buf_addc(struct reel_buf *buf, char c)
{
    reel_buf_add(buf, &c, 1);
}

void reel_buf_addf(struct reel_buf *buf, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        buf->failed = true;
        return;
    }
    if (!reel_buf_reserve(buf, (size_t)n))
        return;
    va_start(args, fmt);
    vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)n;
}

char *reel_buf_steal(struct reel_buf *buf)
{
    char *data = NULL;

    if (!buf->failed && reel_buf_reserve(buf, 0)) {
        data = buf->data;
        data[buf->len] = '\0';
        buf->data = NULL;
    }
    reel_buf_fini(buf);
    return data;
}
