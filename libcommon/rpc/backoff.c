// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/backoff.h"

#include <stdlib.h>

#include "libcommon/core/clock.h"

enum {
    SHORT_PATIENCE_US = 300 * 1000,
    LONG_PATIENCE_US = 3000 * 1000,
    SHORT_ATTEMPTS = 5,
    FIRST_PAUSE_US = 50 * 1000,
    LAST_PAUSE_US = 400 * 1000, // a service is to be in use within two seconds of its start
};

void reel_backoff_init(struct reel_backoff *backoff)
{
    *backoff = (struct reel_backoff){
        .pause_us = FIRST_PAUSE_US,
        .seed = (unsigned)reel_clock_mono_us(),
    };
}

void reel_backoff_reset(struct reel_backoff *backoff)
{
    backoff->failures = 0;
    backoff->pause_us = FIRST_PAUSE_US;
}

void reel_backoff_failed(struct reel_backoff *backoff, bool waited)
{
    backoff->failures++;
    if (!waited && backoff->pause_us < LAST_PAUSE_US)
        backoff->pause_us *= 2;
}

int64_t reel_backoff_pause_us(struct reel_backoff *backoff)
{
    int64_t half_us = backoff->pause_us / 2;

    return half_us + rand_r(&backoff->seed) % (half_us + 1);
}

int64_t reel_backoff_patience_us(unsigned failures)
{
    int64_t us = SHORT_PATIENCE_US;

    for (unsigned i = SHORT_ATTEMPTS; i <= failures && us < LONG_PATIENCE_US; i++)
        us += us / 2;
    return us < LONG_PATIENCE_US ? us : LONG_PATIENCE_US;
}
