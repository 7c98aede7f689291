// SPDX-License-Identifier: Apache-2.0
// Protos that are wrong: the plugin names the method or field, and says what to do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/core/base.h"

struct bad_proto {
    const char *name;
    const char *methods;  // of service Bad
    const char *messages; // beside Request and Answer
    const char *error;    // part of what protoc prints; NULL: the proto is fine
};

static const char preamble[] = "syntax = \"proto3\";\n"
                               "package bad;\n"
                               "import \"google/api/annotations.proto\";\n"
                               "import \"google/protobuf/descriptor.proto\";\n"
                               "import \"google/protobuf/wrappers.proto\";\n"
                               "import \"reel/options.proto\";\n"
                               "message Request { string id = 1; repeated string many = 2; }\n"
                               "message Answer { string id = 1; }\n";

#define RPC(options)  "rpc Get(Request) returns (Answer) { " options " }\n"
#define HTTP(binding) "option (google.api.http) = { " binding " };"
#define OTHER(field, rule)                                                                         \
    "rpc Get(Other) returns (Answer);", "message Other { " field " [(reel.field) = { " rule " }];" \
                                        " }"
#define RULE(rule) "option (reel.method) = { " rule " };"

static const struct bad_proto protos[] = {
    {"fine", RPC(HTTP("get: \"/a/{id}\"")), "", NULL},
    {"variable_is_no_field", RPC(HTTP("get: \"/a/{nope}\"")), "",
     "bad.Bad.Get: {nope} is no field of bad.Request"},
    {"variable_in_json_spelling",
     "rpc Get(Other) returns (Answer) { " HTTP("get: \"/a/{videoId}\"") " }",
     "message Other { string video_id = 1; }",
     "{videoId} is no field of bad.Other; write it as the proto does: video_id"},
    {"variable_is_repeated", RPC(HTTP("get: \"/a/{many}\"")), "",
     "bad.Bad.Get: {many} of bad.Request must be a single"},
    {"variable_with_a_pattern", RPC(HTTP("get: \"/a/{id=x/*}\"")), "",
     "a variable must be {field} and fill its segment"},
    {"variable_in_half_a_segment", RPC(HTTP("get: \"/a/x{id}\"")), "",
     "a variable must be {field} and fill its segment"},
    {"variable_without_an_end", RPC(HTTP("get: \"/a/{id\"")), "",
     "a variable must be {field} and fill its segment"},
    {"path_without_a_slash", RPC(HTTP("get: \"a\"")), "", "must start with /"},
    {"same_route_other_variable",
     RPC(HTTP("get: \"/a/{id}\" additional_bindings { get: \"/a/{id}\" }")), "",
     "bad.Bad.Get: the route GET /a/{id} is already that of bad.Bad.Get"},
    {"same_route_two_methods",
     RPC(HTTP("get: \"/a\"")) "rpc Two(Request) returns (Answer) { " HTTP("get: \"/a\"") " }", "",
     "bad.Bad.Two: the route GET /a is already that of bad.Bad.Get"},
    {"client_streaming_without_upload",
     "rpc Up(stream Request) returns (Answer) { " HTTP("post: \"/a\"") " }", "",
     "bad.Bad.Up: a client-streaming method with a route needs http_mode: UPLOAD"},
    {"upload_of_a_unary_method", RPC(HTTP("post: \"/a\"") RULE("http_mode: UPLOAD")), "",
     "http_mode: UPLOAD needs a client-streaming method"},
    {"server_streaming_with_a_route",
     "rpc Down(Request) returns (stream Answer) { " HTTP("get: \"/a\"") " }", "",
     "a server-streaming method cannot have a route"},
    {"internal_with_a_route", RPC(HTTP("get: \"/a\"") RULE("access: INTERNAL")), "",
     "an INTERNAL method cannot have a route"},
    {"body_is_one_field", RPC(HTTP("post: \"/a\" body: \"id\"")), "",
     "bad.Bad.Get: the body \"id\" is not supported; \"*\" takes all fields from the body"},
    {"get_with_a_body", RPC(HTTP("get: \"/a\" body: \"*\"")), "", "a GET route has no body"},
    {"custom_verb", RPC(HTTP("custom: { kind: \"HEAD\" path: \"/a\" }")), "",
     "a route needs one of get, put, post, delete, patch"},
    {"response_body", RPC(HTTP("get: \"/a\" response_body: \"id\"")), "", "not supported"},
    {"status_out_of_range", RPC(HTTP("get: \"/a\"") RULE("success_status: 301")), "",
     "success_status 301 is outside 200 to 299"},
    {"location_is_no_field", RPC(HTTP("post: \"/a\"") RULE("location: \"/a/{nope}\"")), "",
     "{nope} is no field of bad.Answer"},
    {"location_is_a_number",
     "rpc Get(Request) returns (Other) { " HTTP("post: \"/a\"") RULE("location: \"/a/{n}\"") " }",
     "message Other { int32 n = 1; }",
     "bad.Bad.Get: {n} in location must be a string of the answer itself"},
    {"location_is_inside_a_message",
     "rpc Get(Request) returns (Other) { " HTTP("post: \"/a\"")
         RULE("location: \"/a/{answer.id}\"") " }",
     "message Other { Answer answer = 1; }",
     "bad.Bad.Get: {answer.id} in location must be a string of the answer itself"},
    {"unknown_method_option", RPC("option (mine) = true;"),
     "extend google.protobuf.MethodOptions { bool mine = 50077; }",
     "bad.Bad.Get: unknown option (extension 50077)"},
    {"unknown_field_option", "rpc Get(Other) returns (Answer);",
     "extend google.protobuf.FieldOptions { bool own = 50078; }\n"
     "message Other { string id = 1 [(own) = true]; }",
     "bad.Other.id: unknown option (extension 50078)"},
    {"message_in_itself", "rpc Get(Loop) returns (Answer);",
     "message Loop { repeated Loop more = 1; }", "bad.Loop: contains itself"},
    {"min_above_max", "rpc Get(Other) returns (Answer);",
     "message Other { int32 n = 1 [(reel.field) = { min: 3 max: 2 }]; }",
     "bad.Other.n: min 3 is above max 2"},
    {"min_without_max", OTHER("int32 n = 1", "min: 3"), "min 3 is above max 0; give a max as well"},
    {"min_length_above_max_length", OTHER("string s = 1", "min_length: 3 max_length: 2"),
     "bad.Other.s: min_length 3 is above max_length 2"},
    {"length_of_a_number", OTHER("int32 n = 1", "max_length: 9"),
     "bad.Other.n: min_length or max_length is for strings and bytes; this field is a number, "
     "which takes min and max"},
    {"length_of_a_wrapped_number", OTHER("google.protobuf.Int32Value n = 1", "max_length: 9"),
     "bad.Other.n: min_length or max_length is for strings and bytes"},
    {"range_of_a_string", OTHER("string s = 1", "max: 9"),
     "bad.Other.s: min or max is for numbers; this field is a string, which takes min_length and "
     "max_length"},
    {"range_of_a_message", OTHER("Answer a = 1", "min: 1 max: 9"),
     "bad.Other.a: min or max is for numbers; this field is neither text nor a number"},
    {"form_of_bytes", OTHER("bytes b = 1", "uuid: true"),
     "bad.Other.b: uuid, email, one_of or pattern is for strings; this field is bytes"},
    {"items_of_a_single_field", OTHER("string s = 1", "max_items: 9"),
     "bad.Other.s: max_items is for repeated fields"},
    {"limits_that_fit",
     OTHER("google.protobuf.StringValue s = 1", "min_length: 1 max_length: 9 pattern: \"a-z\""),
     NULL},
    {"limits_of_items", OTHER("repeated int64 n = 1", "min: -1 max: 9 max_items: 3"), NULL},
};

static void write_proto(const char *dir, const struct bad_proto *proto)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/bad.proto", dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s%s\nservice Bad {\n%s\n}\n", preamble, proto->messages, proto->methods);
    fclose(file);
}

// Runs protoc on dir/bad.proto; what it prints goes to `output`. Returns its exit status.
static int run_protoc(const char *dir, char *output, size_t size)
{
    char command[2048];
    FILE *pipe;
    size_t n;

    snprintf(command, sizeof(command),
             "%s --plugin=protoc-gen-reelmesh=%s --reelmesh_out=%s -I%s -I%s bad.proto 2>&1",
             PROTOC, PLUGIN, dir, dir, PROTO_DIR);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(output, 1, size - 1, pipe);
    output[n] = '\0';
    return WEXITSTATUS(pclose(pipe));
}

static void remove_files(const char *dir)
{
    static const char *const names[] = {"bad.proto", "bad.reel.h", "bad.reel.c"};
    char path[256];

    for (size_t i = 0; i < REEL_ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void check_proto(const struct bad_proto *proto)
{
    char dir[] = "/tmp/reelplugin.XXXXXX";
    char output[8192];
    int status;

    assert_non_null(mkdtemp(dir));
    write_proto(dir, proto);
    status = run_protoc(dir, output, sizeof(output));
    remove_files(dir);
    if (proto->error == NULL) {
        if (status != 0)
            fail_msg("%s: refused: %s", proto->name, output);
        return;
    }
    if (status == 0)
        fail_msg("%s: accepted", proto->name);
    if (strstr(output, proto->error) == NULL)
        fail_msg("%s: says \"%s\", not \"%s\"", proto->name, output, proto->error);
}

static void a_wrong_proto_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(protos); i++)
        check_proto(&protos[i]);
}

static int run_plugin_alone(const char *input_command, const char *argument)
{
    char command[1024];

    snprintf(command, sizeof(command), "%s | %s %s >/dev/null 2>&1", input_command, PLUGIN,
             argument);
    return WEXITSTATUS(system(command));
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    (void)state;
    assert_int_equal(run_plugin_alone("printf '\\377\\377\\377'", ""), 1);
    assert_int_equal(run_plugin_alone("printf '\\377\\377\\377'", "--messages-only"), 1);
}

static void an_empty_request_is_an_empty_answer(void **state)
{
    (void)state;
    assert_int_equal(run_plugin_alone("true", ""), 0);
    assert_int_equal(run_plugin_alone("true", "--messages-only"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_proto_is_refused_by_name),
        cmocka_unit_test(bytes_that_are_no_request_are_refused),
        cmocka_unit_test(an_empty_request_is_an_empty_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
