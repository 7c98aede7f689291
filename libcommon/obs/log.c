// SPDX-License-Identifier: Apache-2.0
#include "libcommon/obs/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/core/buf.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/utf8.h"

enum { STRING_MAX = 1024, LINE_MAX_BYTES = 64 * 1024, LINE_TYPICAL = 512 };

static const char *const level_names[] = {
    [REEL_LOG_DEBUG] = "debug",
    [REEL_LOG_INFO] = "info",
    [REEL_LOG_WARN] = "warn",
    [REEL_LOG_ERROR] = "error",
};

static _Atomic(const char *) log_service = "reelmesh";
static atomic_int log_level = REEL_LOG_INFO;

void reel_log_init(const char *service, enum reel_log_level level)
{
    atomic_store(&log_service, service);
    atomic_store(&log_level, (int)level);
}

bool reel_log_level_parse(const char *text, enum reel_log_level *ret_level)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(level_names); i++) {
        if (text && strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum reel_log_level)i;
            return true;
        }
    }
    return false;
}

static void add_string(struct reel_buf *line, const char *s)
{
    size_t len = strnlen(s, STRING_MAX + 1);
    size_t cut = reel_utf8_cut(s, len, STRING_MAX);

    reel_buf_addc(line, '"');
    reel_utf8_add_escaped(line, s, cut);
    if (cut < len)
        reel_buf_adds(line, "…");
    reel_buf_addc(line, '"');
}

static void add_key(struct reel_buf *line, const char *key)
{
    reel_buf_addc(line, ',');
    add_string(line, key);
    reel_buf_addc(line, ':');
}

static void add_field(struct reel_buf *line, const struct reel_log_field *field)
{
    add_key(line, field->key);
    switch (field->type) {
    case REEL_LOG_STRING:
        if (field->s)
            add_string(line, field->s);
        else
            reel_buf_adds(line, "null");
        break;
    case REEL_LOG_INTEGER:
        reel_buf_addf(line, "%" PRId64, field->i);
        break;
    case REEL_LOG_DOUBLE:
        if (isfinite(field->d))
            reel_buf_addf(line, "%.9g", field->d);
        else
            reel_buf_adds(line, "null");
        break;
    case REEL_LOG_BOOLEAN:
        reel_buf_adds(line, field->i ? "true" : "false");
        break;
    }
}

static void add_head(struct reel_buf *line, enum reel_log_level level, const char *event)
{
    int64_t now_us = reel_clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm tm;
    char ts[32];

    gmtime_r(&seconds, &tm);
    strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);
    reel_buf_addf(line, "{\"ts\":\"%s.%06dZ\",\"level\":\"%s\"", ts, (int)(now_us % 1000000),
                  level_names[level]);
    add_key(line, "svc");
    add_string(line, atomic_load(&log_service));
    add_key(line, "event");
    add_string(line, event);
}

// A line is one write, so that lines of many threads and processes never mix; it is retried only
// when nothing was written. A log that cannot be written is lost: there is nowhere to say so.
static void write_line(const struct reel_buf *line)
{
    ssize_t n;

    do {
        n = write(STDERR_FILENO, line->data, line->len);
    } while (n < 0 && errno == EINTR);
}

void reel_log_fields(enum reel_log_level level, const char *event,
                     const struct reel_log_field *fields, unsigned n_fields)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf line = {0};
    int saved_errno = errno;

    if ((int)level < atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    reel_buf_init(&line, LINE_MAX_BYTES);
    reel_buf_reserve(&line, LINE_TYPICAL);
    add_head(&line, level, event);
    for (unsigned i = 0; i < n_fields; i++) {
        // What would overflow the line is left out, so that the line stays whole JSON.
        size_t before = line.len;

        add_field(&line, &fields[i]);
        if (line.len + 2 > LINE_MAX_BYTES)
            line.failed = true;
        if (line.failed) {
            line.failed = false;
            line.len = before;
        }
    }
    reel_buf_adds(&line, "}\n");
    write_line(&line);
    errno = saved_errno;
}
