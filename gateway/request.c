// SPDX-License-Identifier: Apache-2.0
#include "gateway/request.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "gateway/cookie.h"
#include "gateway/gateway.h"
#include "libcommon/core/clock.h"

enum {
    ARENA_BYTES = 8 * 1024 * 1024,
    OUT_MAX_BYTES = 8 * 1024 * 1024,
    KEPT_BYTES = 16 * 1024, // of each kind of memory, by a request in the pool
};

static struct request *pool_take(struct request_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct request *req = pool->n > 0 ? pool->items[--pool->n] : NULL;
    pthread_mutex_unlock(&pool->lock);
    return req;
}

static void dispose(struct request *req)
{
    waker_fini(&req->waker);
    reel_arena_fini(&req->arena);
    reel_buf_fini(&req->body);
    reel_buf_fini(&req->out);
    free(req);
}

void request_pool_init(struct request_pool *pool)
{
    pthread_mutex_init(&pool->lock, NULL);
    pool->n = 0;
}

void request_pool_fini(struct request_pool *pool)
{
    while (pool->n > 0)
        dispose(pool->items[--pool->n]);
    pthread_mutex_destroy(&pool->lock);
}

static struct request *allocate(struct gateway *gw)
{
    struct request *req = calloc(1, sizeof(*req));
    if (!req)
        return NULL;
    req->gw = gw;
    waker_init(&req->waker, NULL);
    reel_arena_init(&req->arena, ARENA_BYTES);
    reel_buf_init(&req->body, (size_t)gw->config.max_json_bytes + 1);
    reel_buf_init(&req->out, OUT_MAX_BYTES);
    return req;
}

// Sets back what a request carries and keeps what costs to make.
static void clear(struct request *req)
{
    struct reel_arena arena = req->arena;
    struct reel_buf body = req->body;
    struct reel_buf out = req->out;
    struct gateway *gw = req->gw;
    waker_fini(&req->waker);
    memset(req, 0, sizeof(*req));
    req->gw = gw;
    req->arena = arena;
    req->body = body;
    req->out = out;
    waker_init(&req->waker, NULL);
}

struct request *request_new(struct gateway *gw, struct MHD_Connection *mhd, struct conn *conn,
                            const char *target)
{
    struct request *req = pool_take(&gw->requests);
    if (!req)
        req = allocate(gw);
    if (!req)
        return NULL;
    req->mhd = mhd;
    req->conn = conn;
    req->waker.mhd = mhd;
    req->started_us = reel_clock_mono_us();
    req->target = reel_arena_strdup(&req->arena, target);
    return req;
}

// A large body or reply leaves no memory behind in the pool.
static void trim(struct reel_buf *buf)
{
    size_t max_bytes = buf->max_bytes;
    if (buf->cap <= KEPT_BYTES) {
        reel_buf_reset(buf);
        return;
    }
    reel_buf_fini(buf);
    reel_buf_init(buf, max_bytes);
}

void request_end_state(struct request *req)
{
    if (req->state_fini)
        req->state_fini(req->state);
    req->state_fini = NULL;
    req->state = NULL;
}

void request_free(struct request *req)
{
    if (!req)
        return;
    struct request_pool *pool = &req->gw->requests;
    request_end_state(req);
    if (req->reply.stream)
        MHD_destroy_response(req->reply.stream);
    trim(&req->body);
    trim(&req->out);
    if (req->arena.used_bytes > KEPT_BYTES)
        reel_arena_fini(&req->arena);
    reel_arena_reset(&req->arena);
    clear(req);
    pthread_mutex_lock(&pool->lock);
    bool keep = pool->n < REQUEST_POOL_MAX;
    if (keep)
        pool->items[pool->n++] = req;
    pthread_mutex_unlock(&pool->lock);
    if (!keep)
        dispose(req);
}

const char *request_header(const struct request *req, const char *name)
{
    return MHD_lookup_connection_value(req->mhd, MHD_HEADER_KIND, name);
}

struct value_list {
    struct request *req;
    const char *name;
    const char *text;
};

static enum MHD_Result join_value(void *cls, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct value_list *list = cls;
    (void)kind;
    if (strcasecmp(name, list->name) != 0 || !value)
        return MHD_YES;
    list->text =
        list->text ? reel_arena_printf(&list->req->arena, "%s,%s", list->text, value) : value;
    return list->text ? MHD_YES : MHD_NO;
}

const char *request_header_list(struct request *req, const char *name)
{
    struct value_list list = {.req = req, .name = name};
    MHD_get_connection_values(req->mhd, MHD_HEADER_KIND, join_value, &list);
    return list.text;
}

const char *request_cookie(struct request *req, const char *name)
{
    const char *header = request_header(req, "Cookie");
    size_t len;
    const char *value = header ? cookie_find(header, name, &len) : NULL;
    return value ? reel_arena_strndup(&req->arena, value, len) : NULL;
}

enum step reply_set(struct request *req, unsigned status)
{
    req->reply.status = status;
    return STEP_ANSWER;
}

void reply_header(struct request *req, const char *name, const char *value)
{
    struct reply *reply = &req->reply;
    if (!value || reply->n_headers == REPLY_MAX_HEADERS)
        return;
    reply->headers[reply->n_headers].name = name;
    reply->headers[reply->n_headers++].value = value;
}

void reply_headerf(struct request *req, const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    reply_header(req, name, reel_arena_vprintf(&req->arena, fmt, args));
    va_end(args);
}

enum step reply_text(struct request *req, unsigned status, const char *content_type,
                     const char *body, size_t len)
{
    if (content_type)
        reply_header(req, "Content-Type", content_type);
    req->reply.body = body;
    req->reply.body_len = len;
    return reply_set(req, status);
}

void reply_reset(struct request *req)
{
    if (req->reply.stream)
        MHD_destroy_response(req->reply.stream);
    memset(&req->reply, 0, sizeof(req->reply));
}
