// SPDX-License-Identifier: Apache-2.0
// Whether the limits of a field fit the field.
#pragma once

#include "google/protobuf/descriptor.pb-c.h"
#include "reel/options.pb-c.h"
#include "tools/protoc-gen-reelmesh/plugin.h"

// Notes an error for every limit that contradicts another, or that the validator would never look
// at: a max_length on a number limits nothing. `where` names the field in errors.
void limits_check(struct plugin *plugin, const char *where,
                  const Google__Protobuf__FieldDescriptorProto *field, const Reel__FieldRule *rule);
