// SPDX-License-Identifier: Apache-2.0
// The RPCs of VideoService, and what the files that implement them share.
#pragma once

#include "libcommon/rpc/call.h"
#include "proto/video.reel.h"
#include "svc-video/store.h"
#include "svc-video/svc.h"

// The vtable for reel_server_add; its state is a struct video_svc.
extern const struct video_service_impl video_handlers;

// The store for a call's statements: its arena, and its deadline but ten seconds at most.
struct store handlers_store(struct video_svc *svc, struct reel_call *call);

// The signed-in user, in *ret_user_id. REEL_UNAUTHENTICATED, already told to the caller.
int handlers_user(struct reel_call *call, const char **ret_user_id) REEL_MUST_CHECK;

// Fails a call about a video: what is said depends on the code that the store returned.
int handlers_fail(struct reel_call *call, int code, const char *video_id);

// Whether one of the operations is still open. Then the job service may know better than the table:
// what it has recorded meanwhile has been applied, and the caller reads again. So whoever has heard
// of a job's end, by its status or by an event, finds the result.
bool handlers_catch_up(struct video_svc *svc, struct reel_call *call,
                       Video__Operation *const *operations, size_t n_operations);

// VideoService.Upload.
int handle_upload(struct video_svc *svc, struct reel_call *call, Video__Video *res);

// VideoService.ExtractAudio.
int handle_extract_audio(struct video_svc *svc, struct reel_call *call,
                         const Video__ExtractAudioRequest *req, Video__OperationResponse *res);

// VideoService.Resize.
int handle_resize(struct video_svc *svc, struct reel_call *call, const Video__ResizeRequest *req,
                  Video__OperationResponse *res);

// VideoService.Convert.
int handle_convert(struct video_svc *svc, struct reel_call *call, const Video__ConvertRequest *req,
                   Video__OperationResponse *res);

// VideoService.EnqueueOperation.
int handle_enqueue_operation(struct video_svc *svc, struct reel_call *call,
                             const Video__EnqueueOperationRequest *req,
                             Video__OperationResponse *res);

// VideoService.GetAsset.
int handle_get_asset(struct video_svc *svc, struct reel_call *call,
                     const Video__GetAssetRequest *req, Video__Asset *res);

// VideoService.ReadAsset.
int handle_read_asset(struct video_svc *svc, struct reel_call *call,
                      const Video__ReadAssetRequest *req);
