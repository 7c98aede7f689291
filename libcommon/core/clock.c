// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/clock.h"

#include <time.h>

static int64_t now_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t reel_clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t reel_clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int64_t reel_deadline_in_us(int64_t timeout_us)
{
    int64_t deadline;

    if (timeout_us <= 0)
        return REEL_NO_DEADLINE;
    if (__builtin_add_overflow(reel_clock_mono_us(), timeout_us, &deadline))
        return REEL_NO_DEADLINE;
    return deadline;
}

int64_t reel_deadline_left_us(int64_t deadline_us)
{
    if (deadline_us == REEL_NO_DEADLINE)
        return INT64_MAX;

    int64_t left = deadline_us - reel_clock_mono_us();
    return left > 0 ? left : 0;
}

int reel_deadline_left_ms(int64_t deadline_us, int max_ms)
{
    int64_t left_us = reel_deadline_left_us(deadline_us);

    if (left_us > (int64_t)max_ms * 1000)
        return max_ms;
    return (int)((left_us + 999) / 1000);
}

bool reel_deadline_passed(int64_t deadline_us)
{
    return reel_deadline_left_us(deadline_us) == 0;
}
