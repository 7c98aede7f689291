// SPDX-License-Identifier: Apache-2.0
#include "libcommon/auth/jwt_parts.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "libcommon/core/err.h"

enum { SIGNATURE_BYTES = 64 }; // ES256: r and s

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void free_json(json_t **json)
{
    json_decref(*json);
}

// Decodes canonical base64url into `ret_data` (at least len * 3 / 4 bytes). Unused bits that are
// not zero are refused: they would give one token many spellings.
static bool decode(const char *part, size_t len, char *ret_data, size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        const char *at = memchr(digits, part[i], 64);

        if (!at)
            return false;
        bits = bits << 6 | (uint32_t)(at - digits);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            ret_data[n++] = (char)(bits >> n_bits & 0xff);
        }
    }
    *ret_len = n;
    return n_bits < 6 && (bits & ((1u << n_bits) - 1)) == 0;
}

static bool is_signature(const struct reel_jwt_parts *parts)
{
    char raw[REEL_JWT_SIZE];
    size_t raw_len = 0;

    return decode(parts->signature, parts->signature_len, raw, &raw_len) &&
           raw_len == SIGNATURE_BYTES;
}

int reel_jwt_cut(const char *token, struct reel_jwt_parts *ret_parts)
{
    struct reel_jwt_parts parts = {.header = token};

    if (strnlen(token, REEL_JWT_SIZE) > REEL_JWT_MAX_LEN)
        return REEL_UNAUTHENTICATED;
    parts.header_len = strspn(token, digits);
    parts.payload = parts.header + parts.header_len;
    if (*parts.payload++ != '.')
        return REEL_UNAUTHENTICATED;
    parts.payload_len = strspn(parts.payload, digits);
    parts.signature = parts.payload + parts.payload_len;
    if (*parts.signature++ != '.')
        return REEL_UNAUTHENTICATED;
    parts.signature_len = strspn(parts.signature, digits);
    if (parts.signature[parts.signature_len] != '\0')
        return REEL_UNAUTHENTICATED;
    if (parts.header_len == 0 || parts.payload_len == 0 || !is_signature(&parts))
        return REEL_UNAUTHENTICATED;
    *ret_parts = parts;
    return REEL_OK;
}

// The JSON object in a part, its names each once; NULL when it is anything else.
static json_t *decode_object(const char *part, size_t len)
{
    char text[REEL_JWT_SIZE];
    size_t text_len = 0;
    json_t *json = NULL;

    if (len > REEL_JWT_MAX_LEN || !decode(part, len, text, &text_len))
        return NULL;
    json = json_loadb(text, text_len, JSON_REJECT_DUPLICATES, NULL);
    if (json && !json_is_object(json)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static bool is_text(const json_t *object, const char *name, const char *expected)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text && strcmp(text, expected) == 0;
}

int reel_jwt_read_header(const char *part, size_t len, char ret_kid[REEL_JWT_KID_SIZE])
{
    REEL_AUTO(free_json) json_t *header = decode_object(part, len);
    const char *kid = json_string_value(json_object_get(header, "kid"));
    size_t n_known = 2;

    if (!header || !is_text(header, "alg", "ES256") || !kid)
        return REEL_UNAUTHENTICATED;
    if (json_object_get(header, "typ")) {
        if (!is_text(header, "typ", "JWT"))
            return REEL_UNAUTHENTICATED;
        n_known++;
    }
    // Nothing but alg, kid and typ: no crit, jku, jwk, x5u, x5c, b64, zip, and none yet unheard of.
    if (json_object_size(header) != n_known || strlen(kid) >= REEL_JWT_KID_SIZE)
        return REEL_UNAUTHENTICATED;
    memcpy(ret_kid, kid, strlen(kid) + 1);
    return REEL_OK;
}

static bool read_id(const json_t *object, const char *name, char ret_id[REEL_ID_SIZE])
{
    const char *text = json_string_value(json_object_get(object, name));

    if (!reel_id_is_valid(text))
        return false;
    memcpy(ret_id, text, REEL_ID_SIZE);
    return true;
}

// Unix time as a JSON integer; a string, a float or an exponent is none.
static bool read_time(const json_t *object, const char *name, int64_t *ret_s)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value))
        return false;
    *ret_s = json_integer_value(value);
    // Far from the ends of int64_t, so that sums with them cannot overflow.
    return *ret_s >= 0 && *ret_s < INT64_C(1) << 40;
}

static bool is_valid_at(int64_t now_s, int64_t iat_s, int64_t nbf_s, int64_t exp_s)
{
    return iat_s <= now_s + REEL_JWT_LEEWAY_S && nbf_s <= now_s + REEL_JWT_LEEWAY_S &&
           now_s < exp_s + REEL_JWT_LEEWAY_S && iat_s < exp_s &&
           exp_s - iat_s <= REEL_JWT_MAX_LIFE_S;
}

int reel_jwt_read_claims(const char *part, size_t len, int64_t now_s,
                         struct reel_jwt_claims *ret_claims)
{
    REEL_AUTO(free_json) json_t *payload = decode_object(part, len);
    struct reel_jwt_claims claims;
    int64_t nbf_s;

    if (!payload || !is_text(payload, "iss", REEL_JWT_ISSUER) ||
        !is_text(payload, "aud", REEL_JWT_AUDIENCE))
        return REEL_UNAUTHENTICATED;
    if (!read_id(payload, "sub", claims.user_id) || !read_id(payload, "sid", claims.session_id) ||
        !read_id(payload, "jti", claims.token_id))
        return REEL_UNAUTHENTICATED;
    if (!read_time(payload, "iat", &claims.issued_at_s) || !read_time(payload, "nbf", &nbf_s) ||
        !read_time(payload, "exp", &claims.expires_at_s))
        return REEL_UNAUTHENTICATED;
    if (!is_valid_at(now_s, claims.issued_at_s, nbf_s, claims.expires_at_s))
        return REEL_UNAUTHENTICATED;
    *ret_claims = claims;
    return REEL_OK;
}
