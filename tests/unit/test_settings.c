// SPDX-License-Identifier: Apache-2.0
#include "libcommon/svc/settings.h"

#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "tests/lib/capture.h"
#include "tests/lib/cmocka.h"

struct settings {
    const char *log_level;
    const char *listen;
    const char *database_url;
    const char *key;
    struct reel_peer_key peers[2];
    int64_t grace_ms;
    int64_t metrics_port;
    bool migrate;
};

static const struct reel_config_item items[] = {
    REEL_SETTINGS_LOG_LEVEL(struct settings, log_level),
    REEL_SETTINGS_LISTEN(struct settings, listen, "REEL_SAMPLE_LISTEN", "tcp://127.0.0.1:1"),
    REEL_SETTINGS_DATABASE_URL(struct settings, database_url),
    REEL_SETTINGS_KEY(struct settings, key, "REEL_KEY_SAMPLE", "own API key"),
    REEL_SETTINGS_PEER(struct settings, peers[0], "REEL_KEY_ONE", "API key of one", "one's"),
    REEL_SETTINGS_PEER(struct settings, peers[1], "REEL_KEY_TWO", "API key of two", "two's"),
    REEL_SETTINGS_GRACE_MS(struct settings, grace_ms, "10000", "time to finish"),
    REEL_SETTINGS_METRICS_PORT(struct settings, metrics_port),
    REEL_SETTINGS_MIGRATE(struct settings, migrate),
};

// argv ends with NULL.
static int load(struct settings *settings, const char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    return reel_config_load("test", "tests the rows", items, REEL_ARRAY_SIZE(items), settings, argc,
                            (char **)argv, NULL);
}

static void rows_have_defaults_and_leave_the_rest_of_a_peer(void **state)
{
    struct settings s = {.peers = {{.service = "one", .may_speak_for_users = true}}};
    const char *argv[] = {"test", "--database-url=postgresql:///x", NULL};

    (void)state;
    assert_int_equal(load(&s, argv), REEL_OK);
    assert_string_equal(s.log_level, "info");
    assert_string_equal(s.listen, "tcp://127.0.0.1:1");
    assert_string_equal(s.database_url, "postgresql:///x");
    assert_string_equal(s.key, "");
    assert_string_equal(s.peers[0].service, "one");
    assert_true(s.peers[0].may_speak_for_users);
    assert_string_equal(s.peers[0].key, "");
    assert_string_equal(s.peers[0].previous_key, "");
    assert_null(s.peers[1].service);
    assert_string_equal(s.peers[1].key, "");
    assert_int_equal(s.grace_ms, 10000);
    assert_int_equal(s.metrics_port, 0);
    assert_false(s.migrate);
}

static void each_row_fills_its_own_field(void **state)
{
    struct settings s = {0};
    const char *argv[] = {
        "test",
        "--database-url=d",
        "--log-level=warn",
        "--key-sample=k",
        "--sample-listen=ipc://",
        "--key-one=1",
        "--key-two=2",
        "--key-one-previous=1p",
        "--key-two-previous=2p",
        "--grace-ms=0",
        "--migrate",
        NULL,
    };

    (void)state;
    assert_int_equal(load(&s, argv), REEL_OK);
    assert_string_equal(s.log_level, "warn");
    assert_string_equal(s.listen, "ipc://");
    assert_string_equal(s.key, "k");
    assert_string_equal(s.peers[0].key, "1");
    assert_string_equal(s.peers[0].previous_key, "1p");
    assert_string_equal(s.peers[1].key, "2");
    assert_string_equal(s.peers[1].previous_key, "2p");
    assert_int_equal(s.grace_ms, 0);
    assert_true(s.migrate);
}

static void a_missing_database_and_a_long_grace_are_refused(void **state)
{
    struct settings s = {0};
    const char *nowhere[] = {"test", NULL};
    const char *forever[] = {"test", "--database-url=d", "--grace-ms=3600001", NULL};

    (void)state;
    assert_int_equal(load(&s, nowhere), REEL_INVALID_ARGUMENT);
    assert_int_equal(load(&s, forever), REEL_INVALID_ARGUMENT);
}

static void keys_and_database_are_never_shown(void **state)
{
    struct settings s = {0};
    const char *argv[] = {"test",           "--database-url=hush",     "--key-sample=hush",
                          "--key-one=hush", "--key-one-previous=hush", NULL};
    char *text = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(load(&s, argv), REEL_OK);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    reel_config_dump(out, items, REEL_ARRAY_SIZE(items), &s);
    fclose(out);
    assert_null(strstr(text, "hush"));
    assert_non_null(strstr(text, "REEL_KEY_ONE_PREVIOUS=***"));
    free(text);
}

static void urls_are_taken_apart(void **state)
{
    struct reel_settings_urls urls;
    char listen[] = ",tcp://127.0.0.1:1,,ipc:///x,";

    (void)state;
    assert_int_equal(reel_settings_urls_init(&urls, "X", listen), REEL_OK);
    memset(listen, '?', sizeof(listen) - 1);
    assert_int_equal(urls.n, 2);
    assert_string_equal(urls.urls[0], "tcp://127.0.0.1:1");
    assert_string_equal(urls.urls[1], "ipc:///x");
    reel_settings_urls_fini(&urls);
    reel_settings_urls_fini(&urls);
}

static void eight_urls_fit(void **state)
{
    struct reel_settings_urls urls;

    (void)state;
    assert_int_equal(reel_settings_urls_init(&urls, "X", "1,2,3,4,5,6,7,8,"), REEL_OK);
    assert_int_equal(urls.n, REEL_SETTINGS_URLS_MAX);
    assert_string_equal(urls.urls[REEL_SETTINGS_URLS_MAX - 1], "8");
    reel_settings_urls_fini(&urls);
}

static void a_list_without_urls_or_with_too_many_is_refused_by_name(void **state)
{
    static const char *const lists[] = {"", ",,", "1,2,3,4,5,6,7,8,9", "1,2,3,4,5,6,7,8,,9,10"};
    struct reel_settings_urls urls;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(lists); i++) {
        struct capture c = capture_begin(STDERR_FILENO);
        int rc = reel_settings_urls_init(&urls, "REEL_SAMPLE_LISTEN", lists[i]);
        REEL_AUTO(reel_freep) char *said = capture_end(&c);

        assert_int_equal(rc, REEL_INVALID_ARGUMENT);
        assert_non_null(strstr(said, "\"setting\":\"REEL_SAMPLE_LISTEN\""));
        assert_non_null(strstr(said, "1 to 8 URLs"));
    }
}

static void every_log_level_that_is_allowed_is_known(void **state)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(levels); i++) {
        struct settings s = {0};
        enum reel_log_level level;
        const char *argv[] = {"test", "--database-url=d", "--log-level", levels[i], NULL};

        assert_int_equal(load(&s, argv), REEL_OK);
        assert_true(reel_log_level_parse(s.log_level, &level));
        assert_int_equal(level, i);
    }
}

static void any_other_log_level_is_refused(void **state)
{
    static const char *const levels[] = {"", "DEBUG", "warning", "loud", "debug, info"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(levels); i++) {
        struct settings s = {0};
        const char *argv[] = {"test", "--database-url=d", "--log-level", levels[i], NULL};
        struct capture c = capture_begin(STDERR_FILENO);
        int rc = load(&s, argv);
        REEL_AUTO(reel_freep) char *said = capture_end(&c);

        assert_int_equal(rc, REEL_INVALID_ARGUMENT);
        assert_non_null(strstr(said, "REEL_LOG_LEVEL"));
        assert_non_null(strstr(said, "one of debug, info, warn, error"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_defaults_and_leave_the_rest_of_a_peer),
        cmocka_unit_test(each_row_fills_its_own_field),
        cmocka_unit_test(a_missing_database_and_a_long_grace_are_refused),
        cmocka_unit_test(keys_and_database_are_never_shown),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(eight_urls_fit),
        cmocka_unit_test(a_list_without_urls_or_with_too_many_is_refused_by_name),
        cmocka_unit_test(every_log_level_that_is_allowed_is_known),
        cmocka_unit_test(any_other_log_level_is_refused),
    };

    // Settings that are set outside, known to the rows or not, would be read or refused.
    clearenv();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
