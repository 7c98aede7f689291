// SPDX-License-Identifier: Apache-2.0
// How the gateway ends without cutting anybody: notice, refusal, closed door (README.md).
#include <time.h>

#include "gateway/chain.h"
#include "gateway/event_hub.h"
#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "gateway/server.h"
#include "libcommon/core/clock.h"

enum {
    STEP_US = 10000,
    NOTICE_US = 250000,     // for balancers to see that /ready fails
    LAST_WORD_US = 1000000, // of the grace, to answer what has not finished in it
    SETTLE_US = 50000,      // for a connection accepted last to be counted
};

static void pause_us(long us)
{
    const struct timespec pause = {.tv_nsec = us * 1000};
    nanosleep(&pause, NULL);
}

static int64_t sooner(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

// What asks the gateway alone is answered as long as there is a door.
static bool needs_service(const struct endpoint *endpoint)
{
    return endpoint && (endpoint->route || endpoint->access == REEL_ACCESS_AUTHENTICATED);
}

// Counted before the question is asked: the drain asks the other way round.
enum step drain_step(struct request *req)
{
    struct gateway *gw = req->gw;
    if (!needs_service(req->endpoint))
        return STEP_NEXT;
    req->in_flight = true;
    atomic_fetch_add(&gw->in_flight, 1);
    if (!atomic_load(&gw->refusing))
        return STEP_NEXT;
    drain_leave(req);
    return drain_refuse(req);
}

enum step drain_refuse(struct request *req)
{
    return problem_retry(req, 503, 1,
                         "This gateway is shutting down. Use another one, or try again when it is "
                         "back.");
}

void drain_leave(struct request *req)
{
    if (req->in_flight)
        atomic_fetch_sub(&req->gw->in_flight, 1);
    req->in_flight = false;
}

static void await_requests(struct gateway *gw, int64_t until_us)
{
    while (atomic_load(&gw->in_flight) > 0 && !reel_deadline_passed(until_us))
        pause_us(STEP_US);
}

void gateway_drain(struct gateway *gw, int64_t grace_us)
{
    int64_t deadline_us = reel_deadline_in_us(grace_us);
    int64_t notice_us = sooner(reel_deadline_in_us(NOTICE_US), deadline_us);

    conns_drain(gw->conns);
    atomic_store(&gw->draining, true);
    event_hub_end_clients(gw->events);
    while (!reel_deadline_passed(notice_us))
        pause_us(STEP_US);
    atomic_store(&gw->refusing, true);
    await_requests(gw, deadline_us - sooner(LAST_WORD_US, grace_us / 4));
    if (atomic_load(&gw->in_flight) > 0) {
        atomic_store(&gw->grace_is_over, true);
        conns_end_waits(gw->conns);
        await_requests(gw, deadline_us);
    }
    server_quiesce(gw->server, deadline_us);
    int64_t settled_us = sooner(reel_deadline_in_us(SETTLE_US), deadline_us);
    while (!reel_deadline_passed(settled_us) ||
           (conns_count(gw->conns) > 0 && !reel_deadline_passed(deadline_us))) {
        conns_close_idle(gw->conns);
        pause_us(STEP_US);
    }
}
