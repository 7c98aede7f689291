// SPDX-License-Identifier: Apache-2.0
// CONVERT and EXTRACT_AUDIO: copying what may be copied, encoding what must be.
#include <stdio.h>
#include <stdlib.h>

#include "tests/integration/media/fixture.h"

static struct worker_task to_format(enum media_kind kind, const char *format)
{
    struct worker_task task = fixture_task(kind);

    snprintf(task.media.target_format, sizeof(task.media.target_format), "%s", format);
    return task;
}

static void what_fits_is_copied(void **state)
{
    static const struct {
        const char *clip;
        const char *format;
        bool video;
        bool audio;
    } cases[] = {
        {"plain.mp4", "mkv", true, true},      {"plain.mkv", "mp4", true, true},
        {"plain.mp4", "webm", false, false},   {"plain.avi", "mp4", false, true},
        {"opus.webm", "mp4", false, false},    {"opus.webm", "mkv", true, true},
        {"surround.mp4", "mp4", true, false},  {"high444.mp4", "mp4", false, false},
        {"turned90.mp4", "mov", true, false},  {"turned90.mp4", "flv", false, false},
        {"bframes.mp4", "mp4", true, true},    {"stream.ts", "mp4", true, true},
        {"fragmented.mp4", "mp4", true, true}, {"anamorphic.mpg", "mp4", false, false},
    };
    struct media_outcome out;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct worker_task task = to_format(MEDIA_CONVERT, cases[i].format);

        print_message("%s to %s\n", cases[i].clip, cases[i].format);
        fixture_expect(*state, &task, cases[i].clip, "c", MEDIA_OK, &out);
        assert_int_equal(out.facts.copied_video, cases[i].video);
        assert_int_equal(out.facts.copied_audio, cases[i].audio);
        assert_true(fixture_decodes(*state, "c"));
    }
}

static void a_copy_keeps_its_turn(void **state)
{
    struct worker_task task = to_format(MEDIA_CONVERT, "mov");
    struct media_outcome out;

    fixture_expect(*state, &task, "turned90.mp4", "c.mov", MEDIA_OK, &out);
    assert_int_equal(out.facts.rotation, 90);
    assert_int_equal(out.facts.width, 240);
    task = to_format(MEDIA_CONVERT, "flv");
    fixture_expect(*state, &task, "turned90.mp4", "c.flv", MEDIA_OK, &out);
    assert_int_equal(out.facts.rotation, 0);
    assert_int_equal(out.facts.width, 240);
}

static void surround_stays_surround(void **state)
{
    struct worker_task task = to_format(MEDIA_CONVERT, "mp4");
    struct media_outcome out;

    fixture_expect(*state, &task, "surround.mp4", "c.mp4", MEDIA_OK, &out);
    assert_true(
        fixture_probe(*state, "c.mp4", "$audio.codec_name==\"aac\" and $audio.channels==6"));
}

static void a_late_start_is_kept_without_timestamps(void **state)
{
    struct worker_task task = to_format(MEDIA_CONVERT, "avi");
    struct media_outcome out;

    // An AVI knows no times: silence and repeated pictures keep sound and picture together.
    fixture_expect(*state, &task, "late-audio.mp4", "c.avi", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "c.avi", "($audio.duration|tonumber)>2.6"));
    fixture_expect(*state, &task, "audio-first.mp4", "c.avi", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "c.avi", "($video.nb_read_frames|tonumber)>=66"));
}

static void unknown_targets_are_refused(void **state)
{
    static const char *const bad[] = {"gif", "m4a", "tee", "image2", "../x", "%d.png"};
    struct media_outcome out;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        struct worker_task task = to_format(MEDIA_CONVERT, bad[i]);

        fixture_expect(*state, &task, "plain.mp4", "c", MEDIA_UNSUPPORTED, &out);
    }
}

static void audio_comes_out_in_the_form_asked(void **state)
{
    static const struct {
        const char *clip;
        const char *format;
        const char *codec;
        bool copied;
    } cases[] = {
        {"plain.mp4", "", "aac", true},
        {"plain.mp4", "m4a", "aac", true},
        {"plain.mp4", "aac", "aac", true},
        {"plain.mp4", "mp3", "mp3", false},
        {"plain.mp4", "opus", "opus", false},
        {"plain.mp4", "wav", "pcm_s16le", false},
        {"opus.webm", "", "opus", true},
        {"opus.webm", "m4a", "aac", false},
        {"plain.avi", "", "mp3", true},
        {"surround.mp4", "", "aac", false},
        {"surround.mp4", "mp3", "mp3", false},
        {"stream.ts", "aac", "aac", true},
        {"stream.ts", "m4a", "aac", true},
        {"tenth.mp4", "mp3", "mp3", false},
        {"late-audio.mp4", "m4a", "aac", true},
        {"cover.mp3", "mp3", "mp3", true},
        {"anamorphic.mpg", "opus", "opus", false},
    };
    struct media_outcome out;
    char expression[256];

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct worker_task task = to_format(MEDIA_EXTRACT_AUDIO, cases[i].format);

        print_message("%s to '%s'\n", cases[i].clip, cases[i].format);
        fixture_expect(*state, &task, cases[i].clip, "a", MEDIA_OK, &out);
        assert_string_equal(out.facts.audio_codec, cases[i].codec);
        assert_int_equal(out.facts.copied_audio, cases[i].copied);
        assert_true(out.facts.duration_ms > 50);
        snprintf(expression, sizeof(expression),
                 "$video==null and $audio.codec_name==\"%s\" and "
                 "(($audio.start_time//\"0\")|tonumber)<0.1",
                 cases[i].codec);
        assert_true(fixture_probe(*state, "a", expression));
        assert_true(fixture_decodes(*state, "a"));
    }
}

static void no_audio_is_told(void **state)
{
    struct worker_task task = to_format(MEDIA_EXTRACT_AUDIO, "mp3");
    struct media_outcome out;

    fixture_expect(*state, &task, "noaudio.mp4", "a", MEDIA_NO_AUDIO, &out);
    task = to_format(MEDIA_EXTRACT_AUDIO, "mp4");
    fixture_expect(*state, &task, "plain.mp4", "a", MEDIA_UNSUPPORTED, &out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_copied),
        cmocka_unit_test(a_copy_keeps_its_turn),
        cmocka_unit_test(surround_stays_surround),
        cmocka_unit_test(a_late_start_is_kept_without_timestamps),
        cmocka_unit_test(unknown_targets_are_refused),
        cmocka_unit_test(audio_comes_out_in_the_form_asked),
        cmocka_unit_test(no_audio_is_told),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
