// SPDX-License-Identifier: Apache-2.0
// The call that an endpoint of a service's route makes.
#pragma once

#include "gateway/rpc.h"

// Calls the route's method with what the request carries: call it again after STEP_WAIT. STEP_NEXT
// when the call has ended well, with its payload in *ret_wait, which lives in the request's arena;
// otherwise the request is answered. Holds req->state meanwhile.
enum step proxy_call(struct request *req, struct rpc_wait **ret_wait);
