// SPDX-License-Identifier: Apache-2.0
// Methods, services and routes as data: what protoc-gen-reelmesh generates from proto/.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

struct reel_call;
struct reel_method;

enum reel_idempotency { REEL_IDEMPOTENCY_UNKNOWN, REEL_NO_SIDE_EFFECTS, REEL_IDEMPOTENT };
enum reel_access { REEL_ACCESS_AUTHENTICATED, REEL_ACCESS_PUBLIC, REEL_ACCESS_INTERNAL };
enum reel_http_mode { REEL_HTTP_JSON, REEL_HTTP_UPLOAD, REEL_HTTP_ASSET };
enum reel_session_cookie { REEL_COOKIE_KEEP, REEL_COOKIE_SET, REEL_COOKIE_CLEAR };

// Limits of one field, from (reel.field). Rows are generated per message, in the order of its
// fields.
struct reel_field_rule {
    const char *field; // protobuf name; NULL ends a table
    bool required;
    bool uuid;
    bool email;
    bool secret;
    uint32_t min_length;
    uint32_t max_length; // bytes; 0 is REEL_FIELD_DEFAULT_MAX_LENGTH
    uint32_t max_items;  // 0 is REEL_FIELD_DEFAULT_MAX_ITEMS
    int64_t min;
    int64_t max;
    const char *one_of;  // comma-separated, or NULL
    const char *pattern; // allowed characters as in tr(1), or NULL
};

enum { REEL_FIELD_DEFAULT_MAX_LENGTH = 4096, REEL_FIELD_DEFAULT_MAX_ITEMS = 1000 };

// The rules of one message type.
struct reel_message_rules {
    const ProtobufCMessageDescriptor *message;
    const struct reel_field_rule *rules; // ends with field == NULL
};

// Calls the service's handler with the right types; generated, one a method. `impl` is the
// service's vtable, `svc` its state. For a client-streaming method `req` is NULL; for a
// server-streaming one `res` is NULL. A missing handler answers REEL_UNIMPLEMENTED.
typedef int (*reel_method_fn)(const void *impl, void *svc, struct reel_call *call, const void *req,
                              void *res);

struct reel_method {
    const char *path; // "/user.UserService/Login", as gRPC writes it
    const char *name; // "Login"
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    reel_method_fn invoke;
    bool client_streaming;
    bool server_streaming;
    bool nonblocking; // runs on the receiving thread
    enum reel_idempotency idempotency;
    enum reel_access access;
    uint32_t timeout_ms; // 0: the server's default
};

// One service: its methods and the rules of every message they take, nested ones included.
struct reel_service {
    const char *name; // "user.UserService"
    const struct reel_method *methods;
    unsigned n_methods;
    const struct reel_message_rules *rules;
    unsigned n_rules;
};

// One HTTP binding of a method. Generated in the order of the proto file.
struct reel_route {
    const char *verb; // "GET"
    const char *path; // "/api/videos/{video_id}"
    const char *body; // "*" or NULL
    const struct reel_service *service;
    const struct reel_method *method;
    enum reel_http_mode mode;
    enum reel_session_cookie cookie;
    uint16_t success_status;
    const char *rate_class; // "default" when the proto names none
    const char *location;   // template, or NULL
    const char *summary;    // for OpenAPI
    const uint16_t *errors; // ends with 0
    bool additional;        // an additional_bindings entry
};
