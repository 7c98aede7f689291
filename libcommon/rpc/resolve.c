// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char scheme[] = "tcp://";

struct parts {
    char host[NI_MAXHOST];
    char port[8];
};

// Splits the URL into a name and a port; false when it has no name.
static bool split(const char *url, struct parts *parts)
{
    struct in_addr literal;

    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
        return false;
    const char *host = url + sizeof(scheme) - 1;
    size_t host_len = strcspn(host, ":/[*");
    if (host_len == 0 || host_len >= sizeof(parts->host) || host[host_len] != ':')
        return false;
    const char *port = host + host_len + 1;
    size_t port_len = strspn(port, "0123456789");
    if (port_len == 0 || port_len >= sizeof(parts->port) || port[port_len] != '\0')
        return false;
    memcpy(parts->host, host, host_len);
    parts->host[host_len] = '\0';
    memcpy(parts->port, port, port_len + 1);
    return inet_pton(AF_INET, parts->host, &literal) != 1;
}

bool reel_resolve_has_name(const char *url)
{
    struct parts parts;

    return split(url, &parts);
}

static void add(struct reel_resolved *resolved, const struct addrinfo *info, const char *port)
{
    char host[NI_MAXHOST];
    bool v6 = info->ai_family == AF_INET6;

    if (resolved->n == REEL_RESOLVE_MAX || (!v6 && info->ai_family != AF_INET) ||
        getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) !=
            0)
        return;
    char *url = resolved->urls[resolved->n];
    int len =
        snprintf(url, REEL_RESOLVE_URL_BYTES, v6 ? "%s[%s]:%s" : "%s%s:%s", scheme, host, port);
    if (len >= REEL_RESOLVE_URL_BYTES)
        return;
    // A hosts file may name an address twice.
    for (size_t i = 0; i < resolved->n; i++)
        if (strcmp(resolved->urls[i], url) == 0)
            return;
    resolved->n++;
}

int reel_resolve(const char *url, struct reel_resolved *ret_resolved, const char **ret_reason)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct parts parts;

    ret_resolved->n = 0;
    if (!split(url, &parts)) {
        *ret_reason = "there is no name in it";
        return -EINVAL;
    }
    int rc = getaddrinfo(parts.host, parts.port, &hints, &list);
    if (rc != 0) {
        *ret_reason = gai_strerror(rc);
        return rc == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
    }
    for (const struct addrinfo *info = list; info; info = info->ai_next)
        add(ret_resolved, info, parts.port);
    freeaddrinfo(list);
    if (ret_resolved->n > 0)
        return 0;
    *ret_reason = "its name has no address";
    return -EHOSTUNREACH;
}
