// SPDX-License-Identifier: Apache-2.0
// A request target through guard, decoder, router and query reader: what passes the guard decodes
// to a path without dot segments.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/guard.h"
#include "gateway/router.h"
#include "gateway/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct router table;

static void check_path(const char *path)
{
    struct router_match match;
    if (strstr(path, "/../") || strstr(path, "/./"))
        abort();
    if (table.n_routes == 0 && (router_add(&table, "GET", "/api/{a}/b/{c}", "x") != 0 ||
                                router_add(&table, "POST", "/api/b", "y") != 0))
        abort();
    router_find(&table, "GET", path, &match);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char target[1024];
    char path[1024];
    if (size >= sizeof(target))
        return 0;
    memcpy(target, data, size);
    target[size] = '\0';

    struct guard_header host = {"Host", 4, "a", 1};
    struct guard_request req = {"GET", target, "HTTP/1.1", &host, 1};
    struct guard_verdict verdict;
    if (guard_check(&req, &verdict) != 0)
        return 0;
    const char *origin = guard_origin_form(target);
    size_t path_len = strcspn(origin, "?");
    if (!uri_decode(origin, path_len, false, path, NULL))
        abort();
    check_path(path);

    struct uri_pair pair;
    const char *cursor = origin + path_len + (origin[path_len] == '?');
    while (uri_query_next(&cursor, &pair))
        if (!uri_decode(pair.value, pair.value_len, true, path, NULL))
            abort();
    return 0;
}
