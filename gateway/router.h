// SPDX-License-Identifier: Apache-2.0
// Path templates ("/api/videos/{video_id}") to targets. A match allocates nothing.
//
// A literal segment beats a parameter; the path is chosen first, then the verb, so that a known
// path with another verb is "method not allowed" and never falls through to a looser template. HEAD
// is served by GET.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"

enum { ROUTER_MAX_PARAMS = 4, ROUTER_MAX_SEGMENTS = 12, ROUTER_MAX_ROUTES = 192 };

enum router_verb {
    ROUTER_GET = 1,
    ROUTER_POST = 2,
    ROUTER_PUT = 4,
    ROUTER_PATCH = 8,
    ROUTER_DELETE = 16,
};

struct router_slice {
    const char *s;
    size_t len;
};

struct router_param {
    struct router_slice name;  // borrowed from the template
    struct router_slice value; // borrowed from the path
};

struct router_match {
    const void *target; // NULL: the path is known, the verb is not allowed
    struct router_param params[ROUTER_MAX_PARAMS];
    unsigned n_params;
    unsigned allowed; // enum router_verb bits of the path
};

struct router_route {
    enum router_verb verb;
    struct router_slice segments[ROUTER_MAX_SEGMENTS];
    unsigned n_segments;
    uint32_t literal_bits; // first segment is the highest bit
    uint32_t param_bits;
    const void *target;
};

// Embed it; fields are private. Written at start, read by all threads after.
struct router {
    struct router_route routes[ROUTER_MAX_ROUTES];
    unsigned n_routes;
};

// Adds a route. `path` and `target` are borrowed for the router's life. -EINVAL for an unknown
// verb, a malformed template or a full table.
int router_add(struct router *router, const char *verb, const char *path,
               const void *target) REEL_MUST_CHECK;

// Finds the target of a decoded path; false when no template fits. See struct router_match.
bool router_find(const struct router *router, const char *verb, const char *path,
                 struct router_match *ret_match);

// Writes the value of an Allow header ("GET, HEAD, OPTIONS") for `allowed`. At least 64 bytes.
void router_allow(unsigned allowed, char ret_text[64]);
