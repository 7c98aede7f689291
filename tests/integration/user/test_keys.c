// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/auth/eckey.h"
#include "libcommon/core/arena.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "svc-user/keys.h"
#include "tests/lib/cmocka.h"

struct fixture {
    char base[40];
    char dir[64];
    struct reel_arena arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->base, sizeof(f->base), "/tmp/reel-keys-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    snprintf(f->dir, sizeof(f->dir), "%s/keys", f->base);
    reel_arena_init(&f->arena, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    DIR *dir = opendir(f->dir);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(f->dir);
    rmdir(f->base);
    reel_arena_fini(&f->arena);
    free(f);
    return 0;
}

// Writes a file that is `age_s` old.
static void put(const struct fixture *f, const char *name, const char *text, mode_t mode, int age_s)
{
    char path[128];

    mkdir(f->dir, 0700);
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    const struct timespec then = {.tv_sec = reel_clock_wall_us() / 1000000 - age_s};
    assert_int_equal(futimens(fd, (const struct timespec[2]){then, then}), 0);
    close(fd);
}

// Writes a new key; its id is in the arena.
static const char *put_key(struct fixture *f, const char *name, int age_s)
{
    char private_pem[REEL_ECKEY_PEM_SIZE];
    char public_pem[REEL_ECKEY_PEM_SIZE];
    char id[REEL_ECKEY_ID_SIZE];

    assert_int_equal(reel_eckey_generate(private_pem), REEL_OK);
    assert_int_equal(reel_eckey_public(private_pem, public_pem, id), REEL_OK);
    put(f, name, private_pem, 0600, age_s);
    return reel_arena_strdup(&f->arena, id);
}

static struct keys *open_keys(const struct fixture *f, int64_t delay_s)
{
    struct keys *keys = NULL;

    assert_int_equal(keys_open(f->dir, delay_s, &keys), REEL_OK);
    return keys;
}

static void list(struct fixture *f, struct keys *keys, User__PublicKey ***ret_list, size_t *ret_n)
{
    assert_int_equal(keys_list(keys, &f->arena, ret_list, ret_n), REEL_OK);
}

static void mint(struct keys *keys, char ret_token[REEL_JWT_SIZE])
{
    const int64_t now_s = reel_clock_wall_us() / 1000000;
    struct reel_jwt_claims claims = {.issued_at_s = now_s, .expires_at_s = now_s + 900};

    reel_id_new(claims.user_id);
    reel_id_new(claims.session_id);
    reel_id_new(claims.token_id);
    assert_int_equal(keys_mint(keys, &claims, ret_token), REEL_OK);
}

static int verify(struct keys *keys, const char *token)
{
    struct reel_jwt_claims claims;

    return keys_verify(keys, token, reel_clock_wall_us() / 1000000, &claims);
}

// Whether the token verifies under this one key of the list.
static bool is_signed_by(struct fixture *f, struct keys *keys, const char *token, const char *id)
{
    User__PublicKey **keys_list_ = NULL;
    struct reel_jwt_keys *table = NULL;
    struct reel_jwt_claims claims;
    size_t n = 0;
    bool is_signed = false;

    list(f, keys, &keys_list_, &n);
    for (size_t i = 0; i < n; i++) {
        const struct reel_jwt_public_key key = {keys_list_[i]->kid, keys_list_[i]->pem};

        if (strcmp(key.kid, id) != 0)
            continue;
        assert_int_equal(reel_jwt_keys_new(&key, 1, &table), REEL_OK);
        is_signed =
            reel_jwt_verify(table, token, reel_clock_wall_us() / 1000000, &claims) == REEL_OK;
        reel_jwt_keys_free(table);
    }
    return is_signed;
}

static void a_first_key_is_made_for_the_owner_only_and_kept(void **state)
{
    struct fixture *f = *state;
    struct keys *keys = open_keys(f, 60);
    char token[REEL_JWT_SIZE];
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s/first.pem", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(f->dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    mint(keys, token);
    keys_close(keys);
    keys = open_keys(f, 60);
    assert_int_equal(verify(keys, token), REEL_OK);
    keys_close(keys);
}

static void a_new_key_signs_when_it_is_old_enough(void **state)
{
    struct fixture *f = *state;
    const char *old_id = put_key(f, "a.pem", 1000);
    struct keys *keys = open_keys(f, 60);
    char old_token[REEL_JWT_SIZE];
    char token[REEL_JWT_SIZE];

    mint(keys, old_token);
    const char *new_id = put_key(f, "b.pem", 10);
    assert_int_equal(keys_reload(keys), REEL_OK);
    mint(keys, token);
    assert_true(is_signed_by(f, keys, token, old_id));
    keys_close(keys);

    keys = open_keys(f, 5);
    mint(keys, token);
    assert_true(is_signed_by(f, keys, token, new_id));
    assert_int_equal(verify(keys, old_token), REEL_OK);
    keys_close(keys);
}

static void keys_are_listed_newest_first(void **state)
{
    struct fixture *f = *state;
    const char *ids[] = {put_key(f, "m.pem", 10), put_key(f, "z.pem", 20), put_key(f, "a.pem", 30)};
    struct keys *keys = open_keys(f, 60);
    User__PublicKey **listed = NULL;
    size_t n = 0;

    list(f, keys, &listed, &n);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(listed[i]->kid, ids[i]);
        assert_true(reel_eckey_is_public(listed[i]->pem));
    }
    keys_close(keys);
}

static void a_removed_key_verifies_nothing_more(void **state)
{
    struct fixture *f = *state;
    char token[REEL_JWT_SIZE];
    char path[128];

    put_key(f, "a.pem", 1000);
    struct keys *keys = open_keys(f, 60);
    mint(keys, token);
    put_key(f, "b.pem", 100);
    snprintf(path, sizeof(path), "%s/a.pem", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(keys, token), REEL_OK);
    assert_int_equal(keys_reload(keys), REEL_OK);
    assert_int_equal(verify(keys, token), REEL_UNAUTHENTICATED);
    keys_close(keys);
}

static void a_bad_file_keeps_the_keys_in_use(void **state)
{
    struct fixture *f = *state;
    char token[REEL_JWT_SIZE];
    char path[128];

    put_key(f, "a.pem", 1000);
    struct keys *keys = open_keys(f, 60);
    put(f, "b.pem", "-----BEGIN PRIVATE KEY-----\nhalf", 0600, 0);
    assert_true(keys_reload(keys) < 0);
    mint(keys, token);
    assert_int_equal(verify(keys, token), REEL_OK);
    snprintf(path, sizeof(path), "%s/a.pem", f->dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/b.pem", f->dir);
    unlink(path);
    assert_true(keys_reload(keys) < 0);
    assert_int_equal(verify(keys, token), REEL_OK);
    keys_close(keys);
}

static void files_that_must_not_be_keys_are_refused(void **state)
{
    struct fixture *f = *state;
    struct keys *keys = NULL;
    char private_pem[REEL_ECKEY_PEM_SIZE];
    char path[128];

    assert_int_equal(reel_eckey_generate(private_pem), REEL_OK);
    put(f, "open.pem", private_pem, 0644, 0);
    assert_int_equal(keys_open(f->dir, 60, &keys), -EACCES);
    snprintf(path, sizeof(path), "%s/open.pem", f->dir);
    unlink(path);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_true(keys_open(f->dir, 60, &keys) < 0);
    unlink(path);
    put(f, "text.pem", "no key", 0600, 0);
    assert_true(keys_open(f->dir, 60, &keys) < 0);
    assert_null(keys);
}

static void other_files_are_left_alone(void **state)
{
    struct fixture *f = *state;

    put(f, "README", "not a key", 0644, 0);
    put(f, ".hidden.pem", "not a key", 0644, 0);
    put_key(f, "a.pem", 0);
    keys_close(open_keys(f, 60));
}

static void *open_first(void *arg)
{
    struct keys *keys = NULL;

    return keys_open(((struct fixture *)arg)->dir, 60, &keys) == REEL_OK ? keys : NULL;
}

static void replicas_that_start_together_share_the_first_key(void **state)
{
    pthread_t threads[4];
    struct keys *keys[4];
    char token[REEL_JWT_SIZE];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_first, *state), 0);
    for (int i = 0; i < 4; i++) {
        void *opened = NULL;

        pthread_join(threads[i], &opened);
        assert_non_null(opened);
        keys[i] = opened;
    }
    mint(keys[0], token);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(verify(keys[i], token), REEL_OK);
        keys_close(keys[i]);
    }
}

static void *mint_and_verify(void *arg)
{
    char token[REEL_JWT_SIZE];

    for (int i = 0; i < 50; i++) {
        mint(arg, token);
        if (verify(arg, token) != REEL_OK)
            return arg;
    }
    return NULL;
}

static void rotation_under_load_refuses_nothing(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[3];

    put_key(f, "a.pem", 1000);
    struct keys *keys = open_keys(f, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mint_and_verify, keys), 0);
    for (int i = 0; i < 8; i++) {
        char name[16];

        snprintf(name, sizeof(name), "r%d.pem", i);
        put_key(f, name, 100 - i);
        assert_int_equal(keys_reload(keys), REEL_OK);
    }
    for (int i = 0; i < 3; i++) {
        void *failed = f;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    keys_close(keys);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_first_key_is_made_for_the_owner_only_and_kept),
        CASE(a_new_key_signs_when_it_is_old_enough),
        CASE(keys_are_listed_newest_first),
        CASE(a_removed_key_verifies_nothing_more),
        CASE(a_bad_file_keeps_the_keys_in_use),
        CASE(files_that_must_not_be_keys_are_refused),
        CASE(other_files_are_left_alone),
        CASE(replicas_that_start_together_share_the_first_key),
        CASE(rotation_under_load_refuses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
