// SPDX-License-Identifier: Apache-2.0
// The rules of videos and operations: pure functions, no I/O, any thread. Strings they return are
// static unless an arena is passed, in which they then live.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/core/arena.h"
#include "proto/video.pb-c.h"

enum { MODEL_NAME_MAX = 255, MODEL_CURSOR_SIZE = 67 };

// Why a request is refused: the field in JSON names, and a sentence for people.
struct model_refusal {
    const char *field; // "" when it is about the state, not a field
    const char *text;
};

// `name` without control and text-direction characters and without blanks at its ends; "" when
// nothing that can be seen is left. Cut at MODEL_NAME_MAX bytes between characters. NULL when the
// arena is full.
const char *model_clean_name(struct reel_arena *arena, const char *name);

// The name of a video from the file name a client sent: without folders (of either kind of slash)
// and extension, cleaned; "video" when that is "". NULL when the arena is full.
const char *model_name_of_file(struct reel_arena *arena, const char *filename);

// The media type of a file extension in lower case; "application/octet-stream" when unknown.
const char *model_content_type(const char *extension);

// The operation status that a job's state means; NULL for a word that is no job state.
const char *model_status_of_job(const char *job_state);

// Whether an operation may go from one status to the other. Nothing follows "completed".
bool model_status_may_follow(const char *from, const char *to);

// The statuses that `status` may follow, as an array literal of PostgreSQL; "{}" for none.
const char *model_status_predecessors(struct reel_arena *arena, const char *status);

// Writes the cursor that continues a user's list after the video with this time and id.
void model_cursor_encode(const char *user_id, int64_t created_at_us, const char *video_id,
                         char ret_cursor[MODEL_CURSOR_SIZE]);

// Reads a cursor. False when it was not made by model_cursor_encode for this very user.
bool model_cursor_decode(const char *user_id, const char *cursor, int64_t *ret_created_at_us,
                         char ret_video_id[37]);

// Checks an operation against its video and brings `params` into the one form in which equal
// operations are equal: the target format chosen, unused fields zero. REEL_OK,
// REEL_INVALID_ARGUMENT (with a field) or REEL_FAILED_PRECONDITION, both with *ret_refusal.
int model_operation_plan(const Video__Video *video, const char *type, Job__OperationParams *params,
                         struct model_refusal *ret_refusal);

// The file extension of an operation's result, from params as model_operation_plan leaves them.
const char *model_result_extension(const char *type, const Job__OperationParams *params);

// The storage key of the file as it was uploaded. NULL when the arena is full.
char *model_original_key(struct reel_arena *arena, const char *video_id);

// The storage key of the thumbnail. NULL when the arena is full.
char *model_thumbnail_key(struct reel_arena *arena, const char *video_id);

// The storage key of an operation's result. NULL when the arena is full.
char *model_result_key(struct reel_arena *arena, const Video__Operation *operation);

// Which file answers a request, and how.
struct model_asset {
    const char *storage_key;
    const char *etag_id; // unique to the file; the entity tag starts with it
    const char *content_type;
    const char *filename; // download name
    bool attachment;
};

// The type of the operations whose results an asset type means; NULL for the original and the
// thumbnail.
const char *model_asset_operation_type(const char *asset_type);

// Chooses among the original, the thumbnail and the video's operations (newest first). REEL_OK,
// REEL_NOT_FOUND, REEL_INVALID_ARGUMENT with *ret_refusal, or REEL_RESOURCE_EXHAUSTED when the
// arena is full.
int model_asset_pick(struct reel_arena *arena, const Video__Video *video,
                     const Video__GetAssetRequest *req, Video__Operation *const *operations,
                     size_t n_operations, struct model_asset *ret_asset,
                     struct model_refusal *ret_refusal);
