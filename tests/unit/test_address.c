// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/redis/conn.h"
#include "tests/lib/cmocka.h"

static struct reel_redis_address address;

static int parse(const char *url)
{
    const struct reel_redis_config config = {.url = url, .client_name = "test"};

    reel_redis_address_fini(&address);
    return reel_redis_address_init(&config, &address);
}

static int teardown(void **state)
{
    (void)state;
    reel_redis_address_fini(&address);
    return 0;
}

static void assert_text(const char *actual, const char *expected)
{
    if (expected)
        assert_string_equal(actual, expected);
    else
        assert_null(actual);
}

struct vector {
    const char *url;
    const char *unix_path;
    const char *host;
    int port;
    const char *user;
    const char *password;
    const char *db;
};

static void good_urls_are_taken_apart(void **state)
{
    static const struct vector vectors[] = {
        {"redis://localhost", NULL, "localhost", 6379, NULL, NULL, "0"},
        {"redis://h:1", NULL, "h", 1, NULL, NULL, "0"},
        {"redis://h:65535/", NULL, "h", 65535, NULL, NULL, "0"},
        {"redis://h/15", NULL, "h", 6379, NULL, NULL, "15"},
        {"redis://:pw@h:6380/2", NULL, "h", 6380, NULL, "pw", "2"},
        {"redis://u:pw@h", NULL, "h", 6379, "u", "pw", "0"},
        {"redis://u:p@w:x@h", NULL, "h", 6379, "u", "p@w:x", "0"},
        {"redis://[::1]:7000/3", NULL, "::1", 7000, NULL, NULL, "3"},
        {"redis://[fe80::1]", NULL, "fe80::1", 6379, NULL, NULL, "0"},
        {"unix:///run/redis.sock", "/run/redis.sock", NULL, 0, NULL, NULL, "0"},
        {"unix:///r.sock?db=4", "/r.sock", NULL, 0, NULL, NULL, "4"},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(vectors); i++) {
        const struct vector *v = &vectors[i];

        if (parse(v->url) != REEL_OK)
            fail_msg("refused: %s", v->url);
        assert_text(address.unix_path, v->unix_path);
        assert_text(address.host, v->host);
        assert_text(address.user, v->user);
        assert_text(address.password, v->password);
        assert_text(address.db, v->db);
        assert_int_equal(address.port, v->port);
        assert_string_equal(address.client_name, "test");
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "localhost:6379",
        "rediss://h",
        "REDIS://h",
        "redis:/h",
        "redis://",
        "redis://:6379",
        "redis://pw@",
        "redis://h:",
        "redis://h:port",
        "redis://h:65536",
        "redis://h:123456",
        "redis://h:-1",
        "redis://h:1:2",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1/2",
        "unix://",
        "unix://relative.sock",
        "unix:///r.sock?db=",
        "unix:///r.sock?db=x",
        "http://h",
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++) {
        if (parse(bad[i]) != REEL_INVALID_ARGUMENT)
            fail_msg("taken: %s", bad[i]);
    }
}

static void fini_is_safe_twice(void **state)
{
    struct reel_redis_address zero = {0};

    (void)state;
    reel_redis_address_fini(&zero);
    reel_redis_address_fini(&zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_taken_apart),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(fini_is_safe_twice),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
