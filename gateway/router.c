// SPDX-License-Identifier: Apache-2.0
#include "gateway/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum router_verb verb;
} verbs[] = {
    {"GET", ROUTER_GET},     {"POST", ROUTER_POST},     {"PUT", ROUTER_PUT},
    {"PATCH", ROUTER_PATCH}, {"DELETE", ROUTER_DELETE}, {"HEAD", ROUTER_GET},
};

static unsigned verb_bit(const char *name)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return verbs[i].verb;
    return 0;
}

// Splits "/a/b" into its segments; -1 when there are too many or it does not start with a slash.
static int split(const char *path, struct router_slice *ret_segments)
{
    unsigned n = 0;
    if (*path != '/')
        return -1;
    while (*path == '/') {
        size_t len = strcspn(++path, "/");
        if (n == ROUTER_MAX_SEGMENTS)
            return -1;
        ret_segments[n++] = (struct router_slice){path, len};
        path += len;
    }
    return (int)n;
}

static bool is_param(const struct router_slice *segment)
{
    return segment->len > 2 && segment->s[0] == '{' && segment->s[segment->len - 1] == '}';
}

int router_add(struct router *router, const char *verb, const char *path, const void *target)
{
    unsigned bit = verb_bit(verb);
    struct router_route *route = &router->routes[router->n_routes];
    unsigned n_params = 0;

    if (bit == 0 || router->n_routes == ROUTER_MAX_ROUTES)
        return -EINVAL;
    memset(route, 0, sizeof(*route));
    int n = split(path, route->segments);
    if (n < 0)
        return -EINVAL;
    for (int i = 0; i < n; i++) {
        bool param = is_param(&route->segments[i]);
        *(param ? &route->param_bits : &route->literal_bits) |= 1u << (31 - i);
        n_params += param;
    }
    if (n_params > ROUTER_MAX_PARAMS)
        return -EINVAL;
    route->verb = (enum router_verb)bit;
    route->n_segments = (unsigned)n;
    route->target = target;
    router->n_routes++;
    return 0;
}

static bool route_fits(const struct router_route *route, const struct router_slice *path,
                       unsigned n_segments)
{
    if (route->n_segments != n_segments)
        return false;
    for (unsigned i = 0; i < n_segments; i++) {
        const struct router_slice *want = &route->segments[i];
        if (route->param_bits & 1u << (31 - i)) {
            if (path[i].len == 0)
                return false;
        } else if (want->len != path[i].len || memcmp(want->s, path[i].s, want->len) != 0) {
            return false;
        }
    }
    return true;
}

static void take_params(const struct router_route *route, const struct router_slice *path,
                        struct router_match *ret_match)
{
    ret_match->n_params = 0;
    for (unsigned i = 0; i < route->n_segments; i++) {
        if (!(route->param_bits & 1u << (31 - i)))
            continue;
        struct router_param *param = &ret_match->params[ret_match->n_params++];
        param->name.s = route->segments[i].s + 1;
        param->name.len = route->segments[i].len - 2;
        param->value = path[i];
    }
}

bool router_find(const struct router *router, const char *verb, const char *path,
                 struct router_match *ret_match)
{
    struct router_slice segments[ROUTER_MAX_SEGMENTS];
    unsigned bit = verb_bit(verb);
    uint32_t best = 0;
    int n = split(path, segments);

    memset(ret_match, 0, sizeof(*ret_match));
    if (n < 0)
        return false;
    for (unsigned i = 0; i < router->n_routes; i++) {
        const struct router_route *route = &router->routes[i];
        bool first = ret_match->allowed == 0;
        if ((!first && route->literal_bits < best) || !route_fits(route, segments, (unsigned)n))
            continue;
        if (route->literal_bits > best) {
            best = route->literal_bits;
            ret_match->allowed = 0;
            ret_match->target = NULL;
        }
        ret_match->allowed |= route->verb;
        if (route->verb == bit) {
            ret_match->target = route->target;
            take_params(route, segments, ret_match);
        }
    }
    return ret_match->allowed != 0;
}

void router_allow(unsigned allowed, char ret_text[64])
{
    size_t n = 0;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(verbs); i++)
        if (allowed & verbs[i].verb)
            n += (size_t)snprintf(ret_text + n, 64 - n, "%s, ", verbs[i].name);
    snprintf(ret_text + n, 64 - n, "OPTIONS");
}
