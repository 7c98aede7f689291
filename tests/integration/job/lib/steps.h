// SPDX-License-Identifier: Apache-2.0
// Short steps for tests of the whole service. All fail the test when a call has an answer they do
// not return.
#pragma once

#include "libcommon/core/clock.h"
#include "tests/integration/job/lib/service.h"

// cmocka's set-up and tear-down: *state is a running struct service.
int steps_set_up(void **state);

// Stops and frees it.
int steps_tear_down(void **state);

// Sleeps a moment, between two looks.
void nap(void);

// A deadline thirty seconds from now.
int64_t patience(void);

// Waits until the condition holds; fails the test after 30 s.
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        int64_t until_us_ = patience();                                                            \
        while (!(condition) && !reel_deadline_passed(until_us_))                                   \
            nap();                                                                                 \
        assert_true(condition);                                                                    \
    } while (0)

// Adds a video from a clip and enqueues an operation on it; the job's id.
const char *enqueue(struct service *s, const char *clip, const char *type);

// Whether the job's result is published.
bool has_output(struct service *s, const char *video_id, const char *job_id);

// Pauses the queue as a dashboard does, or resumes it.
void hold_queue(struct service *s, bool hold);

// Calls Cancel for a user; its code.
int cancel(struct service *s, const char *job_id, const char *user_id, Job__Job **ret_job);

// Calls Retry for a user; its code.
int retry(struct service *s, const char *job_id, const char *user_id, Job__Job **ret_job);

// The recorded events after a number.
Job__ListEventsResponse *list_events(struct service *s, int64_t after);

// The types of a job's recorded events, joined by spaces: "created started completed". Fails the
// test unless their versions grow.
const char *story(struct service *s, const char *job_id);

// How many events of that type and job are recorded.
long recorded(struct service *s, const char *type, const char *job_id);

// How many events of that type and job were heard. One that was told while the subscriber was not
// connected is never heard.
size_t heard(struct service *s, const char *type, const char *job_id);

// How many worker processes the service has.
long count_workers(struct service *s);
