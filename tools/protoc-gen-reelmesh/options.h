// SPDX-License-Identifier: Apache-2.0
// Our options on methods and fields. protobuf-c knows no extensions: they arrive as unknown fields
// of MethodOptions and FieldOptions, and are unpacked from there.
#pragma once

#include "google/api/http.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "reel/options.pb-c.h"
#include "tools/protoc-gen-reelmesh/plugin.h"

// (google.api.http) of a method, or NULL. `where` names the method in errors.
const Google__Api__HttpRule *options_http(struct plugin *plugin, const char *where,
                                          const Google__Protobuf__MethodOptions *options);

// (reel.method) of a method; all zero when it has none. Never NULL. An option that is neither of
// the two is an error.
const Reel__MethodRule *options_method(struct plugin *plugin, const char *where,
                                       const Google__Protobuf__MethodOptions *options);

// (reel.field) of a field; all zero when it has none. Never NULL. Any other option is an error.
const Reel__FieldRule *options_field(struct plugin *plugin, const char *where,
                                     const Google__Protobuf__FieldOptions *options);
