// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/router.h"

static struct router table;

static int fill(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"GET", "/api/videos"},
        {"GET", "/api/videos/{video_id}"},
        {"PATCH", "/api/videos/{video_id}"},
        {"DELETE", "/api/videos/{video_id}"},
        {"GET", "/api/videos/asset"},
        {"POST", "/api/videos/upload"},
        {"GET", "/api/jobs/status/{job_id}"},
        {"POST", "/api/jobs/{job_id}/cancel"},
        {"GET", "/a/{x}/b/{y}"},
        {"GET", "/"},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(rows); i++)
        if (router_add(&table, rows[i][0], rows[i][1], rows[i][1]) != 0)
            return -1;
    return 0;
}

static const char *target_of(const char *verb, const char *path)
{
    struct router_match match;
    if (!router_find(&table, verb, path, &match))
        return "404";
    return match.target ? match.target : "405";
}

static void a_literal_beats_a_parameter(void **state)
{
    (void)state;
    assert_string_equal(target_of("GET", "/api/videos/asset"), "/api/videos/asset");
    assert_string_equal(target_of("GET", "/api/videos/other"), "/api/videos/{video_id}");
    assert_string_equal(target_of("GET", "/"), "/");
}

static void a_known_path_with_another_verb_is_405(void **state)
{
    (void)state;
    struct router_match match;
    char allow[64];
    assert_string_equal(target_of("DELETE", "/api/videos/asset"), "405");
    assert_string_equal(target_of("GET", "/api/videos/upload"), "405");
    assert_true(router_find(&table, "PUT", "/api/videos/1", &match));
    assert_null(match.target);
    router_allow(match.allowed, allow);
    assert_string_equal(allow, "GET, PATCH, DELETE, HEAD, OPTIONS");
}

static void unknown_paths_are_404(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "x",
        "/api",
        "/api/videos/",
        "//api/videos",
        "/API/videos",
        "/api/videos/1/2",
        "/a//b/c",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13",
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(paths); i++)
        assert_string_equal(target_of("GET", paths[i]), "404");
}

static void head_is_served_by_get(void **state)
{
    (void)state;
    assert_string_equal(target_of("HEAD", "/api/videos"), "/api/videos");
    assert_string_equal(target_of("HEAD", "/api/videos/upload"), "405");
}

static void parameters_are_slices_of_the_path(void **state)
{
    (void)state;
    struct router_match match;
    assert_true(router_find(&table, "GET", "/a/first/b/second", &match));
    assert_int_equal(match.n_params, 2);
    assert_memory_equal(match.params[0].name.s, "x", match.params[0].name.len);
    assert_memory_equal(match.params[0].value.s, "first", match.params[0].value.len);
    assert_int_equal(match.params[1].value.len, strlen("second"));
}

static void malformed_routes_are_refused(void **state)
{
    (void)state;
    struct router *router = calloc(1, sizeof(*router));
    assert_int_not_equal(router_add(router, "BREW", "/a", "x"), 0);
    assert_int_not_equal(router_add(router, "GET", "a", "x"), 0);
    assert_int_not_equal(router_add(router, "GET", "/{aa}/{bb}/{cc}/{dd}/{ee}", "x"), 0);
    for (int i = 0; i < ROUTER_MAX_ROUTES; i++)
        assert_int_equal(router_add(router, "GET", "/a", "x"), 0);
    assert_int_not_equal(router_add(router, "GET", "/a", "x"), 0);
    free(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_beats_a_parameter),
        cmocka_unit_test(a_known_path_with_another_verb_is_405),
        cmocka_unit_test(unknown_paths_are_404),
        cmocka_unit_test(head_is_served_by_get),
        cmocka_unit_test(parameters_are_slices_of_the_path),
        cmocka_unit_test(malformed_routes_are_refused),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
