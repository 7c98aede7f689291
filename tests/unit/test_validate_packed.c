// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/wrappers.pb-c.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/validate.h"
#include "tests/fixtures/sample.pb-c.h"
#include "tests/lib/cmocka.h"

static char path[256];
static char description[256];
static unsigned n_said;

static void report(void *arg, const char *field, const char *text)
{
    (void)arg;
    strncpy(path, field, sizeof(path) - 1);
    strncpy(description, text, sizeof(description) - 1);
    n_said++;
}

static int check(const void *data, size_t len)
{
    n_said = 0;
    int rc = reel_validate_packed(&sample__everything__descriptor, data, len, report, NULL);
    assert_int_equal(n_said, rc == REEL_OK ? 0 : 1);
    return rc;
}

// Packs a full message into `packed`. Returns its length.
static size_t pack_sample(uint8_t packed[512])
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    Sample__Branch branch = SAMPLE__BRANCH__INIT;
    Sample__Leaf leaf = SAMPLE__LEAF__INIT;
    Sample__Leaf *leaves[] = {&leaf, &leaf};
    Google__Protobuf__StringValue wrapped = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
    char *words[] = {(char[]){"one"}, (char[]){"two"}};
    int32_t numbers[] = {0, 1, -1};
    uint8_t bytes[] = {0, 0, 0};

    m.an_int32 = -1;
    m.a_fixed32 = 7;
    m.a_fixed64 = 7;
    m.a_string = (char[]){"a string"};
    m.some_bytes = (ProtobufCBinaryData){.len = 3, .data = bytes};
    leaf.text = (char[]){"deep"};
    branch.leaf = &leaf;
    branch.leaves = leaves;
    branch.n_leaves = 2;
    m.branch = &branch;
    m.words = words;
    m.n_words = 2;
    m.numbers = numbers;
    m.n_numbers = 3;
    wrapped.value = (char[]){"wrapped"};
    m.maybe_string = &wrapped;
    assert_true(sample__everything__get_packed_size(&m) <= 512);
    return sample__everything__pack(&m, packed);
}

static void good_bytes_are_fine_zero_bytes_in_bytes_too(void **state)
{
    uint8_t packed[512];
    size_t n = pack_sample(packed);

    (void)state;
    assert_int_equal(check(packed, n), REEL_OK);
    assert_int_equal(check(NULL, 0), REEL_OK);
}

static void a_nul_in_any_string_is_named(void **state)
{
    static const char *const cases[][2] = {{"a string", "aString"},
                                           {"deep", "branch.leaf.text"},
                                           {"two", "words"},
                                           {"wrapped", "maybeString.value"}};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        uint8_t packed[512];
        size_t n = pack_sample(packed);
        uint8_t *at = memmem(packed, n, cases[i][0], strlen(cases[i][0]));

        assert_non_null(at);
        at[strlen(cases[i][0]) - 1] = 0;
        assert_int_equal(check(packed, n), REEL_INVALID_ARGUMENT);
        assert_string_equal(path, cases[i][1]);
        assert_string_equal(description, "must not have a NUL character");
    }
}

// Where this says yes, protobuf-c must not read past the end; where a cut falls between two fields,
// both take it.
static void every_cut_is_judged_as_protobuf_c_does(void **state)
{
    uint8_t packed[512];
    size_t n = pack_sample(packed);

    (void)state;
    for (size_t len = 0; len <= n; len++) {
        Sample__Everything *m = sample__everything__unpack(NULL, len, packed);

        assert_int_equal(check(packed, len), m ? REEL_OK : REEL_INVALID_ARGUMENT);
        if (m)
            sample__everything__free_unpacked(m, NULL);
    }
}

static void malformed_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},     // tag too long
        {"\x08", 1},                                              // no value
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, // varint too long
        {"\x72\x05hi", 4},                                        // longer than what is there
        {"\x72\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 12},    // longer than memory
        {"\x2d\x01\x02", 3},                                      // fixed32 cut off
        {"\x51\x01\x02\x03\x04", 5},                              // fixed64 cut off
        {"\x0b\x0c", 2},                                          // a group
        {"\x0e", 1},                                              // wire type 6
        {"\x0f", 1},                                              // wire type 7
        {"\x8a\x01\x02\x0a\x05", 5},                              // branch with a cut-off leaf
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_int_equal(check(cases[i].bytes, cases[i].len), REEL_INVALID_ARGUMENT);
}

static void unknown_fields_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(check("\xfa\x3f\x02\x00\x00", 5), REEL_OK);
    assert_int_equal(check("\xf8\x3f\x05", 3), REEL_OK);
}

// `depth` messages in each other.
static size_t pack_chain(uint8_t *packed, size_t size, unsigned depth)
{
    size_t start = size;

    for (unsigned i = 1; i < depth; i++) {
        size_t len = size - start;

        assert_true(len < 128);
        packed[--start] = (uint8_t)len;
        packed[--start] = 0x0a;
    }
    memmove(packed, packed + start, size - start);
    return size - start;
}

static void nesting_is_refused_before_anything_recurses(void **state)
{
    uint8_t packed[128] = {0};

    (void)state;
    for (unsigned depth = 1; depth < 40; depth++) {
        size_t n = pack_chain(packed, sizeof(packed), depth);
        int rc = reel_validate_packed(&sample__chain__descriptor, packed, n, report, NULL);

        assert_int_equal(rc, depth <= 17 ? REEL_OK : REEL_INVALID_ARGUMENT);
    }
    assert_string_equal(description, "is nested deeper than 16 messages");
    assert_string_equal(path, "next.next.next.next.next.next.next.next.next.next.next.next.next."
                              "next.next.next.next");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bytes_are_fine_zero_bytes_in_bytes_too),
        cmocka_unit_test(a_nul_in_any_string_is_named),
        cmocka_unit_test(every_cut_is_judged_as_protobuf_c_does),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(nesting_is_refused_before_anything_recurses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
