// SPDX-License-Identifier: Apache-2.0
// The one validation pass of a request, after unpacking and before the handler.
//
// protobuf-c checks neither UTF-8 nor enum ranges nor sizes. This walks a message and everything
// in it by descriptor and checks: strings are UTF-8, enums are known values, timestamps are in
// range, the default limits, and the (reel.field) rules. A rule on a wrapper field
// (google.protobuf.StringValue and its kin) speaks of the wrapped value.
//
// An empty string that is not required counts as absent: only one_of is asked of it. A number is
// always held to its range, and a wrapper that is present to all of its rule.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/method.h"

// After this many violations the walk stops.
enum { REEL_VALIDATE_MAX_VIOLATIONS = 16 };

// Takes one violation: the field's JSON path ("params.width", "items[3]"; "" for the message as a
// whole) and a clause that follows the name ("must be at most 8192"). Both strings are borrowed
// until it returns. The value of a field marked secret is never in them.
typedef void (*reel_violation_fn)(void *arg, const char *field, const char *description);

// Checks `message` against the rules of its type and of the types in it; types without rules get
// the default limits. REEL_OK, or REEL_INVALID_ARGUMENT after `report` was called at least once.
// `report` may be NULL. Any thread.
int reel_validate(const struct reel_message_rules *rules, unsigned n_rules,
                  const ProtobufCMessage *message, reel_violation_fn report,
                  void *arg) REEL_MUST_CHECK;

// Checks packed bytes, before unpacking, for what is no longer seen after it: a NUL byte inside a
// string, which ends a C string early. Stops at the first; its path has no indexes. Also refuses
// nesting deeper than 16, groups and cut-off fields. REEL_OK or REEL_INVALID_ARGUMENT. Any thread.
int reel_validate_packed(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                         size_t len, reel_violation_fn report, void *arg) REEL_MUST_CHECK;
