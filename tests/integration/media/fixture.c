// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/media/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"

#define COMMAND_MAX 4096
#define PATIENCE_US (100 * INT64_C(1000000))

static bool shell(const char *fmt, ...) REEL_PRINTF(1, 2);

static bool shell(const char *fmt, ...)
{
    char command[COMMAND_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    return system(command) == 0;
}

void fixture_make_clips(const struct fixture *fx)
{
    // Under the repository's root, from where this file was compiled.
    static const char here[] = "/integration/media/fixture.c";

    assert_true(
        shell("%.*s/lib/clips.sh %s", (int)(strlen(__FILE__) - strlen(here)), __FILE__, fx->clips));
}

int fixture_setup_with(worker_body *body, void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    assert_non_null(fx);
    // Before anything that might start a thread.
    assert_int_equal(worker_zygote_start_with(body, &fx->zygote), 0);
    snprintf(fx->dir, sizeof(fx->dir), "/tmp/reel-media-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->clips, sizeof(fx->clips), "clips");
    *state = fx;
    return 0;
}

int fixture_setup(void **state)
{
    int rc = fixture_setup_with(media_run, state);

    fixture_make_clips(*state);
    return rc;
}

int fixture_teardown(void **state)
{
    struct fixture *fx = *state;

    worker_zygote_stop(fx->zygote);
    shell("rm -rf %s", fx->dir);
    free(fx);
    return 0;
}

struct worker_task fixture_task(enum media_kind kind)
{
    return (struct worker_task){
        .media = {.kind = kind, .threads = 2},
        .input_fd = -1,
        .output_fd = -1,
        .thumbnail_fd = -1,
    };
}

int fixture_open_clip(const struct fixture *fx, const char *clip)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", fx->clips, clip);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("no clip %s", path);
    return fd;
}

int fixture_create(const struct fixture *fx, const char *name)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", fx->dir, name);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

void fixture_run(const struct fixture *fx, const struct worker_task *task, const char *clip,
                 const char *result, struct media_outcome *ret_outcome)
{
    struct worker_task run = *task;
    struct worker *worker;
    int out = fixture_create(fx, result);

    run.input_fd = fixture_open_clip(fx, clip);
    if (run.media.kind == MEDIA_INSPECT)
        run.thumbnail_fd = out;
    else
        run.output_fd = out;
    assert_int_equal(worker_start(fx->zygote, &run, &worker), REEL_OK);
    close(run.input_fd);
    close(out);
    assert_int_equal(worker_wait(worker, reel_deadline_in_us(PATIENCE_US), ret_outcome), REEL_OK);
    worker_free(worker);
}

void fixture_expect(const struct fixture *fx, const struct worker_task *task, const char *clip,
                    const char *result, enum media_code code, struct media_outcome *ret_outcome)
{
    fixture_run(fx, task, clip, result, ret_outcome);
    if (ret_outcome->code != code)
        fail_msg("%s: %s (%s), not %s", clip, media_code_name(ret_outcome->code), ret_outcome->text,
                 media_code_name(code));
    // Whoever failed is told why, and whoever did not is told nothing.
    assert_int_equal(ret_outcome->text[0] == '\0', code == MEDIA_OK);
}

bool fixture_probe(const struct fixture *fx, const char *result, const char *expression)
{
    bool holds = shell("ffprobe -v error -count_frames -show_streams -show_format -of json %s/%s | "
                       "jq -e '(.streams|map(select(.codec_type==\"video\"))[0]) as $video | "
                       "(.streams|map(select(.codec_type==\"audio\"))[0]) as $audio | %s' "
                       ">/dev/null",
                       fx->dir, result, expression);

    if (!holds)
        print_error("%s: not so: %s\n", result, expression);
    return holds;
}

bool fixture_decodes(const struct fixture *fx, const char *result)
{
    return shell("out=$(ffmpeg -v error -nostdin -i %s/%s -f null - 2>&1) && echo \"$out\" >&2 && "
                 "[ -z \"$out\" ]",
                 fx->dir, result);
}

bool fixture_starts_fast(const struct fixture *fx, const char *result)
{
    return shell("LC_ALL=C grep -abo -e moov -e mdat %s/%s | head -n 1 | grep -q moov", fx->dir,
                 result);
}

bool fixture_warned(const struct media_outcome *outcome, const char *prefix)
{
    for (int i = 0; i < outcome->n_warnings; i++)
        if (strncmp(outcome->warnings[i], prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

int fixture_count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}
