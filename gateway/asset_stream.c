// SPDX-License-Identifier: Apache-2.0
#include "gateway/asset_stream.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/transcode.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "proto/video.reel.h"

enum { BLOCK_BYTES = 128 * 1024 };

struct asset_stream {
    struct request *req;
    struct reel_stream *stream;
    const char *key;
    int64_t offset;
    int64_t length;
    Video__AssetChunk *chunk; // being handed out
    size_t taken;             // bytes of it
    bool asked;               // the request message was sent
    size_t packed_len;
    uint8_t packed[512];
};

static void on_event(void *arg)
{
    struct asset_stream *as = arg;
    waker_wake(&as->req->waker);
}

static void stream_fini(void *arg)
{
    struct asset_stream *as = arg;
    conn_on_gone(as->req->conn, NULL, NULL);
    reel_stream_close(as->stream);
    if (as->chunk)
        video__asset_chunk__free_unpacked(as->chunk, NULL);
}

static int open_stream(struct asset_stream *as)
{
    const struct reel_method *method = &video_service.methods[VIDEO_SERVICE_READ_ASSET];
    struct reel_metadata metadata[CALL_METADATA_MAX];
    const struct reel_call_options options = {
        .deadline_us = transcode_deadline_us(as->req, method),
        .metadata = metadata,
        .n_metadata = transcode_metadata(as->req, metadata),
    };
    Video__ReadAssetRequest request = VIDEO__READ_ASSET_REQUEST__INIT;
    request.storage_key = (char *)as->key;
    request.offset = as->offset;
    request.length = as->length;
    if (video__read_asset_request__get_packed_size(&request) > sizeof(as->packed))
        return -EMSGSIZE;
    as->packed_len = video__read_asset_request__pack(&request, as->packed);
    int rc = reel_stream_open(gateway_channel(as->req->gw, method), method, &options, on_event, as,
                              &as->stream);
    if (rc == REEL_OK)
        conn_on_gone(as->req->conn, on_event, as);
    return rc;
}

// Sends the request if that is still to do, else receives. -EAGAIN: an event must be awaited.
static int advance(struct asset_stream *as, uint8_t **ret_payload, size_t *ret_len)
{
    if (!as->asked) {
        int rc = reel_stream_try_send(as->stream, as->packed, as->packed_len);
        if (rc == REEL_OK)
            rc = reel_stream_half_close(as->stream);
        if (rc != REEL_OK)
            return rc;
        as->asked = true;
    }
    return reel_stream_try_recv(as->stream, ret_payload, ret_len);
}

// Takes the next message. REEL_OK with as->chunk set, -EAGAIN when parked, else the stream is over.
static int next_chunk(struct asset_stream *as)
{
    for (;;) {
        uint8_t *payload = NULL;
        size_t len = 0;
        waker_arm(&as->req->waker);
        if (conn_is_gone(as->req->conn))
            return -ECONNRESET;
        int rc = advance(as, &payload, &len);
        if (rc == REEL_OK && payload) {
            as->chunk = video__asset_chunk__unpack(NULL, len, payload);
            as->taken = 0;
            conn_enter(as->req->conn, CONN_REPLY);
            free(payload);
            return as->chunk ? REEL_OK : -EBADMSG;
        }
        if (rc != -EAGAIN)
            return rc == REEL_OK ? -EPIPE : rc;
        if (waker_park(&as->req->waker)) {
            // What the client waits for is not its own slowness.
            conn_enter(as->req->conn, CONN_BUSY);
            return -EAGAIN;
        }
    }
}

static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t size)
{
    struct asset_stream *as = cls;
    (void)position;
    int rc = as->stream ? REEL_OK : open_stream(as);
    if (rc == REEL_OK && !as->chunk)
        rc = next_chunk(as);
    if (rc == -EAGAIN)
        return 0;
    if (rc != REEL_OK) {
        reel_log(REEL_LOG_WARN, "asset.read_failed", REEL_FS("id", as->req->id),
                 REEL_FI("code", rc));
        waker_ending(&as->req->waker);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t left = as->chunk->data.len - as->taken;
    size_t n = left < size ? left : size;
    memcpy(out, as->chunk->data.data + as->taken, n);
    as->taken += n;
    if (as->taken == as->chunk->data.len) {
        video__asset_chunk__free_unpacked(as->chunk, NULL);
        as->chunk = NULL;
    }
    return (ssize_t)n;
}

struct MHD_Response *asset_stream_response(struct request *req, const char *storage_key,
                                           int64_t offset, int64_t length)
{
    struct asset_stream *as = reel_arena_zalloc(&req->arena, sizeof(*as));
    if (!as)
        return NULL;
    *as = (struct asset_stream){.req = req, .key = storage_key, .offset = offset, .length = length};
    req->state = as;
    req->state_fini = stream_fini;
    return MHD_create_response_from_callback((uint64_t)length, BLOCK_BYTES, read_stream, as, NULL);
}
