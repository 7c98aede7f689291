// SPDX-License-Identifier: Apache-2.0
#include "svc-job/permits.h"

#include <errno.h>
#include <time.h>

#include "libcommon/core/clock.h"

enum { US_PER_S = 1000000 };

void permits_init(struct permits *permits, unsigned n)
{
    sem_init(&permits->sem, 0, n);
}

void permits_fini(struct permits *permits)
{
    sem_destroy(&permits->sem);
}

// The semaphore's deadline is on the wall clock (sem_clockwait is not known to all tools), so it
// waits in steps and asks the monotonic clock in between.
bool permits_take(struct permits *permits, int64_t deadline_us)
{
    for (;;) {
        int64_t left_us = reel_deadline_left_us(deadline_us);
        struct timespec until;
        if (left_us > US_PER_S)
            left_us = US_PER_S;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t nsec = until.tv_nsec + left_us % US_PER_S * 1000;
        until.tv_sec += left_us / US_PER_S + nsec / 1000000000;
        until.tv_nsec = nsec % 1000000000;
        if (sem_timedwait(&permits->sem, &until) == 0)
            return true;
        if (errno != EINTR && reel_deadline_passed(deadline_us))
            return false;
    }
}

void permits_give(struct permits *permits)
{
    sem_post(&permits->sem);
}
