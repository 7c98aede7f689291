// SPDX-License-Identifier: Apache-2.0
// The model as C text. Emitting cannot fail but by running out of the buffer's maximum.
#pragma once

#include "libcommon/core/buf.h"
#include "tools/protoc-gen-reelmesh/model.h"

// <stem>.reel.h: vtables, method indexes, tables and client stubs.
void emit_header(struct plugin *plugin, const struct model_file *file, struct reel_buf *out);

// <stem>.reel.c: the tables and the stubs.
void emit_source(struct plugin *plugin, const struct model_file *file, struct reel_buf *out);

// The field rules of every message that a service of the file receives.
void emit_rules(struct plugin *plugin, const struct model_file *file, struct reel_buf *out);

// The parameters of a client stub, without the closing parenthesis' terminator.
void emit_stub_signature(struct plugin *plugin, const struct model_service *service,
                         const struct model_method *method, struct reel_buf *out);

// A C string literal, or NULL for NULL or an empty text.
void emit_literal(struct reel_buf *out, const char *text);

// "true" or "false".
const char *emit_bool(bool value);
