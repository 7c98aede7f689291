// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/config.h"
#include "libcommon/core/err.h"
#include "tests/lib/capture.h"
#include "tests/lib/cmocka.h"

struct settings {
    const char *host;
    int64_t port;
    int64_t any;
    bool verbose;
    const char *url;
    const char *mode;
};

static const struct reel_config_item items[] = {
    {.name = "REEL_TEST_HOST",
     .type = REEL_CONFIG_STRING,
     .offset = offsetof(struct settings, host),
     .default_text = "127.0.0.1",
     .unit = "",
     .help = "address to bind"},
    {.name = "REEL_TEST_PORT",
     .type = REEL_CONFIG_INT,
     .offset = offsetof(struct settings, port),
     .default_text = "3000",
     .min = 1,
     .max = 65535,
     .unit = "",
     .help = "port to bind"},
    {.name = "REEL_TEST_ANY",
     .type = REEL_CONFIG_INT,
     .offset = offsetof(struct settings, any),
     .default_text = "-5",
     .unit = "ms",
     .help = "no range"},
    {.name = "REEL_TEST_VERBOSE",
     .type = REEL_CONFIG_BOOL,
     .offset = offsetof(struct settings, verbose),
     .default_text = "no",
     .unit = "",
     .help = "say more"},
    {.name = "DATABASE_URL",
     .type = REEL_CONFIG_STRING,
     .offset = offsetof(struct settings, url),
     .unit = "",
     .help = "where the database is",
     .secret = true},
    {.name = "REEL_TEST_MODE",
     .type = REEL_CONFIG_STRING,
     .offset = offsetof(struct settings, mode),
     .default_text = "slow",
     .help = "how to go",
     .allowed = "slow, fast, faster"},
};

static struct settings settings;
static int rest;
static char *said; // on stderr by the last load

static int load(const char *const *args, bool with_rest)
{
    char *argv[16] = {(char[]){"test"}};
    int argc = 1;

    for (; args && args[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    free(said);
    memset(&settings, 0, sizeof(settings));
    struct capture c = capture_begin(STDERR_FILENO);
    int rc = reel_config_load("test", "tests the table", items, REEL_ARRAY_SIZE(items), &settings,
                              argc, argv, with_rest ? &rest : NULL);
    said = capture_end(&c);
    return rc;
}

#define LOAD(...) load((const char *const[]){__VA_ARGS__, NULL}, false)

static int clean(void **state)
{
    (void)state;
    clearenv();
    setenv("DATABASE_URL", "postgresql:///s3cret", 1);
    setenv("HOME", "/", 1);
    return 0;
}

static void defaults_fill_the_struct(void **state)
{
    (void)state;
    assert_int_equal(load(NULL, false), REEL_OK);
    assert_string_equal(settings.host, "127.0.0.1");
    assert_int_equal(settings.port, 3000);
    assert_int_equal(settings.any, -5);
    assert_false(settings.verbose);
    assert_string_equal(settings.url, "postgresql:///s3cret");
    assert_string_equal(said, "");
}

static void the_flag_wins_over_the_environment(void **state)
{
    (void)state;
    setenv("REEL_TEST_PORT", "4000", 1);
    setenv("REEL_TEST_HOST", "::1", 1);
    assert_int_equal(LOAD("--test-port=5000"), REEL_OK);
    assert_int_equal(settings.port, 5000);
    assert_string_equal(settings.host, "::1");
    assert_int_equal(LOAD("--test-port", "6000", "--database-url=x"), REEL_OK);
    assert_int_equal(settings.port, 6000);
    assert_string_equal(settings.url, "x");
}

static void an_empty_variable_counts_as_not_set(void **state)
{
    (void)state;
    setenv("REEL_TEST_PORT", "", 1);
    assert_int_equal(load(NULL, false), REEL_OK);
    assert_int_equal(settings.port, 3000);
}

static void an_empty_flag_value_is_a_value(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--test-host="), REEL_OK);
    assert_string_equal(settings.host, "");
    assert_int_equal(LOAD("--test-port="), REEL_INVALID_ARGUMENT);
}

static void booleans_have_four_spellings(void **state)
{
    static const char *const yes[] = {"true", "YES", "on", "1"};
    static const char *const no[] = {"false", "No", "off", "0"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(yes); i++) {
        setenv("REEL_TEST_VERBOSE", yes[i], 1);
        assert_int_equal(load(NULL, false), REEL_OK);
        assert_true(settings.verbose);
        setenv("REEL_TEST_VERBOSE", no[i], 1);
        assert_int_equal(load(NULL, false), REEL_OK);
        assert_false(settings.verbose);
    }
    unsetenv("REEL_TEST_VERBOSE");
    assert_int_equal(LOAD("--test-verbose"), REEL_OK);
    assert_true(settings.verbose);
}

static void the_edges_of_a_range_belong_to_it(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--test-port=1"), REEL_OK);
    assert_int_equal(LOAD("--test-port=65535"), REEL_OK);
    assert_int_equal(LOAD("--test-any=-9223372036854775808"), REEL_OK);
    assert_true(settings.any == INT64_MIN);
}

static void bad_numbers_are_refused_by_name_value_and_range(void **state)
{
    static const char *const bad[] = {"0",
                                      "65536",
                                      "x",
                                      "80x",
                                      "0x50",
                                      "8.0",
                                      " 80",
                                      "80 ",
                                      "-",
                                      "1e3",
                                      "99999999999999999999",
                                      "-1",
                                      "٣",
                                      "3000\n"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        setenv("REEL_TEST_PORT", bad[i], 1);
        assert_int_equal(load(NULL, false), REEL_INVALID_ARGUMENT);
        assert_non_null(strstr(said, "REEL_TEST_PORT"));
        assert_non_null(strstr(said, "--test-port"));
        assert_non_null(strstr(said, bad[i]));
        assert_non_null(strstr(said, "a whole number from 1 to 65535"));
    }
}

static void words_that_are_not_allowed_are_refused_with_those_that_are(void **state)
{
    static const char *const good[] = {"slow", "fast", "faster"};
    static const char *const bad[] = {"",      "slo",        "slowe", "SLOW", " slow",
                                      "fast,", "slow, fast", ",",     ", "};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(good); i++) {
        const char *const args[] = {"--test-mode", good[i], NULL};

        assert_int_equal(load(args, false), REEL_OK);
        assert_string_equal(settings.mode, good[i]);
    }
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        const char *const args[] = {"--test-mode", bad[i], NULL};

        assert_int_equal(load(args, false), REEL_INVALID_ARGUMENT);
        assert_non_null(strstr(said, "REEL_TEST_MODE"));
        assert_non_null(strstr(said, "must be one of slow, fast, faster"));
    }
}

static void every_mistake_is_named_at_once(void **state)
{
    (void)state;
    setenv("REEL_TEST_VERBOSE", "maybe", 1);
    setenv("REEL_TEST_PROT", "1", 1);
    unsetenv("DATABASE_URL");
    assert_int_equal(LOAD("--test-port=0", "--nope=1"), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(said, "unknown setting REEL_TEST_PROT"));
    assert_non_null(strstr(said, "unknown flag --nope;"));
    assert_non_null(strstr(said, "REEL_TEST_PORT"));
    assert_non_null(strstr(said, "\"maybe\", but must be true or false"));
    assert_non_null(strstr(said, "DATABASE_URL (--database-url) must be set"));
}

static void foreign_variables_are_left_alone(void **state)
{
    (void)state;
    setenv("REELS", "1", 1);
    setenv("PATH", "/bin", 1);
    assert_int_equal(load(NULL, false), REEL_OK);
}

static void a_flag_without_its_value_is_refused(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--test-port"), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(said, "--test-port needs a value"));
    assert_int_equal(LOAD("--test-por=1"), REEL_INVALID_ARGUMENT);
    assert_int_equal(LOAD("--test-portx=1"), REEL_INVALID_ARGUMENT);
    assert_int_equal(LOAD("--=1"), REEL_INVALID_ARGUMENT);
}

static void arguments_after_the_flags_are_the_callers(void **state)
{
    static const char *const args[] = {"--test-port=1", "do", "--this", NULL};
    static const char *const dashes[] = {"--test-verbose", "--", "--that", NULL};

    (void)state;
    assert_int_equal(load(args, true), REEL_OK);
    assert_int_equal(rest, 2);
    assert_int_equal(load(dashes, true), REEL_OK);
    assert_int_equal(rest, 3);
    assert_int_equal(load(args, false), REEL_INVALID_ARGUMENT);
    assert_non_null(strstr(said, "unexpected argument \"do\""));
}

static void a_secret_is_never_shown(void **state)
{
    struct capture c;

    (void)state;
    assert_int_equal(load(NULL, false), REEL_OK);
    c = capture_begin(STDOUT_FILENO);
    reel_config_dump(stdout, items, REEL_ARRAY_SIZE(items), &settings);
    REEL_AUTO(reel_freep) char *dump = capture_end(&c);
    assert_string_equal(dump, "REEL_TEST_HOST=127.0.0.1\nREEL_TEST_PORT=3000\nREEL_TEST_ANY=-5\n"
                              "REEL_TEST_VERBOSE=false\nDATABASE_URL=***\nREEL_TEST_MODE=slow\n");
}

static void help_lists_every_setting(void **state)
{
    (void)state;
    setenv("REEL_TEST_PORT", "bad", 1);
    struct capture c = capture_begin(STDOUT_FILENO);
    int rc = LOAD("--test-verbose", "--help");
    REEL_AUTO(reel_freep) char *help = capture_end(&c);
    assert_int_equal(rc, REEL_CANCELLED);
    assert_string_equal(said, "");
    assert_non_null(strstr(help, "test: tests the table\n"));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(items); i++) {
        assert_non_null(strstr(help, items[i].name));
        assert_non_null(strstr(help, items[i].help));
    }
    assert_non_null(strstr(help, "--test-port, REEL_TEST_PORT\n      port to bind\n"
                                 "      default: 3000; from 1 to 65535\n"));
    assert_non_null(strstr(help, "default: slow; one of slow, fast, faster\n"));
    assert_non_null(strstr(help, "default: (must be set)"));
    assert_null(strstr(help, "s3cret"));
}

static void markdown_help_is_the_table(void **state)
{
    (void)state;
    struct capture c = capture_begin(STDOUT_FILENO);
    int rc = LOAD("--help-markdown");
    REEL_AUTO(reel_freep) char *help = capture_end(&c);

    assert_int_equal(rc, REEL_CANCELLED);
    assert_memory_equal(help, "| name | flag |", 15);
}

static void markdown_has_a_row_for_every_setting(void **state)
{
    (void)state;
    struct capture c = capture_begin(STDOUT_FILENO);
    reel_config_markdown(stdout, items, REEL_ARRAY_SIZE(items));
    REEL_AUTO(reel_freep) char *text = capture_end(&c);
    assert_non_null(
        strstr(text, "| REEL_TEST_PORT | --test-port | integer | `3000` | 1 to 65535 | port to "
                     "bind |\n"));
    assert_non_null(strstr(text, "| REEL_TEST_MODE | --test-mode | string | `slow` | slow, fast, "
                                 "faster | how to go |\n"));
    assert_non_null(strstr(text, "| DATABASE_URL | --database-url | string | must be set |  | "));
}

static int free_said(void **state)
{
    (void)state;
    free(said);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_fill_the_struct, clean),
        cmocka_unit_test_setup(the_flag_wins_over_the_environment, clean),
        cmocka_unit_test_setup(an_empty_variable_counts_as_not_set, clean),
        cmocka_unit_test_setup(an_empty_flag_value_is_a_value, clean),
        cmocka_unit_test_setup(booleans_have_four_spellings, clean),
        cmocka_unit_test_setup(the_edges_of_a_range_belong_to_it, clean),
        cmocka_unit_test_setup(bad_numbers_are_refused_by_name_value_and_range, clean),
        cmocka_unit_test_setup(words_that_are_not_allowed_are_refused_with_those_that_are, clean),
        cmocka_unit_test_setup(every_mistake_is_named_at_once, clean),
        cmocka_unit_test_setup(foreign_variables_are_left_alone, clean),
        cmocka_unit_test_setup(a_flag_without_its_value_is_refused, clean),
        cmocka_unit_test_setup(arguments_after_the_flags_are_the_callers, clean),
        cmocka_unit_test_setup(a_secret_is_never_shown, clean),
        cmocka_unit_test_setup(help_lists_every_setting, clean),
        cmocka_unit_test_setup(markdown_help_is_the_table, clean),
        cmocka_unit_test_setup(markdown_has_a_row_for_every_setting, clean),
    };

    return cmocka_run_group_tests(tests, NULL, free_said);
}
