// SPDX-License-Identifier: Apache-2.0
#include "gateway/origin.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

bool origin_is_listed(const char *list, const char *origin)
{
    size_t len = strlen(origin);
    for (const char *s = list; *s;) {
        s += strspn(s, ", ");
        size_t item = strcspn(s, ", ");
        if (item == len && len > 0 && strncmp(s, origin, len) == 0)
            return true;
        s += item;
    }
    return false;
}

bool origin_is_host(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

bool origin_may_write(const struct origin_facts *facts)
{
    if (facts->origin && origin_is_listed(facts->allowed, facts->origin))
        return true;
    if (facts->fetch_site)
        return strcmp(facts->fetch_site, "same-origin") == 0 ||
               strcmp(facts->fetch_site, "none") == 0;
    return !facts->origin || origin_is_host(facts->origin, facts->host);
}
