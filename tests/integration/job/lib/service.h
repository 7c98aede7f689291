// SPDX-License-Identifier: Apache-2.0
// The real reel-job as a child process, with a database, a queue and a storage directory of its
// own, and a channel to it. Everything goes to a temporary directory.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "libcommon/rpc/bus.h"
#include "libcommon/rpc/channel.h"
#include "libcommon/storage/storage.h"
#include "proto/job.reel.h"
#include "svc-job/queue.h"
#include "tests/integration/job/lib/servers.h"

#define USER_A "0190a000-0000-7000-8000-00000000000a"
#define USER_B "0190a000-0000-7000-8000-00000000000b"

enum { SEEN_MAX = 4096 };

struct service {
    char dir[64];
    char redis_url[128]; // a link to the real socket, which a test may take away
    struct database *database;
    struct tap tap;
    struct queue *queue; // the test's own view of it, as another worker has it
    struct reel_storage *storage;
    struct reel_channel *channel;
    struct reel_subscriber *subscriber;
    struct reel_arena arena;
    pid_t pid; // 0: not running
    int32_t grace_ms;
    int32_t max_stalled;
    int32_t lock_ms;
    pthread_mutex_t lock; // guards the events heard
    char *seen[SEEN_MAX]; // "<type> <job id> <state>"
    size_t n_seen;
    size_t n_gaps;
};

// Makes the surroundings and starts the service. Freed by service_free.
struct service *service_new(void);

// Stops and removes everything.
void service_free(struct service *service);

// Starts the process and waits until it answers.
void service_start(struct service *service);

// Ends it with a signal and waits for it; its exit status, or -1 when the signal ended it.
int service_end(struct service *service, int signal_number);

// Takes the way to Redis away, or gives it back.
void service_cut_redis(struct service *service, bool cut);

// Puts a file into the storage under `<video>/original`; the new video's id, in the arena. `clip`
// is a file that clips_make made.
char *service_add_video(struct service *service, const char *clip);

// A request to resize that video; its strings are in the arena.
Job__EnqueueRequest *service_request(struct service *service, const char *video_id,
                                     const char *type);

// Enqueues it; fails the test when that fails. The job's id.
const char *service_enqueue(struct service *service, Job__EnqueueRequest *request);

// The job as its owner sees it; NULL (and *ret_code) when the call failed.
Job__Job *service_status(struct service *service, const char *job_id, const char *user_id,
                         int *ret_code);

// Waits until the job is in a state; fails the test after 30 s. The job then.
Job__Job *service_await(struct service *service, const char *job_id, const char *state);

// Options of a call for a user (NULL: none).
struct reel_call_options service_options(const char *user_id);

// How often an event was heard: the text as in `seen`, or a prefix of it.
size_t service_heard(struct service *service, const char *text);

// Makes the clips once and returns the directory: short.mp4 (1 s, with sound), mute.mp4, long.mp4
// (slow to encode), text.mp4 (no video at all).
const char *clips_make(void);
