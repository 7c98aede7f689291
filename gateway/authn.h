// SPDX-License-Identifier: Apache-2.0
// What the chain's steps share about signed-in users.
#pragma once

#include "gateway/request.h"

// The user of the request's credentials if they were verified before and still hold; NULL when they
// were not, or there are none. Makes no call and checks no signature. Arena.
const char *authn_known_user(struct request *req);
