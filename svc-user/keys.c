// SPDX-License-Identifier: Apache-2.0
#include "svc-user/keys.h"

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
#include "libcommon/obs/log.h"

static const char first_name[] = "first.pem";

struct key {
    int64_t made_us; // wall clock, of the file's last change
    char id[REEL_ECKEY_ID_SIZE];
    char private_pem[REEL_ECKEY_PEM_SIZE];
    char public_pem[REEL_ECKEY_PEM_SIZE];
};

// What one reading of the directory found, newest first; not changed afterwards.
struct key_set {
    size_t n;
    struct key keys[REEL_JWT_MAX_KEYS];
    struct reel_jwt_keys *table;
};

struct keys {
    char *dir;
    int64_t delay_us;
    pthread_rwlock_t lock; // guards `set`
    struct key_set *set;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void close_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static void free_set(struct key_set **set)
{
    if (*set)
        reel_jwt_keys_free((*set)->table);
    free(*set);
}

static bool is_key_name(const char *name)
{
    size_t len = strlen(name);

    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".pem") == 0;
}

static int read_key(int dir_fd, const char *name, struct key *ret_key)
{
    REEL_AUTO(close_fd) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        return -EACCES;
    ssize_t n = read(fd, ret_key->private_pem, sizeof(ret_key->private_pem));
    if (n < 0)
        return -errno;
    if (n == (ssize_t)sizeof(ret_key->private_pem))
        return -EFBIG;
    ret_key->private_pem[n] = '\0';
    ret_key->made_us = st.st_mtim.tv_sec * INT64_C(1000000) + st.st_mtim.tv_nsec / 1000;
    return reel_eckey_public(ret_key->private_pem, ret_key->public_pem, ret_key->id);
}

static bool has_key(const struct key_set *set, const char *id)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->keys[i].id, id) == 0)
            return true;
    }
    return false;
}

static int newest_first(const void *a, const void *b)
{
    const struct key *x = a;
    const struct key *y = b;

    if (x->made_us != y->made_us)
        return x->made_us < y->made_us ? 1 : -1;
    return strcmp(x->id, y->id);
}

static int read_keys(int dir_fd, DIR *dir, struct key_set *set)
{
    const struct dirent *entry;

    while ((entry = readdir(dir))) {
        struct key key;

        if (!is_key_name(entry->d_name))
            continue;
        int rc = set->n < REEL_JWT_MAX_KEYS ? read_key(dir_fd, entry->d_name, &key) : -ENOSPC;
        if (rc != REEL_OK) {
            reel_log(REEL_LOG_ERROR, "keys.unusable", REEL_FS("file", entry->d_name),
                     REEL_FS("why", rc < 0 ? strerror(-rc) : "not a private key on P-256"));
            return rc < 0 ? rc : -EINVAL;
        }
        if (!has_key(set, key.id))
            set->keys[set->n++] = key;
    }
    qsort(set->keys, set->n, sizeof(set->keys[0]), newest_first);
    return REEL_OK;
}

static int build_table(struct key_set *set)
{
    struct reel_jwt_public_key table[REEL_JWT_MAX_KEYS];

    for (size_t i = 0; i < set->n; i++)
        table[i] = (struct reel_jwt_public_key){set->keys[i].id, set->keys[i].public_pem};
    return reel_jwt_keys_new(table, set->n, &set->table);
}

static int read_set(const char *path, struct key_set **ret_set)
{
    REEL_AUTO(free_set) struct key_set *set = calloc(1, sizeof(*set));
    REEL_AUTO(close_dir) DIR *dir = opendir(path);

    if (!dir || !set)
        return -errno;
    int rc = read_keys(dirfd(dir), dir, set);
    if (rc == REEL_OK)
        rc = build_table(set);
    if (rc == REEL_OK)
        *ret_set = REEL_STEAL(&set);
    return rc;
}

// The file has no name until it is complete, and the first of several replicas wins.
static int make_first(const char *path)
{
    char pem[REEL_ECKEY_PEM_SIZE];
    char fd_path[64];
    REEL_AUTO(close_fd) int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REEL_AUTO(close_fd) int fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (dir_fd < 0 || fd < 0)
        return -errno;
    int rc = reel_eckey_generate(pem);
    if (rc != REEL_OK)
        return rc;
    if (write(fd, pem, strlen(pem)) != (ssize_t)strlen(pem) || fsync(fd) != 0)
        return -EIO;
    snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, fd_path, dir_fd, first_name, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
        return -errno;
    return fsync(dir_fd) == 0 ? REEL_OK : -errno;
}

static int read_or_make(const char *path, struct key_set **ret_set)
{
    REEL_AUTO(free_set) struct key_set *set = NULL;
    int rc = read_set(path, &set);

    if (rc == REEL_OK && set->n == 0) {
        free_set(&set);
        set = NULL;
        rc = make_first(path);
        if (rc == REEL_OK)
            rc = read_set(path, &set);
    }
    if (rc == REEL_OK)
        *ret_set = REEL_STEAL(&set);
    return rc;
}

static void close_keys(struct keys **keys)
{
    keys_close(*keys);
}

int keys_open(const char *dir, int64_t delay_s, struct keys **ret_keys)
{
    REEL_AUTO(close_keys) struct keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return -ENOMEM;
    pthread_rwlock_init(&keys->lock, NULL);
    keys->delay_us = delay_s * 1000000;
    keys->dir = strdup(dir);
    if (!keys->dir)
        return -ENOMEM;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return -errno;
    int rc = read_or_make(dir, &keys->set);
    if (rc == REEL_OK)
        *ret_keys = REEL_STEAL(&keys);
    return rc;
}

void keys_close(struct keys *keys)
{
    if (!keys)
        return;
    free_set(&keys->set);
    pthread_rwlock_destroy(&keys->lock);
    free(keys->dir);
    free(keys);
}

int keys_reload(struct keys *keys)
{
    REEL_AUTO(free_set) struct key_set *fresh = NULL;
    int rc = read_set(keys->dir, &fresh);

    if (rc != REEL_OK)
        return rc;
    if (fresh->n == 0)
        return -ENOENT;
    pthread_rwlock_wrlock(&keys->lock);
    struct key_set *old = keys->set;
    keys->set = REEL_STEAL(&fresh);
    pthread_rwlock_unlock(&keys->lock);
    free_set(&old);
    return REEL_OK;
}

static const struct key *signing_key(const struct keys *keys)
{
    const struct key_set *set = keys->set;
    int64_t before_us = reel_clock_wall_us() - keys->delay_us;

    for (size_t i = 0; i < set->n; i++) {
        if (set->keys[i].made_us <= before_us)
            return &set->keys[i];
    }
    // All are new: the oldest is the one that most others know.
    return &set->keys[set->n - 1];
}

int keys_mint(struct keys *keys, const struct reel_jwt_claims *claims,
              char ret_token[REEL_JWT_SIZE])
{
    pthread_rwlock_rdlock(&keys->lock);
    const struct key *key = signing_key(keys);
    int rc = reel_jwt_mint(key->id, key->private_pem, claims, ret_token);
    pthread_rwlock_unlock(&keys->lock);
    return rc;
}

int keys_verify(struct keys *keys, const char *token, int64_t now_s,
                struct reel_jwt_claims *ret_claims)
{
    pthread_rwlock_rdlock(&keys->lock);
    int rc = reel_jwt_verify(keys->set->table, token, now_s, ret_claims);
    pthread_rwlock_unlock(&keys->lock);
    return rc;
}

static User__PublicKey *copy_public(struct reel_arena *arena, const struct key *key)
{
    User__PublicKey *copy = reel_arena_alloc(arena, sizeof(*copy));

    if (!copy)
        return NULL;
    user__public_key__init(copy);
    copy->kid = reel_arena_strdup(arena, key->id);
    copy->pem = reel_arena_strdup(arena, key->public_pem);
    return copy->kid && copy->pem ? copy : NULL;
}

static int copy_all(struct reel_arena *arena, const struct key_set *set,
                    User__PublicKey ***ret_keys, size_t *ret_n)
{
    User__PublicKey **list = reel_arena_array(arena, set->n, sizeof(*list));

    for (size_t i = 0; i < set->n; i++) {
        if (!list || !(list[i] = copy_public(arena, &set->keys[i])))
            return REEL_RESOURCE_EXHAUSTED;
    }
    *ret_keys = list;
    *ret_n = set->n;
    return REEL_OK;
}

int keys_list(struct keys *keys, struct reel_arena *arena, User__PublicKey ***ret_keys,
              size_t *ret_n)
{
    pthread_rwlock_rdlock(&keys->lock);
    int rc = copy_all(arena, keys->set, ret_keys, ret_n);
    pthread_rwlock_unlock(&keys->lock);
    return rc;
}
