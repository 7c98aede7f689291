// SPDX-License-Identifier: Apache-2.0
// What the HTTP library lets through and an edge must not: ambiguous framing, odd targets.
//
// Whoever fails the guard is answered and the connection is closed: after an ambiguous request no
// byte that follows can be trusted to begin another one. Pure; no allocation.
#pragma once

#include <stddef.h>

enum { GUARD_MAX_TARGET = 8192, GUARD_MAX_HEADERS = 100, GUARD_MAX_HEADER_BYTES = 32768 };

struct guard_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

struct guard_request {
    const char *method;
    const char *target; // as received, not decoded
    const char *version;
    const struct guard_header *headers;
    size_t n_headers;
};

struct guard_verdict {
    unsigned status;    // of the refusal
    const char *reason; // for people; static
};

// 0 when the request may be handled; -1 when it must be refused as *ret_verdict says.
int guard_check(const struct guard_request *req, struct guard_verdict *ret_verdict);

// The path and query of a target that passed: absolute-form loses its scheme and authority.
const char *guard_origin_form(const char *target);
