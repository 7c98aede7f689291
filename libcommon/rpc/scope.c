// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/scope.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct reel_scope {
    atomic_uint refs;
    pthread_mutex_t lock;
    struct reel_scope_child *children;
    bool cancelled;
};

struct reel_scope *reel_scope_new(void)
{
    struct reel_scope *scope = calloc(1, sizeof(*scope));

    if (!scope)
        return NULL;
    atomic_init(&scope->refs, 1);
    pthread_mutex_init(&scope->lock, NULL);
    return scope;
}

static struct reel_scope *take_ref(struct reel_scope *scope)
{
    atomic_fetch_add(&scope->refs, 1);
    return scope;
}

void reel_scope_unref(struct reel_scope *scope)
{
    if (!scope || atomic_fetch_sub(&scope->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&scope->lock);
    free(scope);
}

static void unlink_child(struct reel_scope_child *child)
{
    *child->back = child->next;
    if (child->next)
        child->next->back = child->back;
    child->back = NULL;
}

bool reel_scope_join(struct reel_scope *scope, struct reel_scope_child *child)
{
    pthread_mutex_lock(&scope->lock);
    bool joined = !scope->cancelled;
    if (joined) {
        child->scope = take_ref(scope);
        child->next = scope->children;
        child->back = &scope->children;
        if (child->next)
            child->next->back = &child->next;
        scope->children = child;
    }
    pthread_mutex_unlock(&scope->lock);
    return joined;
}

void reel_scope_leave(struct reel_scope_child *child)
{
    struct reel_scope *scope = child->scope;

    if (!scope)
        return;
    pthread_mutex_lock(&scope->lock);
    if (child->back)
        unlink_child(child);
    pthread_mutex_unlock(&scope->lock);
    child->scope = NULL;
    reel_scope_unref(scope);
}

void reel_scope_cancel(struct reel_scope *scope)
{
    struct reel_scope_child *child;

    do {
        pthread_mutex_lock(&scope->lock);
        scope->cancelled = true;
        child = scope->children;
        if (child) {
            unlink_child(child);
            child->hold(child);
        }
        pthread_mutex_unlock(&scope->lock);
        if (child)
            child->cancel(child);
    } while (child);
}
