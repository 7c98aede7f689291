// SPDX-License-Identifier: Apache-2.0
// The kinds of endpoints, one file each, and the table of all routes.
#pragma once

#include "gateway/request.h"

// A JSON route.
extern const struct endpoint_ops proxy_ops;
// A body that streams into a call.
extern const struct endpoint_ops upload_ops;
// A file, whole or in ranges.
extern const struct endpoint_ops asset_ops;
// Server-sent events.
extern const struct endpoint_ops events_ops;
// The gateway's own state.
extern const struct endpoint_ops health_ops;
extern const struct endpoint_ops ready_ops;
extern const struct endpoint_ops status_ops;
extern const struct endpoint_ops metrics_ops;
extern const struct endpoint_ops openapi_ops;

// Fills gw->endpoints and gw->router from the services' route tables and the gateway's own rows.
// -ENOMEM, or -EINVAL for a table that does not fit.
int routes_build(struct gateway *gw) REEL_MUST_CHECK;
