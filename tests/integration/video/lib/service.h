// SPDX-License-Identifier: Apache-2.0
// The whole video service in the test's process: real PostgreSQL, real RPC over inproc://, files in
// a directory of its own, and a job service that does as told.
#pragma once

#include "libcommon/rpc/channel.h"
#include "proto/video.reel.h"
#include "svc-video/svc.h"
#include "tests/integration/video/lib/database.h"
#include "tests/integration/video/lib/fake_jobs.h"

#define SERVICE_USER_A "0190a000-0000-7000-8000-00000000000a"
#define SERVICE_USER_B "0190a000-0000-7000-8000-00000000000b"

struct service {
    struct database *database;
    struct fake_jobs *jobs;
    struct video_config config;
    struct video_svc *svc;
    struct reel_channel *channel; // to the service, as the gateway
    struct reel_arena arena;      // for requests and answers, until service_stop
    char storage_dir[64];
    char urls[3][64];
};

// Starts everything and waits until it can be called. Fits a cmocka setup.
int service_start(void **state);

// Stops everything and removes database and files. Fits a cmocka teardown.
int service_stop(void **state);

// Stops the service alone, as a drain does, and starts it again on the same database and files.
void service_stop_video(struct service *service);

// The second half of a restart.
void service_start_video(struct service *service);

// Calls a method for a user (NULL: for none). The request is built from JSON-style paths and texts,
// ended by NULL. Answers the code; *ret_response (if not NULL) lives in the arena.
int service_call(struct service *service, unsigned method, const char *user_id, void *ret_response,
                 struct reel_status *ret_status, ...);

// Uploads `size_bytes` of made-up bytes in chunks. Answers the code.
int service_upload(struct service *service, const char *user_id, const char *filename,
                   int64_t size_bytes, Video__Video **ret_video, struct reel_status *ret_status);

// Uploads a small file that is accepted; the id of its video, in the arena.
const char *service_video(struct service *service, const char *user_id);

// Waits until `sql` (which yields one value) yields `value`; fails the test after ten seconds.
void service_await(struct service *service, const char *value, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
