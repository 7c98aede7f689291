// SPDX-License-Identifier: Apache-2.0
// RESIZE: exact size, upright, square pixels, times kept, sound kept.
#include <stdio.h>
#include <stdlib.h>

#include "tests/integration/media/fixture.h"

static struct worker_task resize(int width, int height)
{
    struct worker_task task = fixture_task(MEDIA_RESIZE);

    task.media.width = width;
    task.media.height = height;
    return task;
}

static void result_is_exact_and_plays_everywhere(void **state)
{
    struct worker_task task = resize(320, 180);
    struct media_outcome out;

    fixture_expect(*state, &task, "plain.mp4", "r.mp4", MEDIA_OK, &out);
    assert_string_equal(out.facts.format, "mp4");
    assert_string_equal(out.facts.content_type, "video/mp4");
    assert_int_equal(out.facts.width, 320);
    assert_int_equal(out.facts.height, 180);
    assert_int_equal(out.facts.frames, 90);
    assert_true(out.facts.copied_audio);
    assert_true(fixture_probe(*state, "r.mp4",
                              "$video.codec_name==\"h264\" and $video.pix_fmt==\"yuv420p\" and "
                              "$video.width==320 and $video.height==180 and "
                              "$video.sample_aspect_ratio==\"1:1\" and "
                              "$video.nb_read_frames==\"90\" and $video.level<=13 and "
                              "$audio.codec_name==\"aac\""));
    assert_true(fixture_decodes(*state, "r.mp4"));
    assert_true(fixture_starts_fast(*state, "r.mp4"));
}

static void odd_sizes_become_even_and_say_so(void **state)
{
    struct worker_task task = resize(321, 181);
    struct media_outcome out;

    fixture_expect(*state, &task, "odd.webm", "r.mp4", MEDIA_OK, &out);
    assert_int_equal(out.facts.width, 322);
    assert_int_equal(out.facts.height, 182);
    assert_true(fixture_warned(&out, "rounded"));
    assert_true(fixture_decodes(*state, "r.mp4"));
}

static void missing_side_follows_from_the_ratio(void **state)
{
    struct worker_task task = resize(320, 0);
    struct media_outcome out;

    fixture_expect(*state, &task, "plain.mp4", "r.mp4", MEDIA_OK, &out);
    assert_int_equal(out.facts.height, 180);
    task = resize(0, 160);
    fixture_expect(*state, &task, "turned90.mp4", "r.mp4", MEDIA_OK, &out);
    assert_int_equal(out.facts.width, 120);
}

static void turned_video_comes_out_upright(void **state)
{
    struct worker_task task = resize(120, 160);
    struct media_outcome out;
    char command[512];
    const struct fixture *fx = *state;

    fixture_expect(fx, &task, "turned90.mp4", "r.mp4", MEDIA_OK, &out);
    assert_int_equal(out.facts.rotation, 0);
    assert_true(fixture_probe(fx, "r.mp4",
                              "$video.width==120 and $video.height==160 and "
                              "(($video.side_data_list//[])|length)==0"));
    // The command turns by itself: the pictures must agree.
    snprintf(command, sizeof(command),
             "ffmpeg -nostdin -i %s/r.mp4 -i %s/turned90.mp4 -lavfi "
             "'[1]scale=120:160[b];[0][b]psnr' -f null - 2>&1 | grep -o 'average:[0-9]*' | "
             "cut -d: -f2 | awk '{exit !($1 >= 30)}'",
             fx->dir, fx->clips);
    assert_int_equal(system(command), 0);
}

static void half_turn_and_aspect_are_baked_in(void **state)
{
    struct worker_task task = resize(160, 120);
    struct media_outcome out;

    fixture_expect(*state, &task, "turned180.mp4", "r.mp4", MEDIA_OK, &out);
    assert_int_equal(out.facts.rotation, 0);
    task = resize(512, 288);
    fixture_expect(*state, &task, "anamorphic.mpg", "r.mp4", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "r.mp4",
                              "$video.width==512 and $video.sample_aspect_ratio==\"1:1\""));
    assert_true(fixture_decodes(*state, "r.mp4"));
}

static void variable_rate_survives(void **state)
{
    struct worker_task task = resize(160, 120);
    struct media_outcome out;
    char command[512];
    const struct fixture *fx = *state;

    fixture_expect(fx, &task, "vfr.mp4", "r.mp4", MEDIA_OK, &out);
    assert_true(out.facts.variable_frame_rate);
    // The times of all frames, to the millisecond, are those of the source.
    snprintf(command, sizeof(command),
             "t() { ffprobe -v error -select_streams v -show_entries packet=pts_time -of csv=p=0 "
             "$1 | awk '{printf \"%%.2f\\n\",$1}' | sort -n; }; "
             "[ \"$(t %s/r.mp4)\" = \"$(t %s/vfr.mp4)\" ]",
             fx->dir, fx->clips);
    assert_int_equal(system(command), 0);
}

static void sound_stays_where_it_was(void **state)
{
    struct worker_task task = resize(160, 120);
    struct media_outcome out;

    fixture_expect(*state, &task, "late-audio.mp4", "r.mp4", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "r.mp4",
                              "(($audio.start_time|tonumber)-($video.start_time|tonumber)-0.7)|"
                              "fabs<0.03"));
    fixture_expect(*state, &task, "audio-first.mp4", "r.mp4", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "r.mp4",
                              "(($video.start_time|tonumber)-($audio.start_time|tonumber)-0.7)|"
                              "fabs<0.03"));
    fixture_expect(*state, &task, "stream.ts", "r.mp4", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "r.mp4",
                              "(($video.start_time|tonumber)-($audio.start_time|tonumber))|"
                              "fabs<0.06"));
}

static void every_odd_form_gives_a_clean_result(void **state)
{
    static const char *const clips[] = {
        "noaudio.mp4", "tenth.mp4", "bframes.mp4",    "fragmented.mp4", "live.mkv",
        "opus.webm",   "plain.avi", "plain.flv",      "stream.ts",      "surround.mp4",
        "high444.mp4", "hdr.mp4",   "anamorphic.mpg", "small.mov",
    };
    struct worker_task task = resize(160, 90);
    struct media_outcome out;

    for (size_t i = 0; i < REEL_ARRAY_SIZE(clips); i++) {
        print_message("%s\n", clips[i]);
        fixture_expect(*state, &task, clips[i], "r.mp4", MEDIA_OK, &out);
        assert_true(fixture_decodes(*state, "r.mp4"));
        assert_true(fixture_probe(*state, "r.mp4",
                                  "$video.width==160 and $video.height==90 and "
                                  "$video.pix_fmt==\"yuv420p\""));
    }
}

static void hdr_is_mapped_to_an_ordinary_screen(void **state)
{
    struct worker_task task = resize(160, 120);
    struct media_outcome out;

    fixture_expect(*state, &task, "hdr.mp4", "r.mp4", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "r.mp4",
                              "$video.color_transfer==\"bt709\" and $video.color_space==\"bt709\" "
                              "and $video.color_range==\"tv\""));
}

static void webm_is_served_too(void **state)
{
    struct worker_task task = resize(160, 90);
    struct media_outcome out;

    snprintf(task.media.target_format, sizeof(task.media.target_format), "webm");
    fixture_expect(*state, &task, "opus.webm", "r.webm", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "r.webm",
                              "$video.codec_name==\"vp9\" and $audio.codec_name==\"opus\""));
    assert_true(fixture_decodes(*state, "r.webm"));
    snprintf(task.media.target_format, sizeof(task.media.target_format), "exe");
    fixture_expect(*state, &task, "opus.webm", "r.webm", MEDIA_UNSUPPORTED, &out);
}

static void audio_cannot_be_resized(void **state)
{
    struct worker_task task = resize(160, 90);
    struct media_outcome out;

    fixture_expect(*state, &task, "tone.mp3", "r.mp4", MEDIA_NO_VIDEO, &out);
}

static void where_it_was_filmed_is_not_told(void **state)
{
    struct worker_task task = resize(160, 90);
    struct media_outcome out;

    fixture_expect(*state, &task, "located.mp4", "r.mp4", MEDIA_OK, &out);
    assert_true(fixture_probe(*state, "r.mp4",
                              "[.format.tags//{}|keys[]|select(test(\"location\";\"i\"))]==[]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result_is_exact_and_plays_everywhere),
        cmocka_unit_test(odd_sizes_become_even_and_say_so),
        cmocka_unit_test(missing_side_follows_from_the_ratio),
        cmocka_unit_test(turned_video_comes_out_upright),
        cmocka_unit_test(half_turn_and_aspect_are_baked_in),
        cmocka_unit_test(variable_rate_survives),
        cmocka_unit_test(sound_stays_where_it_was),
        cmocka_unit_test(every_odd_form_gives_a_clean_result),
        cmocka_unit_test(hdr_is_mapped_to_an_ordinary_screen),
        cmocka_unit_test(webm_is_served_too),
        cmocka_unit_test(audio_cannot_be_resized),
        cmocka_unit_test(where_it_was_filmed_is_not_told),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
