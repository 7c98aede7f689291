// SPDX-License-Identifier: Apache-2.0
// What the media tests share: a zygote, the clips, and a look at results with ffprobe and ffmpeg.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "svc-job/worker/sandbox.h"
#include "svc-job/worker/worker.h"
#include "svc-job/worker/zygote.h"

struct fixture {
    struct worker_zygote *zygote;
    char dir[64];   // for results; removed at the end
    char clips[64]; // made by tests/lib/clips.sh
};

// Group setup: a zygote that runs the media engine, the clips, an empty directory. *state is the
// struct fixture.
int fixture_setup(void **state);

// As fixture_setup with another body for the workers, and no clips.
int fixture_setup_with(worker_body *body, void **state);

// Makes the clips, or finds them made.
void fixture_make_clips(const struct fixture *fx);

// Group teardown.
int fixture_teardown(void **state);

// A task of that kind with every descriptor missing.
struct worker_task fixture_task(enum media_kind kind);

// Opens a clip for reading; it must exist.
int fixture_open_clip(const struct fixture *fx, const char *clip);

// Creates an empty file in the directory of results.
int fixture_create(const struct fixture *fx, const char *name);

// Runs a task on `clip` to its end, the result (the thumbnail for INSPECT) going to `result`.
void fixture_run(const struct fixture *fx, const struct worker_task *task, const char *clip,
                 const char *result, struct media_outcome *ret_outcome);

// As fixture_run, failing the test unless the outcome is `code`.
void fixture_expect(const struct fixture *fx, const struct worker_task *task, const char *clip,
                    const char *result, enum media_code code, struct media_outcome *ret_outcome);

// Whether a jq expression holds for what ffprobe says of a result (.streams, .format, with frames
// counted); says which did not. `video` and `audio` are defined as the first stream of the kind.
bool fixture_probe(const struct fixture *fx, const char *result, const char *expression);

// Whether ffmpeg decodes a result without a word of complaint.
bool fixture_decodes(const struct fixture *fx, const char *result);

// Whether the MP4 index of a result comes before its data.
bool fixture_starts_fast(const struct fixture *fx, const char *result);

// Whether the outcome has a warning that starts with `prefix`.
bool fixture_warned(const struct media_outcome *outcome, const char *prefix);

// How many descriptors this process has open.
int fixture_count_fds(void);
