// SPDX-License-Identifier: Apache-2.0
// What the gateway is made of: wired at start, read by every thread after.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/config.h"
#include "gateway/gcra.h"
#include "gateway/netaddr.h"
#include "gateway/request.h"
#include "gateway/router.h"

struct event_hub;
struct keyring;
struct limiter;
struct reel_channel;
struct reel_redis;
struct reel_storage;
struct revocations;
struct server;
struct token_cache;

enum { UPSTREAM_USER, UPSTREAM_VIDEO, UPSTREAM_JOB, N_UPSTREAMS };
enum { REQUEST_POOL_MAX = 256, MAX_ENDPOINTS = 128 };

struct upstream {
    const char *name; // "user"
    const struct reel_service *service;
    struct reel_channel *channel;
};

struct request_pool {
    pthread_mutex_t lock;
    struct request *items[REQUEST_POOL_MAX];
    unsigned n;
};

struct gateway {
    struct gateway_config config;
    struct netaddr_list trusted;
    struct netaddr_list metrics_allow;
    struct rate_policies policies;
    struct upstream upstreams[N_UPSTREAMS];
    struct reel_redis *redis;
    struct reel_storage *storage; // NULL: assets come over RPC
    struct limiter *limiter;
    struct keyring *keys;
    struct token_cache *tokens;
    struct revocations *revocations;
    struct event_hub *events;
    struct conns *conns;
    struct server *server;
    struct router router;
    struct endpoint *endpoints;
    unsigned n_endpoints;
    struct endpoint *no_endpoint; // stands for requests that match no route, in the metrics
    char *openapi;                // the document; owned
    struct request_pool requests;
    atomic_bool draining;      // /ready fails, every reply closes its connection
    atomic_bool refusing;      // requests that need a service are answered 503
    atomic_int in_flight;      // such requests that were let through
    atomic_bool grace_is_over; // those that are still there are answered 503
};

// Builds the whole gateway and starts to listen. On failure says why in the log and leaves nothing
// running. Freed with gateway_close.
int gateway_open(const struct gateway_config *config, struct gateway **ret_gateway) REEL_MUST_CHECK;

// Ends what clients see of it, within `grace_us`: /ready fails for a moment while everything is
// still served; then new requests are answered 503 until those in flight have finished; then the
// port closes when nobody waits there any more, and connections close when they are idle.
void gateway_drain(struct gateway *gw, int64_t grace_us);

// Stops everything and frees. NULL is fine.
void gateway_close(struct gateway *gw);

// Serves until SIGTERM or SIGINT; the process's exit status.
int gateway_serve(struct gateway *gw);

// The port it listens on.
int gateway_port(const struct gateway *gw);

// The channel to a method's service; NULL when there is none.
struct reel_channel *gateway_channel(const struct gateway *gw, const struct reel_method *method);

// Whether all services answer. Any thread.
bool gateway_is_ready(struct gateway *gw);

// Prepares an empty pool.
void request_pool_init(struct request_pool *pool);

// Frees every pooled request.
void request_pool_fini(struct request_pool *pool);
