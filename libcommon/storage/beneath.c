// SPDX-License-Identifier: Apache-2.0
#include "libcommon/storage/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REMOVE_ATTEMPTS = 8 };

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void closedirp(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static int open_name(int dirfd, const char *name, int flags)
{
    int fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

// Takes the first name off *path. 0, or -ENAMETOOLONG.
static int take_name(const char **path, char name[NAME_MAX + 1])
{
    size_t len = strcspn(*path, "/");

    if (len > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    if (**path == '/')
        ++*path;
    return 0;
}

// "..": what openat2 would refuse as leaving the directory.
static int open_by_names(int dirfd, const char *path, int flags)
{
    REEL_AUTO(closep) int held = -1;
    char name[NAME_MAX + 1];
    int at = dirfd;

    for (;;) {
        int rc = take_name(&path, name);

        if (rc == 0 && strcmp(name, "..") == 0)
            rc = -EXDEV;
        if (rc < 0)
            return rc;
        if (!*path)
            return open_name(at, name, flags);

        int next = open_name(at, name, O_PATH | O_DIRECTORY);
        if (next < 0)
            return next;
        closep(&held);
        at = held = next;
    }
}

int reel_beneath_open(int dirfd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    if (path[0] == '/')
        return -EXDEV;
    // EAGAIN: a rename somewhere on the path while it was resolved.
    do
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
    while (fd < 0 && errno == EAGAIN);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return open_by_names(dirfd, path, flags);
    return fd < 0 ? -errno : (int)fd;
}

static int make_name(int dirfd, const char *name)
{
    if (mkdirat(dirfd, name, 0700) == 0) {
        if (fsync(dirfd) < 0)
            return -errno;
    } else if (errno != EEXIST) {
        return -errno;
    }
    return open_name(dirfd, name, O_RDONLY | O_DIRECTORY);
}

int reel_beneath_make(int dirfd, const char *path)
{
    REEL_AUTO(closep) int held = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    char name[NAME_MAX + 1];

    if (held < 0)
        return -errno;
    while (*path) {
        int rc = take_name(&path, name);

        if (rc == 0)
            rc = make_name(held, name);
        if (rc < 0)
            return rc;
        closep(&held);
        held = rc;
    }

    int fd = held;
    held = -1;
    return fd;
}

static int remove_entries(int dirfd, int max_depth)
{
    // A descriptor of its own, so that the position is not shared.
    int fd = open_name(dirfd, ".", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;

    REEL_AUTO(closedirp) DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;

        int rc = reel_beneath_remove(dirfd, entry->d_name, max_depth);
        if (rc < 0 && rc != -ENOENT)
            return rc;
    }
    return 0;
}

static int remove_folder(int dirfd, const char *name, int max_depth)
{
    REEL_AUTO(closep) int fd = open_name(dirfd, name, O_RDONLY | O_DIRECTORY);

    if (fd < 0)
        return fd;
    if (max_depth <= 0)
        return -E2BIG;
    // Another process may publish into the folder while it is being emptied.
    for (int attempt = 0; attempt < REMOVE_ATTEMPTS; attempt++) {
        int rc = remove_entries(fd, max_depth - 1);

        if (rc < 0)
            return rc;
        if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
            return 0;
        if (errno != ENOTEMPTY && errno != EEXIST)
            return -errno;
    }
    return -ENOTEMPTY;
}

int reel_beneath_remove(int dirfd, const char *name, int max_depth)
{
    if (unlinkat(dirfd, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    return remove_folder(dirfd, name, max_depth);
}
