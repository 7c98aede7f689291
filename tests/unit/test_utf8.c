// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/core/utf8.h"
#include "tests/lib/cmocka.h"

// A second opinion: decodes one code point by the definition, without tables of ranges.
static size_t decode(const unsigned char *s, size_t len, uint32_t *ret)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

    if (n == 4 && (s[0] & 0xf8) != 0xf0)
        return 0;
    if (n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    *ret = c;
    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return n;
}

static void every_sequence_of_three_bytes_is_judged_right(void **state)
{
    uint32_t c;

    (void)state;
    for (uint32_t bits = 0; bits < 1u << 24; bits += bits % 7 + 1) {
        const unsigned char s[3] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 8),
                                    (unsigned char)bits};

        if (reel_utf8_char_len((const char *)s, 3) != decode(s, 3, &c))
            fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}

static void every_first_pair_of_four_bytes_is_judged_right(void **state)
{
    uint32_t c;

    (void)state;
    for (unsigned a = 0xf0; a <= 0xff; a++) {
        for (unsigned b = 0; b <= 0xff; b++) {
            const unsigned char s[4] = {(unsigned char)a, (unsigned char)b, 0x80, 0xbf};

            assert_int_equal(reel_utf8_char_len((const char *)s, 4), decode(s, 4, &c));
        }
    }
}

static void malformed_text_is_refused_wherever_it_stands(void **state)
{
    static const char *const bad[] = {
        "\x80",             // a tail alone
        "\xc3",             // cut off
        "\xe2\x82",         // cut off
        "\xf0\x9f\x98",     // cut off
        "\xc0\xaf",         // overlong '/'
        "\xc1\xbf",         // overlong
        "\xe0\x80\xaf",     // overlong '/'
        "\xf0\x80\x80\xaf", // overlong '/'
        "\xc0\x80",         // overlong NUL
        "\xed\xa0\x80",     // surrogate
        "\xed\xbf\xbf",     // surrogate
        "\xf4\x90\x80\x80", // past U+10FFFF
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xc3\x28",
        "\xe2\x28\xa1",
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        for (size_t before = 0; before < 20; before++) {
            size_t len = strlen(bad[i]);

            memset(text, 'a', sizeof(text));
            memcpy(text + before, bad[i], len);
            assert_false(reel_utf8_is_valid(text, before + len));
            assert_false(reel_utf8_is_valid(text, before + len + 9));
        }
    }
}

static void good_text_is_taken(void **state)
{
    static const char text[] = "abcdefghijk\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
                               "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";

    (void)state;
    assert_true(reel_utf8_is_valid(text, sizeof(text) - 1));
    assert_true(reel_utf8_is_valid(NULL, 0));
    assert_true(reel_utf8_is_text("", 0));
}

static void a_nul_is_valid_but_not_text(void **state)
{
    (void)state;
    assert_true(reel_utf8_is_valid("a\0b", 3));
    assert_false(reel_utf8_is_text("a\0b", 3));
    assert_false(reel_utf8_is_text("\0", 1));
    assert_true(reel_utf8_is_text("ab", 2));
    assert_false(reel_utf8_is_text("a\xff", 2));
}

static void a_cut_never_splits_a_character(void **state)
{
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};

    (void)state;
    for (size_t max = 0; max < REEL_ARRAY_SIZE(expected); max++)
        assert_int_equal(reel_utf8_cut(text, sizeof(text) - 1, max), expected[max]);
    assert_int_equal(reel_utf8_cut(text, sizeof(text) - 1, 1000), sizeof(text) - 1);
}

static void a_cut_of_malformed_text_still_cuts(void **state)
{
    (void)state;
    assert_int_equal(reel_utf8_cut("\x80\x80\x80\x80\x80\x80\x80\x80", 8, 6), 6);
}

static void characters_are_decoded(void **state)
{
    static const struct {
        const char *text;
        uint32_t code_point;
    } cases[] = {
        {"A", 'A'},
        {"\x7f", 0x7f},
        {"\xc2\x80", 0x80},
        {"\xdf\xbf", 0x7ff},
        {"\xe0\xa0\x80", 0x800},
        {"\xef\xbf\xbf", 0xffff},
        {"\xf0\x90\x80\x80", 0x10000},
        {"\xf4\x8f\xbf\xbf", 0x10ffff},
    };
    uint32_t c;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        size_t len = strlen(cases[i].text);

        assert_int_equal(reel_utf8_decode(cases[i].text, len, &c), len);
        assert_int_equal(c, cases[i].code_point);
        if (len > 1)
            assert_int_equal(reel_utf8_decode(cases[i].text, len - 1, &c), 0);
    }
    assert_int_equal(reel_utf8_decode("\xff", 1, &c), 0);
}

static void what_cannot_be_seen_is_blank(void **state)
{
    static const char *const blank[] = {
        "",
        " \t\r\n",
        "\xc2\x85\xc2\xa0",             // next line, no-break space
        "\xc2\xad",                     // soft hyphen
        "\xe2\x80\x8b\xe2\x80\x8d",     // zero-width space, joiner
        "\xe2\x81\xa0 \xef\xbb\xbf",    // word joiner, byte order mark
        "\xe3\x80\x80\xe3\x85\xa4",     // ideographic space, Hangul filler
        "\xef\xb8\x8f",                 // variation selector
        "\xf3\xa0\x81\x81",             // tag
        "\xe2\x80\xae\xe2\x81\xa9\x7f", // text direction, delete
    };
    static const char *const seen[] = {
        "a",          "\xe2\x80\x8b.", "\xe2\x80\x90",     "\xc2\xa1", "\xe3\x80\x81",
        "  \xc3\xa9", "\xe2\x80\xa7",  "\xf0\x9f\x8e\xac", "\xff",     "\xe2\x80"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(blank); i++)
        assert_true(reel_utf8_is_blank(blank[i], strlen(blank[i])));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(seen); i++)
        assert_false(reel_utf8_is_blank(seen[i], strlen(seen[i])));
}

static void escaping_leaves_nothing_that_json_forbids(void **state)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf out;
    char all[256];

    (void)state;
    reel_buf_init(&out, 1 << 16);
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    reel_utf8_add_escaped(&out, all, sizeof(all));
    assert_true(reel_utf8_is_text(out.data, out.len));
    assert_memory_equal(out.data,
                        "\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n", 54);
    assert_non_null(strstr(out.data, "!\\\"#"));
    assert_non_null(strstr(out.data, "[\\\\]"));
    assert_non_null(strstr(out.data, "~\\u007f\xef\xbf\xbd\xef\xbf\xbd"));
    for (size_t i = 0; i < out.len; i++)
        assert_true((unsigned char)out.data[i] >= 0x20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_three_bytes_is_judged_right),
        cmocka_unit_test(every_first_pair_of_four_bytes_is_judged_right),
        cmocka_unit_test(malformed_text_is_refused_wherever_it_stands),
        cmocka_unit_test(good_text_is_taken),
        cmocka_unit_test(a_nul_is_valid_but_not_text),
        cmocka_unit_test(a_cut_never_splits_a_character),
        cmocka_unit_test(a_cut_of_malformed_text_still_cuts),
        cmocka_unit_test(characters_are_decoded),
        cmocka_unit_test(what_cannot_be_seen_is_blank),
        cmocka_unit_test(escaping_leaves_nothing_that_json_forbids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
