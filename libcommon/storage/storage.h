// SPDX-License-Identifier: Apache-2.0
// Files in one directory, addressed by key ("<video id>/original"), published atomically.
//
// A key is one to three segments of [A-Za-z0-9._-] joined by '/', none starting with a dot: it can
// name nothing outside the directory, and every open goes through openat2(2) with RESOLVE_BENEATH
// and RESOLVE_NO_SYMLINKS besides. A file being written has no name until it is complete and on
// disk (O_TMPFILE, fsync, linkat, fsync of the folder), so a crash leaves neither a partial nor a
// temporary file. Where the file system has no O_TMPFILE, and for the moment in which an older file
// is replaced, the file is named in ".tmp", which no key can reach; reel_storage_new removes from
// there what no living process holds. Several processes may share the directory. All functions may
// be called from any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/base.h"

struct reel_storage;
struct reel_storage_file;

struct reel_storage_info {
    int64_t size_bytes;
    int64_t mtime_us; // wall clock
};

// Whether `key` has the form above.
bool reel_storage_key_is_valid(const char *key);

// Opens the directory, creating it (mode 0700) if it is missing.
int reel_storage_new(const char *dir, struct reel_storage **ret_storage) REEL_MUST_CHECK;

// Frees. NULL is fine.
void reel_storage_free(struct reel_storage *storage);

// Opens a published file for reading. *ret_fd is the caller's to close; `ret_info` may be NULL.
// REEL_NOT_FOUND when there is none, REEL_INVALID_ARGUMENT for a malformed key.
int reel_storage_read(struct reel_storage *storage, const char *key, int *ret_fd,
                      struct reel_storage_info *ret_info) REEL_MUST_CHECK;

// Starts a file that will be published as `key`; its folder is created. REEL_RESOURCE_EXHAUSTED
// when the disk is full.
int reel_storage_create(struct reel_storage *storage, const char *key,
                        struct reel_storage_file **ret_file) REEL_MUST_CHECK;

// The descriptor to write to. Borrowed.
int reel_storage_file_fd(const struct reel_storage_file *file);

// Appends all of `data`. REEL_RESOURCE_EXHAUSTED when the disk is full.
int reel_storage_write(struct reel_storage_file *file, const void *data,
                       size_t len) REEL_MUST_CHECK;

// Makes the file durable and publishes it, replacing an older one. Consumes `file`, also on
// failure. REEL_NOT_FOUND when its folder has been removed meanwhile, REEL_RESOURCE_EXHAUSTED when
// the disk is full; nothing is published then.
int reel_storage_publish(struct reel_storage_file *file) REEL_MUST_CHECK;

// Forgets an unpublished file. Fits REEL_AUTO: takes a pointer to the pointer; NULL inside is fine.
void reel_storage_discard(struct reel_storage_file **file);

// Removes a published file, or a folder with all in it. Removing what is not there is REEL_OK.
int reel_storage_remove(struct reel_storage *storage, const char *key) REEL_MUST_CHECK;

// Calls `visit` for every file and folder at the top, with its name and when it last changed, until
// it returns non-zero, which is then returned. `name` is borrowed until `visit` returns.
int reel_storage_each(struct reel_storage *storage,
                      int (*visit)(void *arg, const char *name, int64_t mtime_us),
                      void *arg) REEL_MUST_CHECK;

// Whether a file can be created now: for readiness.
bool reel_storage_is_writable(struct reel_storage *storage);

// Free bytes of the file system; -1 when it cannot be told.
int64_t reel_storage_free_bytes(struct reel_storage *storage);
