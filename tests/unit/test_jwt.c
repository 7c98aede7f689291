// SPDX-License-Identifier: Apache-2.0
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/auth/eckey.h"
#include "libcommon/auth/jwt.h"
#include "libcommon/core/err.h"
#include "tests/lib/cmocka.h"

#define USER    "0192f0c1-2a3b-7c4d-8e5f-000000000001"
#define SESSION "0192f0c1-2a3b-7c4d-8e5f-000000000002"
#define TOKEN   "0192f0c1-2a3b-7c4d-8e5f-000000000003"

enum { NOW = 1800000000, LIFE = 900 };

static char private_pem[REEL_ECKEY_PEM_SIZE];
static char public_pem[REEL_ECKEY_PEM_SIZE];
static char kid[REEL_ECKEY_ID_SIZE];
static struct reel_jwt_keys *keys;

static const struct reel_jwt_claims claims = {
    .user_id = USER,
    .session_id = SESSION,
    .token_id = TOKEN,
    .issued_at_s = NOW,
    .expires_at_s = NOW + LIFE,
};

static int setup(void **state)
{
    (void)state;
    assert_int_equal(reel_eckey_generate(private_pem), REEL_OK);
    assert_int_equal(reel_eckey_public(private_pem, public_pem, kid), REEL_OK);
    const struct reel_jwt_public_key key = {.kid = kid, .pem = public_pem};
    assert_int_equal(reel_jwt_keys_new(&key, 1, &keys), REEL_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reel_jwt_keys_free(keys);
    return 0;
}

static void add_base64url(char *token, const unsigned char *data, size_t len)
{
    char *end = token + strlen(token);
    int n = EVP_EncodeBlock((unsigned char *)end, data, (int)len);

    while (n > 0 && end[n - 1] == '=')
        end[--n] = '\0';
    for (int i = 0; i < n; i++) {
        if (end[i] == '+')
            end[i] = '-';
        if (end[i] == '/')
            end[i] = '_';
    }
}

// The signature of an honest key over anything: what is refused is then refused for its content.
static void add_es256(char *token)
{
    BIO *bio = BIO_new_mem_buf(private_pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char der[128];
    size_t der_len = sizeof(der);
    unsigned char raw[64];

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(
        EVP_DigestSign(ctx, der, &der_len, (const unsigned char *)token, strlen(token)), 1);
    const unsigned char *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
    strcat(token, ".");
    add_base64url(token, raw, sizeof(raw));
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static void unsigned_token(const char *header, const char *payload, char *ret_token)
{
    ret_token[0] = '\0';
    add_base64url(ret_token, (const unsigned char *)header, strlen(header));
    strcat(ret_token, ".");
    add_base64url(ret_token, (const unsigned char *)payload, strlen(payload));
}

static void sign(const char *header, const char *payload, char *ret_token)
{
    unsigned_token(header, payload, ret_token);
    add_es256(ret_token);
}

static int verify(const char *token)
{
    struct reel_jwt_claims seen;

    return reel_jwt_verify(keys, token, NOW, &seen);
}

static const char *good_header(void)
{
    static char header[128];

    snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", kid);
    return header;
}

#define IDS   "\"sub\":\"" USER "\",\"sid\":\"" SESSION "\",\"jti\":\"" TOKEN "\""
#define US    "\"iss\":\"reelmesh\",\"aud\":\"reelmesh-api\""
#define TIMES "\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000900"
#define GOOD  "{" US "," IDS "," TIMES "}"

static void a_minted_token_verifies_and_carries_its_claims(void **state)
{
    struct reel_jwt_claims seen = {0};
    char token[REEL_JWT_SIZE];

    (void)state;
    assert_int_equal(reel_jwt_mint(kid, private_pem, &claims, token), REEL_OK);
    assert_int_equal(reel_jwt_verify(keys, token, NOW, &seen), REEL_OK);
    assert_string_equal(seen.user_id, USER);
    assert_string_equal(seen.session_id, SESSION);
    assert_string_equal(seen.token_id, TOKEN);
    assert_int_equal(seen.issued_at_s, NOW);
    assert_int_equal(seen.expires_at_s, NOW + LIFE);
}

// Proves that the forger below makes tokens that would pass if their content were right.
static void the_forgers_honest_token_verifies(void **state)
{
    char token[4096];

    (void)state;
    sign(good_header(), GOOD, token);
    assert_int_equal(verify(token), REEL_OK);
}

static void it_is_valid_from_iat_to_exp_with_a_leeway(void **state)
{
    static const struct {
        int64_t now_s;
        int rc;
    } cases[] = {
        {0, REEL_UNAUTHENTICATED},
        {NOW - REEL_JWT_LEEWAY_S - 1, REEL_UNAUTHENTICATED},
        {NOW - REEL_JWT_LEEWAY_S, REEL_OK},
        {NOW + LIFE + REEL_JWT_LEEWAY_S - 1, REEL_OK},
        {NOW + LIFE + REEL_JWT_LEEWAY_S, REEL_UNAUTHENTICATED},
        {INT64_C(1) << 50, REEL_UNAUTHENTICATED},
    };
    struct reel_jwt_claims seen;
    char token[REEL_JWT_SIZE];

    (void)state;
    assert_int_equal(reel_jwt_mint(kid, private_pem, &claims, token), REEL_OK);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_int_equal(reel_jwt_verify(keys, token, cases[i].now_s, &seen), cases[i].rc);
}

static void headers_that_ask_for_anything_else_are_refused(void **state)
{
    // %s is the right kid.
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"kid\":\"%s\"}",
        "{\"alg\":\"nOnE\",\"kid\":\"%s\"}",
        "{\"alg\":\"\",\"kid\":\"%s\"}",
        "{\"alg\":null,\"kid\":\"%s\"}",
        "{\"alg\":[\"ES256\"],\"kid\":\"%s\"}",
        "{\"alg\":\"es256\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES256 \",\"kid\":\"%s\"}",
        "{\"alg\":\"ES256\\u0000\",\"kid\":\"%s\"}",
        "{\"alg\":\"HS256\",\"kid\":\"%s\"}",
        "{\"alg\":\"HS384\",\"kid\":\"%s\"}",
        "{\"alg\":\"RS256\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES384\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES512\",\"kid\":\"%s\"}",
        "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES256\",\"alg\":\"none\",\"kid\":\"%s\"}",
        "{\"kid\":\"%s\"}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"jku\":\"https://evil.example/keys\"}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"jwk\":{\"kty\":\"EC\"}}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"x5u\":\"https://evil.example/cert\"}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"x5c\":[\"MIIB\"]}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"b64\":false}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"zip\":\"DEF\"}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":null}",
        "{\"alg\":\"ES256\",\"kid\":\"%s0\"}",
        "{\"alg\":\"ES256\",\"kid\":[\"%s\"]}",
        "{\"alg\":\"ES256\",\"kid\":\"../../etc/passwd\"}",
        "{\"alg\":\"ES256\",\"kid\":\"' OR 1=1 --\"}",
        "{\"alg\":\"ES256\",\"kid\":\"\"}",
        "{\"alg\":\"ES256\",\"kid\":null}",
        "{\"alg\":\"ES256\"}",
        "[\"ES256\"]",
        "\"ES256\"",
        "{}",
        "{\"alg\":\"ES256\",\"kid\":\"%s\"} ,",
        "{\"alg\":\"ES256\",\"kid\":\"%s\"",
    };
    char token[4096];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(headers); i++) {
        char header[512];
        const char *gap = strstr(headers[i], "%s");

        snprintf(header, sizeof(header), "%.*s%s%s",
                 gap ? (int)(gap - headers[i]) : (int)strlen(headers[i]), headers[i],
                 gap ? kid : "", gap ? gap + 2 : "");
        sign(header, GOOD, token);
        if (verify(token) != REEL_UNAUTHENTICATED)
            fail_msg("accepted header %s", header);
    }
}

static void claims_that_are_missing_or_ill_typed_are_refused(void **state)
{
    static const char *const payloads[] = {
        "[]",
        "{}",
        "\"text\"",
        "null",
        "{" IDS "," TIMES "}",
        "{\"iss\":\"reelmesh\"," IDS "," TIMES "}",
        "{\"aud\":\"reelmesh-api\"," IDS "," TIMES "}",
        "{\"iss\":\"reelmesh\",\"aud\":[\"reelmesh-api\"]," IDS "," TIMES "}",
        "{\"iss\":\"reelmesh\",\"aud\":\"other\"," IDS "," TIMES "}",
        "{\"iss\":\"evil\",\"aud\":\"reelmesh-api\"," IDS "," TIMES "}",
        "{\"iss\":[\"reelmesh\"],\"aud\":\"reelmesh-api\"," IDS "," TIMES "}",
        "{" US ",\"sid\":\"" SESSION "\",\"jti\":\"" TOKEN "\"," TIMES "}",
        "{" US ",\"sub\":\"" USER "\",\"jti\":\"" TOKEN "\"," TIMES "}",
        "{" US ",\"sub\":\"" USER "\",\"sid\":\"" SESSION "\"," TIMES "}",
        "{" US ",\"sub\":1,\"sid\":\"" SESSION "\",\"jti\":\"" TOKEN "\"," TIMES "}",
        "{" US ",\"sub\":\"admin\",\"sid\":\"" SESSION "\",\"jti\":\"" TOKEN "\"," TIMES "}",
        "{" US ",\"sub\":\"" USER "' OR 1=1\",\"sid\":\"" SESSION "\",\"jti\":\"" TOKEN "\"," TIMES
        "}",
        "{" US "," IDS "}",
        "{" US "," IDS ",\"nbf\":1800000000,\"exp\":1800000900}",
        "{" US "," IDS ",\"iat\":1800000000,\"exp\":1800000900}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":\"1800000900\"}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000900.0}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1.8000009e9}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":true}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":null}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":-1}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":9223372036854775807}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":99999999999999999999}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":\"1800000000\",\"exp\":1800000900}",
        "{" US "," IDS ",\"iat\":\"1800000000\",\"nbf\":1800000000,\"exp\":1800000900}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800086400}",
        "{" US "," IDS ",\"iat\":1799999000,\"nbf\":1799999000,\"exp\":1799999900}",
        "{" US "," IDS ",\"iat\":1800000100,\"nbf\":1800000000,\"exp\":1800000900}",
        "{" US "," IDS ",\"iat\":1800000000,\"nbf\":1800000100,\"exp\":1800000900}",
        "{" US "," IDS ",\"iat\":1800000010,\"nbf\":1800000000,\"exp\":1800000000}",
        "{" US "," IDS "," TIMES ",\"exp\":1900000000}",
        "{" US "," IDS ",\"sub\":\"" TOKEN "\"," TIMES "}",
        "{" US "," IDS "," TIMES "}x",
        "{" US "," IDS "," TIMES,
    };
    char token[4096];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(payloads); i++) {
        sign(good_header(), payloads[i], token);
        if (verify(token) != REEL_UNAUTHENTICATED)
            fail_msg("accepted payload %s", payloads[i]);
    }
}

static void claims_beside_ours_are_ignored(void **state)
{
    char token[4096];

    (void)state;
    sign(good_header(), "{" US "," IDS "," TIMES ",\"scope\":\"all\",\"role\":{\"admin\":true}}",
         token);
    assert_int_equal(verify(token), REEL_OK);
}

static void no_signature_and_empty_signature_are_refused(void **state)
{
    char token[4096];

    (void)state;
    unsigned_token(good_header(), GOOD, token);
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
    strcat(token, ".");
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
    unsigned_token("{\"alg\":\"none\"}", GOOD, token);
    strcat(token, ".");
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
}

static void a_zero_signature_is_refused(void **state)
{
    const unsigned char zero[64] = {0};
    char token[4096];

    (void)state;
    unsigned_token(good_header(), GOOD, token);
    strcat(token, ".");
    add_base64url(token, zero, sizeof(zero));
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
}

// The classic confusion: an HMAC keyed with the text of the public key.
static void an_hmac_with_the_public_key_is_refused(void **state)
{
    const char *const headers[] = {"HS256", "ES256"};
    char token[4096];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(headers); i++) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned mac_len = 0;
        char header[256];

        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\"}", headers[i], kid);
        unsigned_token(header, GOOD, token);
        HMAC(EVP_sha256(), public_pem, (int)strlen(public_pem), (const unsigned char *)token,
             strlen(token), mac, &mac_len);
        strcat(token, ".");
        add_base64url(token, mac, mac_len);
        assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
    }
}

static void a_token_of_another_key_is_refused(void **state)
{
    char other_private[REEL_ECKEY_PEM_SIZE];
    char token[REEL_JWT_SIZE];

    (void)state;
    assert_int_equal(reel_eckey_generate(other_private), REEL_OK);
    assert_int_equal(reel_jwt_mint(kid, other_private, &claims, token), REEL_OK);
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
}

static void every_changed_character_is_noticed(void **state)
{
    char token[REEL_JWT_SIZE];

    (void)state;
    assert_int_equal(reel_jwt_mint(kid, private_pem, &claims, token), REEL_OK);
    for (size_t i = 0; token[i]; i++) {
        const char was = token[i];

        token[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
        token[i] = '\x01';
        assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
        token[i] = was;
    }
    assert_int_equal(verify(token), REEL_OK);
}

static void shapes_that_are_no_token_are_refused(void **state)
{
    static const char *const shapes[] = {
        "",      ".",       "..",   "...",  "a",    "a.b",
        "a.b.c", "a.b.c.d", ".b.c", "a..c", "a.b.", "Bearer a.b.c",
    };
    char token[4096];
    char longer[4200];

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(shapes); i++)
        assert_int_equal(verify(shapes[i]), REEL_UNAUTHENTICATED);

    assert_int_equal(reel_jwt_mint(kid, private_pem, &claims, token), REEL_OK);
    const char *const decorated[] = {" %s", "%s ", "%s=", "%s==", "%s\n", "%s.", "%s.x", ".%s"};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(decorated); i++) {
        const char *gap = strstr(decorated[i], "%s");

        snprintf(longer, sizeof(longer), "%.*s%s%s", (int)(gap - decorated[i]), decorated[i], token,
                 gap + 2);
        assert_int_equal(verify(longer), REEL_UNAUTHENTICATED);
    }
}

// A last character whose unused bits are set decodes to the same bytes.
static void another_spelling_of_the_same_bytes_is_refused(void **state)
{
    char token[4096];

    (void)state;
    sign(good_header(), "{" US "," IDS "," TIMES ",\"x\":1}", token);
    assert_int_equal(verify(token), REEL_OK);
    size_t last = strlen(token) - 1;
    assert_non_null(strchr("AQgw", token[last]));
    token[last]++;
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
}

static void an_oversized_token_is_refused(void **state)
{
    static char huge[1 << 20];
    char payload[2048];
    char token[4096];

    (void)state;
    memset(huge, 'A', sizeof(huge) - 1);
    assert_int_equal(verify(huge), REEL_UNAUTHENTICATED);
    snprintf(payload, sizeof(payload), "{" US "," IDS "," TIMES ",\"pad\":\"%0700d\"}", 0);
    sign(good_header(), payload, token);
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
}

static void deep_json_is_refused(void **state)
{
    char payload[600];
    char token[4096];

    (void)state;
    memset(payload, '[', sizeof(payload) - 1);
    payload[sizeof(payload) - 1] = '\0';
    sign(good_header(), payload, token);
    assert_int_equal(verify(token), REEL_UNAUTHENTICATED);
}

static void old_keys_verify_until_they_leave_the_table(void **state)
{
    char new_private[REEL_ECKEY_PEM_SIZE];
    char new_public[REEL_ECKEY_PEM_SIZE];
    char new_kid[REEL_ECKEY_ID_SIZE];
    char old_token[REEL_JWT_SIZE];
    char new_token[REEL_JWT_SIZE];
    struct reel_jwt_claims seen;
    struct reel_jwt_keys *both = NULL;

    (void)state;
    assert_int_equal(reel_eckey_generate(new_private), REEL_OK);
    assert_int_equal(reel_eckey_public(new_private, new_public, new_kid), REEL_OK);
    const struct reel_jwt_public_key table[] = {{new_kid, new_public}, {kid, public_pem}};
    assert_int_equal(reel_jwt_keys_new(table, 2, &both), REEL_OK);
    assert_int_equal(reel_jwt_mint(kid, private_pem, &claims, old_token), REEL_OK);
    assert_int_equal(reel_jwt_mint(new_kid, new_private, &claims, new_token), REEL_OK);
    assert_int_equal(reel_jwt_verify(both, old_token, NOW, &seen), REEL_OK);
    assert_int_equal(reel_jwt_verify(both, new_token, NOW, &seen), REEL_OK);
    assert_int_equal(verify(new_token), REEL_UNAUTHENTICATED);
    reel_jwt_keys_free(both);
}

static void bad_tables_are_refused(void **state)
{
    const struct reel_jwt_public_key twice[] = {{"a", public_pem}, {"a", public_pem}};
    const struct reel_jwt_public_key unnamed = {"", public_pem};
    const struct reel_jwt_public_key secret = {"a", private_pem};
    const struct reel_jwt_public_key garbage = {"a", "garbage"};
    struct reel_jwt_public_key many[REEL_JWT_MAX_KEYS + 1] = {0};
    struct reel_jwt_keys *table = NULL;

    (void)state;
    assert_int_equal(reel_jwt_keys_new(twice, 2, &table), REEL_INVALID_ARGUMENT);
    assert_int_equal(reel_jwt_keys_new(&unnamed, 1, &table), REEL_INVALID_ARGUMENT);
    assert_int_equal(reel_jwt_keys_new(&secret, 1, &table), REEL_INVALID_ARGUMENT);
    assert_int_equal(reel_jwt_keys_new(&garbage, 1, &table), REEL_INVALID_ARGUMENT);
    assert_int_equal(reel_jwt_keys_new(many, REEL_ARRAY_SIZE(many), &table), REEL_INVALID_ARGUMENT);
    assert_null(table);
}

static void an_empty_table_verifies_nothing(void **state)
{
    struct reel_jwt_keys *empty = NULL;
    struct reel_jwt_claims seen;
    char token[REEL_JWT_SIZE];

    (void)state;
    assert_int_equal(reel_jwt_keys_new(NULL, 0, &empty), REEL_OK);
    assert_int_equal(reel_jwt_mint(kid, private_pem, &claims, token), REEL_OK);
    assert_int_equal(reel_jwt_verify(empty, token, NOW, &seen), REEL_UNAUTHENTICATED);
    reel_jwt_keys_free(empty);
}

static void claims_that_may_not_be_minted(void **state)
{
    struct reel_jwt_claims bad[4] = {claims, claims, claims, claims};
    char token[REEL_JWT_SIZE];

    (void)state;
    bad[0].expires_at_s = NOW + REEL_JWT_MAX_LIFE_S + 1;
    bad[1].expires_at_s = NOW;
    bad[2].user_id[0] = '\0';
    bad[3].session_id[0] = 'X';
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_int_equal(reel_jwt_mint(kid, private_pem, &bad[i], token), REEL_INVALID_ARGUMENT);
    assert_true(reel_jwt_mint(kid, "garbage", &claims, token) < 0);
}

static void *verify_many(void *arg)
{
    const char *token = arg;

    for (int i = 0; i < 50; i++) {
        if (verify(token) != REEL_OK)
            return arg;
    }
    return NULL;
}

static void threads_share_a_table(void **state)
{
    char token[REEL_JWT_SIZE];
    pthread_t threads[4];

    (void)state;
    assert_int_equal(reel_jwt_mint(kid, private_pem, &claims, token), REEL_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_many, token), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = token;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minted_token_verifies_and_carries_its_claims),
        cmocka_unit_test(the_forgers_honest_token_verifies),
        cmocka_unit_test(it_is_valid_from_iat_to_exp_with_a_leeway),
        cmocka_unit_test(headers_that_ask_for_anything_else_are_refused),
        cmocka_unit_test(claims_that_are_missing_or_ill_typed_are_refused),
        cmocka_unit_test(claims_beside_ours_are_ignored),
        cmocka_unit_test(no_signature_and_empty_signature_are_refused),
        cmocka_unit_test(a_zero_signature_is_refused),
        cmocka_unit_test(an_hmac_with_the_public_key_is_refused),
        cmocka_unit_test(a_token_of_another_key_is_refused),
        cmocka_unit_test(every_changed_character_is_noticed),
        cmocka_unit_test(shapes_that_are_no_token_are_refused),
        cmocka_unit_test(another_spelling_of_the_same_bytes_is_refused),
        cmocka_unit_test(an_oversized_token_is_refused),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(old_keys_verify_until_they_leave_the_table),
        cmocka_unit_test(bad_tables_are_refused),
        cmocka_unit_test(an_empty_table_verifies_nothing),
        cmocka_unit_test(claims_that_may_not_be_minted),
        cmocka_unit_test(threads_share_a_table),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
