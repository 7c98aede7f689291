// SPDX-License-Identifier: Apache-2.0
// Every message type that protoc handed over, found by its full name.
#pragma once

#include "google/protobuf/descriptor.pb-c.h"
#include "tools/protoc-gen-reelmesh/plugin.h"

struct schema_message {
    const char *full_name; // ".user.RegisterRequest"
    const Google__Protobuf__DescriptorProto *proto;
    const Google__Protobuf__FieldDescriptorProto **fields; // by number, as protobuf-c orders them
    size_t n_fields;
};

struct schema {
    struct schema_message *messages;
    size_t n_messages;
};

// A list of messages, without repeats.
struct schema_set {
    const struct schema_message **items;
    size_t n_items;
};

// Indexes the messages of all files, nested ones included. Borrows the request.
void schema_init(struct schema *schema, struct plugin *plugin,
                 const Google__Protobuf__Compiler__CodeGeneratorRequest *request);

// The message called `full_name` (with its leading dot), or NULL.
const struct schema_message *schema_find(const struct schema *schema, const char *full_name);

// The field that `path` ("video_id", "user.id") leads to, or NULL.
const Google__Protobuf__FieldDescriptorProto *
schema_field(const struct schema *schema, const struct schema_message *message, const char *path);

// Adds `message` and everything its fields lead to. A message that contains itself is an error:
// protobuf-c unpacks it to any depth.
void schema_reach(const struct schema *schema, struct plugin *plugin,
                  const struct schema_message *message, struct schema_set *set);

// An empty set with room for every message.
void schema_set_init(struct schema_set *set, const struct schema *schema, struct plugin *plugin);

// Whether `message` is in the set.
bool schema_set_has(const struct schema_set *set, const struct schema_message *message);
