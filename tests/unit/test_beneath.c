// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/storage/beneath.h"

struct fixture {
    char dir[64];
    int fd;
};

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/reel-beneath-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    fx->fd = open(fx->dir, O_RDONLY | O_DIRECTORY);
    assert_true(fx->fd >= 0);
    *state = fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;

    close(fx->fd);
    assert_int_equal(reel_beneath_remove(AT_FDCWD, fx->dir, 8), 0);
    free(fx);
    return 0;
}

static void nothing_outside_is_opened(void **state)
{
    static const char *const paths[] = {"..",  "../etc/passwd", "a/../../etc", "/etc/passwd",
                                        "out", "out/passwd",    "proc/1/root"};
    struct fixture *fx = *state;

    close(reel_beneath_make(fx->fd, "a"));
    assert_int_equal(symlinkat("/etc", fx->fd, "out"), 0);
    assert_int_equal(symlinkat("/proc", fx->fd, "proc"), 0);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(paths); i++)
        assert_true(reel_beneath_open(fx->fd, paths[i], O_RDONLY) < 0);
}

static void making_goes_through_no_link_and_no_file(void **state)
{
    struct fixture *fx = *state;
    int fd = reel_beneath_make(fx->fd, "a/b/c");

    assert_true(fd >= 0);
    close(openat(fd, "file", O_CREAT | O_WRONLY, 0600));
    close(fd);
    assert_int_equal(symlinkat("/tmp", fx->fd, "out"), 0);
    assert_true(reel_beneath_make(fx->fd, "out/made") < 0);
    assert_int_equal(reel_beneath_make(fx->fd, "a/b/c/file/d"), -ENOTDIR);
    assert_int_equal(access("/tmp/made", F_OK), -1);
}

static void making_nothing_opens_the_directory_itself(void **state)
{
    struct fixture *fx = *state;
    struct stat own, made;
    int fd = reel_beneath_make(fx->fd, "");

    assert_int_equal(fstat(fx->fd, &own), 0);
    assert_int_equal(fstat(fd, &made), 0);
    assert_int_equal(own.st_ino, made.st_ino);
    close(fd);
}

static void too_long_names_fail(void **state)
{
    struct fixture *fx = *state;
    char name[400];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(reel_beneath_make(fx->fd, name), -ENAMETOOLONG);
    assert_int_equal(reel_beneath_open(fx->fd, name, O_RDONLY), -ENAMETOOLONG);
}

static void removing_stops_at_the_depth_given(void **state)
{
    struct fixture *fx = *state;

    close(reel_beneath_make(fx->fd, "a/b/c/d"));
    assert_int_equal(reel_beneath_remove(fx->fd, "a", 2), -E2BIG);
    assert_int_equal(reel_beneath_remove(fx->fd, "a", 4), 0);
    assert_int_equal(reel_beneath_remove(fx->fd, "a", 4), -ENOENT);
}

static void removing_does_not_follow_links(void **state)
{
    struct fixture *fx = *state;
    char outside[] = "/tmp/reel-outside-XXXXXX";
    char kept[64];

    assert_non_null(mkdtemp(outside));
    snprintf(kept, sizeof(kept), "%s/kept", outside);
    close(open(kept, O_CREAT | O_WRONLY, 0600));
    int fd = reel_beneath_make(fx->fd, "a");
    assert_int_equal(symlinkat(outside, fd, "link"), 0);
    close(fd);
    assert_int_equal(reel_beneath_remove(fx->fd, "a", 4), 0);
    assert_int_equal(access(kept, F_OK), 0);
    assert_int_equal(reel_beneath_remove(AT_FDCWD, outside, 2), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_outside_is_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(making_goes_through_no_link_and_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(making_nothing_opens_the_directory_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_long_names_fail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removing_stops_at_the_depth_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removing_does_not_follow_links, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
