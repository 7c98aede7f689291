// SPDX-License-Identifier: Apache-2.0
// INSPECT: what a file is, as displayed, and its thumbnail.
#include <stdio.h>
#include <stdlib.h>

#include "tests/integration/media/fixture.h"

struct expected {
    const char *clip;
    const char *format;
    int width;
    int height;
    int rotation;
    int duration_ms; // within 100
    const char *video;
    const char *audio;
    bool variable;
};

static const struct expected table[] = {
    {"plain.mp4", "mp4", 640, 360, 0, 3000, "h264", "aac", false},
    {"plain.mov", "mov", 640, 360, 0, 3000, "h264", "aac", false},
    {"plain.mkv", "mkv", 640, 360, 0, 3023, "h264", "aac", false},
    {"plain.webm", "webm", 640, 360, 0, 3026, "vp8", "opus", false},
    {"plain.avi", "avi", 640, 360, 0, 3056, "mpeg4", "mp3", false},
    {"plain.flv", "flv", 640, 360, 0, 3023, "h264", "aac", false},
    {"stream.ts", "ts", 320, 240, 0, 2023, "h264", "aac", false},
    {"turned90.mp4", "mp4", 240, 320, 90, 2000, "h264", "", false},
    {"turned180.mp4", "mp4", 320, 240, 180, 2000, "h264", "", false},
    {"anamorphic.mpg", "mpg", 1024, 576, 0, 2011, "mpeg2video", "mp2", false},
    {"odd.webm", "webm", 641, 361, 0, 1000, "vp9", "", false},
    {"vfr.mp4", "mp4", 320, 240, 0, 3934, "h264", "", true},
    {"bframes.mp4", "mp4", 640, 360, 0, 3000, "h264", "aac", false},
    {"tenth.mp4", "mp4", 320, 240, 0, 100, "h264", "aac", false},
    {"fragmented.mp4", "mp4", 320, 240, 0, 3023, "h264", "aac", false},
    {"live.mkv", "mkv", 320, 240, 0, 0, "h264", "aac", false},
    {"surround.mp4", "mp4", 320, 240, 0, 2015, "h264", "ac3", false},
    {"hdr.mp4", "mp4", 320, 240, 0, 1000, "hevc", "", false},
};

static void says_what_is_displayed(void **state)
{
    struct worker_task task = fixture_task(MEDIA_INSPECT);
    struct media_outcome out;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(table); i++) {
        const struct expected *want = &table[i];

        print_message("%s\n", want->clip);
        fixture_expect(*state, &task, want->clip, "t.jpg", MEDIA_OK, &out);
        assert_string_equal(out.facts.format, want->format);
        assert_int_equal(out.facts.width, want->width);
        assert_int_equal(out.facts.height, want->height);
        assert_int_equal(out.facts.rotation, want->rotation);
        assert_in_range(out.facts.duration_ms + 100, want->duration_ms, want->duration_ms + 200);
        assert_string_equal(out.facts.video_codec, want->video);
        assert_string_equal(out.facts.audio_codec, want->audio);
        assert_int_equal(out.facts.variable_frame_rate, want->variable);
        assert_true(out.facts.thumbnail_made);
        assert_true(out.facts.size_bytes > 0);
    }
}

static void thumbnail_is_a_jpeg_as_displayed(void **state)
{
    struct worker_task task = fixture_task(MEDIA_INSPECT);
    struct media_outcome out;

    task.media.thumbnail_max = 160;
    fixture_expect(*state, &task, "turned90.mp4", "t.jpg", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "t.jpg",
                              "$video.codec_name==\"mjpeg\" and $video.width==120 and "
                              "$video.height==160"));
    assert_true(fixture_decodes(*state, "t.jpg"));
    fixture_expect(*state, &task, "anamorphic.mpg", "t.jpg", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "t.jpg", "$video.width==160 and $video.height==90"));
}

static void thumbnail_is_made_of_a_tenth_of_a_second(void **state)
{
    struct worker_task task = fixture_task(MEDIA_INSPECT);
    struct media_outcome out;

    task.media.thumbnail_ms = 5000;
    fixture_expect(*state, &task, "tenth.mp4", "t.jpg", MEDIA_OK, &out);
    assert_true(out.facts.thumbnail_made);
    assert_true(fixture_decodes(*state, "t.jpg"));
}

// The mean of a black JPEG's luma is 0, of a test picture far above.
static bool is_bright(const struct fixture *fx)
{
    char command[512];

    snprintf(command, sizeof(command),
             "ffprobe -v error -f lavfi -i movie=%s/t.jpg,signalstats -show_entries "
             "frame_tags=lavfi.signalstats.YAVG -of csv=p=0 | awk '{exit !($1 > 30)}'",
             fx->dir);
    return system(command) == 0;
}

static void black_frames_are_passed_over(void **state)
{
    struct worker_task task = fixture_task(MEDIA_INSPECT);
    struct media_outcome out;

    fixture_expect(*state, &task, "darkstart.mp4", "t.jpg", MEDIA_OK, &out);
    assert_true(is_bright(*state));
    // Where there is nothing else, black it is.
    fixture_expect(*state, &task, "dark.mp4", "t.jpg", MEDIA_OK, &out);
    assert_true(out.facts.thumbnail_made);
    assert_false(is_bright(*state));
}

static void audio_has_no_picture(void **state)
{
    struct worker_task task = fixture_task(MEDIA_INSPECT);
    struct media_outcome out;

    fixture_expect(*state, &task, "tone.mp3", "t.jpg", MEDIA_OK, &out);
    assert_int_equal(out.facts.width, 0);
    assert_false(out.facts.thumbnail_made);
    // Cover art is no video.
    fixture_expect(*state, &task, "cover.mp3", "t.jpg", MEDIA_OK, &out);
    assert_string_equal(out.facts.video_codec, "");
    assert_string_equal(out.facts.audio_codec, "mp3");
}

static void missing_end_is_told(void **state)
{
    struct worker_task task = fixture_task(MEDIA_INSPECT);
    struct media_outcome out;

    fixture_expect(*state, &task, "truncated.mp4", "t.jpg", MEDIA_OK, &out);
    assert_true(fixture_warned(&out, "truncated"));
    assert_true(out.facts.thumbnail_made);
    fixture_expect(*state, &task, "plain.mp4", "t.jpg", MEDIA_OK, &out);
    assert_int_equal(out.n_warnings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_displayed),
        cmocka_unit_test(thumbnail_is_a_jpeg_as_displayed),
        cmocka_unit_test(thumbnail_is_made_of_a_tenth_of_a_second),
        cmocka_unit_test(black_frames_are_passed_over),
        cmocka_unit_test(audio_has_no_picture),
        cmocka_unit_test(missing_end_is_told),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
