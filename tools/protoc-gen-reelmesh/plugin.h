// SPDX-License-Identifier: Apache-2.0
// One run of the plugin: protoc's request in, files or a clear error out.
#pragma once

#include <stdbool.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/buf.h"
#include "tools/protoc-gen-reelmesh/plugin.pb-c.h"

// Everything a run shares. Memory is the arena's, which lives as long as the run.
struct plugin {
    struct reel_arena *arena;
    struct reel_buf errors; // one line each; empty: all is well
};

// Adds an error: what is wrong, where, and what to do.
void plugin_error(struct plugin *plugin, const char *fmt, ...) REEL_PRINTF(2, 3);

// Generates <name>.reel.h and <name>.reel.c for every requested file that has a service. The
// response is arena memory; on a bad proto it carries only the errors. The parameter
// "prefix=proto/" is put before the names of included generated headers.
void plugin_generate(struct plugin *plugin,
                     const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                     Google__Protobuf__Compiler__CodeGeneratorResponse *ret_response);
