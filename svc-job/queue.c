// SPDX-License-Identifier: Apache-2.0
#include "svc-job/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/redis/redis.h"
#include "svc-job/lua.gen.h"
#include "svc-job/queue_opts.h"

enum script {
    SCRIPT_ADD,
    SCRIPT_CLAIM,
    SCRIPT_COUNTS,
    SCRIPT_EXTEND,
    SCRIPT_INIT,
    SCRIPT_LOCKS,
    SCRIPT_LOG,
    SCRIPT_PROBE,
    SCRIPT_PROGRESS,
    SCRIPT_PUTBACK,
    SCRIPT_RECLAIM,
    SCRIPT_REMOVE,
    SCRIPT_RETRY,
    SCRIPT_SETTLE,
    SCRIPT_SWEEP,
    N_SCRIPTS,
};

// The layout this program speaks, and itself as its writer.
#define QUEUE_VERSION "bullmq:6.7.0"
#define QUEUE_LIBRARY "reelmesh:0.1.0"

enum {
    ARGS_MAX = 12,
    WAIT_ARENA_BYTES = 64 * 1024,
    WAIT_SLACK_US = 5 * 1000 * 1000,
    WAIT_MIN_MS = 2, // Redis before 7.0.8 takes a shorter timeout for "for ever"
};

struct queue {
    struct reel_redis *redis;
    struct reel_redis_conn *waiter; // for BZPOPMIN alone
    struct reel_redis_script scripts[N_SCRIPTS];
    atomic_long waiter_id; // CLIENT ID of its connection; 0: it does not wait
    char *prefix;          // "bull:reelmesh:"
    char *meta_key;
    char *name;
    char *worker;
    char *lock_ms;
    char *keep_completed;
    char *keep_failed;
};

struct args {
    struct reel_redis_arg v[ARGS_MAX];
    size_t n;
};

struct args_list {
    const struct reel_redis_arg *v;
    size_t n;
};

static void arg_str(struct args *args, const char *s)
{
    args->v[args->n++] = reel_redis_str(s);
}

static void arg_int(struct args *args, struct reel_arena *arena, int64_t value)
{
    args->v[args->n++] = reel_redis_int(arena, value);
}

static struct args args_for(const struct queue *q)
{
    struct args args = {.n = 0};

    arg_str(&args, q->prefix);
    return args;
}

// A script that fails has met keys that are not what they should be: no outcome of the queue's.
static int run_argv(struct queue *q, enum script script, int64_t deadline_us,
                    struct reel_arena *arena, const struct args_list *list,
                    struct reel_redis_reply *ret_reply)
{
    struct reel_redis_arg key = reel_redis_str(q->meta_key);

    int rc = reel_redis_eval(q->redis, deadline_us, arena, &q->scripts[script], 1, &key, list->n,
                             list->v, ret_reply);
    if (rc != REEL_FAILED_PRECONDITION)
        return rc;
    reel_log(REEL_LOG_ERROR, "queue.script_failed", REEL_FS("script", q->scripts[script].name),
             REEL_FS("error", ret_reply->str));
    return -EPROTO;
}

static int run(struct queue *q, enum script script, int64_t deadline_us, struct reel_arena *arena,
               const struct args *args, struct reel_redis_reply *ret_reply)
{
    const struct args_list list = {args->v, args->n};

    return run_argv(q, script, deadline_us, arena, &list, ret_reply);
}

static void base64(const char *text, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i += 3) {
        unsigned n = (unsigned)(unsigned char)text[i] << 16;
        n |= i + 1 < len ? (unsigned)(unsigned char)text[i + 1] << 8 : 0;
        n |= i + 2 < len ? (unsigned)(unsigned char)text[i + 2] : 0;
        *out++ = digits[n >> 18];
        *out++ = digits[n >> 12 & 63];
        *out++ = i + 1 < len ? digits[n >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[n & 63] : '=';
    }
    *out = '\0';
}

static int open_connections(struct queue *q, const struct queue_config *config)
{
    REEL_AUTO(reel_freep) char *coded = malloc(strlen(config->name) * 2 + 8);
    REEL_AUTO(reel_freep) char *client = NULL;

    if (coded == NULL)
        return -ENOMEM;
    base64(config->name, coded);
    if (asprintf(&client, "%s:%s:w:%s", config->prefix, coded, config->worker) < 0)
        return -ENOMEM;
    int rc = reel_redis_new(
        &(struct reel_redis_config){
            .url = config->redis_url,
            .client_name = "reel-job",
            .max_connections = config->max_connections,
            .timeout_ms = config->timeout_ms,
        },
        &q->redis);
    if (rc != REEL_OK)
        return rc;
    return reel_redis_conn_open(
        &(struct reel_redis_config){
            .url = config->redis_url,
            .client_name = client,
            .timeout_ms = config->timeout_ms,
        },
        &q->waiter);
}

static void name_scripts(struct queue *q)
{
    const struct reel_redis_script scripts[N_SCRIPTS] = {
        [SCRIPT_ADD] = {.name = "add", .source = embedded_add},
        [SCRIPT_CLAIM] = {.name = "claim", .source = embedded_claim},
        [SCRIPT_COUNTS] = {.name = "counts", .source = embedded_counts},
        [SCRIPT_EXTEND] = {.name = "extend", .source = embedded_extend},
        [SCRIPT_INIT] = {.name = "init", .source = embedded_init},
        [SCRIPT_LOCKS] = {.name = "locks", .source = embedded_locks},
        [SCRIPT_LOG] = {.name = "log", .source = embedded_log},
        [SCRIPT_PROBE] = {.name = "probe", .source = embedded_probe},
        [SCRIPT_PROGRESS] = {.name = "progress", .source = embedded_progress},
        [SCRIPT_PUTBACK] = {.name = "putback", .source = embedded_putback},
        [SCRIPT_RECLAIM] = {.name = "reclaim", .source = embedded_reclaim},
        [SCRIPT_REMOVE] = {.name = "remove", .source = embedded_remove},
        [SCRIPT_RETRY] = {.name = "retry", .source = embedded_retry},
        [SCRIPT_SETTLE] = {.name = "settle", .source = embedded_settle},
        [SCRIPT_SWEEP] = {.name = "sweep", .source = embedded_sweep},
    };

    memcpy(q->scripts, scripts, sizeof(scripts));
}

int queue_open(const struct queue_config *config, struct queue **ret_queue)
{
    struct queue *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return -ENOMEM;
    name_scripts(q);
    q->name = strdup(config->name);
    q->worker = strdup(config->worker);
    q->keep_completed = strdup(config->keep_completed != NULL ? config->keep_completed : "");
    q->keep_failed = strdup(config->keep_failed != NULL ? config->keep_failed : "");
    bool ok = q->name != NULL && q->worker != NULL && q->keep_completed != NULL &&
              q->keep_failed != NULL &&
              asprintf(&q->prefix, "%s:%s:", config->prefix, config->name) > 0 &&
              asprintf(&q->meta_key, "%smeta", q->prefix) > 0 &&
              asprintf(&q->lock_ms, "%u", config->lock_ms) > 0;
    int rc = ok ? open_connections(q, config) : -ENOMEM;
    if (rc != REEL_OK) {
        queue_close(q);
        return rc;
    }
    *ret_queue = q;
    return REEL_OK;
}

void queue_close(struct queue *q)
{
    if (q == NULL)
        return;
    reel_redis_free(q->redis);
    reel_redis_conn_close(q->waiter);
    free(q->prefix);
    free(q->meta_key);
    free(q->name);
    free(q->worker);
    free(q->lock_ms);
    free(q->keep_completed);
    free(q->keep_failed);
    free(q);
}

const char *queue_name(const struct queue *q)
{
    return q->name;
}

int queue_init(struct queue *q, int64_t deadline_us, struct reel_arena *arena, int32_t concurrency)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    arg_str(&args, QUEUE_VERSION);
    arg_str(&args, QUEUE_LIBRARY);
    arg_int(&args, arena, concurrency);
    int rc = run(q, SCRIPT_INIT, deadline_us, arena, &args, &reply);
    if (rc != REEL_OK)
        return rc;
    const char *version = reply.str != NULL ? reply.str : "";
    int major = 0;
    bool is_old = sscanf(version, "bullmq:%d.", &major) == 1 && major < 6;
    return is_old ? REEL_FAILED_PRECONDITION : REEL_OK;
}

int queue_ping(struct queue *q, int64_t deadline_us, bool *ret_is_noeviction)
{
    struct reel_redis_arg argv[] = {reel_redis_str("CONFIG"), reel_redis_str("GET"),
                                    reel_redis_str("maxmemory-policy")};
    struct reel_redis_reply reply;
    struct reel_arena arena;

    reel_arena_init(&arena, WAIT_ARENA_BYTES);
    int rc = reel_redis_command(q->redis, deadline_us, &arena, 3, argv, &reply);
    if (rc == REEL_OK) {
        *ret_is_noeviction = reply.type == REEL_REDIS_ARRAY && reply.n_items == 2 &&
                             strcmp(reply.items[1].str, "noeviction") == 0;
    } else if (rc == REEL_FAILED_PRECONDITION) {
        // A managed Redis may not let us ask; it answers, and that counts.
        *ret_is_noeviction = true;
        rc = REEL_OK;
    }
    reel_arena_fini(&arena);
    return rc;
}

int queue_add(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
              const struct queue_entry *entry)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;
    const char *opts = queue_opts_write(arena, entry, q->keep_completed, q->keep_failed);

    if (opts == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    arg_str(&args, entry->id);
    arg_str(&args, entry->name);
    arg_str(&args, entry->data);
    arg_str(&args, opts);
    arg_int(&args, arena, entry->created_ms);
    arg_int(&args, arena, entry->delay_ms);
    arg_int(&args, arena, entry->priority);
    arg_int(&args, arena, entry->lifo ? 1 : 0);
    arg_int(&args, arena, entry->generation);
    return run(q, SCRIPT_ADD, deadline_us, arena, &args, &reply);
}

int queue_claim_next(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                     const char *token, struct queue_claim *ret_claim)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    arg_str(&args, token);
    arg_str(&args, q->lock_ms);
    arg_str(&args, q->worker);
    int rc = run(q, SCRIPT_CLAIM, deadline_us, arena, &args, &reply);
    return rc == REEL_OK ? queue_claim_read(&reply, ret_claim) : rc;
}

// A script's code: 0 and why a job cannot be given away.
static int outcome_of(int64_t code)
{
    if (code == 0)
        return REEL_OK;
    return code == -4 || code == -9 ? REEL_FAILED_PRECONDITION : REEL_ABORTED;
}

static int read_end(const struct reel_redis_reply *reply, struct queue_claim *ret_next)
{
    if (reply->type != REEL_REDIS_ARRAY || reply->n_items != 2)
        return -EPROTO;
    int rc = outcome_of(reply->items[0].integer);
    return rc == REEL_OK ? queue_claim_read(&reply->items[1], ret_next) : rc;
}

int queue_settle(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                 const struct queue_end *end, struct queue_claim *ret_next)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    *ret_next = (struct queue_claim){0};
    arg_str(&args, end->id);
    arg_str(&args, end->token);
    arg_str(&args, end->completed ? "completed" : "failed");
    arg_str(&args, end->value);
    arg_str(&args, end->completed ? q->keep_completed : q->keep_failed);
    arg_int(&args, arena, end->fetch_next ? 1 : 0);
    arg_str(&args, q->lock_ms);
    arg_str(&args, q->worker);
    int rc = run(q, SCRIPT_SETTLE, deadline_us, arena, &args, &reply);
    return rc == REEL_OK ? read_end(&reply, ret_next) : rc;
}

int queue_retry(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                const struct queue_end *end, struct queue_claim *ret_next)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    *ret_next = (struct queue_claim){0};
    arg_str(&args, end->id);
    arg_str(&args, end->token);
    arg_int(&args, arena, end->delay_ms);
    arg_str(&args, end->value);
    arg_int(&args, arena, end->fetch_next ? 1 : 0);
    arg_str(&args, q->lock_ms);
    arg_str(&args, q->worker);
    int rc = run(q, SCRIPT_RETRY, deadline_us, arena, &args, &reply);
    return rc == REEL_OK ? read_end(&reply, ret_next) : rc;
}

int queue_put_back(struct queue *q, int64_t deadline_us, struct reel_arena *arena, const char *id,
                   const char *token)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    arg_str(&args, id);
    arg_str(&args, token);
    int rc = run(q, SCRIPT_PUTBACK, deadline_us, arena, &args, &reply);
    return rc == REEL_OK ? outcome_of(reply.integer) : rc;
}

static bool is_among(const struct reel_redis_reply *ids, const char *id)
{
    for (size_t i = 0; i < ids->n_items; i++) {
        if (ids->items[i].str != NULL && strcmp(ids->items[i].str, id) == 0)
            return true;
    }
    return false;
}

int queue_renew(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                struct queue_renewal *renewals, size_t n)
{
    struct reel_redis_arg *argv = reel_arena_array(arena, 2 + n * 2, sizeof(*argv));
    struct reel_redis_reply reply;

    if (argv == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    argv[0] = reel_redis_str(q->prefix);
    argv[1] = reel_redis_str(q->lock_ms);
    for (size_t i = 0; i < n; i++) {
        argv[2 + i * 2] = reel_redis_str(renewals[i].id);
        argv[3 + i * 2] = reel_redis_str(renewals[i].token);
    }
    const struct args_list list = {argv, 2 + n * 2};
    int rc = run_argv(q, SCRIPT_EXTEND, deadline_us, arena, &list, &reply);
    for (size_t i = 0; rc == REEL_OK && i < n; i++)
        renewals[i].lost = is_among(&reply, renewals[i].id);
    return rc;
}

int queue_progress(struct queue *q, int64_t deadline_us, struct reel_arena *arena, const char *id,
                   double percent)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;
    char text[32];

    snprintf(text, sizeof(text), "%.1f", percent >= 0 && percent <= 100 ? percent : 0);
    arg_str(&args, id);
    arg_str(&args, text);
    return run(q, SCRIPT_PROGRESS, deadline_us, arena, &args, &reply);
}

double queue_get_progress(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                          const char *id)
{
    const char *key = reel_arena_printf(arena, "%s%s", q->prefix, id);
    struct reel_redis_reply reply;

    if (key == NULL)
        return 0;
    struct reel_redis_arg argv[] = {reel_redis_str("HGET"), reel_redis_str(key),
                                    reel_redis_str("progress")};
    int rc = reel_redis_command(q->redis, deadline_us, arena, 3, argv, &reply);
    if (rc != REEL_OK || reply.type != REEL_REDIS_STRING)
        return 0;
    double percent = strtod(reply.str, NULL);
    return percent >= 0 && percent <= 100 ? percent : 0;
}

int queue_log(struct queue *q, int64_t deadline_us, struct reel_arena *arena, const char *id,
              const char *row)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    arg_str(&args, id);
    arg_str(&args, row);
    return run(q, SCRIPT_LOG, deadline_us, arena, &args, &reply);
}

int queue_sweep(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                uint32_t interval_ms, int32_t max_stalled, size_t *ret_n)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    arg_int(&args, arena, interval_ms);
    arg_int(&args, arena, max_stalled);
    int rc = run(q, SCRIPT_SWEEP, deadline_us, arena, &args, &reply);
    if (rc == REEL_OK)
        *ret_n = reply.n_items;
    return rc;
}

int queue_list_locks(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                     struct queue_lock **ret_locks, size_t *ret_n)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    int rc = run(q, SCRIPT_LOCKS, deadline_us, arena, &args, &reply);
    if (rc != REEL_OK)
        return rc;
    struct queue_lock *locks = reel_arena_array(arena, reply.n_items / 2, sizeof(*locks));
    if (locks == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < reply.n_items / 2; i++)
        locks[i] = (struct queue_lock){reply.items[2 * i].str, reply.items[2 * i + 1].str};
    *ret_locks = locks;
    *ret_n = reply.n_items / 2;
    return REEL_OK;
}

int queue_reclaim(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                  const struct queue_lock *locks, size_t n, int32_t max_stalled, size_t *ret_n)
{
    struct reel_redis_arg *argv = reel_arena_array(arena, 2 + n * 2, sizeof(*argv));
    struct reel_redis_reply reply;

    if (argv == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    argv[0] = reel_redis_str(q->prefix);
    argv[1] = reel_redis_int(arena, max_stalled);
    for (size_t i = 0; i < n; i++) {
        argv[2 + i * 2] = reel_redis_str(locks[i].id);
        argv[3 + i * 2] = reel_redis_str(locks[i].token);
    }
    const struct args_list list = {argv, 2 + n * 2};
    int rc = run_argv(q, SCRIPT_RECLAIM, deadline_us, arena, &list, &reply);
    if (rc == REEL_OK)
        *ret_n = (size_t)reply.integer;
    return rc;
}

int queue_remove(struct queue *q, int64_t deadline_us, struct reel_arena *arena, const char *id)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    arg_str(&args, id);
    int rc = run(q, SCRIPT_REMOVE, deadline_us, arena, &args, &reply);
    if (rc != REEL_OK || reply.integer == 1)
        return rc;
    return reply.integer == 0 ? REEL_FAILED_PRECONDITION : REEL_NOT_FOUND;
}

static void read_probe(const struct reel_redis_reply *row, struct queue_probe *probe)
{
    static const char *const names[] = {
        [QUEUE_MISSING] = "missing",
        [QUEUE_QUEUED] = "queued",
        [QUEUE_COMPLETED] = "completed",
        [QUEUE_FAILED] = "failed",
    };

    for (int i = 0; i < (int)REEL_ARRAY_SIZE(names); i++) {
        if (strcmp(row->items[0].str, names[i]) == 0)
            probe->where = (enum queue_where)i;
    }
    probe->generation = (int32_t)strtol(row->items[1].str, NULL, 10);
    probe->value = row->items[2].str;
}

int queue_probe_many(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                     struct queue_probe *probes, size_t n)
{
    struct reel_redis_arg *argv = reel_arena_array(arena, 1 + n, sizeof(*argv));
    struct reel_redis_reply reply;

    if (argv == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    argv[0] = reel_redis_str(q->prefix);
    for (size_t i = 0; i < n; i++)
        argv[1 + i] = reel_redis_str(probes[i].id);
    const struct args_list list = {argv, 1 + n};
    int rc = run_argv(q, SCRIPT_PROBE, deadline_us, arena, &list, &reply);
    if (rc != REEL_OK)
        return rc;
    if (reply.type != REEL_REDIS_ARRAY || reply.n_items != n)
        return -EPROTO;
    for (size_t i = 0; i < n; i++)
        read_probe(&reply.items[i], &probes[i]);
    return REEL_OK;
}

int queue_count(struct queue *q, int64_t deadline_us, struct reel_arena *arena,
                struct queue_counts *ret_counts)
{
    struct args args = args_for(q);
    struct reel_redis_reply reply;

    int rc = run(q, SCRIPT_COUNTS, deadline_us, arena, &args, &reply);
    if (rc != REEL_OK)
        return rc;
    if (reply.type != REEL_REDIS_ARRAY || reply.n_items != 5)
        return -EPROTO;
    *ret_counts = (struct queue_counts){
        .waiting = (int32_t)reply.items[0].integer,
        .active = (int32_t)reply.items[1].integer,
        .completed = (int32_t)reply.items[2].integer,
        .failed = (int32_t)reply.items[3].integer,
        .delayed = (int32_t)reply.items[4].integer,
    };
    return REEL_OK;
}

static int learn_waiter_id(struct queue *q, struct reel_arena *arena)
{
    struct reel_redis_arg argv[] = {reel_redis_str("CLIENT"), reel_redis_str("ID")};
    struct reel_redis_reply reply;

    int rc = reel_redis_conn_command(q->waiter, reel_deadline_in_us(WAIT_SLACK_US), arena, 2, argv,
                                     &reply);
    if (rc == REEL_OK)
        atomic_store(&q->waiter_id, (long)reply.integer);
    return rc;
}

// One blocking pop. *ret_due_ms: 0 when something can be claimed, the wall clock of the next
// delayed job when that was the token, -1 when nothing came.
static int pop_marker(struct queue *q, struct reel_arena *arena, int64_t block_ms,
                      int64_t *ret_due_ms)
{
    const char *marker = reel_arena_printf(arena, "%smarker", q->prefix);
    const char *seconds =
        reel_arena_printf(arena, "%" PRId64 ".%03d", block_ms / 1000, (int)(block_ms % 1000));
    struct reel_redis_reply reply;

    if (marker == NULL || seconds == NULL)
        return REEL_RESOURCE_EXHAUSTED;
    struct reel_redis_arg argv[] = {reel_redis_str("BZPOPMIN"), reel_redis_str(marker),
                                    reel_redis_str(seconds)};
    int64_t deadline_us = reel_deadline_in_us(block_ms * 1000 + WAIT_SLACK_US);
    int rc = reel_redis_conn_command(q->waiter, deadline_us, arena, 3, argv, &reply);
    if (rc != REEL_OK)
        return rc;
    *ret_due_ms = -1;
    if (reply.type == REEL_REDIS_ARRAY && reply.n_items == 3)
        *ret_due_ms =
            strcmp(reply.items[1].str, "1") == 0 ? (int64_t)strtod(reply.items[2].str, NULL) : 0;
    return REEL_OK;
}

// A token that names a due time in the future must not be slept on: promote, changeDelay and new
// jobs still have to wake us. So it only shortens the next pop.
static int wait_for_token(struct queue *q, struct reel_arena *arena, int64_t end_us)
{
    for (;;) {
        int64_t left_ms = reel_deadline_left_us(end_us) / 1000;
        int64_t due_ms;
        if (left_ms < WAIT_MIN_MS)
            left_ms = WAIT_MIN_MS;
        int rc = pop_marker(q, arena, left_ms, &due_ms);
        if (rc != REEL_OK || due_ms <= 0)
            return rc;
        int64_t until_us = due_ms * 1000 - reel_clock_wall_us();
        if (until_us <= 0)
            return REEL_OK;
        int64_t due_us = reel_deadline_in_us(until_us);
        if (due_us < end_us)
            end_us = due_us;
        if (reel_deadline_passed(end_us))
            return REEL_OK;
        reel_arena_reset(arena);
    }
}

int queue_wait(struct queue *q, uint32_t timeout_ms, int64_t next_due_ms)
{
    struct reel_arena arena;
    int64_t block_ms = next_due_ms > 0 && next_due_ms < timeout_ms ? next_due_ms : timeout_ms;

    reel_arena_init(&arena, WAIT_ARENA_BYTES);
    int rc = learn_waiter_id(q, &arena);
    if (rc == REEL_OK)
        rc = wait_for_token(q, &arena, reel_deadline_in_us(block_ms * 1000));
    atomic_store(&q->waiter_id, 0);
    reel_arena_fini(&arena);
    return rc;
}

void queue_wake_waiter(struct queue *q)
{
    struct reel_arena arena;
    long id = atomic_load(&q->waiter_id);

    if (id == 0)
        return;
    reel_arena_init(&arena, WAIT_ARENA_BYTES);
    struct reel_redis_arg argv[] = {reel_redis_str("CLIENT"), reel_redis_str("UNBLOCK"),
                                    reel_redis_int(&arena, id)};
    struct reel_redis_reply reply;
    int rc =
        reel_redis_command(q->redis, reel_deadline_in_us(1000 * 1000), &arena, 3, argv, &reply);
    (void)rc; // it wakes by itself within its timeout
    reel_arena_fini(&arena);
}
