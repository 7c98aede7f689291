// SPDX-License-Identifier: Apache-2.0
#include "libcommon/storage/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/storage/beneath.h"

enum {
    KEY_MAX = 255,
    KEY_MAX_SEGMENTS = 3,
    TEMP_NAME_BYTES = 16,
    FLUSH_BYTES = 8 * 1024 * 1024,
};

static const char TEMP_FOLDER[] = ".tmp";

struct reel_storage {
    int fd;
};

struct reel_storage_file {
    int fd;
    int folder_fd;
    int temp_fd;                             // the folder of temp_name, or -1
    char temp_name[2 * TEMP_NAME_BYTES + 1]; // "": the file has no name
    char name[KEY_MAX + 1];                  // in folder_fd
    int64_t written_bytes;                   // by reel_storage_write
    int64_t flushed_bytes;                   // of them, on their way to the disk
    struct reel_storage *storage;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int outcome(int error)
{
    switch (error) {
    case 0:
        return REEL_OK;
    case ENOENT:
        return REEL_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return REEL_RESOURCE_EXHAUSTED;
    default:
        return -error;
    }
}

// A file where a folder should be, or a link that somebody planted: nothing of ours is there.
static bool is_absent(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP;
}

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool reel_storage_key_is_valid(const char *key)
{
    size_t n_segments = 1;
    bool at_start = true;

    if (!key || strnlen(key, KEY_MAX + 1) > KEY_MAX)
        return false;
    for (const char *c = key; *c; c++) {
        if (*c == '/') {
            if (at_start)
                return false;
            at_start = true;
            n_segments++;
            continue;
        }
        if (!is_key_char(*c) || (at_start && *c == '.'))
            return false;
        at_start = false;
    }
    return !at_start && n_segments <= KEY_MAX_SEGMENTS;
}

// A writer locks its file, and the lock goes with its last descriptor: what can be locked here was
// left behind by a process that is gone.
static void sweep_one(int temp_fd, const char *name)
{
    int fd = openat(temp_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(temp_fd, name, 0);
    close(fd);
}

static void sweep(int root_fd)
{
    int temp_fd = reel_beneath_open(root_fd, TEMP_FOLDER, O_RDONLY | O_DIRECTORY);
    if (temp_fd < 0)
        return;

    DIR *dir = fdopendir(temp_fd);
    if (!dir) {
        close(temp_fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            sweep_one(temp_fd, entry->d_name);
    closedir(dir);
}

int reel_storage_new(const char *dir, struct reel_storage **ret_storage)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return -errno;

    REEL_AUTO(close_fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    struct reel_storage *storage = malloc(sizeof(*storage));
    if (!storage)
        return -ENOMEM;
    sweep(fd);
    storage->fd = fd;
    fd = -1;
    *ret_storage = storage;
    return REEL_OK;
}

void reel_storage_free(struct reel_storage *storage)
{
    if (!storage)
        return;
    close_fd(&storage->fd);
    free(storage);
}

int reel_storage_read(struct reel_storage *storage, const char *key, int *ret_fd,
                      struct reel_storage_info *ret_info)
{
    struct stat st;

    if (!reel_storage_key_is_valid(key))
        return REEL_INVALID_ARGUMENT;

    REEL_AUTO(close_fd) int fd = reel_beneath_open(storage->fd, key, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return is_absent(fd) ? REEL_NOT_FOUND : outcome(-fd);
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return REEL_NOT_FOUND;
    if (ret_info)
        *ret_info = (struct reel_storage_info){
            .size_bytes = st.st_size,
            .mtime_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000,
        };
    *ret_fd = fd;
    fd = -1;
    return REEL_OK;
}

static int open_temp_folder(struct reel_storage_file *file)
{
    if (file->temp_fd < 0)
        file->temp_fd = reel_beneath_make(file->storage->fd, TEMP_FOLDER);
    return file->temp_fd < 0 ? file->temp_fd : 0;
}

static bool has_name(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

// For file systems without O_TMPFILE. A sweep between the creation and the lock may take the file
// for abandoned; then it has no name any more, and another is made.
static int create_named(struct reel_storage_file *file)
{
    int rc = open_temp_folder(file);
    if (rc < 0)
        return rc;
    for (;;) {
        reel_id_random_hex(file->temp_name, TEMP_NAME_BYTES);
        file->fd = openat(file->temp_fd, file->temp_name,
                          O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file->fd < 0) {
            file->temp_name[0] = '\0';
            return -errno;
        }
        if (flock(file->fd, LOCK_EX) < 0)
            return -errno;
        if (has_name(file->fd))
            return 0;
        close_fd(&file->fd);
    }
}

static int create_unnamed(struct reel_storage_file *file)
{
    file->fd = openat(file->folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file->fd < 0)
        return -errno;
    return flock(file->fd, LOCK_EX) < 0 ? -errno : 0;
}

static int create_in_folder(struct reel_storage_file *file, const char *key)
{
    const char *slash = strrchr(key, '/');
    char folder[KEY_MAX + 1];
    int rc;

    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - key) : 0, key);
    snprintf(file->name, sizeof(file->name), "%s", slash ? slash + 1 : key);
    file->folder_fd = reel_beneath_make(file->storage->fd, folder);
    if (file->folder_fd < 0)
        return file->folder_fd;
    rc = create_unnamed(file);
    if (rc == -EOPNOTSUPP || rc == -EISDIR || rc == -EINVAL)
        rc = create_named(file);
    return rc;
}

int reel_storage_create(struct reel_storage *storage, const char *key,
                        struct reel_storage_file **ret_file)
{
    REEL_AUTO(reel_storage_discard) struct reel_storage_file *file = NULL;

    if (!reel_storage_key_is_valid(key))
        return REEL_INVALID_ARGUMENT;
    file = malloc(sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file =
        (struct reel_storage_file){.fd = -1, .folder_fd = -1, .temp_fd = -1, .storage = storage};

    int rc = create_in_folder(file, key);
    if (rc < 0)
        return outcome(-rc);
    *ret_file = REEL_STEAL(&file);
    return REEL_OK;
}

int reel_storage_file_fd(const struct reel_storage_file *file)
{
    return file->fd;
}

// Starts the way to the disk early: the fsync of a large file would else wait for all of it.
static void flush(struct reel_storage_file *file, size_t len)
{
    file->written_bytes += (int64_t)len;
    if (file->written_bytes - file->flushed_bytes < FLUSH_BYTES)
        return;
    // A hint alone: that nothing is lost is what the fsync is for.
    (void)sync_file_range(file->fd, file->flushed_bytes, file->written_bytes - file->flushed_bytes,
                          SYNC_FILE_RANGE_WRITE);
    file->flushed_bytes = file->written_bytes;
}

int reel_storage_write(struct reel_storage_file *file, const void *data, size_t len)
{
    const char *next = data;

    while (len > 0) {
        ssize_t n = write(file->fd, next, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return outcome(errno);
        next += n;
        len -= (size_t)n;
        flush(file, (size_t)n);
    }
    return REEL_OK;
}

static int link_fd(int fd, int folder_fd, const char *name)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, folder_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int rename_temp(struct reel_storage_file *file)
{
    if (renameat(file->temp_fd, file->temp_name, file->folder_fd, file->name) < 0)
        return -errno;
    file->temp_name[0] = '\0';
    return 0;
}

// linkat does not replace, rename does: an older file gives way through a name in the temporary
// folder.
static int replace(struct reel_storage_file *file)
{
    char name[sizeof(file->temp_name)];
    int rc = open_temp_folder(file);

    if (rc < 0)
        return rc;
    reel_id_random_hex(name, TEMP_NAME_BYTES);
    rc = link_fd(file->fd, file->temp_fd, name);
    if (rc < 0)
        return rc;
    memcpy(file->temp_name, name, sizeof(name));
    return rename_temp(file);
}

static int publish_durably(struct reel_storage_file *file)
{
    int rc;

    if (fsync(file->fd) < 0)
        return -errno;
    if (file->temp_name[0])
        rc = rename_temp(file);
    else
        rc = link_fd(file->fd, file->folder_fd, file->name);
    if (rc == -EEXIST)
        rc = replace(file);
    if (rc < 0)
        return rc;
    return fsync(file->folder_fd) < 0 ? -errno : 0;
}

int reel_storage_publish(struct reel_storage_file *file)
{
    REEL_AUTO(reel_storage_discard) struct reel_storage_file *consumed = file;

    return outcome(-publish_durably(consumed));
}

void reel_storage_discard(struct reel_storage_file **file)
{
    struct reel_storage_file *gone = REEL_STEAL(file);

    if (!gone)
        return;
    if (gone->temp_name[0])
        (void)unlinkat(gone->temp_fd, gone->temp_name, 0);
    close_fd(&gone->fd);
    close_fd(&gone->folder_fd);
    close_fd(&gone->temp_fd);
    free(gone);
}

static int remove_from(int folder_fd, const char *name)
{
    int rc = reel_beneath_remove(folder_fd, name, KEY_MAX_SEGMENTS);

    if (rc < 0)
        return rc;
    return fsync(folder_fd) < 0 ? -errno : 0;
}

int reel_storage_remove(struct reel_storage *storage, const char *key)
{
    const char *slash;
    char folder[KEY_MAX + 1];
    int rc;

    if (!reel_storage_key_is_valid(key))
        return REEL_INVALID_ARGUMENT;
    slash = strrchr(key, '/');
    if (!slash) {
        rc = remove_from(storage->fd, key);
    } else {
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - key), key);
        REEL_AUTO(close_fd)
        int folder_fd = reel_beneath_open(storage->fd, folder, O_RDONLY | O_DIRECTORY);

        rc = folder_fd < 0 ? folder_fd : remove_from(folder_fd, slash + 1);
    }
    return is_absent(rc) ? REEL_OK : outcome(-rc);
}

static void close_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

int reel_storage_each(struct reel_storage *storage,
                      int (*visit)(void *arg, const char *name, int64_t mtime_us), void *arg)
{
    int fd = openat(storage->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    REEL_AUTO(close_dir) DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;

        if (entry->d_name[0] == '.' ||
            fstatat(storage->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;

        int rc = visit(arg, entry->d_name,
                       (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000);
        if (rc != 0)
            return rc;
    }
    return REEL_OK;
}

bool reel_storage_is_writable(struct reel_storage *storage)
{
    REEL_AUTO(reel_storage_discard) struct reel_storage_file *file = NULL;

    return reel_storage_create(storage, "probe", &file) == REEL_OK;
}

int64_t reel_storage_free_bytes(struct reel_storage *storage)
{
    struct statvfs vfs;

    if (fstatvfs(storage->fd, &vfs) < 0)
        return -1;
    return (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
}
