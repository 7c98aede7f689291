// SPDX-License-Identifier: Apache-2.0
// The two classes of failure.
//
// Functions return int:
//   0          REEL_OK
//   1 to 16    an outcome: a gRPC status code (grpc/doc/statuscodes), expected, handled by the
//   caller negative   a fault: -errno, never compared, only forwarded; answered to a client as
//   INTERNAL or
//              UNAVAILABLE without detail
//
// One table maps a code to its name, its HTTP status and whether a retry may help.
#pragma once

#include <stdbool.h>

enum reel_code {
    REEL_OK = 0,
    REEL_CANCELLED = 1,
    REEL_UNKNOWN = 2,
    REEL_INVALID_ARGUMENT = 3,
    REEL_DEADLINE_EXCEEDED = 4,
    REEL_NOT_FOUND = 5,
    REEL_ALREADY_EXISTS = 6,
    REEL_PERMISSION_DENIED = 7,
    REEL_RESOURCE_EXHAUSTED = 8,
    REEL_FAILED_PRECONDITION = 9,
    REEL_ABORTED = 10,
    REEL_OUT_OF_RANGE = 11,
    REEL_UNIMPLEMENTED = 12,
    REEL_INTERNAL = 13,
    REEL_UNAVAILABLE = 14,
    REEL_DATA_LOSS = 15,
    REEL_UNAUTHENTICATED = 16,
};

// The code's name as gRPC spells it ("NOT_FOUND"); "UNKNOWN" for a value outside the table. Static.
const char *reel_code_name(int code);

// The HTTP status google.rpc.Code maps it to (404, 503, ...); 500 for a value outside the table.
int reel_code_http_status(int code);

// Whether the same call, sent again later, may succeed (UNAVAILABLE, ABORTED, RESOURCE_EXHAUSTED).
bool reel_code_is_retryable(int code);

// What a client may be told of `rc`: an outcome stays, a fault becomes UNAVAILABLE when its errno
// speaks of a lost peer (ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, ENOTCONN, EHOSTUNREACH,
// EAGAIN), DEADLINE_EXCEEDED never, else INTERNAL.
int reel_code_for_client(int rc);
