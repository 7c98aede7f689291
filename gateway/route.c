// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"
#include "gateway/problem.h"

enum step match_step(struct request *req)
{
    if (strcmp(req->path, "*") == 0)
        return STEP_NEXT;
    router_find(&req->gw->router, req->method, req->path, &req->match);
    req->endpoint = req->match.target;
    return STEP_NEXT;
}

static enum step answer_options(struct request *req)
{
    char allow[64];
    router_allow(req->match.allowed, allow);
    reply_header(req, "Allow", reel_arena_strdup(&req->arena, allow));
    return reply_set(req, 204);
}

enum step route_step(struct request *req)
{
    bool known = req->match.allowed != 0 || strcmp(req->path, "*") == 0;
    if (req->endpoint)
        return STEP_NEXT;
    if (!known)
        return problem_answer(req, 404, "There is nothing at %s.", req->path);
    if (strcmp(req->method, "OPTIONS") == 0)
        return answer_options(req);
    char allow[64];
    router_allow(req->match.allowed, allow);
    reply_header(req, "Allow", reel_arena_strdup(&req->arena, allow));
    return problem_answer(req, 405, "%s is not possible here; %s are.", req->method, allow);
}
