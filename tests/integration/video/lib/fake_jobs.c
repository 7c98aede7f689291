// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/video/lib/fake_jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/rpc/bus.h"
#include "libcommon/rpc/call.h"
#include "libcommon/rpc/server.h"
#include "proto/job.reel.h"
#include "tests/lib/cmocka.h"

enum { MAX_RECORDS = 512, MAX_EVENTS = 2048 };

struct record {
    char id[REEL_ID_SIZE];
    int count;
};

struct event {
    char operation_id[REEL_ID_SIZE];
    char state[16];
    int version;
};

struct job_svc {
    pthread_mutex_t lock;
    struct record enqueued[MAX_RECORDS];
    struct record cancelled[MAX_RECORDS];
    struct event events[MAX_EVENTS];
    int n_events;
    int n_enqueued;
    int enqueue_code;
    int inspect_code;
    char refused[REEL_ID_SIZE]; // operation
    char state[16];
    char format[16];
    char video_codec[16];
    char audio_codec[16];
};

struct fake_jobs {
    struct job_svc state;
    struct reel_server *server;
    struct reel_publisher *publisher;
};

static struct record *find(struct record *records, const char *id)
{
    struct record *record = records;

    while (record->id[0] && strcmp(record->id, id) != 0)
        record++;
    snprintf(record->id, sizeof(record->id), "%s", id);
    return record;
}

static int handle_enqueue(struct job_svc *svc, struct reel_call *call,
                          const Job__EnqueueRequest *req, Job__EnqueueResponse *res)
{
    int code;

    pthread_mutex_lock(&svc->lock);
    code = strcmp(svc->refused, req->operation_id) == 0 ? REEL_INVALID_ARGUMENT : svc->enqueue_code;
    if (code == REEL_OK) {
        find(svc->enqueued, req->operation_id)->count++;
        svc->n_enqueued++;
    }
    pthread_mutex_unlock(&svc->lock);
    res->job_id = req->operation_id;
    res->state = (char *)"waiting";
    return code == REEL_OK ? REEL_OK : reel_call_fail(call, code, "told to fail");
}

static int handle_get_status(struct job_svc *svc, struct reel_call *call,
                             const Job__GetStatusRequest *req, Job__Job *res)
{
    pthread_mutex_lock(&svc->lock);
    res->state = reel_arena_strdup(reel_call_arena(call), svc->state);
    pthread_mutex_unlock(&svc->lock);
    res->job_id = req->job_id;
    if (!reel_call_user_id(call))
        return reel_call_fail(call, REEL_UNAUTHENTICATED, "no user");
    return *res->state ? REEL_OK : reel_call_fail(call, REEL_NOT_FOUND, "no such job");
}

static int handle_cancel_for_video(struct job_svc *svc, struct reel_call *call,
                                   const Job__CancelForVideoRequest *req,
                                   Job__CancelForVideoResponse *res)
{
    (void)call;
    (void)res;
    pthread_mutex_lock(&svc->lock);
    find(svc->cancelled, req->video_id)->count++;
    pthread_mutex_unlock(&svc->lock);
    return REEL_OK;
}

static int handle_inspect(struct job_svc *svc, struct reel_call *call,
                          const Job__InspectRequest *req, Job__InspectResponse *res)
{
    struct reel_arena *arena = reel_call_arena(call);
    int code;

    (void)req;
    pthread_mutex_lock(&svc->lock);
    code = svc->inspect_code;
    res->format = reel_arena_strdup(arena, svc->format);
    res->video_codec = reel_arena_strdup(arena, svc->video_codec);
    res->audio_codec = reel_arena_strdup(arena, svc->audio_codec);
    pthread_mutex_unlock(&svc->lock);
    res->width = 640;
    res->height = 360;
    res->duration_ms = 1000;
    res->frame_rate = 25;
    return code == REEL_OK ? REEL_OK : reel_call_fail(call, code, "the bytes are no video");
}

static Job__JobEvent *make_event(struct reel_arena *arena, const struct event *from, int64_t seq,
                                 const char *type)
{
    Job__JobEvent *event = reel_arena_alloc(arena, sizeof(*event));
    Job__Job *job = reel_arena_alloc(arena, sizeof(*job));

    job__job_event__init(event);
    job__job__init(job);
    job->job_id = job->operation_id = reel_arena_strdup(arena, from->operation_id);
    job->state = reel_arena_strdup(arena, from->state);
    event->seq = seq;
    event->type = (char *)type;
    event->job_id = event->operation_id = job->job_id;
    event->version = from->version;
    event->job = job;
    if (strcmp(from->state, "failed") == 0)
        job->failed_reason = (char *)"told to fail";
    if (strcmp(from->state, "completed") == 0) {
        Job__JobResult *result = reel_arena_alloc(arena, sizeof(*result));

        job__job_result__init(result);
        result->size_bytes = INT64_C(5000000000);
        result->format = (char *)"mp4";
        job->result = result;
        job->progress = 100;
    }
    return event;
}

static int handle_list_events(struct job_svc *svc, struct reel_call *call,
                              const Job__ListEventsRequest *req, Job__ListEventsResponse *res)
{
    struct reel_arena *arena = reel_call_arena(call);
    const int64_t page = 7; // small, so that reading back takes several

    pthread_mutex_lock(&svc->lock);
    res->events = reel_arena_array(arena, page, sizeof(*res->events));
    for (int64_t seq = req->after_seq + 1; seq <= svc->n_events && res->n_events < page; seq++)
        res->events[res->n_events++] = make_event(arena, &svc->events[seq - 1], seq, "job.changed");
    res->last_seq = svc->n_events;
    res->oldest_seq = 1;
    pthread_mutex_unlock(&svc->lock);
    return REEL_OK;
}

static const struct job_service_impl handlers = {
    .enqueue = handle_enqueue,
    .get_status = handle_get_status,
    .cancel_for_video = handle_cancel_for_video,
    .inspect = handle_inspect,
    .list_events = handle_list_events,
};

struct fake_jobs *fake_jobs_start(const char *url, const char *events_url)
{
    static const struct reel_peer_key peers[] = {{"video", "video-key", NULL, true}};
    struct fake_jobs *jobs = calloc(1, sizeof(*jobs));
    struct reel_server_config config = {
        .service = "job", .urls = &url, .n_urls = 1, .peers = peers, .n_peers = 1};

    pthread_mutex_init(&jobs->state.lock, NULL);
    fake_jobs_media(jobs, "mp4", "h264", "aac");
    assert_int_equal(reel_publisher_open(events_url, &jobs->publisher), REEL_OK);
    assert_int_equal(reel_server_new(&config, &jobs->server), REEL_OK);
    reel_server_add(jobs->server, &job_service, &handlers, &jobs->state);
    assert_int_equal(reel_server_start(jobs->server), REEL_OK);
    return jobs;
}

void fake_jobs_stop(struct fake_jobs *jobs)
{
    if (!jobs)
        return;
    reel_server_free(jobs->server);
    reel_publisher_close(jobs->publisher);
    pthread_mutex_destroy(&jobs->state.lock);
    free(jobs);
}

void fake_jobs_answer_enqueue(struct fake_jobs *jobs, int code)
{
    pthread_mutex_lock(&jobs->state.lock);
    jobs->state.enqueue_code = code;
    pthread_mutex_unlock(&jobs->state.lock);
}

void fake_jobs_refuse(struct fake_jobs *jobs, const char *operation_id)
{
    pthread_mutex_lock(&jobs->state.lock);
    snprintf(jobs->state.refused, sizeof(jobs->state.refused), "%s", operation_id);
    pthread_mutex_unlock(&jobs->state.lock);
}

void fake_jobs_answer_inspect(struct fake_jobs *jobs, int code)
{
    pthread_mutex_lock(&jobs->state.lock);
    jobs->state.inspect_code = code;
    pthread_mutex_unlock(&jobs->state.lock);
}

void fake_jobs_media(struct fake_jobs *jobs, const char *format, const char *video_codec,
                     const char *audio_codec)
{
    struct job_svc *svc = &jobs->state;

    pthread_mutex_lock(&svc->lock);
    snprintf(svc->format, sizeof(svc->format), "%s", format);
    snprintf(svc->video_codec, sizeof(svc->video_codec), "%s", video_codec);
    snprintf(svc->audio_codec, sizeof(svc->audio_codec), "%s", audio_codec);
    pthread_mutex_unlock(&svc->lock);
}

static int count_of(struct fake_jobs *jobs, struct record *records, const char *id)
{
    int count;

    pthread_mutex_lock(&jobs->state.lock);
    count = find(records, id)->count;
    pthread_mutex_unlock(&jobs->state.lock);
    return count;
}

int fake_jobs_enqueued(struct fake_jobs *jobs, const char *operation_id)
{
    return count_of(jobs, jobs->state.enqueued, operation_id);
}

int fake_jobs_enqueued_in_all(struct fake_jobs *jobs)
{
    int count;

    pthread_mutex_lock(&jobs->state.lock);
    count = jobs->state.n_enqueued;
    pthread_mutex_unlock(&jobs->state.lock);
    return count;
}

int fake_jobs_cancelled(struct fake_jobs *jobs, const char *video_id)
{
    return count_of(jobs, jobs->state.cancelled, video_id);
}

void fake_jobs_set_state(struct fake_jobs *jobs, const char *state)
{
    pthread_mutex_lock(&jobs->state.lock);
    snprintf(jobs->state.state, sizeof(jobs->state.state), "%s", state ? state : "");
    pthread_mutex_unlock(&jobs->state.lock);
}

static void publish(struct fake_jobs *jobs, const Job__JobEvent *event)
{
    uint8_t packed[1024];
    size_t len = job__job_event__get_packed_size(event);

    assert_true(len <= sizeof(packed));
    job__job_event__pack(event, packed);
    assert_int_equal(reel_publisher_send(jobs->publisher, event->type, packed, len), REEL_OK);
}

void fake_jobs_replay(struct fake_jobs *jobs, int64_t seq)
{
    struct reel_arena arena;

    reel_arena_init(&arena, 65536);
    pthread_mutex_lock(&jobs->state.lock);
    Job__JobEvent *event = make_event(&arena, &jobs->state.events[seq - 1], seq, "job.changed");
    pthread_mutex_unlock(&jobs->state.lock);
    publish(jobs, event);
    reel_arena_fini(&arena);
}

int64_t fake_jobs_event(struct fake_jobs *jobs, const char *operation_id, const char *state,
                        int version, bool silent)
{
    struct event *event;
    int64_t seq;

    pthread_mutex_lock(&jobs->state.lock);
    event = &jobs->state.events[jobs->state.n_events];
    snprintf(event->operation_id, sizeof(event->operation_id), "%s", operation_id);
    snprintf(event->state, sizeof(event->state), "%s", state);
    event->version = version;
    seq = ++jobs->state.n_events;
    pthread_mutex_unlock(&jobs->state.lock);
    if (!silent)
        fake_jobs_replay(jobs, seq);
    return seq;
}

void fake_jobs_progress(struct fake_jobs *jobs, const char *operation_id, int version,
                        double progress)
{
    struct event from = {.version = version, .state = "active"};
    struct reel_arena arena;

    snprintf(from.operation_id, sizeof(from.operation_id), "%s", operation_id);
    reel_arena_init(&arena, 65536);
    Job__JobEvent *event = make_event(&arena, &from, 0, "job.progress");
    event->job->progress = progress;
    publish(jobs, event);
    reel_arena_fini(&arena);
}
