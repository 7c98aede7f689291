// SPDX-License-Identifier: Apache-2.0
// Job events from the bus to the clients that listen for them, each only its own user's.
//
// The bus may drop: a gap in the sequence, a reconnect and a silence are read back from the job
// service, so that every recorded event reaches every client that is connected, in order, once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/core/id.h"
#include "proto/job.reel.h"

struct event_hub;
struct revocations;

enum { EVENT_QUEUE_MAX = 256 };

// An event as its clients are sent it; shared and counted.
struct event_text {
    _Atomic unsigned refs;
    int64_t seq; // 0: progress
    size_t len;
    char data[];
};

// One listening client; the caller's memory while it has joined. Fields are the hub's, but for the
// first four.
struct event_client {
    char user_id[REEL_ID_SIZE];
    char session_id[REEL_ID_SIZE];
    int64_t expires_s;       // of its token; INT64_MAX: never
    void (*wake)(void *arg); // called when something has changed; must not block
    void *arg;

    struct event_client *next;
    struct event_text *queue[EVENT_QUEUE_MAX];
    unsigned head;
    unsigned n;
    bool hushed; // wake is not called
    bool beat;
    bool over; // nothing more is queued: too slow, signed out, or the gateway stops
    bool gap;
    int64_t gap_seq; // the newest event that may be missing
    int64_t quiet_since_us;
};

struct event_hub_config {
    const char *url;
    struct reel_channel *jobs;       // borrowed
    struct revocations *revocations; // borrowed
    int64_t heartbeat_us;
};

// Subscribes.
int event_hub_open(const struct event_hub_config *config,
                   struct event_hub **ret_hub) REEL_MUST_CHECK;

// Ends every client, those to come as well: they see `over`.
void event_hub_end_clients(struct event_hub *hub);

// Stops and frees; no client may have joined still. NULL is fine.
void event_hub_close(struct event_hub *hub);

// Starts to queue events for a client, whose first fields are set. Any thread.
void event_hub_join(struct event_hub *hub, struct event_client *client);

// Stops it and drops what is queued; no wake runs after that. Any thread.
void event_hub_leave(struct event_hub *hub, struct event_client *client);

// Calls no wake for the client from here on, or calls it again: what happens meanwhile is found by
// event_hub_next. Any thread.
void event_hub_hush(struct event_hub *hub, struct event_client *client, bool hushed);

enum event_next { EVENT_NONE, EVENT_GAP, EVENT_TEXT, EVENT_BEAT, EVENT_OVER };

// What a client is to be sent next: EVENT_TEXT with *ret_text (the caller's reference). EVENT_GAP,
// at most once and before any recorded event, to a client that joined before the hub knew the
// record: what was recorded since, up to the client's gap_seq, was not queued for it.
enum event_next event_hub_next(struct event_hub *hub, struct event_client *client,
                               struct event_text **ret_text);

// An event as text, with one reference; NULL when memory is out.
struct event_text *event_text_new(const Job__JobEvent *event);

// Drops a reference. NULL is fine.
void event_text_unref(struct event_text *text);
