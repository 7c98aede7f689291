// SPDX-License-Identifier: Apache-2.0
// protoc-gen-reelmesh: run by protoc with --reelmesh_out; a request on stdin, a response on stdout.
//
// As `protoc-gen-reelmesh --messages-only` it is a filter on descriptor sets that drops services:
// protoc-c generates code for them that nobody uses and that does not compile where a method's name
// is a C keyword.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/protoc-gen-reelmesh/plugin.h"

enum { MAX_INPUT_BYTES = 64 << 20, ARENA_BYTES = 256 << 20 };

static int read_all(struct reel_buf *in)
{
    for (;;) {
        ssize_t n;

        if (!reel_buf_reserve(in, 1 << 16))
            return -1;
        n = read(STDIN_FILENO, in->data + in->len, 1 << 16);
        if (n <= 0)
            return (int)n;
        in->len += (size_t)n;
    }
}

static int write_message(struct reel_arena *arena, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = reel_arena_alloc(arena, len);

    if (bytes == NULL)
        return 1;
    protobuf_c_message_pack(message, bytes);
    return fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0 ? 0 : 1;
}

static int run_messages_only(struct reel_arena *arena, const struct reel_buf *in)
{
    Google__Protobuf__FileDescriptorSet *set = google__protobuf__file_descriptor_set__unpack(
        reel_arena_pb(arena), in->len, (const uint8_t *)in->data);

    if (set == NULL) {
        fputs("protoc-gen-reelmesh: stdin is no FileDescriptorSet\n", stderr);
        return 1;
    }
    for (size_t i = 0; i < set->n_file; i++)
        set->file[i]->n_service = 0;
    return write_message(arena, &set->base);
}

static int run_plugin(struct reel_arena *arena, const struct reel_buf *in)
{
    struct plugin plugin = {.arena = arena};
    Google__Protobuf__Compiler__CodeGeneratorRequest *request =
        google__protobuf__compiler__code_generator_request__unpack(reel_arena_pb(arena), in->len,
                                                                   (const uint8_t *)in->data);
    Google__Protobuf__Compiler__CodeGeneratorResponse response;
    int status;

    if (request == NULL) {
        fputs("protoc-gen-reelmesh: stdin is no CodeGeneratorRequest; protoc runs this program\n",
              stderr);
        return 1;
    }
    reel_buf_init(&plugin.errors, 1 << 20);
    plugin_generate(&plugin, request, &response);
    status = write_message(arena, &response.base);
    reel_buf_fini(&plugin.errors);
    return status;
}

int main(int argc, char **argv)
{
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    REEL_AUTO(reel_buf_fini) struct reel_buf in;

    reel_arena_init(&arena, ARENA_BYTES);
    reel_buf_init(&in, MAX_INPUT_BYTES);
    if (read_all(&in) != 0) {
        fputs("protoc-gen-reelmesh: stdin cannot be read, or passes 64 MiB\n", stderr);
        return 1;
    }
    if (argc == 2 && strcmp(argv[1], "--messages-only") == 0)
        return run_messages_only(&arena, &in);
    return run_plugin(&arena, &in);
}
