// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/err.h"

#include <errno.h>

#include "libcommon/core/base.h"

struct code_row {
    const char *name;
    int http_status;
    bool retryable;
};

static const struct code_row codes[] = {
    [REEL_OK] = {"OK", 200, false},
    [REEL_CANCELLED] = {"CANCELLED", 499, false},
    [REEL_UNKNOWN] = {"UNKNOWN", 500, false},
    [REEL_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400, false},
    [REEL_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", 504, false},
    [REEL_NOT_FOUND] = {"NOT_FOUND", 404, false},
    [REEL_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409, false},
    [REEL_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403, false},
    [REEL_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429, true},
    [REEL_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 409, false},
    [REEL_ABORTED] = {"ABORTED", 409, true},
    [REEL_OUT_OF_RANGE] = {"OUT_OF_RANGE", 400, false},
    [REEL_UNIMPLEMENTED] = {"UNIMPLEMENTED", 501, false},
    [REEL_INTERNAL] = {"INTERNAL", 500, false},
    [REEL_UNAVAILABLE] = {"UNAVAILABLE", 503, true},
    [REEL_DATA_LOSS] = {"DATA_LOSS", 500, false},
    [REEL_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401, false},
};

static const struct code_row *row_of(int code)
{
    if (code < 0 || (size_t)code >= REEL_ARRAY_SIZE(codes))
        return &codes[REEL_UNKNOWN];
    return &codes[code];
}

const char *reel_code_name(int code)
{
    return row_of(code)->name;
}

int reel_code_http_status(int code)
{
    return row_of(code)->http_status;
}

bool reel_code_is_retryable(int code)
{
    return row_of(code)->retryable;
}

int reel_code_for_client(int rc)
{
    if (rc >= 0)
        return (size_t)rc < REEL_ARRAY_SIZE(codes) ? rc : REEL_UNKNOWN;

    switch (-rc) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:
    case ENOTCONN:
    case EHOSTUNREACH:
    case EAGAIN:
        return REEL_UNAVAILABLE;
    default:
        return REEL_INTERNAL;
    }
}
