// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/job/lib/service.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "tests/lib/cmocka.h"

enum { WAIT_US = 30 * 1000 * 1000, ENV_MAX = 24 };

static void nap(void)
{
    const struct timespec ts = {.tv_nsec = 10 * 1000 * 1000};

    nanosleep(&ts, NULL);
}

static void hear(void *arg, const char *topic, const uint8_t *payload, size_t len)
{
    struct service *s = arg;
    Job__JobEvent *event = job__job_event__unpack(NULL, len, payload);
    char *text = NULL;

    (void)topic;
    if (event == NULL || asprintf(&text, "%s %s %s %.0f", event->type, event->job_id,
                                  event->job->state, event->job->progress) < 0)
        abort();
    pthread_mutex_lock(&s->lock);
    if (s->n_seen < SEEN_MAX)
        s->seen[s->n_seen++] = text;
    else
        free(text);
    pthread_mutex_unlock(&s->lock);
    job__job_event__free_unpacked(event, NULL);
}

static void note_gap(void *arg)
{
    struct service *s = arg;

    pthread_mutex_lock(&s->lock);
    s->n_gaps++;
    pthread_mutex_unlock(&s->lock);
}

static bool is_subscribed(struct service *s)
{
    pthread_mutex_lock(&s->lock);
    bool yes = s->n_gaps > 0;
    pthread_mutex_unlock(&s->lock);
    return yes;
}

size_t service_heard(struct service *s, const char *text)
{
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_seen; i++)
        n += strncmp(s->seen[i], text, strlen(text)) == 0;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void open_queue(struct service *s)
{
    const struct queue_config config = {
        .redis_url = getenv("REDIS_URL"),
        .prefix = "test",
        .name = s->tap.name,
        .worker = "another",
        .lock_ms = 30000,
    };

    assert_int_equal(queue_open(&config, &s->queue), REEL_OK);
}

static void open_channel(struct service *s)
{
    char url[128];

    snprintf(url, sizeof(url), "ipc://%s/job.sock", s->dir);
    const struct reel_channel_config config = {
        .url = url, .service = "video", .key = "video-key-for-tests"};
    assert_int_equal(reel_channel_open(&config, &s->channel), REEL_OK);
}

// The service listens already, so the first gap is told when the subscription stands.
static void subscribe(struct service *s)
{
    const struct reel_subscriber_handler handler = {hear, note_gap, s};
    char url[128];

    snprintf(url, sizeof(url), "ipc://%s/events.sock", s->dir);
    assert_int_equal(reel_subscriber_open(url, "job.", &handler, &s->subscriber), REEL_OK);
    while (!is_subscribed(s))
        nap();
}

struct service *service_new(void)
{
    struct service *s = calloc(1, sizeof(*s));
    char path[128];

    pthread_mutex_init(&s->lock, NULL);
    strcpy(s->dir, "/tmp/reeljob.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    s->database = database_create();
    tap_open(&s->tap);
    open_queue(s);
    snprintf(path, sizeof(path), "%s/storage", s->dir);
    assert_int_equal(reel_storage_new(path, &s->storage), REEL_OK);
    reel_arena_init(&s->arena, 256 << 20);
    s->grace_ms = 5000;
    s->max_stalled = 5;
    s->lock_ms = 1500;
    service_cut_redis(s, false);
    open_channel(s);
    service_start(s);
    subscribe(s);
    return s;
}

void service_free(struct service *s)
{
    char command[128];

    if (s->pid != 0)
        service_end(s, SIGTERM);
    reel_subscriber_close(s->subscriber);
    reel_channel_close(s->channel);
    reel_storage_free(s->storage);
    queue_close(s->queue);
    tap_close(&s->tap);
    database_drop(s->database);
    reel_arena_fini(&s->arena);
    for (size_t i = 0; i < s->n_seen; i++)
        free(s->seen[i]);
    pthread_mutex_destroy(&s->lock);
    snprintf(command, sizeof(command), "rm -rf %s", s->dir);
    assert_int_equal(system(command), 0);
    free(s);
}

void service_cut_redis(struct service *s, bool cut)
{
    const char *real = getenv("REDIS_URL");
    char path[100];

    assert_memory_equal(real, "unix://", 7);
    snprintf(path, sizeof(path), "%s/redis.sock", s->dir);
    snprintf(s->redis_url, sizeof(s->redis_url), "unix://%s", path);
    unlink(path);
    if (!cut)
        assert_int_equal(symlink(real + 7, path), 0);
}

struct environment {
    char *vars[ENV_MAX];
    int n;
};

static void set(struct environment *env, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void set(struct environment *env, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    assert_true(vasprintf(&env->vars[env->n++], fmt, args) > 0);
    va_end(args);
}

static void set_all(struct service *s, struct environment *env)
{
    const char *asan = getenv("ASAN_OPTIONS");
    const char *tsan = getenv("TSAN_OPTIONS");

    set(env, "DATABASE_URL=%s", s->database->url);
    set(env, "REDIS_URL=%s", s->redis_url);
    set(env, "REEL_JOB_LISTEN=ipc://%s/job.sock", s->dir);
    set(env, "REEL_EVENTS_LISTEN=ipc://%s/events.sock", s->dir);
    set(env, "REEL_STORAGE_DIR=%s/storage", s->dir);
    set(env, "REEL_KEY_VIDEO=video-key-for-tests");
    set(env, "REEL_QUEUE_PREFIX=test");
    set(env, "REEL_QUEUE_NAME=%s", s->tap.name);
    set(env, "REEL_JOB_LOCK_MS=%d", s->lock_ms);
    set(env, "REEL_JOB_SWEEP_MS=300");
    set(env, "REEL_JOB_BACKOFF_MS=100");
    set(env, "REEL_JOB_MAX_STALLED=%d", s->max_stalled);
    set(env, "REEL_GRACE_MS=%d", s->grace_ms);
    set(env, "REEL_LOG_LEVEL=debug");
    set(env, "ASAN_OPTIONS=%s", asan != NULL ? asan : "");
    set(env, "TSAN_OPTIONS=%s", tsan != NULL ? tsan : "");
}

void service_start(struct service *s)
{
    struct environment env = {0};
    char *argv[] = {(char *)REEL_JOB_BINARY, NULL};
    char log[128];

    set_all(s, &env);
    snprintf(log, sizeof(log), "%s/log", s->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        // Only what is safe after a fork of a process with threads.
        dup2(fd, STDERR_FILENO);
        execve(REEL_JOB_BINARY, argv, env.vars);
        _exit(127);
    }
    close(fd);
    for (int i = 0; i < env.n; i++)
        free(env.vars[i]);
    if (!reel_channel_wait_ready(s->channel, reel_deadline_in_us(WAIT_US)))
        fail_msg("the service does not answer; see %s/log", s->dir);
}

int service_end(struct service *s, int signal_number)
{
    int status;

    kill(s->pid, signal_number);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    s->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *service_add_video(struct service *s, const char *clip)
{
    char *id = reel_arena_alloc(&s->arena, REEL_ID_SIZE);
    struct reel_storage_file *file;
    char path[256];
    struct stat st;

    reel_id_new(id);
    snprintf(path, sizeof(path), "%s/%s", clips_make(), clip);
    int in = open(path, O_RDONLY);
    assert_true(in >= 0);
    assert_int_equal(fstat(in, &st), 0);
    const char *key = reel_arena_printf(&s->arena, "%s/original", id);
    assert_int_equal(reel_storage_create(s->storage, key, &file), REEL_OK);
    assert_int_equal(sendfile(reel_storage_file_fd(file), in, NULL, (size_t)st.st_size),
                     st.st_size);
    close(in);
    assert_int_equal(reel_storage_publish(file), REEL_OK);
    return id;
}

Job__EnqueueRequest *service_request(struct service *s, const char *video_id, const char *type)
{
    Job__EnqueueRequest *req = reel_arena_alloc(&s->arena, sizeof(*req));
    Job__OperationParams *params = reel_arena_alloc(&s->arena, sizeof(*params));

    job__enqueue_request__init(req);
    job__operation_params__init(params);
    req->operation_id = reel_arena_alloc(&s->arena, REEL_ID_SIZE);
    reel_id_new(req->operation_id);
    req->type = (char *)type;
    req->video_id = (char *)video_id;
    req->user_id = (char *)USER_A;
    req->params = params;
    params->width = strcmp(type, "resize") == 0 ? 64 : 0;
    params->height = strcmp(type, "resize") == 0 ? 48 : 0;
    params->target_format = (char *)(strcmp(type, "convert") == 0 ? "mkv" : "");
    req->input_key = reel_arena_printf(&s->arena, "%s/original", video_id);
    req->output_key = reel_arena_printf(&s->arena, "%s/%s.mp4", video_id, req->operation_id);
    return req;
}

struct reel_call_options service_options(const char *user_id)
{
    static const struct reel_metadata users[] = {{"reel-user-id", USER_A},
                                                 {"reel-user-id", USER_B}};
    bool is_b = user_id != NULL && strcmp(user_id, USER_B) == 0;

    return (struct reel_call_options){
        .deadline_us = reel_deadline_in_us(WAIT_US),
        .metadata = &users[is_b ? 1 : 0],
        .n_metadata = user_id != NULL ? 1 : 0,
        .wait_for_ready = true,
    };
}

const char *service_enqueue(struct service *s, Job__EnqueueRequest *request)
{
    struct reel_call_options options = service_options(NULL);
    Job__EnqueueResponse *response;
    struct reel_status status;

    int rc = job_service_enqueue(s->channel, &options, request, &s->arena, &response, &status);
    if (rc != REEL_OK)
        fail_msg("enqueue: %s: %s", reel_code_name(rc), status.message);
    assert_string_equal(response->job_id, request->operation_id);
    return response->job_id;
}

Job__Job *service_status(struct service *s, const char *job_id, const char *user_id, int *ret_code)
{
    struct reel_call_options options = service_options(user_id);
    Job__GetStatusRequest request = JOB__GET_STATUS_REQUEST__INIT;
    Job__Job *job = NULL;

    request.job_id = (char *)job_id;
    *ret_code = job_service_get_status(s->channel, &options, &request, &s->arena, &job, NULL);
    return job;
}

Job__Job *service_await(struct service *s, const char *job_id, const char *state)
{
    int64_t deadline_us = reel_deadline_in_us(WAIT_US);
    Job__Job *job = NULL;
    int rc = REEL_OK;

    while (!reel_deadline_passed(deadline_us)) {
        job = service_status(s, job_id, USER_A, &rc);
        if (rc == REEL_OK && strcmp(job->state, state) == 0)
            return job;
        nap();
    }
    fail_msg("job %s is %s (%s: %s), not %s; see %s/log", job_id, job != NULL ? job->state : "?",
             job != NULL ? job->failed_code : reel_code_name(rc),
             job != NULL ? job->failed_reason : "", state, s->dir);
    return NULL;
}

static const char *const recipes[] = {
    ("-f lavfi -i testsrc=s=160x120:r=15:d=1 -f lavfi -i sine=d=1 -c:v libx264 -preset ultrafast "
     "-c:a aac -shortest %s/short.mp4"),
    "-f lavfi -i testsrc=s=160x120:r=15:d=1 -c:v libx264 -preset ultrafast %s/mute.mp4",
    "-f lavfi -i testsrc2=s=640x360:r=30:d=40 -c:v libx264 -preset ultrafast %s/long.mp4",
};

static char clips_dir[64];

static void remove_clips(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", clips_dir);
    (void)!system(command);
}

const char *clips_make(void)
{
    char *dir = clips_dir;
    char recipe[512];
    char command[640];

    if (dir[0] != '\0')
        return dir;
    strcpy(dir, "/tmp/reelclips.XXXXXX");
    assert_non_null(mkdtemp(dir));
    atexit(remove_clips);
    for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(recipe, sizeof(recipe), recipes[i], dir);
#pragma GCC diagnostic pop
        snprintf(command, sizeof(command), "ffmpeg -nostdin -v error -y %s", recipe);
        assert_int_equal(system(command), 0);
    }
    snprintf(command, sizeof(command), "echo 'this is no video' > %s/text.mp4", dir);
    assert_int_equal(system(command), 0);
    return dir;
}
