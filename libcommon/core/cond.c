// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/cond.h"

#include <time.h>

#include "libcommon/core/clock.h"

void reel_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

void reel_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us)
{
    const struct timespec at = {
        .tv_sec = deadline_us / 1000000,
        .tv_nsec = deadline_us % 1000000 * 1000,
    };

    if (deadline_us == REEL_NO_DEADLINE)
        pthread_cond_wait(cond, lock);
    else
        pthread_cond_timedwait(cond, lock, &at);
}
