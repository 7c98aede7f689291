// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "libcommon/auth/jwt_parts.h"
#include "libcommon/core/base64.h"
#include "libcommon/core/err.h"
#include "tests/lib/cmocka.h"

enum { NOW = 1800000000 };

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

static struct reel_buf part; // the last text in base64url

static int teardown(void **state)
{
    (void)state;
    reel_buf_fini(&part);
    return 0;
}

static const char *encode(const char *text)
{
    reel_buf_fini(&part);
    reel_buf_init(&part, 4096);
    reel_base64_add_url(&part, (const uint8_t *)text, strlen(text));
    return part.data;
}

static int read_header(const char *json)
{
    char kid[REEL_JWT_KID_SIZE] = "untouched";
    const char *text = encode(json);
    int rc = reel_jwt_read_header(text, strlen(text), kid);

    assert_true(rc == REEL_OK || strcmp(kid, "untouched") == 0);
    return rc;
}

static int read_claims(const char *json)
{
    struct reel_jwt_claims claims;
    const char *text = encode(json);

    return reel_jwt_read_claims(text, strlen(text), NOW, &claims);
}

static void the_one_header_is_taken(void **state)
{
    char kid[REEL_JWT_KID_SIZE];
    const char *text = encode("{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"JWT\"}");

    (void)state;
    assert_int_equal(reel_jwt_read_header(text, strlen(text), kid), REEL_OK);
    assert_string_equal(kid, "k1");
    assert_int_equal(read_header("{\"kid\":\"k1\",\"alg\":\"ES256\"}"), REEL_OK);
}

static void headers_that_ask_for_anything_else_are_refused(void **state)
{
    static const char kid_of_65[] =
        "{\"alg\":\"ES256\",\"kid\":"
        "\"01234567890123456789012345678901234567890123456789012345678901234\"}";
    static const char *const bad[] = {
        "{}",
        "[]",
        "null",
        "\"ES256\"",
        "{\"alg\":\"ES256\"}",
        "{\"kid\":\"k\"}",
        "{\"alg\":\"none\",\"kid\":\"k\"}",
        "{\"alg\":\"HS256\",\"kid\":\"k\"}",
        "{\"alg\":\"es256\",\"kid\":\"k\"}",
        "{\"alg\":[\"ES256\"],\"kid\":\"k\"}",
        "{\"alg\":\"ES256\",\"kid\":1}",
        "{\"alg\":\"ES256\",\"kid\":null}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"jwt\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":null}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":[\"b64\"]}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"jku\":\"https://evil.example\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"jwk\":{}}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"alg\":\"ES256\"}",
        "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"k\"}",
        "{\"alg\":\"ES256\\u0000\",\"kid\":\"k\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k\"} x",
        kid_of_65,
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        if (read_header(bad[i]) != REEL_UNAUTHENTICATED)
            fail_msg("taken: %s", bad[i]);
    }
}

// A signature of 64 zero bytes.
#define SIGNATURE                                                                                  \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void a_token_is_cut_at_its_two_dots(void **state)
{
    struct reel_jwt_parts parts;

    (void)state;
    assert_int_equal(reel_jwt_cut("aGVhZA.cGF5bG9hZA." SIGNATURE, &parts), REEL_OK);
    assert_int_equal(parts.header_len, 6);
    assert_int_equal(parts.payload_len, 10);
    assert_int_equal(parts.signature_len, strlen(SIGNATURE));
    assert_memory_equal(parts.payload, "cGF5bG9hZA", 10);
}

static void other_cuts_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "a",
        "aa.bb",
        "aa.bb.",
        "aa..",
        "." SIGNATURE,
        "aa." SIGNATURE,
        ".bb." SIGNATURE,
        "aa.bb." SIGNATURE ".",
        "aa.bb." SIGNATURE ".cc.dd",
        "aa.bb." SIGNATURE "=",
        "aa.bb." SIGNATURE " ",
        "aa.bb." SIGNATURE "\n",
        " aa.bb." SIGNATURE,
        "aa+.bb." SIGNATURE,
        "aa/.bb." SIGNATURE,
        "aa.b=." SIGNATURE,
        "aa.bb.A" SIGNATURE,
        "aa.bb.AAAA",
    };
    struct reel_jwt_parts parts;
    char token[REEL_JWT_SIZE + 10];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        if (reel_jwt_cut(bad[i], &parts) != REEL_UNAUTHENTICATED)
            fail_msg("taken: %s", bad[i]);
    }
    memset(token, 'a', sizeof(token));
    strncpy(token + REEL_JWT_MAX_LEN + 1 - strlen(".bb." SIGNATURE), ".bb." SIGNATURE,
            strlen(".bb." SIGNATURE) + 1);
    assert_int_equal(reel_jwt_cut(token, &parts), REEL_UNAUTHENTICATED);
    assert_int_equal(reel_jwt_cut(token + 1, &parts), REEL_OK);
}

// One token has one spelling: the unused bits of the last character must be zero.
static void a_second_spelling_of_a_signature_is_refused(void **state)
{
    char token[] = "aa.bb." SIGNATURE;
    struct reel_jwt_parts parts;

    (void)state;
    token[sizeof(token) - 2] = 'B';
    assert_int_equal(reel_jwt_cut(token, &parts), REEL_UNAUTHENTICATED);
}

// Claims that are good at NOW, with one of them replaced by `with` (or taken out by "").
static const char *claims_with(const char *name, const char *with)
{
    static const char *const good[][2] = {
        {"iss", "\"reelmesh\""}, {"aud", "\"reelmesh-api\""}, {"sub", "\"" ID "\""},
        {"sid", "\"" ID "\""},   {"jti", "\"" ID "\""},       {"iat", "1800000000"},
        {"nbf", "1800000000"},   {"exp", "1800000900"},
    };
    static char text[1024];
    size_t n = 1;

    text[0] = '{';
    for (size_t i = 0; i < REEL_ARRAY_SIZE(good); i++) {
        const char *value = strcmp(good[i][0], name) == 0 ? with : good[i][1];

        if (*value)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"%s\":%s", n > 1 ? "," : "",
                                  good[i][0], value);
    }
    snprintf(text + n, sizeof(text) - n, "}");
    return text;
}

static void good_claims_are_taken(void **state)
{
    (void)state;
    assert_int_equal(read_claims(claims_with("none", "")), REEL_OK);
    // A clock may differ by the leeway, either way.
    assert_int_equal(read_claims(claims_with("nbf", "1800000030")), REEL_OK);
    assert_int_equal(read_claims(claims_with("iat", "1800000030")), REEL_OK);
}

static void every_claim_must_be_there_and_of_its_type(void **state)
{
    static const char *const names[] = {"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"};
    static const char *const bad[] = {"",
                                      "null",
                                      "true",
                                      "[]",
                                      "{}",
                                      "\"\"",
                                      "\"1800000000\"",
                                      "1800000000.0",
                                      "18e8",
                                      "-1",
                                      "9223372036854775807"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(names); i++) {
        for (size_t k = 0; k < REEL_ARRAY_SIZE(bad); k++) {
            const char *claims = claims_with(names[i], bad[k]);

            if (read_claims(claims) != REEL_UNAUTHENTICATED)
                fail_msg("taken: %s", claims);
        }
    }
}

static void wrong_people_and_wrong_times_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"iss", "\"other\""},
        {"iss", "\"reelmesh\\u0000x\""},
        {"aud", "\"reelmesh\""},
        {"aud", "[\"reelmesh-api\"]"},
        {"sub", "\"01890A5D-AC96-774B-BCCE-B302099A8057\""},
        {"sub", "\"1\""},
        {"nbf", "1800000031"},
        {"iat", "1800000031"},
        {"exp", "1799999970"},
        {"exp", "1800000000"},
        {"exp", "1800000901"},
        {"iat", "1799999999"},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        const char *claims = claims_with(bad[i][0], bad[i][1]);

        if (read_claims(claims) != REEL_UNAUTHENTICATED)
            fail_msg("taken: %s", claims);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_header_is_taken),
        cmocka_unit_test(headers_that_ask_for_anything_else_are_refused),
        cmocka_unit_test(a_token_is_cut_at_its_two_dots),
        cmocka_unit_test(other_cuts_are_refused),
        cmocka_unit_test(a_second_spelling_of_a_signature_is_refused),
        cmocka_unit_test(good_claims_are_taken),
        cmocka_unit_test(every_claim_must_be_there_and_of_its_type),
        cmocka_unit_test(wrong_people_and_wrong_times_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
