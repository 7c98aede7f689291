// SPDX-License-Identifier: Apache-2.0
// CONVERT: every container to every other keeps every frame.
#include <stdio.h>
#include <stdlib.h>

#include "tests/integration/media/fixture.h"

static const char *const formats[] = {"mp4", "mov", "avi", "webm", "mkv", "flv"};

static struct worker_task to_format(enum media_kind kind, const char *format)
{
    struct worker_task task = fixture_task(kind);

    snprintf(task.media.target_format, sizeof(task.media.target_format), "%s", format);
    return task;
}

static void convert_one(void **state, const char *from, const char *to)
{
    struct worker_task task = to_format(MEDIA_CONVERT, to);
    struct media_outcome out;
    char clip[32];
    char result[32];

    snprintf(clip, sizeof(clip), "plain.%s", from);
    snprintf(result, sizeof(result), "c.%s", to);
    print_message("%s to %s\n", from, to);
    fixture_expect(*state, &task, clip, result, MEDIA_OK, &out);
    assert_string_equal(out.facts.format, to);
    assert_in_range(out.facts.frames, 89, 91);
    assert_true(fixture_decodes(*state, result));
    assert_true(fixture_probe(*state, result,
                              "($video.nb_read_frames|tonumber-90|fabs)<=1 and "
                              "$video.width==640 and $audio.codec_name!=null"));
    assert_true(fixture_probe(*state, result,
                              "(.format.duration|tonumber)-(.format.start_time|tonumber)-3|"
                              "fabs<0.15"));
}

static void every_pair_keeps_every_frame(void **state)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(formats); i++)
        for (size_t j = 0; j < REEL_ARRAY_SIZE(formats); j++)
            convert_one(state, formats[i], formats[j]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_pair_keeps_every_frame)};

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
