// SPDX-License-Identifier: Apache-2.0
// Small user, video and job services on the real RPC server, for tests of the gateway alone.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/auth/eckey.h"
#include "libcommon/core/id.h"
#include "libcommon/rpc/server.h"

struct reel_publisher;

enum { ASSET_BYTES = 3 * 1024 * 1024 + 17, MAX_EVENTS = 1024 };

// What the handlers know and what they have seen. One for all three services.
struct services {
    struct reel_server *server;
    struct reel_publisher *publisher;
    char private_pem[REEL_ECKEY_PEM_SIZE];
    char public_pem[REEL_ECKEY_PEM_SIZE];
    char kid[REEL_ECKEY_ID_SIZE];
    char user_id[REEL_ID_SIZE];
    char other_user_id[REEL_ID_SIZE];
    char session_id[REEL_ID_SIZE];
    char asset_key[64];
    char user_agent[512]; // of the last login

    atomic_int calls;          // handlers entered
    atomic_int cancelled;      // slow calls that were cancelled
    atomic_bool keys_broken;   // ListKeys answers with what are no keys
    atomic_bool feed_repeats;  // the revocation feed tells of the session again and again
    atomic_int feed_told;      // how often it has
    atomic_bool feed_silent;   // the revocation feed says nothing
    atomic_bool session_ended; // CheckSession and the feed say so
    atomic_bool upload_stuck;  // Upload reads nothing
    atomic_int uploads_cancelled;
    atomic_int_fast64_t uploaded_bytes;
    atomic_uint_fast64_t uploaded_hash;

    pthread_mutex_t lock; // guards the events and user_agent
    int64_t events[MAX_EVENTS];
    unsigned n_events;
    int64_t oldest_seq;
    atomic_bool events_held;    // ListEvents for a user waits
    atomic_bool record_held;    // ListEvents for everybody's waits
    atomic_int events_asked;    // such calls that have begun
    atomic_int events_read;     // calls for all users that have begun
    atomic_bool events_refused; // ListEvents fails
};

// Starts a server with the three services on `url` and a publisher on `events_url`.
int services_start(struct services *services, const char *url, const char *events_url);

// Stops them.
void services_stop(struct services *services);

// An access token of the services' user.
void services_token(struct services *services, const char *user_id, int64_t life_s,
                    char ret_token[1025]);

// Records a job event of `user_id` and publishes it unless `lost`.
void services_event(struct services *services, const char *user_id, int64_t seq, bool lost);

// The byte at a position of the one asset there is.
unsigned char services_asset_byte(uint64_t position);

// Mixes bytes into the hash that an upload is compared by; start with 0.
uint64_t services_hash(uint64_t hash, const void *data, size_t len);
