// SPDX-License-Identifier: Apache-2.0
#include "gateway/chain.h"

static enum step (*const steps[])(struct request *req) = {
    client_step, match_step, cors_step, drain_step, rate_limit_step, authn_step, route_step,
};

enum step chain_run(struct request *req)
{
    while (req->step < REEL_ARRAY_SIZE(steps)) {
        enum step step = steps[req->step](req);
        if (step != STEP_NEXT)
            return step;
        req->step++;
    }
    return STEP_NEXT;
}
