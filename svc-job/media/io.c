// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/io.h"

#include <errno.h>
#include <libavformat/avformat.h>
#include <unistd.h>

#define BUFFER_BYTES (64 << 10)

// libavformat 61 made the written bytes const.
#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t io_bytes;
#else
typedef uint8_t io_bytes;
#endif

struct io_file {
    struct run *run;
    int fd;
    int64_t pos;
    int error;
};

static int file_fail(struct io_file *file, int error)
{
    file->error = error;
    return error;
}

static int file_read(void *opaque, uint8_t *buf, int size)
{
    struct io_file *file = opaque;
    ssize_t n;

    if (run_is_cancelled(file->run))
        return AVERROR_EXIT;
    do
        n = pread(file->fd, buf, (size_t)size, file->pos);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return file_fail(file, AVERROR(errno));
    if (n == 0)
        return AVERROR_EOF;
    file->pos += n;
    run_beat(file->run);
    return (int)n;
}

static int file_write(void *opaque, io_bytes *buf, int size)
{
    struct io_file *file = opaque;
    int done = 0;

    if (run_is_cancelled(file->run))
        return AVERROR_EXIT;
    while (done < size) {
        ssize_t n = pwrite(file->fd, buf + done, (size_t)(size - done), file->pos);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return file_fail(file, n < 0 ? AVERROR(errno) : AVERROR(EIO));
        done += (int)n;
        file->pos += n;
    }
    run_beat(file->run);
    return size;
}

static int64_t file_seek(void *opaque, int64_t offset, int whence)
{
    struct io_file *file = opaque;
    int64_t base = 0;

    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE || whence == SEEK_END) {
        // Not fstat: the sandbox refuses it, as its sibling takes a path. Nobody uses the
        // descriptor's own position.
        base = lseek(file->fd, 0, SEEK_END);
        if (base < 0)
            return AVERROR(errno);
    }
    if (whence == AVSEEK_SIZE)
        return base;
    if (whence == SEEK_CUR)
        base = file->pos;
    if (offset < -base || offset > INT64_MAX - base)
        return AVERROR(EINVAL);
    file->pos = base + offset;
    return file->pos;
}

static int open_file(struct run *run, int fd, bool writable, AVIOContext **ret_pb)
{
    struct io_file *file = av_mallocz(sizeof(*file));
    uint8_t *buffer = av_malloc(BUFFER_BYTES);
    AVIOContext *pb = NULL;

    if (file && buffer)
        pb = avio_alloc_context(buffer, BUFFER_BYTES, writable, file, writable ? NULL : file_read,
                                writable ? file_write : NULL, file_seek);
    if (!pb) {
        av_free(file);
        av_free(buffer);
        return run_fail_av(run, AVERROR(ENOMEM), "opening the file");
    }
    *file = (struct io_file){.run = run, .fd = fd};
    *ret_pb = pb;
    return MEDIA_OK;
}

int io_open_reader(struct run *run, int fd, AVIOContext **ret_pb)
{
    return open_file(run, fd, false, ret_pb);
}

int io_open_writer(struct run *run, int fd, AVIOContext **ret_pb)
{
    return open_file(run, fd, true, ret_pb);
}

void io_close(AVIOContext **pb)
{
    if (!*pb)
        return;
    if ((*pb)->write_flag)
        avio_flush(*pb);
    av_freep(&(*pb)->opaque);
    av_freep(&(*pb)->buffer);
    avio_context_free(pb);
}

int io_error(const AVIOContext *pb)
{
    const struct io_file *file = pb->opaque;

    return file->error;
}

static int refuse_open(AVFormatContext *fmt, AVIOContext **pb, const char *url, int flags,
                       AVDictionary **options)
{
    (void)fmt;
    (void)pb;
    (void)url;
    (void)flags;
    (void)options;
    return AVERROR(EPERM);
}

void io_forbid_opens(AVFormatContext *fmt)
{
    fmt->io_open = refuse_open;
}
