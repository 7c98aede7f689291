// SPDX-License-Identifier: Apache-2.0
#include "gateway/waker.h"

#include <microhttpd.h>

void waker_init(struct waker *waker, struct MHD_Connection *mhd)
{
    pthread_mutex_init(&waker->lock, NULL);
    waker->mhd = mhd;
    waker->signalled = false;
    waker->parked = false;
}

void waker_fini(struct waker *waker)
{
    pthread_mutex_destroy(&waker->lock);
}

void waker_arm(struct waker *waker)
{
    pthread_mutex_lock(&waker->lock);
    waker->signalled = false;
    pthread_mutex_unlock(&waker->lock);
}

bool waker_park(struct waker *waker)
{
    pthread_mutex_lock(&waker->lock);
    bool park = !waker->signalled;
    if (park) {
        waker->parked = true;
        MHD_suspend_connection(waker->mhd);
    }
    pthread_mutex_unlock(&waker->lock);
    return park;
}

void waker_wake(struct waker *waker)
{
    pthread_mutex_lock(&waker->lock);
    struct MHD_Connection *parked = waker->parked ? waker->mhd : NULL;
    waker->signalled = true;
    waker->parked = false;
    pthread_mutex_unlock(&waker->lock);
    // A parked connection lives until it is resumed, and only this call resumes it; the waker may
    // be gone right after.
    if (parked)
        MHD_resume_connection(parked);
}

void waker_ending(struct waker *waker)
{
    MHD_suspend_connection(waker->mhd);
    MHD_resume_connection(waker->mhd);
}
