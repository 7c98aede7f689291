// SPDX-License-Identifier: Apache-2.0
#include "libcommon/auth/jwt.h"

#include <errno.h>
#include <jwt.h>
#include <string.h>

#include "libcommon/auth/eckey.h"
#include "libcommon/auth/jwt_parts.h"
#include "libcommon/core/err.h"

struct key {
    char kid[REEL_JWT_KID_SIZE];
    char pem[REEL_ECKEY_PEM_SIZE];
};

struct reel_jwt_keys {
    size_t n_keys;
    struct key keys[REEL_JWT_MAX_KEYS];
};

static void free_keys(struct reel_jwt_keys **keys)
{
    reel_jwt_keys_free(*keys);
}

static void free_jwt(jwt_t **jwt)
{
    jwt_free(*jwt);
}

static const struct key *find_key(const struct reel_jwt_keys *keys, const char *kid)
{
    for (size_t i = 0; i < keys->n_keys; i++) {
        if (strcmp(keys->keys[i].kid, kid) == 0)
            return &keys->keys[i];
    }
    return NULL;
}

static bool is_acceptable(const struct reel_jwt_keys *so_far, const struct reel_jwt_public_key *key)
{
    size_t kid_len = strlen(key->kid);

    return kid_len > 0 && kid_len < REEL_JWT_KID_SIZE && strlen(key->pem) < REEL_ECKEY_PEM_SIZE &&
           reel_eckey_is_public(key->pem) && !find_key(so_far, key->kid);
}

int reel_jwt_keys_new(const struct reel_jwt_public_key *keys, size_t n_keys,
                      struct reel_jwt_keys **ret_keys)
{
    REEL_AUTO(free_keys) struct reel_jwt_keys *table = calloc(1, sizeof(*table));

    if (!table)
        return -ENOMEM;
    if (n_keys > REEL_JWT_MAX_KEYS)
        return REEL_INVALID_ARGUMENT;
    for (size_t i = 0; i < n_keys; i++) {
        if (!is_acceptable(table, &keys[i]))
            return REEL_INVALID_ARGUMENT;
        memcpy(table->keys[i].kid, keys[i].kid, strlen(keys[i].kid) + 1);
        memcpy(table->keys[i].pem, keys[i].pem, strlen(keys[i].pem) + 1);
        table->n_keys++;
    }
    *ret_keys = REEL_STEAL(&table);
    return REEL_OK;
}

void reel_jwt_keys_free(struct reel_jwt_keys *keys)
{
    free(keys);
}

int reel_jwt_verify(const struct reel_jwt_keys *keys, const char *token, int64_t now_s,
                    struct reel_jwt_claims *ret_claims)
{
    REEL_AUTO(free_jwt) jwt_t *jwt = NULL;
    struct reel_jwt_parts parts;
    char kid[REEL_JWT_KID_SIZE];

    int rc = reel_jwt_cut(token, &parts);
    if (rc == REEL_OK)
        rc = reel_jwt_read_header(parts.header, parts.header_len, kid);
    if (rc != REEL_OK)
        return rc;
    const struct key *key = find_key(keys, kid);
    if (!key)
        return REEL_UNAUTHENTICATED;

    rc = jwt_decode(&jwt, token, (const unsigned char *)key->pem, (int)strlen(key->pem));
    if (rc != 0 || jwt_get_alg(jwt) != JWT_ALG_ES256)
        return REEL_UNAUTHENTICATED;
    return reel_jwt_read_claims(parts.payload, parts.payload_len, now_s, ret_claims);
}

static bool may_mint(const struct reel_jwt_claims *claims)
{
    int64_t life_s = claims->expires_at_s - claims->issued_at_s;

    return reel_id_is_valid(claims->user_id) && reel_id_is_valid(claims->session_id) &&
           reel_id_is_valid(claims->token_id) && life_s > 0 && life_s <= REEL_JWT_MAX_LIFE_S;
}

static int fill(jwt_t *jwt, const char *kid, const struct reel_jwt_claims *claims)
{
    const char *const texts[][2] = {
        {"iss", REEL_JWT_ISSUER},    {"aud", REEL_JWT_AUDIENCE}, {"sub", claims->user_id},
        {"sid", claims->session_id}, {"jti", claims->token_id},
    };
    int rc = jwt_add_header(jwt, "kid", kid);

    for (size_t i = 0; rc == 0 && i < REEL_ARRAY_SIZE(texts); i++)
        rc = jwt_add_grant(jwt, texts[i][0], texts[i][1]);
    if (rc == 0)
        rc = jwt_add_grant_int(jwt, "iat", (long)claims->issued_at_s);
    if (rc == 0)
        rc = jwt_add_grant_int(jwt, "nbf", (long)claims->issued_at_s);
    if (rc == 0)
        rc = jwt_add_grant_int(jwt, "exp", (long)claims->expires_at_s);
    return -rc;
}

int reel_jwt_mint(const char *kid, const char *private_pem, const struct reel_jwt_claims *claims,
                  char ret_token[REEL_JWT_SIZE])
{
    REEL_AUTO(free_jwt) jwt_t *jwt = NULL;
    REEL_AUTO(reel_freep) char *token = NULL;

    if (!may_mint(claims))
        return REEL_INVALID_ARGUMENT;
    int rc = -jwt_new(&jwt);
    if (rc == 0)
        rc = fill(jwt, kid, claims);
    if (rc == 0)
        rc = -jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)private_pem,
                          (int)strlen(private_pem));
    if (rc != 0)
        return rc;
    token = jwt_encode_str(jwt);
    if (!token || strlen(token) > REEL_JWT_MAX_LEN)
        return token ? -EMSGSIZE : -EIO;
    memcpy(ret_token, token, strlen(token) + 1);
    return REEL_OK;
}
