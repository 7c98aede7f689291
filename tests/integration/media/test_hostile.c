// SPDX-License-Identifier: Apache-2.0
// Files that lie, are broken, or were made to break something.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/integration/media/fixture.h"

static struct worker_task task_of(enum media_kind kind)
{
    struct worker_task task = fixture_task(kind);

    if (kind == MEDIA_RESIZE) {
        task.media.width = 160;
        task.media.height = 90;
    } else if (kind == MEDIA_EXTRACT_AUDIO) {
        snprintf(task.media.target_format, sizeof(task.media.target_format), "mp3");
    } else if (kind == MEDIA_CONVERT) {
        snprintf(task.media.target_format, sizeof(task.media.target_format), "webm");
    }
    return task;
}

static void what_is_no_video_is_refused_by_every_operation(void **state)
{
    static const char *const clips[] = {"empty.mp4",         "text.mp4",   "noise.mp4",
                                        "playlist-file.mp4", "concat.mp4", "playlist-http.mp4",
                                        "session.mp4",       "dash.mp4",   "headless.mp4"};
    static const enum media_kind kinds[] = {MEDIA_INSPECT, MEDIA_RESIZE, MEDIA_CONVERT,
                                            MEDIA_EXTRACT_AUDIO};
    struct media_outcome out;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(clips); i++)
        for (size_t j = 0; j < REEL_ARRAY_SIZE(kinds); j++) {
            struct worker_task task = task_of(kinds[j]);

            fixture_expect(*state, &task, clips[i], "h", MEDIA_INVALID_INPUT, &out);
        }
}

static int listen_on_loopback(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void a_playlist_reaches_no_server(void **state)
{
    struct worker_task task = task_of(MEDIA_INSPECT);
    struct fixture *fx = *state;
    struct fixture here = *fx;
    struct media_outcome out;
    struct pollfd waiting = {.events = POLLIN};
    char text[256];
    int port;
    int fd = fixture_create(fx, "list.mp4");

    waiting.fd = listen_on_loopback(&port);
    snprintf(text, sizeof(text),
             "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:%d/x.ts\n"
             "#EXT-X-ENDLIST\n",
             port);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    memcpy(here.clips, fx->dir, sizeof(here.clips));
    fixture_expect(&here, &task, "list.mp4", "h", MEDIA_INVALID_INPUT, &out);
    assert_int_equal(poll(&waiting, 1, 0), 0);
    close(waiting.fd);
}

static void bombs_are_refused(void **state)
{
    struct worker_task task = task_of(MEDIA_RESIZE);
    struct media_outcome out;

    fixture_expect(*state, &task, "tracks600.mkv", "h", MEDIA_RESOURCE_LIMIT, &out);
    fixture_expect(*state, &task, "huge.mov", "h", MEDIA_RESOURCE_LIMIT, &out);
    // PNG is not on the list of decoders at all.
    fixture_expect(*state, &task, "hugepng.mov", "h", MEDIA_UNSUPPORTED, &out);
    task.media.max_pixels = 320 * 240 - 1;
    fixture_expect(*state, &task, "noaudio.mp4", "h", MEDIA_RESOURCE_LIMIT, &out);
    task.media.max_pixels = 320 * 240;
    fixture_expect(*state, &task, "noaudio.mp4", "h", MEDIA_OK, &out);
}

static void what_lasts_too_long_is_refused(void **state)
{
    struct worker_task task = task_of(MEDIA_RESIZE);
    struct media_outcome out;

    task.media.max_duration_ms = 1500;
    fixture_expect(*state, &task, "noaudio.mp4", "h", MEDIA_RESOURCE_LIMIT, &out);
    // A live file announces nothing; it is stopped when it gets there.
    fixture_expect(*state, &task, "live.mkv", "h", MEDIA_RESOURCE_LIMIT, &out);
}

static void what_is_left_of_a_file_is_saved(void **state)
{
    static const char *const clips[] = {"truncated.mp4", "truncated.mkv"};
    struct worker_task task = task_of(MEDIA_RESIZE);
    struct media_outcome out;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(clips); i++) {
        fixture_expect(*state, &task, clips[i], "h.mp4", MEDIA_OK, &out);
        assert_true(fixture_warned(&out, "truncated"));
        assert_in_range(out.facts.frames, 30, 60);
        assert_true(fixture_decodes(*state, "h.mp4"));
    }
}

static void damage_is_passed_over(void **state)
{
    struct worker_task task = task_of(MEDIA_RESIZE);
    struct media_outcome out;

    fixture_expect(*state, &task, "flipped.mp4", "h.mp4", MEDIA_OK, &out);
    assert_in_range(out.facts.frames, 200, 300);
    assert_true(fixture_decodes(*state, "h.mp4"));
}

static void a_result_too_large_is_a_limit(void **state)
{
    struct worker_task task = task_of(MEDIA_RESIZE);
    struct media_outcome out;

    task.limits.output_bytes = 20000;
    fixture_expect(*state, &task, "ten.mp4", "h.mp4", MEDIA_RESOURCE_LIMIT, &out);
}

static void too_little_memory_is_a_limit(void **state)
{
    struct worker_task task = task_of(MEDIA_RESIZE);
    struct media_outcome out;

    if (SANDBOX_SANITIZED)
        skip();
    task.media.width = 3840;
    task.media.height = 2160;
    task.limits.memory_bytes = 128 << 20;
    fixture_expect(*state, &task, "plain.mp4", "h.mp4", MEDIA_RESOURCE_LIMIT, &out);
}

// Deterministic noise over a good file: whatever comes of it, it is one of our words.
static void random_damage_never_surprises(void **state)
{
    static const char *const clips[] = {"bframes.mp4", "plain.mkv", "plain.webm",    "stream.ts",
                                        "plain.avi",   "plain.flv", "fragmented.mp4"};
    struct fixture *fx = *state;
    struct fixture here = *fx;
    uint32_t seed = 12345;

    memcpy(here.clips, fx->dir, sizeof(here.clips));
    for (unsigned round = 0; round < 21; round++) {
        struct worker_task task = task_of(round % 3 ? MEDIA_INSPECT : MEDIA_RESIZE);
        int in = fixture_open_clip(fx, clips[round % REEL_ARRAY_SIZE(clips)]);
        int out_fd = fixture_create(fx, "noisy");
        struct media_outcome out;
        char block[4096];
        ssize_t n;

        while ((n = read(in, block, sizeof(block))) > 0) {
            for (unsigned i = 0; i < 1 + round / 7; i++) {
                seed = seed * 1103515245 + 12345;
                block[(seed >> 8) % (unsigned)n] ^= (char)(seed >> 24);
            }
            assert_int_equal(write(out_fd, block, (size_t)n), n);
        }
        close(in);
        close(out_fd);
        fixture_run(&here, &task, "noisy", "h", &out);
        if (out.code == MEDIA_CRASHED || out.code == MEDIA_INTERNAL || out.code == MEDIA_TIMEOUT)
            fail_msg("round %u: %s %s", round, media_code_name(out.code), out.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_video_is_refused_by_every_operation),
        cmocka_unit_test(a_playlist_reaches_no_server),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(what_lasts_too_long_is_refused),
        cmocka_unit_test(what_is_left_of_a_file_is_saved),
        cmocka_unit_test(damage_is_passed_over),
        cmocka_unit_test(a_result_too_large_is_a_limit),
        cmocka_unit_test(too_little_memory_is_a_limit),
        cmocka_unit_test(random_damage_never_surprises),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
