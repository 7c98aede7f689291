// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/timestamp.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/core/pb.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

static const ProtobufCFieldDescriptor *field(const char *name)
{
    const ProtobufCFieldDescriptor *f =
        reel_pb_find_field(&sample__everything__descriptor, name, strlen(name));

    assert_non_null(f);
    return f;
}

static void names_become_camel_case(void **state)
{
    static const char *const names[][2] = {
        {"width", "width"},
        {"target_format", "targetFormat"},
        {"a_b_c", "aBC"},
        {"x_1y", "x1y"},
        {"_lead", "Lead"},
        {"trail_", "trail"},
        {"two__bars", "twoBars"},
        {"already_Upper", "alreadyUpper"},
        {"", ""},
    };
    char camel[REEL_PB_NAME_SIZE];
    char name[500];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(names); i++) {
        reel_pb_camel_name(names[i][0], camel);
        assert_string_equal(camel, names[i][1]);
    }
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    reel_pb_camel_name(name, camel);
    assert_int_equal(strlen(camel), REEL_PB_NAME_SIZE - 1);
}

static void fields_are_found_by_both_names_and_whole(void **state)
{
    const ProtobufCMessageDescriptor *d = &sample__everything__descriptor;

    (void)state;
    assert_ptr_equal(field("an_int32"), field("anInt32"));
    assert_null(reel_pb_find_field(d, "anInt3", 6));
    assert_null(reel_pb_find_field(d, "", 0));
    assert_non_null(reel_pb_find_field(d, "anInt32.rest", 7));
    assert_null(reel_pb_find_field(d, "anInt32\0x", 9));
}

static void kinds_are_told_by_full_name(void **state)
{
    (void)state;
    assert_int_equal(reel_pb_kind_of(&google__protobuf__timestamp__descriptor), REEL_PB_TIMESTAMP);
    assert_int_equal(reel_pb_kind_of(&google__protobuf__string_value__descriptor), REEL_PB_WRAPPER);
    assert_int_equal(reel_pb_kind_of(&google__protobuf__uint64_value__descriptor), REEL_PB_WRAPPER);
    assert_int_equal(reel_pb_kind_of(&google__protobuf__bytes_value__descriptor), REEL_PB_WRAPPER);
    assert_int_equal(reel_pb_kind_of(&sample__leaf__descriptor), REEL_PB_PLAIN);
}

static void presence_follows_oneof_and_pointers(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    Sample__Leaf leaf = SAMPLE__LEAF__INIT;

    (void)state;
    assert_true(reel_pb_is_present(&m.base, field("a_string")));
    assert_true(reel_pb_is_present(&m.base, field("numbers")));
    assert_false(reel_pb_is_present(&m.base, field("at")));
    assert_false(reel_pb_is_present(&m.base, field("choice_number")));
    m.choice_case = SAMPLE__EVERYTHING__CHOICE_CHOICE_NUMBER;
    assert_true(reel_pb_is_present(&m.base, field("choice_number")));
    assert_false(reel_pb_is_present(&m.base, field("choice_string")));
    m.choice_leaf = NULL;
    m.choice_case = SAMPLE__EVERYTHING__CHOICE_CHOICE_LEAF;
    assert_false(reel_pb_is_present(&m.base, field("choice_leaf")));
    m.choice_leaf = &leaf;
    assert_true(reel_pb_is_present(&m.base, field("choice_leaf")));
}

static void integers_are_read_at_their_width_and_sign(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    (void)state;
    m.an_int32 = -1;
    m.a_uint32 = UINT32_MAX;
    m.an_int64 = INT64_MIN;
    m.a_bool = 1;
    m.color = SAMPLE__COLOR__DARK;
    assert_true(reel_pb_get_int(PROTOBUF_C_TYPE_INT32, &m.an_int32) == -1);
    assert_true(reel_pb_get_int(PROTOBUF_C_TYPE_UINT32, &m.a_uint32) == UINT32_MAX);
    assert_true(reel_pb_get_int(PROTOBUF_C_TYPE_SFIXED64, &m.an_int64) == INT64_MIN);
    assert_true(reel_pb_get_int(PROTOBUF_C_TYPE_BOOL, &m.a_bool) == 1);
    assert_true(reel_pb_get_int(PROTOBUF_C_TYPE_ENUM, &m.color) == -3);
}

static void element_sizes_are_those_of_protobuf_c(void **state)
{
    (void)state;
    assert_int_equal(reel_pb_element_size(PROTOBUF_C_TYPE_INT32), sizeof(int32_t));
    assert_int_equal(reel_pb_element_size(PROTOBUF_C_TYPE_ENUM), sizeof(Sample__Color));
    assert_int_equal(reel_pb_element_size(PROTOBUF_C_TYPE_BOOL), sizeof(protobuf_c_boolean));
    assert_int_equal(reel_pb_element_size(PROTOBUF_C_TYPE_DOUBLE), sizeof(double));
    assert_int_equal(reel_pb_element_size(PROTOBUF_C_TYPE_UINT64), sizeof(uint64_t));
    assert_int_equal(reel_pb_element_size(PROTOBUF_C_TYPE_STRING), sizeof(char *));
    assert_int_equal(reel_pb_element_size(PROTOBUF_C_TYPE_BYTES), sizeof(ProtobufCBinaryData));
}

static void a_timestamp_keeps_what_was_set(void **state)
{
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

    (void)state;
    reel_pb_timestamp_set(&at.base, -5, 7);
    assert_true(at.seconds == -5 && at.nanos == 7);
    assert_true(reel_pb_timestamp_seconds(&at.base) == -5);
    assert_int_equal(reel_pb_timestamp_nanos(&at.base), 7);
}

static void paths_are_rendered_and_cut(void **state)
{
    const struct reel_pb_place a = {.field = "some_list", .index = 3};
    const struct reel_pb_place b = {.up = &a, .field = "raw_key", .index = -1, .verbatim = true};
    const struct reel_pb_place c = {.up = &b, .field = "last_one", .index = REEL_PB_NO_INDEX};
    char path[64], full[64];

    (void)state;
    reel_pb_path(&c, full, sizeof(full));
    assert_string_equal(full, "someList[3].raw_key.lastOne");
    for (size_t size = 1; size < sizeof(path); size++) {
        reel_pb_path(&c, path, size);
        assert_true(strlen(path) < size);
        assert_memory_equal(path, full, strlen(path));
    }
    reel_pb_path(NULL, path, sizeof(path));
    assert_string_equal(path, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_camel_case),
        cmocka_unit_test(fields_are_found_by_both_names_and_whole),
        cmocka_unit_test(kinds_are_told_by_full_name),
        cmocka_unit_test(presence_follows_oneof_and_pointers),
        cmocka_unit_test(integers_are_read_at_their_width_and_sign),
        cmocka_unit_test(element_sizes_are_those_of_protobuf_c),
        cmocka_unit_test(a_timestamp_keeps_what_was_set),
        cmocka_unit_test(paths_are_rendered_and_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
