// SPDX-License-Identifier: Apache-2.0
// JSON over HTTP to protobuf and back, by descriptor.
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "gateway/request.h"
#include "libcommon/rpc/channel.h"

enum { CALL_METADATA_MAX = 6 };

// The request message from body, path and query. STEP_NEXT with *ret_message (arena), or the answer
// that says what does not fit.
enum step transcode_request(struct request *req, ProtobufCMessage **ret_message);

// Unpacks an answer into the request's arena and transcodes it.
enum step transcode_payload(struct request *req, const uint8_t *payload, size_t len);

// The metadata of a call made for this request: user, session, request id, trace; of a public one
// who the client is as well. Returns how many.
size_t transcode_metadata(struct request *req, struct reel_metadata metadata[CALL_METADATA_MAX]);

// When a call of the request's route must be answered.
int64_t transcode_deadline_us(const struct request *req, const struct reel_method *method);
