// SPDX-License-Identifier: Apache-2.0
// The differences between FFmpeg 5.1 (Debian 12) and 7.1 (Debian 13) that the engine meets.
#pragma once

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <string.h>

#define COMPAT_CODECPAR_SIDE_DATA (LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100))
#define COMPAT_FRAME_DURATION     (LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100))

// The stream's display matrix (9 numbers), or NULL. Borrowed from the stream.
static inline const int32_t *compat_display_matrix(const AVStream *st)
{
#if COMPAT_CODECPAR_SIDE_DATA
    const AVPacketSideData *data = av_packet_side_data_get(
        st->codecpar->coded_side_data, st->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);

    return data && data->size >= 9 * sizeof(int32_t) ? (const int32_t *)data->data : NULL;
#else
    size_t size = 0;
    uint8_t *data = av_stream_get_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, &size);

    return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)data : NULL;
#endif
}

// Gives the output stream of a copy the input's display matrix. 0 or an AVERROR.
static inline int compat_copy_display_matrix(AVStream *to, const AVStream *from)
{
#if COMPAT_CODECPAR_SIDE_DATA
    // avcodec_parameters_copy has done it.
    (void)to;
    (void)from;
#else
    const int32_t *matrix = compat_display_matrix(from);
    uint8_t *copy;

    if (!matrix)
        return 0;
    copy = av_stream_new_side_data(to, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t));
    if (!copy)
        return AVERROR(ENOMEM);
    memcpy(copy, matrix, 9 * sizeof(int32_t));
#endif
    return 0;
}

// The frame's duration in its time base; 0: unknown.
static inline int64_t compat_frame_duration(const AVFrame *frame)
{
#if COMPAT_FRAME_DURATION
    return frame->duration;
#else
    return frame->pkt_duration;
#endif
}
