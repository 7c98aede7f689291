// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "gateway/authn.h"
#include "gateway/chain.h"
#include "gateway/gateway.h"
#include "gateway/limiter.h"
#include "gateway/problem.h"

static void on_answer(void *arg)
{
    struct request *req = arg;
    waker_wake(&req->waker);
}

// A signed-in user is counted as such wherever they are; everybody else, and whoever signs in or
// registers, by address.
static void name_client(struct request *req, const char *rate_class, char *ret_key, size_t size)
{
    const char *user = strcmp(rate_class, "auth") == 0 ? NULL : authn_known_user(req);
    snprintf(ret_key, size, user ? "u:%.64s" : "%.64s", user ? user : req->bucket);
}

static enum step judge(struct request *req, const struct limit_ticket *ticket)
{
    const struct rate_policy *policy = ticket->policy;
    req->rate = (struct rate_verdict){
        .is_limited = true,
        .policy = policy->name,
        .quota = policy->quota,
        .window_s = policy->window_s,
        .remaining = ticket->verdict.remaining,
        .reset_s = ticket->verdict.reset_s,
    };
    req->state = NULL;
    if (ticket->allowed)
        return STEP_NEXT;
    return problem_quota(req, policy->name, ticket->verdict.reset_s);
}

enum step rate_limit_step(struct request *req)
{
    struct limit_ticket *ticket = req->state;
    if (!ticket) {
        const char *rate_class = req->endpoint ? req->endpoint->rate_class : "default";
        const struct rate_policy *policy =
            rate_class ? rate_policy_find(&req->gw->policies, rate_class) : NULL;
        if (!policy || policy->quota == 0)
            return STEP_NEXT;
        ticket = reel_arena_zalloc(&req->arena, sizeof(*ticket));
        if (!ticket)
            return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
        ticket->policy = policy;
        ticket->done = on_answer;
        ticket->arg = req;
        name_client(req, rate_class, ticket->key, sizeof(ticket->key));
        if (limiter_try(req->gw->limiter, ticket))
            return judge(req, ticket);
        req->state = ticket;
        waker_arm(&req->waker);
        limiter_ask(req->gw->limiter, ticket);
    }
    if (waker_park(&req->waker))
        return STEP_WAIT;
    return judge(req, ticket);
}
