// SPDX-License-Identifier: Apache-2.0
#include "gateway/lease.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 1024, WAYS = 4, LOCKS = 16, AIM_US = LEASE_US / 2 };

struct entry {
    const struct rate_policy *policy; // NULL: free
    char key[LEASE_KEY_SIZE];
    int64_t since_us; // when the last wish was made
    uint32_t n;       // requests since then
    uint32_t size;    // of the last lease
    uint32_t left;    // of it
    int64_t until_us; // it can be spent
    int64_t ahead_us; // by the budget, with all that was taken
    int64_t at_us;    // when it said so
};

struct lease_table {
    pthread_mutex_t locks[LOCKS];
    struct entry sets[SETS][WAYS];
};

int lease_table_new(struct lease_table **ret_table)
{
    struct lease_table *table = calloc(1, sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&table->locks[i], NULL);
    *ret_table = table;
    return 0;
}

void lease_table_free(struct lease_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&table->locks[i]);
    free(table);
}

// Where a client is looked for, locked by it.
struct place {
    pthread_mutex_t *lock;
    struct entry *set;
};

static struct place enter(struct lease_table *table, const struct lease_client *client)
{
    uint64_t hash = 14695981039346656037u;
    for (const char *s = client->key; *s; s++)
        hash = (hash ^ (unsigned char)*s) * 1099511628211u;
    hash ^= hash >> 32;
    struct place place = {&table->locks[hash % LOCKS], table->sets[hash % SETS]};
    pthread_mutex_lock(place.lock);
    return place;
}

static struct entry *find(const struct place *place, const struct lease_client *client)
{
    for (unsigned i = 0; i < WAYS; i++) {
        struct entry *entry = &place->set[i];
        if (entry->policy == client->policy && strcmp(entry->key, client->key) == 0)
            return entry;
    }
    return NULL;
}

// The client's entry; the one that has been silent the longest gives way.
static struct entry *find_or_make(const struct place *place, const struct lease_client *client,
                                  int64_t now_us)
{
    struct entry *entry = find(place, client);
    if (entry)
        return entry;
    entry = place->set;
    for (unsigned i = 1; i < WAYS; i++)
        if (place->set[i].at_us < entry->at_us)
            entry = &place->set[i];
    *entry = (struct entry){.policy = client->policy, .since_us = now_us, .size = 1};
    snprintf(entry->key, sizeof(entry->key), "%s", client->key);
    return entry;
}

static uint32_t left_at(const struct entry *entry, int64_t now_us)
{
    return now_us < entry->until_us ? entry->left : 0;
}

// How far the client is ahead now. What it has just been given counts whatever the time.
static int64_t ahead_at(const struct entry *entry, int64_t now_us)
{
    int64_t interval_us = gcra_interval_us(entry->policy);
    int64_t ahead_us =
        entry->ahead_us - (now_us - entry->at_us) - left_at(entry, now_us) * interval_us;
    return ahead_us > interval_us ? ahead_us : interval_us;
}

bool lease_spend(struct lease_table *table, const struct lease_client *client, int64_t now_us,
                 int64_t *ret_ahead_us)
{
    struct place place = enter(table, client);
    struct entry *entry = find(&place, client);
    bool spent = entry && left_at(entry, now_us) > 0;
    if (spent) {
        entry->left--;
        entry->n++;
        *ret_ahead_us = ahead_at(entry, now_us);
    }
    pthread_mutex_unlock(place.lock);
    return spent;
}

uint32_t lease_wish(struct lease_table *table, const struct lease_client *client, int64_t now_us)
{
    struct place place = enter(table, client);
    struct entry *entry = find(&place, client);
    int64_t wish = 1;
    // Questions of a client that came together are asked together: the first one wishes for all.
    if (entry && now_us > entry->since_us) {
        wish = entry->n * (int64_t)AIM_US / (now_us - entry->since_us);
        if (wish > 2 * (int64_t)entry->size)
            wish = 2 * (int64_t)entry->size;
        if (wish > LEASE_MAX)
            wish = LEASE_MAX;
        if (wish < 1)
            wish = 1;
        entry->since_us = now_us;
        entry->n = 0;
        entry->size = 1;
    }
    pthread_mutex_unlock(place.lock);
    return (uint32_t)wish;
}

int64_t lease_put(struct lease_table *table, const struct lease_client *client, int64_t now_us,
                  uint32_t granted, int64_t ahead_us)
{
    struct place place = enter(table, client);
    struct entry *entry = find_or_make(&place, client, now_us);
    entry->n++;
    entry->ahead_us = ahead_us;
    entry->at_us = now_us;
    if (granted > 1) {
        entry->left = left_at(entry, now_us) + granted - 1;
        entry->until_us = now_us + LEASE_US;
        entry->size = granted;
    }
    ahead_us = ahead_at(entry, now_us);
    pthread_mutex_unlock(place.lock);
    return ahead_us;
}
