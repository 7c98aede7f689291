// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/multipart.h"
#include "libcommon/core/base.h"

#define TYPE "multipart/form-data; boundary=XX"

// Parses `body` fed in pieces of `step` bytes and writes what happened as text:
// "name/filename[data]".
// ';' marks the closing boundary, '!' an error.
static void trace(const char *body, size_t len, size_t step, char *ret_text, size_t size)
{
    struct multipart parser;
    size_t n = 0;
    assert_true(multipart_init(&parser, TYPE));
    for (size_t at = 0; at < len; at += step) {
        size_t left = len - at < step ? len - at : step;
        const char *input = body + at;
        for (;;) {
            size_t used;
            enum multipart_event event = multipart_next(&parser, input, left, &used);
            assert_true(used <= left);
            input += used;
            left -= used;
            if (event == MULTIPART_NEED_MORE) {
                assert_int_equal(left, 0);
                break;
            }
            assert_true(n + parser.data_len + 600 < size);
            if (event == MULTIPART_PART)
                n += (size_t)sprintf(ret_text + n, "%s/%s[", parser.name,
                                     parser.has_filename ? parser.filename : "-");
            else if (event == MULTIPART_DATA)
                n += (size_t)sprintf(ret_text + n, "%.*s", (int)parser.data_len, parser.data);
            else if (event == MULTIPART_PART_END)
                n += (size_t)sprintf(ret_text + n, "]");
            else if (event == MULTIPART_END)
                n += (size_t)sprintf(ret_text + n, ";");
            else {
                ret_text[n++] = '!';
                ret_text[n] = '\0';
                return;
            }
        }
    }
    ret_text[n] = '\0';
}

static void check(const char *body, const char *expected)
{
    char text[4096];
    for (size_t step = 1; step <= strlen(body); step++) {
        trace(body, strlen(body), step, text, sizeof(text));
        assert_string_equal(text, expected);
    }
}

#define PART(head, data) "--XX\r\nContent-Disposition: form-data; " head "\r\n\r\n" data "\r\n"

static void forms_parse_the_same_however_they_are_cut(void **state)
{
    (void)state;
    check(PART("name=\"file\"; filename=\"a.mp4\"", "hello") "--XX--\r\n", "file/a.mp4[hello];");
    check(PART("name=a", "1") PART("name=b; filename=c", "2") "--XX--", "a/-[1]b/c[2];");
    check("preamble\r\n" PART("name=a", "1") "--XX--epilogue\r\n--XX\r\n", "a/-[1];");
    check(PART("name=a", "") "--XX--", "a/-[];");
    check("--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n--XX--", "a/-[];");
    check("--XX \t\r\nX: y\r\ncontent-disposition: FORM-DATA; name=a\r\n\r\nz\r\n--XX--",
          "a/-[z];");
}

// What stands in quotes is a value, whatever it looks like.
static void a_quoted_name_hides_nothing(void **state)
{
    (void)state;
    check(PART("name=\"a\\\"; filename=b\"", "1") "--XX--", "a\"; filename=b/-[1];");
    check(PART("name=\"a; filename=b\"", "1") "--XX--", "a; filename=b/-[1];");
    check(PART("name=\"a\\\\\"; filename=\"b;c\"", "1") "--XX--", "a\\/b;c[1];");
    check(PART("name=\"a\"; filename=\"C:\\dir\\f.mp4\"", "1") "--XX--", "a/f.mp4[1];");
    check(PART("name=a; filename=\"\"", "1") "--XX--", "a/[1];");
}

static void a_file_name_that_does_not_fit_is_no_plain_field(void **state)
{
    (void)state;
    static const unsigned lengths[] = {256, 1500};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(lengths); i++) {
        char long_name[1600], body[2048];
        memset(long_name, 'n', lengths[i]);
        long_name[lengths[i]] = '\0';
        snprintf(body, sizeof(body), PART("name=a; filename=\"%s\"", "1") "--XX--", long_name);
        check(body, "!");
        snprintf(body, sizeof(body), PART("name=a; filename=%s", "1") "--XX--", long_name);
        check(body, "!");
    }
    check(PART("name=a; filename=\"b", "1") "--XX--", "!");
}

static void near_boundaries_are_data(void **state)
{
    (void)state;
    check(PART("name=a", "\r\n--X\r\n--XY\r\r\n\n--\r\n-") "--XX--",
          "a/-[\r\n--X\r\n--XY\r\r\n\n--\r\n-];");
    check(PART("name=a", "\r\n") "--XX--", "a/-[\r\n];");
    check(PART("name=a", "\r\r\r") "--XX--", "a/-[\r\r\r];");
    check("--XXY\r\n" PART("name=a", "1") "--XX--", "!");
}

static void file_names_lose_their_folders(void **state)
{
    (void)state;
    check(PART("name=a; filename=\"../../etc/x.mp4\"", "1") "--XX--", "a/x.mp4[1];");
    check(PART("name=a; filename=\"C:\\\\v\\\\x.mp4\"", "1") "--XX--", "a/x.mp4[1];");
    check(PART("name=a; filename=\"q\\\"uote.mp4\"", "1") "--XX--", "a/q\"uote.mp4[1];");
    check(PART("name=\"filename=no; x\"; filename=yes", "1") "--XX--", "filename=no; x/yes[1];");
}

static void malformed_forms_are_errors(void **state)
{
    (void)state;
    check("--XX\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX--", "!");
    check("--XX\r\n\r\n1\r\n--XX--", "!");
    check("--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--XX--", "!");
    check("--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--", "!");
    check("--XX -\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX--", "!");
    check("--XX\r\nContent-Disposition: form-data; name=a\r\n"
          "Content-Disposition: form-data; name=b\r\n\r\n1\r\n--XX--",
          "!");
}

static void floods_are_errors(void **state)
{
    (void)state;
    static char body[64 * 1024];
    char text[4096];
    size_t n = (size_t)sprintf(body, "--XX\r\nX: ");
    memset(body + n, 'x', MULTIPART_MAX_HEADER_BYTES + 1);
    trace(body, n + MULTIPART_MAX_HEADER_BYTES + 1, 1000, text, sizeof(text));
    assert_string_equal(text, "!");
    n = 0;
    for (int i = 0; i <= MULTIPART_MAX_PARTS; i++)
        n += (size_t)sprintf(body + n, PART("name=a", ""));
    trace(body, n, n, text, sizeof(text));
    assert_int_equal(text[strlen(text) - 1], '!');
}

static void content_types_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"a b \"",
        "multipart/form-data; boundary=a\x01",
        "multipart/form-datax; boundary=x",
        "multipart/form-data; "
        "boundary=12345678901234567890123456789012345678901234567890123456789012"
        "345678901",
    };
    struct multipart parser;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_false(multipart_init(&parser, bad[i]));
    assert_true(multipart_init(&parser, "Multipart/Form-Data; charset=utf-8; boundary=\"a b\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_parse_the_same_however_they_are_cut),
        cmocka_unit_test(a_quoted_name_hides_nothing),
        cmocka_unit_test(a_file_name_that_does_not_fit_is_no_plain_field),
        cmocka_unit_test(near_boundaries_are_data),
        cmocka_unit_test(file_names_lose_their_folders),
        cmocka_unit_test(malformed_forms_are_errors),
        cmocka_unit_test(floods_are_errors),
        cmocka_unit_test(content_types_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
