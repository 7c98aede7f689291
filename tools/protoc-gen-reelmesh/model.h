// SPDX-License-Identifier: Apache-2.0
// A proto file's services, checked and named for C: what the emitters print.
#pragma once

#include "tools/protoc-gen-reelmesh/options.h"
#include "tools/protoc-gen-reelmesh/schema.h"

struct model_route {
    const char *verb;
    const char *path;
    const char *body; // NULL: none
    bool additional;
};

struct model_method {
    const char *name;       // "Register"
    const char *where;      // "user.UserService.Register", for errors and comments
    const char *lower;      // "register": in the stub's name
    const char *member;     // "register_": in the vtable
    const char *enumerator; // "USER_SERVICE_REGISTER"
    const struct schema_message *request;
    const struct schema_message *response;
    const Reel__MethodRule *rule;
    const char *idempotency; // the C enumerator
    bool client_streaming;
    bool server_streaming;
    struct model_route *routes;
    size_t n_routes;
};

struct model_service {
    const char *full_name; // "user.UserService"
    const char *prefix;    // "user_service"
    const char *upper;     // "USER_SERVICE"
    const char *state;     // "user_svc"
    struct model_method *methods;
    size_t n_methods;
    struct schema_set rules; // the messages that its requests lead to
};

struct model_file {
    const char *proto;    // "user.proto"
    const char *stem;     // "user"
    const char *includes; // "proto/": before the generated headers
    struct model_service *services;
    size_t n_services;
};

// Builds and checks the model of one file; what is wrong goes to the plugin's errors.
void model_build(struct plugin *plugin, const struct schema *schema,
                 const Google__Protobuf__FileDescriptorProto *proto, const char *includes,
                 struct model_file *ret_file);
