// SPDX-License-Identifier: Apache-2.0
// What a call has started elsewhere and must stop when it is cancelled or over.
//
// A scope outlives its call for as long as a child holds a reference. Any thread.
#pragma once

#include <stdbool.h>

struct reel_scope;

// A child in a scope; embed it in the child. Fields are private once joined.
struct reel_scope_child {
    struct reel_scope *scope;
    struct reel_scope_child *next;
    struct reel_scope_child **back;
    // Called at most once, with no lock held, when the scope is cancelled. `hold` is called before
    // it, under the scope's lock: it must keep the child alive until `cancel` has returned.
    void (*hold)(struct reel_scope_child *child);
    void (*cancel)(struct reel_scope_child *child);
};

// A scope with one reference, or NULL when memory is out.
struct reel_scope *reel_scope_new(void);

// Drops a reference. NULL is fine.
void reel_scope_unref(struct reel_scope *scope);

// Adds a child, whose `hold` and `cancel` are set, and takes a reference for it. False when the
// scope is cancelled already: the child is not added.
bool reel_scope_join(struct reel_scope *scope, struct reel_scope_child *child);

// Takes a child out, if it is in a scope. After the return `hold` is not called any more.
void reel_scope_leave(struct reel_scope_child *child);

// Cancels every child, now and to come.
void reel_scope_cancel(struct reel_scope *scope);
