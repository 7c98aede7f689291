// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/base.h"
#include "libcommon/core/timestamp.h"
#include "libcommon/obs/log.h"
#include "tests/lib/capture.h"
#include "tests/lib/cmocka.h"

static struct capture begin(enum reel_log_level level)
{
    reel_log_init("test", level);
    return capture_begin(STDERR_FILENO);
}

static json_t *end_as_json(struct capture *c)
{
    REEL_AUTO(reel_freep) char *text = capture_end(c);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (!json)
        fail_msg("not one JSON object: %s", text);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    return json;
}

static void a_line_carries_its_head_and_fields(void **state)
{
    struct capture c = begin(REEL_LOG_INFO);
    int64_t seconds;
    int32_t nanos;

    (void)state;
    reel_log(REEL_LOG_WARN, "job.settled", REEL_FS("job_id", "j"), REEL_FI("n", INT64_MIN),
             REEL_FD("d", 0.5), REEL_FB("ok", true), REEL_FS("none", NULL));
    json_t *line = end_as_json(&c);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "svc")), "test");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "job.settled");
    assert_string_equal(json_string_value(json_object_get(line, "job_id")), "j");
    assert_true(json_integer_value(json_object_get(line, "n")) == INT64_MIN);
    assert_true(json_real_value(json_object_get(line, "d")) == 0.5);
    assert_true(json_is_true(json_object_get(line, "ok")));
    assert_true(json_is_null(json_object_get(line, "none")));
    const char *ts = json_string_value(json_object_get(line, "ts"));
    assert_true(reel_timestamp_parse(ts, strlen(ts), &seconds, &nanos));
    assert_int_equal(strlen(ts), strlen("2026-01-31T12:00:00.123456Z"));
    json_decref(line);
}

static void an_event_may_have_no_fields(void **state)
{
    struct capture c = begin(REEL_LOG_INFO);

    (void)state;
    reel_log(REEL_LOG_INFO, "svc.ready");
    json_t *line = end_as_json(&c);
    assert_int_equal(json_object_size(line), 4);
    json_decref(line);
}

static void lower_levels_are_not_written(void **state)
{
    struct capture c = begin(REEL_LOG_ERROR);

    (void)state;
    reel_log(REEL_LOG_DEBUG, "a");
    reel_log(REEL_LOG_INFO, "b");
    reel_log(REEL_LOG_WARN, "c");
    REEL_AUTO(reel_freep) char *text = capture_end(&c);
    assert_string_equal(text, "");
}

static void hostile_text_stays_inside_its_string(void **state)
{
    struct capture c = begin(REEL_LOG_INFO);

    (void)state;
    reel_log(REEL_LOG_INFO, "x", REEL_FS("s", "a\"}\n{\"level\":\"error\"\x1b[31m\x7f\\"),
             REEL_FS("bad", "\xff\xc0\xaf\xed\xa0\x80z"));
    json_t *line = end_as_json(&c);
    assert_string_equal(json_string_value(json_object_get(line, "s")),
                        "a\"}\n{\"level\":\"error\"\x1b[31m\x7f\\");
    assert_non_null(strstr(json_string_value(json_object_get(line, "bad")), "\xef\xbf\xbd"));
    json_decref(line);
}

static void long_strings_are_cut_between_characters(void **state)
{
    struct capture c = begin(REEL_LOG_INFO);
    char text[3001];

    (void)state;
    for (size_t i = 0; i + 3 <= 3000; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    text[3000] = '\0';
    reel_log(REEL_LOG_INFO, "x", REEL_FS("s", text));
    json_t *line = end_as_json(&c);
    size_t len = json_string_length(json_object_get(line, "s"));
    assert_int_equal(len, 1023 + strlen("…"));
    json_decref(line);
}

static void a_line_too_long_loses_fields_but_stays_json(void **state)
{
    struct reel_log_field fields[32];
    struct capture c = begin(REEL_LOG_INFO);
    char text[1025];
    json_t *line;

    (void)state;
    memset(text, 1, 1024); // six bytes each when escaped
    text[1024] = '\0';
    for (size_t i = 0; i < REEL_ARRAY_SIZE(fields); i++)
        fields[i] = REEL_FS(i == 31 ? "last" : "s", text);
    for (size_t i = 0; i < 31; i++)
        fields[i].key = (const char *const[]){"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k",
                                              "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v",
                                              "w", "x", "y", "z", "1", "2", "3", "4", "5"}[i];
    fields[31] = REEL_FI("last", 7);
    reel_log_fields(REEL_LOG_INFO, "x", fields, REEL_ARRAY_SIZE(fields));
    line = end_as_json(&c);
    assert_non_null(json_object_get(line, "a"));
    assert_null(json_object_get(line, "5"));
    assert_int_equal(json_integer_value(json_object_get(line, "last")), 7);
    json_decref(line);
}

static void numbers_that_json_lacks_are_null(void **state)
{
    struct capture c = begin(REEL_LOG_INFO);

    (void)state;
    reel_log(REEL_LOG_INFO, "x", REEL_FD("nan", (double)NAN), REEL_FD("inf", (double)INFINITY));
    json_t *line = end_as_json(&c);
    assert_true(json_is_null(json_object_get(line, "nan")));
    assert_true(json_is_null(json_object_get(line, "inf")));
    json_decref(line);
}

static void errno_is_kept(void **state)
{
    struct capture c = begin(REEL_LOG_INFO);

    (void)state;
    errno = EXDEV;
    reel_log(REEL_LOG_INFO, "x");
    assert_int_equal(errno, EXDEV);
    free(capture_end(&c));
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < 500; i++)
        reel_log(REEL_LOG_INFO, "thread", REEL_FI("i", i), REEL_FS("who", arg));
    return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state)
{
    struct capture c = begin(REEL_LOG_INFO);
    char who[] = "abcdefghijklmnopqrstuvwxyz";
    pthread_t threads[4];
    int n = 0;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++)
        pthread_create(&threads[i], NULL, write_lines, who);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    REEL_AUTO(reel_freep) char *text = capture_end(&c);
    for (char *line = text, *next; *line; line = next, n++) {
        next = strchr(line, '\n') + 1;
        json_t *json = json_loadb(line, (size_t)(next - line), 0, NULL);
        assert_non_null(json);
        json_decref(json);
    }
    assert_int_equal(n, 2000);
}

static void levels_parse_by_their_names_only(void **state)
{
    static const char *const bad[] = {"", "INFO", "information", "inf", "warning", " info"};
    enum reel_log_level level = REEL_LOG_WARN;

    (void)state;
    assert_true(reel_log_level_parse("debug", &level) && level == REEL_LOG_DEBUG);
    assert_true(reel_log_level_parse("error", &level) && level == REEL_LOG_ERROR);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_false(reel_log_level_parse(bad[i], &level));
    assert_false(reel_log_level_parse(NULL, &level));
    assert_int_equal(level, REEL_LOG_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_carries_its_head_and_fields),
        cmocka_unit_test(an_event_may_have_no_fields),
        cmocka_unit_test(lower_levels_are_not_written),
        cmocka_unit_test(hostile_text_stays_inside_its_string),
        cmocka_unit_test(long_strings_are_cut_between_characters),
        cmocka_unit_test(a_line_too_long_loses_fields_but_stays_json),
        cmocka_unit_test(numbers_that_json_lacks_are_null),
        cmocka_unit_test(errno_is_kept),
        cmocka_unit_test(lines_of_many_threads_do_not_mix),
        cmocka_unit_test(levels_parse_by_their_names_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
