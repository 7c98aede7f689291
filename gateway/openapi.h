// SPDX-License-Identifier: Apache-2.0
// The API's description, OpenAPI 3.1, from the same tables that serve it.
#pragma once

#include "libcommon/core/base.h"

struct gateway;

// Writes the document for gw->endpoints; *ret_text (malloc'ed) is the caller's. -ENOMEM.
int openapi_build(const struct gateway *gw, char **ret_text) REEL_MUST_CHECK;
