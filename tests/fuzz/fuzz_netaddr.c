// SPDX-License-Identifier: Apache-2.0
// Addresses, lists of networks and X-Forwarded-For: what was read reads the same when written, and
// with nobody trusted the client is the peer.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/netaddr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const char *text, size_t len)
{
    struct netaddr addr, again;
    char written[NETADDR_TEXT_SIZE];
    if (!netaddr_parse(text, len, &addr))
        return;
    netaddr_format(&addr, written);
    if (!netaddr_parse(written, strlen(written), &again) ||
        memcmp(&addr, &again, sizeof(addr)) != 0)
        abort();
    netaddr_bucket(&addr, written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024];
    struct netaddr_list list;
    const struct netaddr_list nobody = {.n = 0};
    struct netaddr peer;
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';

    check_address(text, size);
    if (!netaddr_parse("192.0.2.7", 9, &peer))
        abort();
    struct netaddr client = netaddr_client(&peer, text, &nobody);
    if (memcmp(&client, &peer, sizeof(peer)) != 0)
        abort();
    if (netaddr_list_parse("0.0.0.0/0,::/0", &list))
        netaddr_client(&peer, text, &list);
    if (netaddr_list_parse(text, &list)) {
        for (unsigned i = 0; i < list.n; i++)
            if (list.ranges[i].prefix_bits > 128 ||
                !netaddr_list_holds(&list, &list.ranges[i].base))
                abort();
        netaddr_client(&peer, "198.51.100.1, 192.0.2.7", &list);
    }
    return 0;
}
