// SPDX-License-Identifier: Apache-2.0
#include "gateway/token_cache.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

enum { SETS = 2048, WAYS = 4, LOCKS = 16, TOKEN_MAX = 2048 };

struct entry {
    uint64_t hash;
    char *token;
    struct token_claims claims;
};

struct token_cache {
    uint64_t seed; // so that nobody can choose tokens that push out another's
    pthread_mutex_t locks[LOCKS];
    struct entry sets[SETS][WAYS];
};

static uint64_t token_hash(const struct token_cache *cache, const char *token)
{
    uint64_t hash = cache->seed;
    size_t left = strlen(token);
    while (left > 0) {
        uint64_t word = 0;
        size_t n = left < sizeof(word) ? left : sizeof(word);
        memcpy(&word, token, n);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
        token += n;
        left -= n;
    }
    return hash;
}

// Compares in a time that says nothing of where two tokens differ.
static bool same_token(const char *a, const char *b)
{
    size_t len = strlen(a);
    unsigned char difference = 0;
    if (strlen(b) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

int token_cache_new(struct token_cache **ret_cache)
{
    struct token_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    if (getrandom(&cache->seed, sizeof(cache->seed), 0) != (ssize_t)sizeof(cache->seed)) {
        free(cache);
        return -EIO;
    }
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&cache->locks[i], NULL);
    *ret_cache = cache;
    return 0;
}

void token_cache_free(struct token_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < SETS; i++)
        for (unsigned j = 0; j < WAYS; j++)
            free(cache->sets[i][j].token);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&cache->locks[i]);
    free(cache);
}

bool token_cache_get(struct token_cache *cache, const char *token, int64_t now_s,
                     struct token_claims *ret_claims)
{
    uint64_t hash = token_hash(cache, token);
    struct entry *set = cache->sets[hash % SETS];
    pthread_mutex_t *lock = &cache->locks[hash % LOCKS];
    bool found = false;
    pthread_mutex_lock(lock);
    for (unsigned i = 0; i < WAYS && !found; i++) {
        struct entry *entry = &set[i];
        if (!entry->token || entry->hash != hash || !same_token(entry->token, token))
            continue;
        found = entry->claims.expires_s > now_s;
        *ret_claims = entry->claims;
    }
    pthread_mutex_unlock(lock);
    return found;
}

void token_cache_put(struct token_cache *cache, const char *token,
                     const struct token_claims *claims)
{
    uint64_t hash = token_hash(cache, token);
    struct entry *set = cache->sets[hash % SETS];
    pthread_mutex_t *lock = &cache->locks[hash % LOCKS];
    char *copy = strnlen(token, TOKEN_MAX + 1) > TOKEN_MAX ? NULL : strdup(token);
    if (!copy)
        return;
    pthread_mutex_lock(lock);
    struct entry *entry = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].token && set[i].hash == hash) {
            entry = &set[i];
            break;
        }
        if (set[i].claims.expires_s < entry->claims.expires_s)
            entry = &set[i];
    }
    free(entry->token);
    *entry = (struct entry){.hash = hash, .token = copy, .claims = *claims};
    pthread_mutex_unlock(lock);
}
