// SPDX-License-Identifier: Apache-2.0
#include "svc-job/queue_opts.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "libcommon/core/buf.h"
#include "libcommon/json/json.h"

enum { OPTS_MAX_BYTES = 16 * 1024, ATTEMPTS_MAX = 1000 };

static void add_backoff(struct reel_buf *out, const struct job_backoff *backoff)
{
    reel_json_add_key(out, "backoff");
    reel_buf_adds(out, "{");
    reel_json_add_key(out, "type");
    reel_json_add_string(out, backoff->type == JOB_BACKOFF_FIXED ? "fixed" : "exponential");
    reel_json_add_key(out, "delay");
    reel_json_add_int(out, backoff->delay_ms);
    if (backoff->jitter > 0) {
        reel_json_add_key(out, "jitter");
        reel_json_add_double(out, backoff->jitter);
    }
    reel_buf_adds(out, "}");
}

static void add_raw(struct reel_buf *out, const char *key, const char *json)
{
    if (json == NULL || json[0] == '\0')
        return;
    reel_json_add_key(out, key);
    reel_buf_adds(out, json);
}

const char *queue_opts_write(struct reel_arena *arena, const struct queue_entry *entry,
                             const char *keep_completed, const char *keep_failed)
{
    REEL_AUTO(reel_buf_fini) struct reel_buf out;

    reel_buf_init(&out, OPTS_MAX_BYTES);
    reel_buf_adds(&out, "{");
    reel_json_add_key(&out, "jobId");
    reel_json_add_string(&out, entry->id);
    reel_json_add_key(&out, "attempts");
    reel_json_add_int(&out, entry->attempts);
    if (entry->backoff.delay_ms > 0)
        add_backoff(&out, &entry->backoff);
    if (entry->delay_ms > 0) {
        reel_json_add_key(&out, "delay");
        reel_json_add_int(&out, entry->delay_ms);
    }
    if (entry->priority > 0) {
        reel_json_add_key(&out, "priority");
        reel_json_add_int(&out, entry->priority);
    }
    if (entry->lifo)
        add_raw(&out, "lifo", "true");
    add_raw(&out, "removeOnComplete", keep_completed);
    add_raw(&out, "removeOnFail", keep_failed);
    reel_buf_adds(&out, "}");
    return out.failed ? NULL : reel_arena_strdup(arena, out.data);
}

// A bare number is a fixed delay. A custom strategy lives in the code of npm workers; its delay,
// if it has one, is the best that is known here.
static void read_backoff(const json_t *value, struct queue_job *ret_job)
{
    const json_t *delay = json_is_object(value) ? json_object_get(value, "delay") : value;
    const char *type = json_string_value(json_object_get(value, "type"));

    if (!json_is_number(delay))
        return;
    double delay_ms = json_number_value(delay);
    if (!(delay_ms >= 0 && delay_ms < 1e12))
        return;
    ret_job->has_backoff = true;
    ret_job->backoff = (struct job_backoff){
        .type = type != NULL && strcmp(type, "exponential") == 0 ? JOB_BACKOFF_EXPONENTIAL
                                                                 : JOB_BACKOFF_FIXED,
        .delay_ms = (int64_t)delay_ms,
        .jitter = json_number_value(json_object_get(value, "jitter")),
    };
}

// Reads attempts and backoff out of a job's options; what is missing or malformed stays as it is.
static void read_opts(const char *json, struct queue_job *ret_job)
{
    json_t *root = json_loads(json, 0, NULL);
    const json_t *attempts = json_object_get(root, "attempts");

    if (json_is_number(attempts)) {
        double n = json_number_value(attempts);
        if (n >= 1)
            ret_job->attempts = n < ATTEMPTS_MAX ? (int32_t)n : ATTEMPTS_MAX;
    }
    const json_t *backoff = json_object_get(root, "backoff");
    if (backoff != NULL)
        read_backoff(backoff, ret_job);
    json_decref(root);
}

static int32_t small_number(const char *text)
{
    long n = strtol(text, NULL, 10);

    return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

static void read_field(const char *name, const struct reel_redis_reply *value,
                       struct queue_job *ret_job)
{
    if (strcmp(name, "name") == 0) {
        ret_job->name = value->str;
    } else if (strcmp(name, "data") == 0) {
        ret_job->data = value->str;
        ret_job->data_len = value->len;
    } else if (strcmp(name, "opts") == 0) {
        read_opts(value->str, ret_job);
    } else if (strcmp(name, "atm") == 0) {
        ret_job->attempts_made = small_number(value->str);
        ret_job->was_tried |= ret_job->attempts_made > 0;
    } else if (strcmp(name, "defa") == 0) {
        ret_job->defa = value->str;
    } else if (strcmp(name, "stacktrace") == 0) {
        // One text for each failure; it stays when a dashboard resets the count of attempts.
        ret_job->was_tried |= value->len > strlen("[]");
    } else if (strcmp(name, "rjk") == 0) {
        ret_job->is_scheduled = true;
    }
}

int queue_claim_read(const struct reel_redis_reply *reply, struct queue_claim *ret_claim)
{
    *ret_claim = (struct queue_claim){0};
    if (reply->type != REEL_REDIS_ARRAY || reply->n_items != 3)
        return -EPROTO;
    const struct reel_redis_reply *item = reply->items;
    if (item[0].integer == 0) {
        ret_claim->next_due_ms = item[1].integer;
        ret_claim->limited_ms = item[2].integer;
        return REEL_OK;
    }
    if (item[1].type != REEL_REDIS_STRING || item[2].type != REEL_REDIS_ARRAY)
        return -EPROTO;
    ret_claim->found = true;
    ret_claim->job = (struct queue_job){.id = item[1].str, .name = "", .data = "", .data_len = 0};
    for (size_t i = 0; i + 1 < item[2].n_items; i += 2) {
        const struct reel_redis_reply *pair = &item[2].items[i];
        if (pair[0].type == REEL_REDIS_STRING && pair[1].type == REEL_REDIS_STRING)
            read_field(pair[0].str, &pair[1], &ret_claim->job);
    }
    return REEL_OK;
}
