// SPDX-License-Identifier: Apache-2.0
// A reply body read from VideoService.ReadAsset as the client takes it.
#pragma once

#include <stdint.h>

struct MHD_Response;
struct request;

// A response of `length` bytes of a stored file from `offset`. The call is opened when the first
// byte is wanted (never for HEAD), waits for the client by credit, and is cancelled with the
// request. It takes over the request's state. NULL when memory is out.
struct MHD_Response *asset_stream_response(struct request *req, const char *storage_key,
                                           int64_t offset, int64_t length);
