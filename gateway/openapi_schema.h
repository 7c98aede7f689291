// SPDX-License-Identifier: Apache-2.0
// JSON Schemas of protobuf messages and their rules.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "libcommon/rpc/method.h"

struct json_t;

// The schema of one field with what its rule (or NULL) asks; messages it names are added to
// `schemas`, an object. Owned by the caller; NULL when memory is out.
struct json_t *openapi_field_schema(const struct reel_service *service, struct json_t *schemas,
                                    const ProtobufCFieldDescriptor *field,
                                    const struct reel_field_rule *rule);

// A reference to the schema of a message, which is added to `schemas` with all it contains. Owned
// by the caller.
struct json_t *openapi_message_ref(const struct reel_service *service, struct json_t *schemas,
                                   const ProtobufCMessageDescriptor *message);

// The rule of a message's field, or NULL.
const struct reel_field_rule *openapi_rule(const struct reel_service *service,
                                           const ProtobufCMessageDescriptor *message,
                                           const char *field);
