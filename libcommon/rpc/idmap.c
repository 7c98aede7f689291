// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/idmap.h"

#include <errno.h>

enum { FIRST_BUCKETS = 16 };

void reel_idmap_init(struct reel_idmap *map)
{
    *map = (struct reel_idmap){0};
}

void reel_idmap_fini(struct reel_idmap *map)
{
    free(map->buckets);
    *map = (struct reel_idmap){0};
}

// Ids come from a peer, so they are spread before they choose a bucket.
static struct reel_idmap_node **bucket_of(const struct reel_idmap *map, uint64_t id)
{
    uint64_t hash = id * 0x9e3779b97f4a7c15u;

    return &map->buckets[(hash >> 32) & (map->n_buckets - 1)];
}

struct reel_idmap_node *reel_idmap_find(const struct reel_idmap *map, uint64_t id)
{
    if (map->count == 0)
        return NULL;
    for (struct reel_idmap_node *node = *bucket_of(map, id); node; node = node->next)
        if (node->id == id)
            return node;
    return NULL;
}

static void put(struct reel_idmap *map, struct reel_idmap_node *node)
{
    struct reel_idmap_node **bucket = bucket_of(map, node->id);

    node->next = *bucket;
    *bucket = node;
}

static int grow(struct reel_idmap *map)
{
    struct reel_idmap old = *map;
    size_t n = old.n_buckets ? old.n_buckets * 2 : FIRST_BUCKETS;
    struct reel_idmap_node **buckets = calloc(n, sizeof(*buckets));

    if (!buckets)
        return -ENOMEM;
    map->buckets = buckets;
    map->n_buckets = n;
    for (size_t i = 0; i < old.n_buckets; i++) {
        struct reel_idmap_node *node = old.buckets[i];

        while (node) {
            struct reel_idmap_node *next = node->next;

            put(map, node);
            node = next;
        }
    }
    free(old.buckets);
    return 0;
}

int reel_idmap_add(struct reel_idmap *map, struct reel_idmap_node *node)
{
    if (map->count >= map->n_buckets) {
        int rc = grow(map);

        if (rc != 0 && map->n_buckets == 0)
            return rc;
    }
    put(map, node);
    map->count++;
    return 0;
}

struct reel_idmap_node *reel_idmap_remove(struct reel_idmap *map, uint64_t id)
{
    if (map->count == 0)
        return NULL;
    for (struct reel_idmap_node **at = bucket_of(map, id); *at; at = &(*at)->next) {
        struct reel_idmap_node *node = *at;

        if (node->id != id)
            continue;
        *at = node->next;
        map->count--;
        return node;
    }
    return NULL;
}

void reel_idmap_each(const struct reel_idmap *map,
                     void (*fn)(struct reel_idmap_node *node, void *arg), void *arg)
{
    for (size_t i = 0; i < map->n_buckets; i++)
        for (struct reel_idmap_node *node = map->buckets[i]; node; node = node->next)
            fn(node, arg);
}
