// SPDX-License-Identifier: Apache-2.0
// The channel: its life, its heartbeat, its deadlines.
#include "libcommon/rpc/channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/cond.h"
#include "libcommon/rpc/channel_internal.h"

enum {
    DEFAULT_OUTBOX_BYTES = 16 << 20,
    DEFAULT_TIMEOUT_MS = 30000,
    DEFAULT_HEARTBEAT_MS = 1000,
    // A peer that says nothing for this many heartbeats is gone.
    SILENT_HEARTBEATS = 3,
    // How long calls wait for the first connection before they fail fast.
    CONNECT_GRACE_US = 2000 * 1000,
    // Deadlines that fall together are looked at together.
    TIMER_SLACK_US = 500,
};

static bool any_call(const struct reel_client_call *call, const void *arg)
{
    (void)call;
    (void)arg;
    return true;
}

static bool is_late(const struct reel_client_call *call, const void *now_us)
{
    return call->deadline_us <= *(const int64_t *)now_us;
}

// Asks a silent peer whether it is there. Called with the lock held; true when it is not.
static bool is_dead(struct reel_channel *channel, int64_t now_us)
{
    int64_t silent_us = now_us - channel->heard_us;

    if (!channel->connected)
        return false;
    // What greets and swallows is a black hole, not a slow peer.
    if (!channel->greeted && silent_us >= reel_backoff_patience_us(channel->swallowed)) {
        channel->swallowed++;
        return true;
    }
    if (silent_us >= SILENT_HEARTBEATS * channel->heartbeat_us)
        return true;
    if (silent_us >= channel->heartbeat_us &&
        now_us - channel->pinged_us >= channel->heartbeat_us) {
        channel->pinged_us = now_us;
        (void)reel_channel_put(channel, &(struct reel_frame){.kind = REEL_FRAME_PING}, true);
    }
    return false;
}

// When the timer has to look again. Called with the lock held.
static int64_t next_wake(const struct reel_channel *channel, int64_t now_us)
{
    int64_t wake_us = now_us + (channel->greeted ? channel->heartbeat_us : REEL_DIAL_TICK_US);

    if (channel->has_target && !channel->pipe && !channel->dialing && channel->dial_at_us < wake_us)
        wake_us = channel->dial_at_us;
    for (const struct reel_client_call *call = channel->first; call; call = call->next)
        if (call->deadline_us < wake_us)
            wake_us = call->deadline_us;
    return wake_us > now_us + TIMER_SLACK_US ? wake_us : now_us + TIMER_SLACK_US;
}

static void look(struct reel_channel *channel)
{
    int64_t now_us = reel_clock_mono_us();

    reel_connection_end_calls(channel, is_late, &now_us, REEL_DEADLINE_EXCEEDED,
                              "the deadline has passed", true);
    pthread_mutex_lock(&channel->lock);
    bool dead = is_dead(channel, now_us);
    bool alone = !channel->connected;
    bool late = channel->state == REEL_CHANNEL_CONNECTING &&
                now_us - channel->opened_us >= CONNECT_GRACE_US;
    pthread_mutex_unlock(&channel->lock);
    if (dead)
        reel_connection_abandon(channel);
    if (alone)
        reel_connection_tick(channel);
    if (late)
        reel_connection_give_up(channel, "it does not answer");
}

static void *keep_time(void *arg)
{
    struct reel_channel *channel = arg;

    pthread_setname_np(pthread_self(), "rpc-channel");
    pthread_mutex_lock(&channel->lock);
    while (!channel->closing) {
        pthread_mutex_unlock(&channel->lock);
        look(channel);
        pthread_mutex_lock(&channel->lock);
        channel->wake_us = next_wake(channel, reel_clock_mono_us());
        while (!channel->closing && !reel_deadline_passed(channel->wake_us))
            reel_cond_wait_until(&channel->changed, &channel->lock, channel->wake_us);
    }
    pthread_mutex_unlock(&channel->lock);
    return NULL;
}

static int copy_config(struct reel_channel *channel, const struct reel_channel_config *config)
{
    channel->url = strdup(config->url);
    channel->service = strdup(config->service ? config->service : "");
    channel->key = strdup(config->key ? config->key : "");
    channel->max_message_bytes =
        config->max_message_bytes ? config->max_message_bytes : REEL_WIRE_DEFAULT_MAX_MESSAGE;
    channel->default_timeout_ms =
        config->default_timeout_ms ? config->default_timeout_ms : DEFAULT_TIMEOUT_MS;
    channel->heartbeat_us =
        (int64_t)(config->heartbeat_ms ? config->heartbeat_ms : DEFAULT_HEARTBEAT_MS) * 1000;
    reel_link_init(&channel->link, channel->max_message_bytes + REEL_WIRE_SLACK,
                   config->max_outbox_bytes ? config->max_outbox_bytes : DEFAULT_OUTBOX_BYTES);
    return channel->url && channel->service && channel->key ? 0 : -ENOMEM;
}

int reel_channel_open_lane(const struct reel_channel_config *config, struct reel_balancer *owner,
                           struct reel_channel **ret_channel)
{
    struct reel_channel *channel = calloc(1, sizeof(*channel));

    if (!channel)
        return -ENOMEM;
    channel->owner = owner;
    channel->has_target = owner == NULL;
    atomic_init(&channel->refs, 1);
    pthread_mutex_init(&channel->lock, NULL);
    reel_cond_init(&channel->changed);
    reel_idmap_init(&channel->calls);
    channel->opened_us = reel_clock_mono_us();
    snprintf(channel->reason, sizeof(channel->reason), "not connected yet");
    int rc = copy_config(channel, config);
    if (rc == 0)
        rc = reel_connection_open(channel);
    if (rc == 0) {
        rc = -pthread_create(&channel->timer, NULL, keep_time, channel);
        channel->timer_started = rc == 0;
    }
    if (rc != 0) {
        reel_channel_close(channel);
        return rc;
    }
    *ret_channel = channel;
    return 0;
}

static int open_balanced(const struct reel_channel_config *config,
                         struct reel_channel **ret_channel)
{
    struct reel_channel *channel = calloc(1, sizeof(*channel));

    if (!channel)
        return -ENOMEM;
    int rc = reel_balancer_open(config, reel_resolve, &channel->balancer);
    if (rc == 0)
        *ret_channel = channel;
    else
        free(channel);
    return rc;
}

int reel_channel_open(const struct reel_channel_config *config, struct reel_channel **ret_channel)
{
    return reel_resolve_has_name(config->url) ? open_balanced(config, ret_channel)
                                              : reel_channel_open_lane(config, NULL, ret_channel);
}

struct reel_channel *reel_channel_ref(struct reel_channel *channel)
{
    atomic_fetch_add(&channel->refs, 1);
    return channel;
}

void reel_channel_unref(struct reel_channel *channel)
{
    if (atomic_fetch_sub(&channel->refs, 1) > 1)
        return;
    reel_link_fini(&channel->link);
    reel_idmap_fini(&channel->calls);
    pthread_mutex_destroy(&channel->lock);
    pthread_cond_destroy(&channel->changed);
    free(channel->url);
    free(channel->service);
    free(channel->key);
    free(channel);
}

// Ends what is pending.
static void leave(struct reel_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    channel->leaving = true;
    pthread_mutex_unlock(&channel->lock);
    reel_connection_end_calls(channel, any_call, NULL, REEL_CANCELLED, "the channel is closed",
                              true);
    pthread_mutex_lock(&channel->lock);
    channel->closing = true;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
}

void reel_channel_close(struct reel_channel *channel)
{
    if (!channel)
        return;
    if (channel->balancer) {
        reel_balancer_close(channel->balancer);
        free(channel);
        return;
    }
    leave(channel);
    if (channel->timer_started)
        pthread_join(channel->timer, NULL);
    reel_connection_close(channel);
    pthread_mutex_lock(&channel->lock);
    while (channel->n_completing > 0)
        pthread_cond_wait(&channel->changed, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
    reel_channel_unref(channel);
}

// Called with the lock held.
static bool is_ready(const struct reel_channel *channel)
{
    return channel->state == REEL_CHANNEL_READY &&
           reel_clock_mono_us() - channel->heard_us < SILENT_HEARTBEATS * channel->heartbeat_us;
}

bool reel_channel_is_ready(struct reel_channel *channel)
{
    if (channel->balancer)
        return reel_balancer_is_ready(channel->balancer);
    pthread_mutex_lock(&channel->lock);
    bool ready = is_ready(channel);
    pthread_mutex_unlock(&channel->lock);
    return ready;
}

bool reel_channel_wait_ready(struct reel_channel *channel, int64_t deadline_us)
{
    if (channel->balancer)
        return reel_balancer_wait_ready(channel->balancer, deadline_us);
    pthread_mutex_lock(&channel->lock);
    while (!is_ready(channel) && !reel_deadline_passed(deadline_us))
        reel_cond_wait_until(&channel->changed, &channel->lock, deadline_us);
    bool ready = is_ready(channel);
    pthread_mutex_unlock(&channel->lock);
    return ready;
}
