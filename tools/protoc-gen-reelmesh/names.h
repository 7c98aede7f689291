// SPDX-License-Identifier: Apache-2.0
// How protobuf names become C names, exactly as protoc-c spells them. Every result is arena memory.
#pragma once

#include "libcommon/core/arena.h"

// "RegisterRequest" -> "register_request".
char *names_lower(struct reel_arena *arena, const char *camel);

// "RegisterRequest" -> "REGISTER_REQUEST".
char *names_upper(struct reel_arena *arena, const char *camel);

// ".user.RegisterRequest" -> "User__RegisterRequest": the struct's name.
char *names_c_type(struct reel_arena *arena, const char *full_name);

// ".user.RegisterRequest" -> "user__register_request": the prefix of its descriptor.
char *names_c_prefix(struct reel_arena *arena, const char *full_name);

// A trailing underscore where `name` is a C keyword; else a copy.
char *names_safe(struct reel_arena *arena, const char *name);

// "grpc.health" -> "grpc_health".
char *names_package(struct reel_arena *arena, const char *package);
