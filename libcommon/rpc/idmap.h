// SPDX-License-Identifier: Apache-2.0
// A hash map from call ids to calls, intrusive: the owner embeds the node. No lock.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"

struct reel_idmap_node {
    uint64_t id;
    struct reel_idmap_node *next;
};

// Embed it; fields are private.
struct reel_idmap {
    struct reel_idmap_node **buckets;
    size_t n_buckets; // a power of two, or 0
    size_t count;
};

// An empty map. Allocates nothing.
void reel_idmap_init(struct reel_idmap *map);

// Frees the table; the nodes are their owners'.
void reel_idmap_fini(struct reel_idmap *map);

// The node with the id, or NULL.
struct reel_idmap_node *reel_idmap_find(const struct reel_idmap *map, uint64_t id);

// Adds a node whose id is set and not in the map. -ENOMEM when the table cannot be made.
int reel_idmap_add(struct reel_idmap *map, struct reel_idmap_node *node) REEL_MUST_CHECK;

// Takes the node with the id out and returns it, or NULL.
struct reel_idmap_node *reel_idmap_remove(struct reel_idmap *map, uint64_t id);

// Calls `fn` for every node; it must not change the map.
void reel_idmap_each(const struct reel_idmap *map,
                     void (*fn)(struct reel_idmap_node *node, void *arg), void *arg);
