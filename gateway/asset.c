// SPDX-License-Identifier: Apache-2.0
// A file, whole or one range of it: straight from the storage directory by sendfile when this
// gateway sees it, else as a stream of chunks from the video service.
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>
#include <unistd.h>

#include "gateway/asset_stream.h"
#include "gateway/conditional.h"
#include "gateway/endpoints.h"
#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "gateway/proxy.h"
#include "libcommon/core/err.h"
#include "libcommon/storage/storage.h"
#include "proto/video.reel.h"

static bool is_attr_char(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$&+-.^_`|~", c));
}

// filename="..." in plain ASCII for old clients and filename*=UTF-8''... (RFC 8187) for the rest;
// neither can carry a quote or a line end.
static void set_disposition(struct request *req, const Video__Asset *asset)
{
    size_t len = strlen(asset->filename);
    char *plain = reel_arena_alloc(&req->arena, len + 1);
    char *encoded = reel_arena_alloc(&req->arena, 3 * len + 1);
    if (!plain || !encoded)
        return;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        static const char hex[] = "0123456789ABCDEF";
        unsigned char c = (unsigned char)asset->filename[i];
        plain[i] = c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '%' ? '_' : (char)c;
        if (is_attr_char(c)) {
            encoded[n++] = (char)c;
            continue;
        }
        encoded[n++] = '%';
        encoded[n++] = hex[c >> 4];
        encoded[n++] = hex[c & 15];
    }
    plain[len] = encoded[n] = '\0';
    reply_headerf(req, "Content-Disposition", "%s; filename=\"%s\"; filename*=UTF-8''%s",
                  asset->attachment ? "attachment" : "inline", plain, encoded);
}

static int64_t modified_seconds(const Video__Asset *asset)
{
    return asset->last_modified ? asset->last_modified->seconds : 0;
}

static void set_validators(struct request *req, const Video__Asset *asset)
{
    char date[HTTP_DATE_SIZE];
    http_date_format(modified_seconds(asset), date);
    reply_headerf(req, "ETag", "\"%s\"", asset->etag);
    reply_header(req, "Last-Modified", reel_arena_strdup(&req->arena, date));
    reply_header(req, "Accept-Ranges", "bytes");
    reply_header(req, "Cache-Control", "private, no-cache");
}

static enum condition_result check_conditions(struct request *req, const Video__Asset *asset)
{
    const struct conditions conditions = {
        .if_match = request_header_list(req, "If-Match"),
        .if_unmodified_since = request_header(req, "If-Unmodified-Since"),
        .if_none_match = request_header_list(req, "If-None-Match"),
        .if_modified_since = request_header(req, "If-Modified-Since"),
    };
    return conditions_check(&conditions, asset->etag, modified_seconds(asset));
}

static struct MHD_Response *from_storage(struct request *req, const char *key,
                                         const struct byte_range *range)
{
    struct reel_storage_info info;
    int fd;
    if (!req->gw->storage || reel_storage_read(req->gw->storage, key, &fd, &info) != REEL_OK)
        return NULL;
    // A file that is not what the record says is the service's to judge.
    if (range->first + range->length > info.size_bytes) {
        close(fd);
        return NULL;
    }
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(
        (uint64_t)range->length, fd, (uint64_t)range->first);
    if (!response)
        close(fd);
    return response;
}

static enum step answer_bytes(struct request *req, const Video__Asset *asset, unsigned status,
                              const struct byte_range *range)
{
    struct MHD_Response *response = from_storage(req, asset->storage_key, range);
    if (!response)
        response = asset_stream_response(req, asset->storage_key, range->first, range->length);
    if (!response) {
        // The problem is no part of the file and has none of its validators.
        reply_reset(req);
        return problem_retry(req, 503, 1, "The file cannot be read right now. Try again shortly.");
    }
    req->reply.stream = response;
    req->reply.stream_bytes = range->length;
    reply_header(req, "Content-Type", asset->content_type);
    set_disposition(req, asset);
    return reply_set(req, status);
}

static enum step answer_asset(struct request *req, const Video__Asset *asset)
{
    struct byte_range range = {0, asset->size_bytes};
    const char *if_range = request_header(req, "If-Range");
    const char *header = request_header(req, "Range");
    set_validators(req, asset);
    enum condition_result condition = check_conditions(req, asset);
    if (condition == CONDITION_NOT_MODIFIED)
        return reply_set(req, 304);
    if (condition == CONDITION_FAILED)
        return problem_answer(req, 412,
                              "The file is not the one that If-Match or If-Unmodified-Since asks "
                              "for. Leave them out to get what is there now.");
    // A range is for GET alone (RFC 9110, 14.2), and only of the representation the client knows.
    if (strcmp(req->method, "GET") != 0 ||
        (if_range && !if_range_holds(if_range, asset->etag, modified_seconds(asset))))
        header = NULL;
    enum range_kind kind = range_resolve(header, asset->size_bytes, &range);
    if (kind == RANGE_UNSATISFIABLE) {
        reply_headerf(req, "Content-Range", "bytes */%" PRId64, asset->size_bytes);
        return problem_answer(req, 416, "The file has %" PRId64 " bytes; the range starts past it.",
                              asset->size_bytes);
    }
    if (kind == RANGE_WHOLE)
        return answer_bytes(req, asset, 200, &range);
    reply_headerf(req, "Content-Range", "bytes %" PRId64 "-%" PRId64 "/%" PRId64, range.first,
                  range.first + range.length - 1, asset->size_bytes);
    return answer_bytes(req, asset, 206, &range);
}

static enum step finish(struct request *req)
{
    struct rpc_wait *wait = NULL;
    enum step step = proxy_call(req, &wait);
    if (step != STEP_NEXT)
        return step;
    Video__Asset *asset =
        video__asset__unpack(reel_arena_pb(&req->arena), wait->payload_len, wait->payload);
    if (!asset)
        return problem_answer(req, 500, "The service's answer cannot be read.");
    return answer_asset(req, asset);
}

const struct endpoint_ops asset_ops = {.finish = finish};
