// SPDX-License-Identifier: Apache-2.0
// Structured logs: one JSON object a line on stderr, written with one write(2).
//
// An event has a name and named fields, no prose: reel_log(REEL_LOG_INFO, "job.settled",
// REEL_FS("job_id", id), REEL_FI("attempt", 3)). Every line carries ts (RFC 3339, µs), level, svc,
// event. Strings are escaped as JSON, cut at 1 KiB, bad UTF-8 replaced. Library code (libcommon)
// never logs above debug, but for migrations, connections (rpc) and svc. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum reel_log_level { REEL_LOG_DEBUG, REEL_LOG_INFO, REEL_LOG_WARN, REEL_LOG_ERROR };

struct reel_log_field {
    const char *key;
    enum { REEL_LOG_STRING, REEL_LOG_INTEGER, REEL_LOG_DOUBLE, REEL_LOG_BOOLEAN } type;
    const char *s;
    int64_t i;
    double d;
};

#define REEL_FS(key_, value_)                                                                      \
    ((struct reel_log_field){.key = (key_), .type = REEL_LOG_STRING, .s = (value_)})
#define REEL_FI(key_, value_)                                                                      \
    ((struct reel_log_field){.key = (key_), .type = REEL_LOG_INTEGER, .i = (int64_t)(value_)})
#define REEL_FD(key_, value_)                                                                      \
    ((struct reel_log_field){.key = (key_), .type = REEL_LOG_DOUBLE, .d = (value_)})
#define REEL_FB(key_, value_)                                                                      \
    ((struct reel_log_field){.key = (key_), .type = REEL_LOG_BOOLEAN, .i = (value_)})

// Sets the service name and the lowest level written; once, at start. `service` is borrowed for
// ever.
void reel_log_init(const char *service, enum reel_log_level level);

// Parses "debug", "info", "warn" or "error"; false for anything else.
bool reel_log_level_parse(const char *text, enum reel_log_level *ret_level);

// Writes one line. A NULL string value is written as null. Prefer the macro below.
void reel_log_fields(enum reel_log_level level, const char *event,
                     const struct reel_log_field *fields, unsigned n_fields);

// reel_log(REEL_LOG_INFO, "svc.ready", REEL_FS("address", url), REEL_FI("pid", getpid()));
#define reel_log(level, event, ...)                                                                \
    reel_log_fields((level), (event), (const struct reel_log_field[]){{0}, ##__VA_ARGS__} + 1,     \
                    sizeof((const struct reel_log_field[]){{0}, ##__VA_ARGS__}) /                  \
                            sizeof(struct reel_log_field) -                                        \
                        1)
