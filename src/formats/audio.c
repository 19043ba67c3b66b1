#include "formats/audio.h"
#include "base/file.h"
#ifdef AT_HAVE_FFMPEG
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_PLANES = 64 }; /* what swresample takes */

struct at_audio {
    char *path;
    FILE *file;
    AVIOContext *io;
    AVFormatContext *container;
    AVCodecContext *codec;
    SwrContext *resampler; /* made for the first frame, and anew when the sound's form changes */
    AVPacket *packet;
    AVFrame *frame;
    int stream, rate, channels;
    AVChannelLayout from_layout;
    int from_rate, from_format;
    float *samples; /* resampled, not yet taken: from `taken` on */
    int64_t taken, ready, room;
    int64_t made, damaged, unreal; /* samples; packets passed over; values that are no numbers */
    bool drained;
};

/* ---- the file */

static int read_bytes(void *opaque, uint8_t *out, int size)
{
    size_t n = fread(out, 1, (size_t)size, ((at_audio *)opaque)->file);
    return n > 0 ? (int)n : AVERROR_EOF;
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence)
{
    FILE *file = ((at_audio *)opaque)->file;
    if (whence == AVSEEK_SIZE) {
        off_t here = ftello(file);
        if (fseeko(file, 0, SEEK_END)) return AVERROR(errno);
        off_t size = ftello(file);
        return fseeko(file, here, SEEK_SET) ? AVERROR(errno) : size;
    }
    return fseeko(file, offset, whence & ~AVSEEK_FORCE) ? AVERROR(errno) : ftello(file);
}

/* Play lists and the like name further files. */
static int refuse_open(AVFormatContext *container, AVIOContext **io, const char *url, int flags,
                       AVDictionary **options)
{
    (void)container, (void)io, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

void at_audio_close(at_audio *a)
{
    if (!a) return;
    avcodec_free_context(&a->codec);
    avformat_close_input(&a->container);
    if (a->io) av_freep(&a->io->buffer);
    avio_context_free(&a->io);
    swr_free(&a->resampler);
    av_channel_layout_uninit(&a->from_layout);
    av_packet_free(&a->packet);
    av_frame_free(&a->frame);
    if (a->file) fclose(a->file);
    at_free(a->samples);
    at_free(a->path);
    at_free(a);
}

static bool open_container(at_context *cx, at_audio *a)
{
    enum { BUFFER = 1 << 16 };
    uint8_t *buffer = av_malloc(BUFFER);
    a->io = buffer ? avio_alloc_context(buffer, BUFFER, 0, a, read_bytes, NULL, seek_bytes) : NULL;
    if (!a->io) av_free(buffer);
    a->container = avformat_alloc_context();
    a->packet = av_packet_alloc();
    a->frame = av_frame_alloc();
    if (!a->io || !a->container || !a->packet || !a->frame)
        return at_fail_false(cx, AT_ERROR_MEMORY, "out of memory");
    a->container->pb = a->io;
    a->container->io_open = refuse_open;
    if (avformat_open_input(&a->container, "", NULL, NULL) < 0 ||
        avformat_find_stream_info(a->container, NULL) < 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: not sound, or damaged (no format of FFmpeg)",
                             a->path);
    return true;
}

static bool open_codec(at_context *cx, at_audio *a)
{
    const AVCodec *codec;
    a->stream = av_find_best_stream(a->container, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
    if (a->stream < 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: holds no sound that can be decoded",
                             a->path);
    for (unsigned i = 0; i < a->container->nb_streams; i++)
        if ((int)i != a->stream) a->container->streams[i]->discard = AVDISCARD_ALL;
    a->codec = avcodec_alloc_context3(codec);
    if (!a->codec) return at_fail_false(cx, AT_ERROR_MEMORY, "out of memory");
    if (avcodec_parameters_to_context(a->codec, a->container->streams[a->stream]->codecpar) < 0 ||
        avcodec_open2(a->codec, codec, NULL) < 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: the sound's %s cannot be decoded", a->path,
                             codec->name);
    return true;
}

at_audio *at_audio_open(at_context *cx, const char *path, int rate, int channels)
{
    at_audio *a = at_ok(cx) ? AT_NEW(cx, at_audio) : NULL;
    if (!a) return NULL;
    av_log_set_level(AV_LOG_QUIET);
    a->rate = rate;
    a->channels = channels;
    a->path = at_copy_text(cx, path);
    a->file = a->path ? fopen(path, "rb") : NULL;
    if (a->path && !a->file)
        at_fail(cx, AT_ERROR_FILE, "%s: cannot be opened (%s)", path, strerror(errno));
    else if (at_folder_exists(path))
        at_fail(cx, AT_ERROR_FILE, "%s: is a folder, not a recording", path);
    if (at_ok(cx) && a->file && open_container(cx, a) && open_codec(cx, a)) return a;
    at_audio_close(a);
    return NULL;
}

/* ---- samples */

/* A resampler for frames like this one. */
static bool fit_resampler(at_context *cx, at_audio *a, const AVFrame *f)
{
    if (a->resampler && f->sample_rate == a->from_rate && f->format == a->from_format &&
        av_channel_layout_compare(&f->ch_layout, &a->from_layout) == 0)
        return true;
    AVChannelLayout from = {0}, to; /* copying gives back what was there */
    av_channel_layout_default(&to, a->channels);
    if (f->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&from, f->ch_layout.nb_channels);
    else if (av_channel_layout_copy(&from, &f->ch_layout) < 0)
        return at_fail_false(cx, AT_ERROR_MEMORY, "out of memory");
    swr_free(&a->resampler);
    bool made = f->sample_rate > 0 && f->ch_layout.nb_channels <= MOST_PLANES &&
                swr_alloc_set_opts2(&a->resampler, &to, AV_SAMPLE_FMT_FLT, a->rate, &from,
                                    f->format, f->sample_rate, 0, NULL) >= 0 &&
                swr_init(a->resampler) >= 0;
    av_channel_layout_uninit(&from);
    if (!made)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: %d channels of %d Hz cannot be resampled",
                             a->path, f->ch_layout.nb_channels, f->sample_rate);
    a->from_rate = f->sample_rate;
    a->from_format = f->format;
    return av_channel_layout_copy(&a->from_layout, &f->ch_layout) >= 0;
}

/* What comes of a frame, or of the end (NULL), behind what is ready. */
static bool resample(at_context *cx, at_audio *a, const AVFrame *f)
{
    if (f ? !fit_resampler(cx, a, f) : !a->resampler) return at_ok(cx);
    int most = swr_get_out_samples(a->resampler, f ? f->nb_samples : 0);
    if (most <= 0) return true;
    if (a->ready + most > a->room) {
        int64_t room = a->ready + most;
        float *samples = at_resize(cx, a->samples, (size_t)(room * a->channels), sizeof *samples);
        if (!samples) return false;
        a->samples = samples;
        a->room = room;
    }
    float *out = a->samples + a->ready * a->channels;
    uint8_t *planes[1] = {(uint8_t *)out};
    const uint8_t *in[MOST_PLANES] = {NULL}; /* one plane a channel, or one of all */
    for (int i = 0; f && i < AT_MIN(f->ch_layout.nb_channels, MOST_PLANES); i++)
        in[i] = f->extended_data[av_sample_fmt_is_planar(f->format) ? i : 0];
    int made = swr_convert(a->resampler, planes, most, f ? in : NULL, f ? f->nb_samples : 0);
    for (int64_t i = 0; i < (int64_t)made * a->channels; i++)
        if (!isfinite(out[i])) out[i] = 0, a->unreal++;
    if (made > 0) a->ready += made, a->made += made;
    return true;
}

/* All frames that the codec has ready. */
static bool receive(at_context *cx, at_audio *a)
{
    int got = 0;
    while (at_ok(cx) && (got = avcodec_receive_frame(a->codec, a->frame)) >= 0) {
        bool fine = resample(cx, a, a->frame);
        av_frame_unref(a->frame);
        if (!fine) return false;
    }
    if (!at_ok(cx)) return false;
    a->damaged += got != AVERROR(EAGAIN) && got != AVERROR_EOF;
    return true;
}

/* Decodes one packet further; at the end, what codec and resampler still hold. */
static bool decode(at_context *cx, at_audio *a)
{
    if (av_read_frame(a->container, a->packet) < 0) {
        a->drained = true;
        avcodec_send_packet(a->codec, NULL);
        if (!receive(cx, a) || !resample(cx, a, NULL)) return false;
        if (!a->made) return at_fail_false(cx, AT_ERROR_FORMAT, "%s: holds no sound", a->path);
        return true;
    }
    bool ours = a->packet->stream_index == a->stream;
    int sent = ours ? avcodec_send_packet(a->codec, a->packet) : -1;
    av_packet_unref(a->packet);
    a->damaged += ours && sent < 0;
    return sent < 0 ? at_ok(cx) : receive(cx, a);
}

int64_t at_audio_read(at_context *cx, at_audio *a, float *out, int64_t count)
{
    if (!a || !at_ok(cx)) return -1;
    int64_t done = 0;
    while (done < count) {
        if (a->taken == a->ready) {
            a->taken = a->ready = 0;
            if (a->drained) break;
            if (!decode(cx, a)) return -1;
            continue;
        }
        int64_t some = AT_MIN(count - done, a->ready - a->taken);
        memcpy(out + done * a->channels, a->samples + a->taken * a->channels,
               sizeof(float) * (size_t)(some * a->channels));
        a->taken += some;
        done += some;
    }
    return done;
}

void at_audio_report(at_context *cx, const at_audio *a)
{
    double seconds = (double)a->made / a->rate;
    double promised = (double)a->container->duration / AV_TIME_BASE;
    bool told = a->container->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
    if (a->damaged)
        at_log(cx, AT_LOG_WARNING, "%s: damaged, and passed over: %lld parts", a->path,
               (long long)a->damaged);
    if (a->unreal)
        at_log(cx, AT_LOG_WARNING, "%s: %lld samples are not numbers: silence in their place",
               a->path, (long long)a->unreal);
    if (told && promised > seconds + 1)
        at_log(cx, AT_LOG_WARNING, "%s: %.1f seconds, where the file promises %.1f: cut off?",
               a->path, seconds, promised);
}

#else

at_audio *at_audio_open(at_context *cx, const char *path, int rate, int channels)
{
    (void)rate, (void)channels;
    return at_fail(cx, AT_ERROR_UNSUPPORTED,
                   "%s: this atelier was built without FFmpeg's libraries, which read sound", path);
}

void at_audio_close(at_audio *audio)
{
    (void)audio;
}

int64_t at_audio_read(at_context *cx, at_audio *audio, float *out, int64_t count)
{
    (void)cx, (void)audio, (void)out, (void)count;
    return -1;
}

void at_audio_report(at_context *cx, const at_audio *audio)
{
    (void)cx, (void)audio;
}
#endif
