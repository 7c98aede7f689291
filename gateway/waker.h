// SPDX-License-Identifier: Apache-2.0
// Parks an HTTP connection until another thread has something for it, without losing a wake-up.
//
// The handler arms the waker, tries, and parks when there is nothing yet. A wake between arming and
// parking makes the park fail, so the handler tries again.
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct MHD_Connection;

// Embed it; fields are private.
struct waker {
    pthread_mutex_t lock;
    struct MHD_Connection *mhd;
    bool signalled;
    bool parked;
};

// Prepares a waker; `mhd` is borrowed.
void waker_init(struct waker *waker, struct MHD_Connection *mhd);

// Ends it; no other thread may use it any more.
void waker_fini(struct waker *waker);

// Forgets earlier wake-ups. Call before trying. The connection's own thread, as waker_park.
void waker_arm(struct waker *waker);

// Suspends the connection; false (and nothing suspended) when a wake-up came since waker_arm. After
// true the handler must return to the HTTP library at once.
bool waker_park(struct waker *waker);

// Wakes: resumes a parked connection, else makes the next park fail. Any thread.
void waker_wake(struct waker *waker);

// Call right before a content reader returns its end or an error. libmicrohttpd 1.0.1 forgets a
// connection that a reader has ended while it was idle; parked and resumed, it is looked at again.
void waker_ending(struct waker *waker);
