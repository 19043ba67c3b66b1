/* FFmpeg's libraries, loaded when the first recording is opened: they bring more than a hundred
   others, which it takes longer to link (40 ms) than all else that a program starts with. */
#ifndef AT_FFMPEG_H
#define AT_FFMPEG_H

#include "base/base.h"
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>

#define AT_FFMPEG_FUNCTIONS(X)                \
    X(avutil, av_channel_layout_compare)      \
    X(avutil, av_channel_layout_copy)         \
    X(avutil, av_channel_layout_default)      \
    X(avutil, av_channel_layout_uninit)       \
    X(avutil, av_frame_alloc)                 \
    X(avutil, av_frame_free)                  \
    X(avutil, av_frame_unref)                 \
    X(avutil, av_free)                        \
    X(avutil, av_freep)                       \
    X(avutil, av_log_set_level)               \
    X(avutil, av_malloc)                      \
    X(avutil, av_sample_fmt_is_planar)        \
    X(avcodec, av_packet_alloc)               \
    X(avcodec, av_packet_free)                \
    X(avcodec, av_packet_unref)               \
    X(avcodec, avcodec_alloc_context3)        \
    X(avcodec, avcodec_free_context)          \
    X(avcodec, avcodec_open2)                 \
    X(avcodec, avcodec_parameters_to_context) \
    X(avcodec, avcodec_receive_frame)         \
    X(avcodec, avcodec_send_packet)           \
    X(avformat, av_find_best_stream)          \
    X(avformat, av_read_frame)                \
    X(avformat, avformat_alloc_context)       \
    X(avformat, avformat_close_input)         \
    X(avformat, avformat_find_stream_info)    \
    X(avformat, avformat_open_input)          \
    X(avformat, avio_alloc_context)           \
    X(avformat, avio_context_free)            \
    X(swresample, swr_alloc_set_opts2)        \
    X(swresample, swr_convert)                \
    X(swresample, swr_free)                   \
    X(swresample, swr_get_out_samples)        \
    X(swresample, swr_init)                   \
    X(swresample, swr_set_matrix)

typedef struct at_ffmpeg {
#define AT_FFMPEG_MEMBER(library, function) __typeof__(function) *function;
    AT_FFMPEG_FUNCTIONS(AT_FFMPEG_MEMBER)
#undef AT_FFMPEG_MEMBER
} at_ffmpeg;

/* The functions by their names; NULL and AT_ERROR_UNSUPPORTED where a library of the version that
   this was built with is not there. */
const at_ffmpeg *at_ffmpeg_load(at_context *cx);

#endif
