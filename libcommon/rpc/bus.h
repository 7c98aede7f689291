// SPDX-License-Identifier: Apache-2.0
// Events on an NNG pub socket: each message is `topic NUL payload`.
//
// PUB drops for a slow subscriber and a subscriber that is away misses everything, so an event is a
// hint: whoever must not miss one reads back from the publisher's record (docs/protocol.md,
// Events).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"

struct reel_publisher;
struct reel_subscriber;

// Listens on `url` ("tcp://127.0.0.1:3103", "ipc:///..."). The listener is watched and healed.
int reel_publisher_open(const char *url, struct reel_publisher **ret_publisher) REEL_MUST_CHECK;

// Stops and frees. NULL is fine.
void reel_publisher_close(struct reel_publisher *publisher);

// The URL with the port in use. Borrowed.
const char *reel_publisher_url(const struct reel_publisher *publisher);

// Publishes; never waits for a subscriber. `topic` has no NUL. Any thread.
int reel_publisher_send(struct reel_publisher *publisher, const char *topic, const uint8_t *payload,
                        size_t payload_len);

struct reel_subscriber_handler {
    // A message; borrowed until return. Called from the subscriber's own thread: it may block.
    void (*on_message)(void *arg, const char *topic, const uint8_t *payload, size_t payload_len);
    // After every (re)connect and after 1 s without one: read back what was missed. May block.
    void (*on_gap)(void *arg);
    void *arg;
};

// Subscribes to every topic that starts with `topic_prefix`, reconnecting for ever. A publisher
// that cannot be reached for 1 s is logged with the reason, once, and so is the end of that.
int reel_subscriber_open(const char *url, const char *topic_prefix,
                         const struct reel_subscriber_handler *handler,
                         struct reel_subscriber **ret_subscriber) REEL_MUST_CHECK;

// Stops, waits for the handler to return, frees. NULL is fine.
void reel_subscriber_close(struct reel_subscriber *subscriber);
