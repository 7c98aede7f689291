// SPDX-License-Identifier: Apache-2.0
#include "gateway/netaddr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const struct netaddr *addr)
{
    return memcmp(addr->bytes, mapped, sizeof(mapped)) == 0;
}

struct netaddr netaddr_from_sockaddr(const struct sockaddr *sa)
{
    struct netaddr addr = {0};
    if (sa && sa->sa_family == AF_INET) {
        memcpy(addr.bytes, mapped, sizeof(mapped));
        memcpy(addr.bytes + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else if (sa && sa->sa_family == AF_INET6) {
        memcpy(addr.bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    }
    return addr;
}

// Cuts "[v6]:port" and "v4:port" down to the address.
static void strip_port(const char **text, size_t *len)
{
    const char *s = *text;
    if (*len > 0 && s[0] == '[') {
        const char *end = memchr(s, ']', *len);
        *text = s + 1;
        *len = end ? (size_t)(end - s - 1) : 0;
        return;
    }
    const char *colon = memchr(s, ':', *len);
    if (colon && !memchr(colon + 1, ':', *len - (size_t)(colon + 1 - s)))
        *len = (size_t)(colon - s);
}

bool netaddr_parse(const char *text, size_t len, struct netaddr *ret_addr)
{
    char copy[NETADDR_TEXT_SIZE];
    struct netaddr addr;
    strip_port(&text, &len);
    if (len == 0 || len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    memcpy(addr.bytes, mapped, sizeof(mapped));
    if (inet_pton(AF_INET, copy, addr.bytes + 12) != 1 &&
        inet_pton(AF_INET6, copy, addr.bytes) != 1)
        return false;
    *ret_addr = addr;
    return true;
}

void netaddr_format(const struct netaddr *addr, char ret_text[NETADDR_TEXT_SIZE])
{
    if (is_v4(addr))
        inet_ntop(AF_INET, addr->bytes + 12, ret_text, NETADDR_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, addr->bytes, ret_text, NETADDR_TEXT_SIZE);
}

void netaddr_bucket(const struct netaddr *addr, char ret_text[NETADDR_TEXT_SIZE])
{
    struct netaddr network = *addr;
    if (!is_v4(addr))
        memset(network.bytes + 8, 0, 8);
    netaddr_format(&network, ret_text);
}

static bool parse_range(const char *text, size_t len, struct netaddr_range *ret_range)
{
    const char *slash = memchr(text, '/', len);
    char digits[4] = "";
    size_t address_len = slash ? (size_t)(slash - text) : len;
    if (!netaddr_parse(text, address_len, &ret_range->base))
        return false;
    ret_range->prefix_bits = 128;
    if (!slash)
        return true;
    size_t n = len - address_len - 1;
    if (n == 0 || n >= sizeof(digits))
        return false;
    memcpy(digits, slash + 1, n);
    if (strspn(digits, "0123456789") != n)
        return false;
    unsigned bits = (unsigned)strtoul(digits, NULL, 10);
    bits += is_v4(&ret_range->base) ? 96 : 0;
    ret_range->prefix_bits = bits;
    return bits <= 128;
}

bool netaddr_list_parse(const char *text, struct netaddr_list *ret_list)
{
    struct netaddr_list list = {.n = 0};
    for (const char *s = text; *s;) {
        s += strspn(s, ", ");
        size_t len = strcspn(s, ", ");
        if (len == 0)
            break;
        if (list.n == NETADDR_MAX_RANGES || !parse_range(s, len, &list.ranges[list.n++]))
            return false;
        s += len;
    }
    *ret_list = list;
    return true;
}

static bool range_holds(const struct netaddr_range *range, const struct netaddr *addr)
{
    unsigned whole = range->prefix_bits / 8;
    unsigned rest = range->prefix_bits % 8;
    if (memcmp(range->base.bytes, addr->bytes, whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00u >> rest);
    return rest == 0 || (range->base.bytes[whole] & mask) == (addr->bytes[whole] & mask);
}

bool netaddr_list_holds(const struct netaddr_list *list, const struct netaddr *addr)
{
    for (unsigned i = 0; i < list->n; i++)
        if (range_holds(&list->ranges[i], addr))
            return true;
    return false;
}

struct netaddr netaddr_client(const struct netaddr *peer, const char *forwarded_for,
                              const struct netaddr_list *trusted)
{
    struct netaddr client = *peer;
    size_t end = forwarded_for ? strlen(forwarded_for) : 0;
    while (end > 0 && netaddr_list_holds(trusted, &client)) {
        size_t start = end;
        while (start > 0 && forwarded_for[start - 1] != ',')
            start--;
        const char *hop = forwarded_for + start;
        size_t len = end - start;
        while (len > 0 && (*hop == ' ' || *hop == '\t')) {
            hop++;
            len--;
        }
        while (len > 0 && (hop[len - 1] == ' ' || hop[len - 1] == '\t'))
            len--;
        if (!netaddr_parse(hop, len, &client))
            break;
        end = start > 0 ? start - 1 : 0;
    }
    return client;
}
