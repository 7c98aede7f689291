// SPDX-License-Identifier: Apache-2.0
#include "svc-user/throttle.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SETS = 4096, WAYS = 4, IPV6_NETWORK_BYTES = 8, WINDOW_US = THROTTLE_WINDOW_S * 1000000 };

struct entry {
    uint64_t key; // 0: free
    int64_t since_us;
    unsigned n_failures;
};

struct throttle {
    pthread_mutex_t lock; // guards the sets
    uint64_t seed;
    struct entry sets[SETS][WAYS];
};

int throttle_new(struct throttle **ret_throttle)
{
    struct throttle *throttle = calloc(1, sizeof(*throttle));

    if (!throttle)
        return -ENOMEM;
    if (getrandom(&throttle->seed, sizeof(throttle->seed), 0) != sizeof(throttle->seed)) {
        free(throttle);
        return -EIO;
    }
    pthread_mutex_init(&throttle->lock, NULL);
    *ret_throttle = throttle;
    return 0;
}

void throttle_free(struct throttle *throttle)
{
    if (!throttle)
        return;
    pthread_mutex_destroy(&throttle->lock);
    free(throttle);
}

static uint64_t mix(uint64_t hash, unsigned char byte)
{
    hash = (hash ^ byte) * 0x9e3779b97f4a7c15;
    return hash ^ (hash >> 29);
}

static uint64_t mix_address(uint64_t hash, const char *address)
{
    unsigned char bytes[16];
    size_t n = 4;

    if (inet_pton(AF_INET6, address, bytes) == 1)
        n = IPV6_NETWORK_BYTES;
    else if (inet_pton(AF_INET, address, bytes) != 1)
        n = 0;
    for (size_t i = 0; i < n; i++)
        hash = mix(hash, bytes[i]);
    return hash;
}

// The seed keeps an attacker from choosing names that share a set with somebody else's.
static uint64_t key_of(const struct throttle *throttle, const char *account, const char *address)
{
    uint64_t hash = mix_address(throttle->seed, address);

    for (; *account; account++)
        hash = mix(hash, (unsigned char)tolower((unsigned char)*account));
    return hash ? hash : 1;
}

static bool has_expired(const struct entry *entry, int64_t now_us)
{
    return now_us - entry->since_us >= WINDOW_US;
}

// The entry of the key, or NULL.
static struct entry *find(struct throttle *throttle, uint64_t key)
{
    struct entry *set = throttle->sets[key % SETS];

    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
    }
    return NULL;
}

// Takes the place of the entry with the fewest failures.
static struct entry *replace(struct throttle *throttle, uint64_t key, int64_t now_us)
{
    struct entry *set = throttle->sets[key % SETS];
    struct entry *victim = &set[0];

    for (int i = 0; i < WAYS; i++) {
        if (has_expired(&set[i], now_us))
            set[i] = (struct entry){0};
        if (set[i].n_failures < victim->n_failures)
            victim = &set[i];
    }
    *victim = (struct entry){.key = key, .since_us = now_us};
    return victim;
}

uint32_t throttle_attempt(struct throttle *throttle, const char *account, const char *address,
                          int64_t now_us)
{
    uint32_t wait_ms = 0;

    if (!address)
        return 0;
    pthread_mutex_lock(&throttle->lock);
    uint64_t key = key_of(throttle, account, address);
    struct entry *entry = find(throttle, key);
    if (!entry || has_expired(entry, now_us))
        entry = replace(throttle, key, now_us);
    if (entry->n_failures >= THROTTLE_FAILURES)
        wait_ms = (uint32_t)((entry->since_us + WINDOW_US - now_us + 999) / 1000);
    else
        entry->n_failures++;
    pthread_mutex_unlock(&throttle->lock);
    return wait_ms;
}

void throttle_refund(struct throttle *throttle, const char *account, const char *address)
{
    if (!address)
        return;
    pthread_mutex_lock(&throttle->lock);
    struct entry *entry = find(throttle, key_of(throttle, account, address));
    if (entry && entry->n_failures > 0)
        entry->n_failures--;
    pthread_mutex_unlock(&throttle->lock);
}

void throttle_succeeded(struct throttle *throttle, const char *account, const char *address)
{
    if (!address)
        return;
    pthread_mutex_lock(&throttle->lock);
    struct entry *entry = find(throttle, key_of(throttle, account, address));
    if (entry)
        *entry = (struct entry){0};
    pthread_mutex_unlock(&throttle->lock);
}
