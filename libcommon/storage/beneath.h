// SPDX-License-Identifier: Apache-2.0
// Paths that cannot leave a directory: opening, making and removing below a directory descriptor,
// never through a symbolic link. Paths are relative, of plain names joined by '/'. Any thread.
#pragma once

#include <sys/types.h>

#include "libcommon/core/base.h"

// openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS; O_CLOEXEC is added. On a kernel without
// it, opens name by name with O_NOFOLLOW. The descriptor, which the caller closes, or -errno.
int reel_beneath_open(int dirfd, const char *path, int flags) REEL_MUST_CHECK;

// Opens the folder `path`, making what is missing of it durably (mode 0700). The descriptor, which
// the caller closes and may fsync, or -errno.
int reel_beneath_make(int dirfd, const char *path) REEL_MUST_CHECK;

// Removes the file or folder `name` (one name) and all in it; at most `max_depth` folders deep.
// 0 or -errno, -ENOENT when there is none.
int reel_beneath_remove(int dirfd, const char *name, int max_depth) REEL_MUST_CHECK;
