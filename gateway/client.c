// SPDX-License-Identifier: Apache-2.0
#include <strings.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"

enum step client_step(struct request *req)
{
    const struct netaddr *peer = conn_peer(req->conn);
    bool trusted = netaddr_list_holds(&req->gw->trusted, peer);
    const char *forwarded = trusted ? request_header_list(req, "X-Forwarded-For") : NULL;
    const char *proto = trusted ? request_header(req, "X-Forwarded-Proto") : NULL;
    struct netaddr client = netaddr_client(peer, forwarded, &req->gw->trusted);
    netaddr_format(&client, req->client);
    netaddr_bucket(&client, req->bucket);
    req->is_secure = proto && strcasecmp(proto, "https") == 0;
    return STEP_NEXT;
}
