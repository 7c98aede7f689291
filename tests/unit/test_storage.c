// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/core/err.h"
#include "libcommon/storage/beneath.h"
#include "libcommon/storage/storage.h"

struct fixture {
    char dir[64];
    struct reel_storage *storage;
};

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/reel-storage-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    assert_int_equal(reel_storage_new(fx->dir, &fx->storage), REEL_OK);
    *state = fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;

    reel_storage_free(fx->storage);
    assert_int_equal(reel_beneath_remove(AT_FDCWD, fx->dir, 8), 0);
    free(fx);
    return 0;
}

static int put(struct reel_storage *storage, const char *key, const char *text)
{
    struct reel_storage_file *file;
    int rc = reel_storage_create(storage, key, &file);

    if (rc != REEL_OK)
        return rc;
    assert_int_equal(reel_storage_write(file, text, strlen(text)), REEL_OK);
    return reel_storage_publish(file);
}

static void assert_holds(struct reel_storage *storage, const char *key, const char *text)
{
    struct reel_storage_info info;
    char got[256] = "";
    int fd;

    assert_int_equal(reel_storage_read(storage, key, &fd, &info), REEL_OK);
    assert_int_equal(info.size_bytes, (int64_t)strlen(text));
    assert_true(info.mtime_us > 1700000000000000);
    assert_int_equal(read(fd, got, sizeof(got) - 1), (ssize_t)strlen(text));
    assert_string_equal(got, text);
    close(fd);
}

static int read_code(struct reel_storage *storage, const char *key)
{
    int fd = -1;
    int rc = reel_storage_read(storage, key, &fd, NULL);

    if (fd >= 0)
        close(fd);
    return rc;
}

// Regular files anywhere below `path`.
static int count_files(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char child[PATH_MAX];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        n += entry->d_type == DT_DIR ? count_files(child) : 1;
    }
    closedir(dir);
    return n;
}

static void published_file_is_read_back(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(put(fx->storage, "v1/original", "hello"), REEL_OK);
    assert_holds(fx->storage, "v1/original", "hello");
    assert_int_equal(put(fx->storage, "a/b/c", "deep"), REEL_OK);
    assert_holds(fx->storage, "a/b/c", "deep");
    assert_int_equal(put(fx->storage, "top", "flat"), REEL_OK);
    assert_holds(fx->storage, "top", "flat");
    assert_int_equal(count_files(fx->dir), 3);
}

static void unpublished_file_is_not_visible(void **state)
{
    struct fixture *fx = *state;
    struct reel_storage_file *file;

    assert_int_equal(reel_storage_create(fx->storage, "v1/original", &file), REEL_OK);
    assert_int_equal(reel_storage_write(file, "abc", 3), REEL_OK);
    assert_int_equal(read_code(fx->storage, "v1/original"), REEL_NOT_FOUND);
    reel_storage_discard(&file);
    assert_null(file);
    assert_int_equal(count_files(fx->dir), 0);
}

static void publishing_again_replaces_whole(void **state)
{
    struct fixture *fx = *state;
    int old_fd;
    char old[8] = "";

    assert_int_equal(put(fx->storage, "v1/original", "first"), REEL_OK);
    assert_int_equal(reel_storage_read(fx->storage, "v1/original", &old_fd, NULL), REEL_OK);
    assert_int_equal(put(fx->storage, "v1/original", "second"), REEL_OK);
    assert_holds(fx->storage, "v1/original", "second");
    assert_int_equal(read(old_fd, old, sizeof(old)), 5);
    assert_memory_equal(old, "first", 5);
    close(old_fd);
    assert_int_equal(count_files(fx->dir), 1);
}

static void hostile_keys_are_refused(void **state)
{
    static const char *const keys[] = {
        "",      ".",       "..",   "/",     "/etc/passwd", "../x",   "a/../b",  "a/..", "./a",
        "a/./b", "a//b",    "a/",   "/a",    "a/b/c/d",     ".tmp/x", ".hidden", "a/.b", "a\\b",
        "a b",   "a\nb",    "a\tb", "a\x7f", "caf\xc3\xa9", "%2e%2e", "a%00b",   "a:b",  "~root",
        "$HOME", "a;rm -r", "*",    "a|b",   "\xff\xfe",    "a\"b",   "a'b",     "con?",
    };
    struct fixture *fx = *state;
    struct reel_storage_file *file = NULL;
    char long_key[300];

    for (size_t i = 0; i < REEL_ARRAY_SIZE(keys); i++) {
        assert_false(reel_storage_key_is_valid(keys[i]));
        assert_int_equal(read_code(fx->storage, keys[i]), REEL_INVALID_ARGUMENT);
        assert_int_equal(reel_storage_create(fx->storage, keys[i], &file), REEL_INVALID_ARGUMENT);
        assert_int_equal(reel_storage_remove(fx->storage, keys[i]), REEL_INVALID_ARGUMENT);
    }
    memset(long_key, 'a', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    assert_false(reel_storage_key_is_valid(long_key));
    assert_false(reel_storage_key_is_valid(NULL));
    assert_null(file);
    assert_int_equal(count_files(fx->dir), 0);
}

static void odd_but_allowed_keys_work(void **state)
{
    static const char *const keys[] = {"-rf", "a..b/c", "--help/x", "_", "A.B-C_d/0/z."};
    struct fixture *fx = *state;
    char longest[256];

    for (size_t i = 0; i < REEL_ARRAY_SIZE(keys); i++) {
        assert_int_equal(put(fx->storage, keys[i], "x"), REEL_OK);
        assert_holds(fx->storage, keys[i], "x");
    }
    memset(longest, 'k', 255);
    longest[255] = '\0';
    assert_int_equal(put(fx->storage, longest, "x"), REEL_OK);
    assert_holds(fx->storage, longest, "x");
}

static void plant_link(const struct fixture *fx, const char *target, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", fx->dir, name);
    assert_int_equal(symlink(target, path), 0);
}

static void planted_symlinks_lead_nowhere(void **state)
{
    struct fixture *fx = *state;
    struct reel_storage_file *file = NULL;
    char outside[] = "/tmp/reel-outside-XXXXXX";
    char secret[64];

    assert_non_null(mkdtemp(outside));
    snprintf(secret, sizeof(secret), "%s/original", outside);
    close(open(secret, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(put(fx->storage, "v1/original", "mine"), REEL_OK);

    plant_link(fx, outside, "evil");
    plant_link(fx, "/etc/passwd", "v1/file");
    plant_link(fx, "original", "v1/inside");
    assert_int_equal(read_code(fx->storage, "evil/original"), REEL_NOT_FOUND);
    assert_int_equal(read_code(fx->storage, "v1/file"), REEL_NOT_FOUND);
    assert_int_equal(read_code(fx->storage, "v1/inside"), REEL_NOT_FOUND);
    assert_true(reel_storage_create(fx->storage, "evil/new", &file) < 0);
    assert_int_equal(reel_storage_remove(fx->storage, "evil/original"), REEL_OK);
    assert_int_equal(access(secret, F_OK), 0);
    // Removing the link itself removes the link, never what it points at.
    assert_int_equal(reel_storage_remove(fx->storage, "evil"), REEL_OK);
    assert_int_equal(access(secret, F_OK), 0);
    // Publishing over a planted link replaces the link.
    assert_int_equal(put(fx->storage, "v1/inside", "own"), REEL_OK);
    assert_holds(fx->storage, "v1/inside", "own");
    assert_holds(fx->storage, "v1/original", "mine");
    assert_int_equal(reel_beneath_remove(AT_FDCWD, outside, 2), 0);
}

static void what_is_not_a_file_is_not_found(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];

    assert_int_equal(put(fx->storage, "v1/original", "x"), REEL_OK);
    snprintf(path, sizeof(path), "%s/v1/fifo", fx->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(read_code(fx->storage, "v1"), REEL_NOT_FOUND);
    assert_int_equal(read_code(fx->storage, "v1/fifo"), REEL_NOT_FOUND);
    assert_int_equal(read_code(fx->storage, "v1/original/deeper"), REEL_NOT_FOUND);
    assert_int_equal(read_code(fx->storage, "v2/original"), REEL_NOT_FOUND);
}

static void removing_a_folder_takes_all_in_it(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(put(fx->storage, "v1/original", "x"), REEL_OK);
    assert_int_equal(put(fx->storage, "v1/sub/deep", "x"), REEL_OK);
    assert_int_equal(put(fx->storage, "v2/original", "kept"), REEL_OK);
    assert_int_equal(reel_storage_remove(fx->storage, "v1"), REEL_OK);
    assert_int_equal(read_code(fx->storage, "v1/original"), REEL_NOT_FOUND);
    assert_holds(fx->storage, "v2/original", "kept");
    assert_int_equal(reel_storage_remove(fx->storage, "v1"), REEL_OK);
    assert_int_equal(reel_storage_remove(fx->storage, "v1/original"), REEL_OK);
    assert_int_equal(reel_storage_remove(fx->storage, "v2/original"), REEL_OK);
    assert_int_equal(count_files(fx->dir), 0);
}

static void file_of_a_removed_folder_is_not_published(void **state)
{
    struct fixture *fx = *state;
    struct reel_storage_file *file;

    assert_int_equal(reel_storage_create(fx->storage, "v1/result.mp4", &file), REEL_OK);
    assert_int_equal(reel_storage_write(file, "late", 4), REEL_OK);
    assert_int_equal(reel_storage_remove(fx->storage, "v1"), REEL_OK);
    assert_int_equal(reel_storage_publish(file), REEL_NOT_FOUND);
    assert_int_equal(count_files(fx->dir), 0);
}

static void killed_writer_leaves_nothing(void **state)
{
    struct fixture *fx = *state;
    struct reel_storage *after;
    int pipe_fds[2];
    char byte;

    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct reel_storage_file *file;
        char block[65536] = "";

        for (int n = 0;; n++) {
            if (n == 0 && reel_storage_create(fx->storage, "v1/original", &file) != REEL_OK)
                _exit(1);
            if (reel_storage_write(file, block, sizeof(block)) != REEL_OK)
                _exit(1);
            if (n == 16 && write(pipe_fds[1], "x", 1) != 1)
                _exit(1);
            if (n == 1000)
                pause();
        }
    }
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(pipe_fds[0]);
    close(pipe_fds[1]);

    assert_int_equal(reel_storage_new(fx->dir, &after), REEL_OK);
    assert_int_equal(read_code(after, "v1/original"), REEL_NOT_FOUND);
    assert_int_equal(count_files(fx->dir), 0);
    reel_storage_free(after);
}

static void sweep_spares_a_living_writer(void **state)
{
    struct fixture *fx = *state;
    struct reel_storage_file *file;
    struct reel_storage *other;

    assert_int_equal(reel_storage_create(fx->storage, "v1/original", &file), REEL_OK);
    assert_int_equal(reel_storage_write(file, "kept", 4), REEL_OK);
    assert_int_equal(reel_storage_new(fx->dir, &other), REEL_OK);
    assert_int_equal(reel_storage_publish(file), REEL_OK);
    assert_holds(other, "v1/original", "kept");
    reel_storage_free(other);
}

static void full_disk_is_an_outcome(void **state)
{
    struct fixture *fx = *state;
    struct reel_storage_file *file;
    struct reel_storage *small;
    char dir[80];
    char block[65536] = "";
    int rc = REEL_OK;

    snprintf(dir, sizeof(dir), "%s/small", fx->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    if (mount("none", dir, "tmpfs", 0, "size=1m") < 0) {
        print_message("skipped: mounting a small tmpfs is not permitted: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(reel_storage_new(dir, &small), REEL_OK);
    assert_true(reel_storage_free_bytes(small) <= 1 << 20);
    assert_int_equal(put(small, "v1/original", "before"), REEL_OK);
    assert_int_equal(reel_storage_create(small, "v2/original", &file), REEL_OK);
    for (int n = 0; n < 64 && rc == REEL_OK; n++)
        rc = reel_storage_write(file, block, sizeof(block));
    assert_int_equal(rc, REEL_RESOURCE_EXHAUSTED);
    reel_storage_discard(&file);
    assert_holds(small, "v1/original", "before");
    assert_int_equal(put(small, "v3/original", "room again"), REEL_OK);
    reel_storage_free(small);
    assert_int_equal(umount(dir), 0);
}

static int collect(void *arg, const char *name, int64_t mtime_us)
{
    assert_true(mtime_us > 1700000000000000);
    strcat(arg, name);
    return strcmp(name, "stop") == 0 ? REEL_ABORTED : 0;
}

static void each_lists_the_top_without_the_temporary_folder(void **state)
{
    struct fixture *fx = *state;
    char names[64] = "";

    assert_int_equal(put(fx->storage, "v/original", "1"), REEL_OK);
    assert_int_equal(put(fx->storage, "v/original", "2"), REEL_OK);
    assert_int_equal(reel_storage_each(fx->storage, collect, names), REEL_OK);
    assert_string_equal(names, "v");
    assert_int_equal(put(fx->storage, "stop", "1"), REEL_OK);
    assert_int_equal(reel_storage_each(fx->storage, collect, names), REEL_ABORTED);
}

static void readiness_sees_a_directory_that_is_gone(void **state)
{
    struct fixture *fx = *state;

    assert_true(reel_storage_is_writable(fx->storage));
    assert_true(reel_storage_free_bytes(fx->storage) > 0);
    assert_int_equal(reel_beneath_remove(AT_FDCWD, fx->dir, 8), 0);
    assert_false(reel_storage_is_writable(fx->storage));
    assert_int_equal(mkdir(fx->dir, 0700), 0);
}

struct racer {
    struct reel_storage *storage;
    char text[2];
};

static void *race(void *arg)
{
    struct racer *racer = arg;

    for (int i = 0; i < 50; i++)
        if (put(racer->storage, "v1/original", racer->text) != REEL_OK)
            return racer;
    return NULL;
}

static void concurrent_publishers_leave_one_whole_file(void **state)
{
    struct fixture *fx = *state;
    struct racer racers[4];
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        racers[i] = (struct racer){fx->storage, {(char)('a' + i), '\0'}};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failure;

        assert_int_equal(pthread_join(threads[i], &failure), 0);
        assert_null(failure);
    }
    assert_int_equal(read_code(fx->storage, "v1/original"), REEL_OK);
    assert_int_equal(count_files(fx->dir), 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(published_file_is_read_back, set_up, tear_down),
    cmocka_unit_test_setup_teardown(unpublished_file_is_not_visible, set_up, tear_down),
    cmocka_unit_test_setup_teardown(publishing_again_replaces_whole, set_up, tear_down),
    cmocka_unit_test_setup_teardown(hostile_keys_are_refused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(odd_but_allowed_keys_work, set_up, tear_down),
    cmocka_unit_test_setup_teardown(planted_symlinks_lead_nowhere, set_up, tear_down),
    cmocka_unit_test_setup_teardown(what_is_not_a_file_is_not_found, set_up, tear_down),
    cmocka_unit_test_setup_teardown(removing_a_folder_takes_all_in_it, set_up, tear_down),
    cmocka_unit_test_setup_teardown(file_of_a_removed_folder_is_not_published, set_up, tear_down),
    cmocka_unit_test_setup_teardown(killed_writer_leaves_nothing, set_up, tear_down),
    cmocka_unit_test_setup_teardown(sweep_spares_a_living_writer, set_up, tear_down),
    cmocka_unit_test_setup_teardown(full_disk_is_an_outcome, set_up, tear_down),
    cmocka_unit_test_setup_teardown(each_lists_the_top_without_the_temporary_folder, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(readiness_sees_a_directory_that_is_gone, set_up, tear_down),
    cmocka_unit_test_setup_teardown(concurrent_publishers_leave_one_whole_file, set_up, tear_down),
};

// An older kernel and a plainer file system, for the rest of the process's life: openat2 is not
// there and O_TMPFILE is not supported.
static void take_away_openat2_and_tmpfile(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_TMPFILE & ~O_DIRECTORY),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0, 2, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
    };
    struct sock_fprog program = {.len = REEL_ARRAY_SIZE(code), .filter = code};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    assert_int_equal(open("/tmp", O_TMPFILE | O_RDWR, 0600), -1);
    assert_int_equal(errno, EOPNOTSUPP);
}

int main(void)
{
    int failed = cmocka_run_group_tests_name("storage", tests, NULL, NULL);

    take_away_openat2_and_tmpfile();
    failed +=
        cmocka_run_group_tests_name("storage without O_TMPFILE and openat2", tests, NULL, NULL);
    return failed;
}
