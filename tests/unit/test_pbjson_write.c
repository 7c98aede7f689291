// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/json/pbjson.h"
#include "proto/job.pb-c.h"
#include "proto/user.pb-c.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

static void assert_writes(const void *message, const char *expected)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    reel_buf_init(&out, 1 << 20);
    assert_int_equal(reel_pbjson_write(message, &out), REEL_OK);
    assert_string_equal(out.data, expected);
}

static void zero_values_and_empty_lists_are_shown(void **state)
{
    Job__JobResult result = JOB__JOB_RESULT__INIT;

    (void)state;
    assert_writes(&result, "{\"storageKey\":\"\",\"sizeBytes\":\"0\",\"width\":0,\"height\":0,"
                           "\"durationMs\":0,\"videoCodec\":\"\",\"audioCodec\":\"\","
                           "\"format\":\"\",\"contentType\":\"\",\"warnings\":[]}");
}

static void absent_messages_are_left_out(void **state)
{
    User__User user = USER__USER__INIT;

    (void)state;
    user.id = (char[]){"u"};
    assert_writes(&user, "{\"id\":\"u\",\"username\":\"\",\"email\":\"\"}");
}

static void every_default_is_shown_but_absent_wrappers_and_oneofs(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    (void)state;
    assert_writes(&m, "{\"anInt32\":0,\"aSint32\":0,\"aSfixed32\":0,\"aUint32\":0,\"aFixed32\":0,"
                      "\"anInt64\":\"0\",\"aSint64\":\"0\",\"aSfixed64\":\"0\",\"aUint64\":\"0\","
                      "\"aFixed64\":\"0\",\"aFloat\":0,\"aDouble\":0,\"aBool\":false,"
                      "\"aString\":\"\",\"someBytes\":\"\",\"color\":\"COLOR_UNSPECIFIED\","
                      "\"numbers\":[],\"words\":[],\"flags\":[],\"blobs\":[],\"colors\":[],"
                      "\"reals\":[],\"longs\":[],\"times\":[]}");
}

static void lists_and_nesting_are_written(void **state)
{
    Sample__Leaf leaf = SAMPLE__LEAF__INIT, other = SAMPLE__LEAF__INIT;
    Sample__Branch branch = SAMPLE__BRANCH__INIT;
    Sample__Leaf *leaves[] = {&leaf, &other};

    (void)state;
    leaf.text = (char[]){"\"\\\n\x01</script>\xe2\x82\xac"};
    other.number = INT32_MIN;
    branch.leaf = &leaf;
    branch.n_leaves = 2;
    branch.leaves = leaves;
    assert_writes(&branch,
                  "{\"leaf\":{\"text\":\"\\\"\\\\\\n\\u0001</script>\xe2\x82\xac\",\"number\":0},"
                  "\"leaves\":[{\"text\":\"\\\"\\\\\\n\\u0001</script>\xe2\x82\xac\","
                  "\"number\":0},{\"text\":\"\",\"number\":-2147483648}]}");
}

static void wrappers_are_written_plain(void **state)
{
    Google__Protobuf__StringValue s = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
    Google__Protobuf__StringValue empty = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
    User__UpdateUserRequest m = USER__UPDATE_USER_REQUEST__INIT;

    (void)state;
    s.value = (char[]){"ada"};
    m.username = &s;
    m.email = &empty;
    assert_writes(&m, "{\"username\":\"ada\",\"email\":\"\"}");
}

static void only_the_chosen_oneof_member_is_written(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    (void)state;
    m.choice_case = SAMPLE__EVERYTHING__CHOICE_CHOICE_NUMBER;
    m.choice_number = 0;
    reel_buf_init(&out, 1 << 20);
    assert_int_equal(reel_pbjson_write(&m.base, &out), REEL_OK);
    assert_non_null(strstr(out.data, "\"choiceNumber\":0}"));
    assert_null(strstr(out.data, "choiceString"));
}

static void unknown_enum_numbers_are_written_as_numbers(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    (void)state;
    m.color = (Sample__Color)77;
    reel_buf_init(&out, 1 << 20);
    assert_int_equal(reel_pbjson_write(&m.base, &out), REEL_OK);
    assert_non_null(strstr(out.data, "\"color\":77,"));
}

static void a_null_string_is_written_as_empty(void **state)
{
    Sample__Leaf leaf = SAMPLE__LEAF__INIT;

    (void)state;
    leaf.text = NULL;
    assert_writes(&leaf, "{\"text\":\"\",\"number\":0}");
}

static void a_timestamp_out_of_range_is_a_fault(void **state)
{
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    User__User user = USER__USER__INIT;
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    (void)state;
    user.created_at = &at;
    at.seconds = INT64_MAX;
    reel_buf_init(&out, 1 << 20);
    assert_int_equal(reel_pbjson_write(&user.base, &out), REEL_INTERNAL);
}

static void a_full_buffer_is_resource_exhausted(void **state)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;

    (void)state;
    for (size_t max = 0; max < 300; max += 13) {
        REEL_AUTO(reel_buf_fini) struct reel_buf out;

        reel_buf_init(&out, max);
        assert_int_equal(reel_pbjson_write(&m.base, &out), REEL_RESOURCE_EXHAUSTED);
        assert_true(out.len <= max);
    }
}

static void nesting_past_the_limit_is_a_fault(void **state)
{
    Sample__Chain chain[REEL_PBJSON_MAX_DEPTH + 1];
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    (void)state;
    reel_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(chain); i++)
        sample__chain__init(&chain[i]);
    for (size_t i = 0; i + 2 < REEL_ARRAY_SIZE(chain); i++)
        chain[i].next = &chain[i + 1];
    assert_int_equal(reel_pbjson_write(&chain[0].base, &out), REEL_OK);
    chain[REEL_PBJSON_MAX_DEPTH - 1].next = &chain[REEL_PBJSON_MAX_DEPTH];
    assert_int_equal(reel_pbjson_write(&chain[0].base, &out), REEL_INTERNAL);
}

static Sample__Everything *parse(struct reel_arena *arena, const char *text)
{
    struct reel_pbjson_error error;
    ProtobufCMessage *message = NULL;

    int rc = reel_pbjson_parse(text, strlen(text), &sample__everything__descriptor, arena, &message,
                               &error);
    if (rc != REEL_OK)
        fail_msg("%s: %s %s", text, error.path, error.message);
    return (Sample__Everything *)message;
}

// What is written reads back to the same message, bit by bit.
static void what_is_written_reads_back_the_same(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"anInt64\":\"-9223372036854775808\",\"aUint64\":\"18446744073709551615\"}",
        "{\"aFloat\":\"NaN\",\"aDouble\":\"-Infinity\",\"reals\":[0.1,1e-320,1."
        "7976931348623157e308,"
        "-0.0,5e-324,123456789012345678]}",
        "{\"aFloat\":3.4028235e38,\"aDouble\":2.2250738585072014e-308}",
        "{\"someBytes\":\"AAECAwQF/+8=\",\"blobs\":[\"\",\"AA==\",\"AAA=\",\"AAAA\"]}",
        "{\"at\":\"0001-01-01T00:00:00Z\",\"times\":[\"9999-12-31T23:59:59.999999999Z\","
        "\"1969-12-31T23:59:59.001Z\"]}",
        "{\"maybeString\":\"\",\"maybeInt32\":0,\"maybeInt64\":\"0\",\"maybeUint32\":0,"
        "\"maybeUint64\":\"0\",\"maybeBool\":false,\"maybeDouble\":0,\"maybeFloat\":0.1,"
        "\"maybeBytes\":\"\"}",
        "{\"choiceLeaf\":{\"text\":\"\\u007f\\u0080\\u2028\"}}",
        "{\"colors\":[\"DARK\",99,\"RED\"],\"longs\":[\"1\",\"-1\"],\"flags\":[true,false]}",
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(texts); i++) {
        REEL_AUTO(reel_arena_fini) struct reel_arena arena;
        REEL_AUTO(reel_buf_fini) struct reel_buf out;
        uint8_t first[1024], second[1024];

        reel_arena_init(&arena, 1 << 20);
        reel_buf_init(&out, 1 << 20);
        const Sample__Everything *m = parse(&arena, texts[i]);
        assert_int_equal(reel_pbjson_write(&m->base, &out), REEL_OK);
        const Sample__Everything *again = parse(&arena, out.data);
        size_t n = protobuf_c_message_pack(&m->base, first);
        assert_int_equal(protobuf_c_message_pack(&again->base, second), n);
        assert_memory_equal(first, second, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_values_and_empty_lists_are_shown),
        cmocka_unit_test(absent_messages_are_left_out),
        cmocka_unit_test(every_default_is_shown_but_absent_wrappers_and_oneofs),
        cmocka_unit_test(lists_and_nesting_are_written),
        cmocka_unit_test(wrappers_are_written_plain),
        cmocka_unit_test(only_the_chosen_oneof_member_is_written),
        cmocka_unit_test(unknown_enum_numbers_are_written_as_numbers),
        cmocka_unit_test(a_null_string_is_written_as_empty),
        cmocka_unit_test(a_timestamp_out_of_range_is_a_fault),
        cmocka_unit_test(a_full_buffer_is_resource_exhausted),
        cmocka_unit_test(nesting_past_the_limit_is_a_fault),
        cmocka_unit_test(what_is_written_reads_back_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
