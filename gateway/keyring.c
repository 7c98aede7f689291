// SPDX-License-Identifier: Apache-2.0
#include "gateway/keyring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/auth/jwt.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "proto/user.pb-c.h"

enum { FETCH_AGAIN_US = 1000000, OLD_US = 300 * 1000000 };

struct keyring {
    pthread_rwlock_t lock;
    struct reel_jwt_keys *keys;
    int64_t fetched_us; // 0: never
};

int keyring_new(struct keyring **ret_ring)
{
    struct keyring *ring = calloc(1, sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    int rc = reel_jwt_keys_new(NULL, 0, &ring->keys);
    if (rc != REEL_OK) {
        free(ring);
        return rc;
    }
    pthread_rwlock_init(&ring->lock, NULL);
    *ret_ring = ring;
    return 0;
}

void keyring_free(struct keyring *ring)
{
    if (!ring)
        return;
    reel_jwt_keys_free(ring->keys);
    pthread_rwlock_destroy(&ring->lock);
    free(ring);
}

static bool is_older(struct keyring *ring, int64_t age_us)
{
    pthread_rwlock_rdlock(&ring->lock);
    int64_t fetched_us = ring->fetched_us;
    pthread_rwlock_unlock(&ring->lock);
    return fetched_us == 0 || reel_clock_mono_us() - fetched_us > age_us;
}

bool keyring_wants_fetch(struct keyring *ring)
{
    return is_older(ring, FETCH_AGAIN_US);
}

bool keyring_is_old(struct keyring *ring)
{
    return is_older(ring, OLD_US);
}

static int build(const User__ListKeysResponse *response, struct reel_jwt_keys **ret_keys)
{
    struct reel_jwt_public_key keys[REEL_JWT_MAX_KEYS];
    size_t n = response->n_keys < REEL_JWT_MAX_KEYS ? response->n_keys : REEL_JWT_MAX_KEYS;
    for (size_t i = 0; i < n; i++)
        keys[i] = (struct reel_jwt_public_key){response->keys[i]->kid, response->keys[i]->pem};
    return reel_jwt_keys_new(keys, n, ret_keys);
}

int keyring_put(struct keyring *ring, const uint8_t *payload, size_t len)
{
    User__ListKeysResponse *response = user__list_keys_response__unpack(NULL, len, payload);
    struct reel_jwt_keys *keys = NULL;
    int rc = response ? build(response, &keys) : REEL_INVALID_ARGUMENT;
    if (response)
        user__list_keys_response__free_unpacked(response, NULL);
    if (rc != REEL_OK)
        return rc;
    pthread_rwlock_wrlock(&ring->lock);
    struct reel_jwt_keys *old = ring->keys;
    ring->keys = keys;
    ring->fetched_us = reel_clock_mono_us();
    pthread_rwlock_unlock(&ring->lock);
    reel_jwt_keys_free(old);
    return REEL_OK;
}

int keyring_verify(struct keyring *ring, const char *token, int64_t now_s,
                   struct token_claims *ret_claims)
{
    struct reel_jwt_claims claims;
    pthread_rwlock_rdlock(&ring->lock);
    int rc = reel_jwt_verify(ring->keys, token, now_s, &claims);
    pthread_rwlock_unlock(&ring->lock);
    if (rc != REEL_OK)
        return rc;
    memcpy(ret_claims->user_id, claims.user_id, sizeof(ret_claims->user_id));
    memcpy(ret_claims->session_id, claims.session_id, sizeof(ret_claims->session_id));
    ret_claims->expires_s = claims.expires_at_s;
    return REEL_OK;
}
