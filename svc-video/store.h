// SPDX-License-Identifier: Apache-2.0
// The tables videos and video_operations. Every statement a user's request runs has the owner in
// its WHERE: another user's row is NOT_FOUND, like one that does not exist.
//
// Rows come as protobuf messages in the arena. All functions may be called from any thread; next to
// what they name they return what reel_pg_exec returns. `db` says where and until when.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "libcommon/pg/pg.h"
#include "proto/video.pb-c.h"

struct store {
    struct reel_pg *pg;
    int64_t deadline_us;
    struct reel_arena *arena;
};

// Inserts a video and fills its times. Inserting the same id again is REEL_OK and changes nothing.
int store_video_insert(const struct store *db, const char *user_id,
                       Video__Video *video) REEL_MUST_CHECK;

// One video. REEL_NOT_FOUND.
int store_video_get(const struct store *db, const char *user_id, const char *video_id,
                    Video__Video **ret_video) REEL_MUST_CHECK;

// At most `limit` videos, newest first, after the one with this time and id; from the start when
// `after_id` is NULL.
int store_video_list(const struct store *db, const char *user_id, int64_t after_us,
                     const char *after_id, int limit, Video__Video ***ret_videos,
                     size_t *ret_n) REEL_MUST_CHECK;

// Renames; the video as it is then. REEL_NOT_FOUND.
int store_video_rename(const struct store *db, const char *user_id, const char *video_id,
                       const char *name, Video__Video **ret_video) REEL_MUST_CHECK;

// Marks as deleted: from now on no user's statement sees it. REEL_NOT_FOUND.
int store_video_bury(const struct store *db, const char *user_id,
                     const char *video_id) REEL_MUST_CHECK;

// Ids of videos deleted at least `age_ms` ago.
int store_video_list_buried(const struct store *db, int64_t age_ms, const char ***ret_ids,
                            size_t *ret_n) REEL_MUST_CHECK;

// Removes the rows of a deleted video and of its operations.
int store_video_purge(const struct store *db, const char *video_id) REEL_MUST_CHECK;

// Those of `ids` (valid ones) that no row has, deleted videos counted as rows.
int store_video_list_unknown(const struct store *db, const char *const *ids, size_t n_ids,
                             const char ***ret_ids, size_t *ret_n) REEL_MUST_CHECK;

// An operation with its owner, for work that no request stands behind.
struct store_operation {
    const char *user_id;
    int32_t job_version;
    Video__Operation *operation;
};

// Adds `operation` (id, video, type, params) as pending, or finds the one with the same type and
// params that is pending, processing or completed: then its id and status replace those in
// `operation` and *ret_is_new is false. Serialised per video, so that two equal requests cannot
// both add. REEL_NOT_FOUND: no such video.
int store_operation_add(const struct store *db, const char *user_id, Video__Operation *operation,
                        bool *ret_is_new) REEL_MUST_CHECK;

// A video's operations, newest first; with `type` only those of that type.
int store_operation_list(const struct store *db, const char *user_id, const char *video_id,
                         const char *type, Video__Operation ***ret_operations,
                         size_t *ret_n) REEL_MUST_CHECK;

// One operation of a video. REEL_NOT_FOUND.
int store_operation_get(const struct store *db, const char *user_id, const char *video_id,
                        const char *operation_id, Video__Operation **ret_operation) REEL_MUST_CHECK;

// Notes that the job service has taken the operation over, or (false) that it has not.
int store_operation_set_enqueued(const struct store *db, const char *operation_id,
                                 bool is_enqueued) REEL_MUST_CHECK;

// Operations that the job service has not taken over `age_ms` after they were added.
int store_operation_list_unsent(const struct store *db, int64_t age_ms,
                                struct store_operation **ret_rows, size_t *ret_n) REEL_MUST_CHECK;

// Operations taken over whose status is not final and has not moved for `age_ms`.
int store_operation_list_stale(const struct store *db, int64_t age_ms,
                               struct store_operation **ret_rows, size_t *ret_n) REEL_MUST_CHECK;

// A change of a job, to be applied to its operation.
struct store_change {
    const char *operation_id;
    const char *status;
    const char *error;
    const Job__JobResult *result; // or NULL
    int32_t progress;
    int32_t version; // of the job
    int64_t seq;
};

// Applies a change if its version is newer and the status may follow. *ret_applied tells.
int store_operation_apply(const struct store *db, const struct store_change *change,
                          bool *ret_applied) REEL_MUST_CHECK;

// Applies what the job service answered when asked, unless the operation's version has moved from
// `job_version` meanwhile.
int store_operation_settle(const struct store *db, int32_t job_version,
                           const struct store_change *change) REEL_MUST_CHECK;

// Notes progress of a processing operation, in steps of at least five points. That of another run
// than the one the operation knows of (`job_version`) is passed over.
int store_operation_progress(const struct store *db, const char *operation_id, int32_t job_version,
                             int32_t progress) REEL_MUST_CHECK;

// The newest sequence number applied, 0 when there is none.
int store_operation_last_seq(const struct store *db, int64_t *ret_seq) REEL_MUST_CHECK;
