// SPDX-License-Identifier: Apache-2.0
// What a piece of code writes to a file descriptor.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Embed it; one at a time for each descriptor.
struct capture {
    int fd;
    int saved;
    FILE *file;
};

// Sends all that is written to `fd` (1 or 2) into a temporary file from now on.
static inline struct capture capture_begin(int fd)
{
    struct capture c = {.fd = fd, .saved = dup(fd), .file = tmpfile()};

    fflush(NULL);
    if (!c.file || dup2(fileno(c.file), fd) < 0)
        abort();
    return c;
}

// Gives the descriptor back. Returns what was written (the caller frees it).
static inline char *capture_end(struct capture *c)
{
    fflush(NULL);
    dup2(c->saved, c->fd);
    close(c->saved);

    long size = (fseek(c->file, 0, SEEK_END), ftell(c->file));
    char *text = calloc(1, (size_t)size + 1);
    rewind(c->file);
    if (!text || fread(text, 1, (size_t)size, c->file) != (size_t)size)
        abort();
    fclose(c->file);
    return text;
}
