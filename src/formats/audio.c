#include "formats/audio.h"
#include "base/file.h"
#include "base/text.h"
#ifdef AT_HAVE_FFMPEG
#include "formats/ffmpeg.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_PLANES = 64 };  /* what swresample takes */
enum { LEAST_RATE = 1000 }; /* samples a second */

static const float loudest = 1e9f;                    /* the square of more, added up, is no f32 */
static const double gap_least = 0.1, gap_most = 3600; /* seconds */

struct at_audio {
    char *path;
    FILE *file;
    const at_ffmpeg *ff;
    AVIOContext *io;
    AVFormatContext *container;
    AVCodecContext *codec;
    SwrContext *resampler; /* made for the first frame, and anew when the sound's form changes */
    AVPacket *packet;
    AVFrame *frame;
    bool waits; /* the frame, for the silence before it to be given */
    int stream, rate, channels;
    AVChannelLayout from_layout;
    int from_rate, from_format;
    float *samples; /* resampled, not yet taken: from `taken` on */
    int64_t taken, ready, room;
    int64_t made, silence;            /* samples; of them silence that is not given yet */
    int64_t damaged, unreal, missing; /* packets; values that are no numbers; samples */
    int64_t first;                    /* damaged or missing, in samples from the beginning */
    double end;                       /* of the last frame, by the file's clock, in seconds */
    bool broken, drained;             /* the end is an error; reached */
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
    if (a->ff) {
        a->ff->avcodec_free_context(&a->codec);
        a->ff->avformat_close_input(&a->container);
        if (a->io) a->ff->av_freep(&a->io->buffer);
        a->ff->avio_context_free(&a->io);
        a->ff->swr_free(&a->resampler);
        a->ff->av_channel_layout_uninit(&a->from_layout);
        a->ff->av_packet_free(&a->packet);
        a->ff->av_frame_free(&a->frame);
    }
    if (a->file) fclose(a->file);
    at_free(a->samples);
    at_free(a->path);
    at_free(a);
}

static bool open_container(at_context *cx, at_audio *a)
{
    enum { BUFFER = 1 << 16 };
    uint8_t *buffer = a->ff->av_malloc(BUFFER);
    a->io = buffer ? a->ff->avio_alloc_context(buffer, BUFFER, 0, a, read_bytes, NULL, seek_bytes)
                   : NULL;
    if (!a->io) a->ff->av_free(buffer);
    a->container = a->ff->avformat_alloc_context();
    a->packet = a->ff->av_packet_alloc();
    a->frame = a->ff->av_frame_alloc();
    if (!a->io || !a->container || !a->packet || !a->frame)
        return at_fail_false(cx, AT_ERROR_MEMORY, "out of memory");
    a->container->pb = a->io;
    a->container->io_open = refuse_open;
    if (a->ff->avformat_open_input(&a->container, "", NULL, NULL) < 0 ||
        a->ff->avformat_find_stream_info(a->container, NULL) < 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: not sound, or damaged (no format of FFmpeg)",
                             a->path);
    return true;
}

static bool open_codec(at_context *cx, at_audio *a)
{
    const AVCodec *codec;
    a->stream = a->ff->av_find_best_stream(a->container, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
    if (a->stream < 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: holds no sound that can be decoded",
                             a->path);
    for (unsigned i = 0; i < a->container->nb_streams; i++)
        if ((int)i != a->stream) a->container->streams[i]->discard = AVDISCARD_ALL;
    a->codec = a->ff->avcodec_alloc_context3(codec);
    if (!a->codec) return at_fail_false(cx, AT_ERROR_MEMORY, "out of memory");
    a->codec->pkt_timebase = a->container->streams[a->stream]->time_base;
    a->codec->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE; /* silence, rather than noise */
    if (a->ff->avcodec_parameters_to_context(a->codec, a->container->streams[a->stream]->codecpar) <
            0 ||
        a->ff->avcodec_open2(a->codec, codec, NULL) < 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: the sound's %s cannot be decoded", a->path,
                             codec->name);
    return true;
}

at_audio *at_audio_open(at_context *cx, const char *path, int rate, int channels)
{
    at_audio *a = at_ok(cx) ? AT_NEW(cx, at_audio) : NULL;
    if (!a) return NULL;
    a->rate = rate;
    a->channels = channels;
    a->end = NAN; /* no gap before the first frame */
    a->path = at_copy_text(cx, path);
    a->file = a->path ? fopen(path, "rb") : NULL;
    if (a->path && !a->file)
        at_fail(cx, AT_ERROR_FILE, "%s: cannot be opened (%s)", path, strerror(errno));
    else if (at_folder_exists(path))
        at_fail(cx, AT_ERROR_FILE, "%s: is a folder, not a recording", path);
    a->ff = at_ok(cx) ? at_ffmpeg_load(cx) : NULL;
    if (a->ff && open_container(cx, a) && open_codec(cx, a)) return a;
    at_audio_close(a);
    return NULL;
}

/* ---- samples */

/* A resampler for frames like this one. */
static bool fit_resampler(at_context *cx, at_audio *a, const AVFrame *f)
{
    if (a->resampler && f->sample_rate == a->from_rate && f->format == a->from_format &&
        a->ff->av_channel_layout_compare(&f->ch_layout, &a->from_layout) == 0)
        return true;
    AVChannelLayout from = {0}, to; /* copying gives back what was there */
    a->ff->av_channel_layout_default(&to, a->channels);
    if (f->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        a->ff->av_channel_layout_default(&from, f->ch_layout.nb_channels);
    else if (a->ff->av_channel_layout_copy(&from, &f->ch_layout) < 0)
        return at_fail_false(cx, AT_ERROR_MEMORY, "out of memory");
    a->ff->swr_free(&a->resampler);
    double even[MOST_PLANES]; /* of channels that stand nowhere */
    int n = f->ch_layout.nb_channels;
    bool made = f->sample_rate >= LEAST_RATE && n > 0 && n <= MOST_PLANES &&
                a->ff->swr_alloc_set_opts2(&a->resampler, &to, AV_SAMPLE_FMT_FLT, a->rate, &from,
                                           f->format, f->sample_rate, 0, NULL) >= 0;
    for (int i = 0; made && i < n; i++) even[i] = 1.0 / n;
    if (made && from.order == AV_CHANNEL_ORDER_UNSPEC)
        made = a->ff->swr_set_matrix(a->resampler, even, 0) >=
               0; /* the same for each that is asked for */
    made = made && a->ff->swr_init(a->resampler) >= 0;
    a->ff->av_channel_layout_uninit(&from);
    if (!made)
        return at_fail_false(cx, AT_ERROR_FORMAT,
                             "%s: %d channels of %d Hz are no sound that can be resampled", a->path,
                             f->ch_layout.nb_channels, f->sample_rate);
    a->from_rate = f->sample_rate;
    a->from_format = f->format;
    return a->ff->av_channel_layout_copy(&a->from_layout, &f->ch_layout) >= 0;
}

/* What comes of a frame, or of the end (NULL), behind what is ready. */
static bool resample(at_context *cx, at_audio *a, const AVFrame *f)
{
    if (f ? !fit_resampler(cx, a, f) : !a->resampler) return at_ok(cx);
    int most = a->ff->swr_get_out_samples(a->resampler, f ? f->nb_samples : 0);
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
        in[i] = f->extended_data[a->ff->av_sample_fmt_is_planar(f->format) ? i : 0];
    int made = a->ff->swr_convert(a->resampler, planes, most, f ? in : NULL, f ? f->nb_samples : 0);
    for (int64_t i = 0; i < (int64_t)made * a->channels; i++)
        if (!(fabsf(out[i]) <= loudest)) out[i] = 0, a->unreal++;
    if (made > 0) a->ready += made, a->made += made;
    return true;
}

static void note_damage(at_audio *a)
{
    if (!a->damaged && !a->missing) a->first = a->made;
}

/* Seconds that the file says it has, 0 where it does not. */
static double promised(const at_audio *a)
{
    bool guessed = a->container->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;
    return guessed ? 0 : fmax((double)a->container->duration / AV_TIME_BASE, 0);
}

/* Samples that are missing before the frame, by the file's clock; never more than the file has. */
static int64_t gap_before(at_audio *a, const AVFrame *f)
{
    double unit = av_q2d(a->container->streams[a->stream]->time_base), room = promised(a);
    bool timed = f->best_effort_timestamp != AV_NOPTS_VALUE;
    double begin = timed ? (double)f->best_effort_timestamp * unit : a->end;
    double gap = begin - a->end;
    if (f->sample_rate > 0) a->end = begin + (double)f->nb_samples / f->sample_rate;
    room = room > 0 ? room - (double)a->made / a->rate : gap_most;
    return a->made && gap > gap_least && gap <= fmin(room, gap_most) ? (int64_t)(gap * a->rate) : 0;
}

/* One packet further to the codec. */
static void send(at_audio *a)
{
    int got = a->ff->av_read_frame(a->container, a->packet);
    if (got < 0) {
        a->broken = got != AVERROR_EOF;
        a->ff->avcodec_send_packet(a->codec, NULL);
    } else if (a->packet->stream_index == a->stream) {
        bool bad = a->packet->flags & AV_PKT_FLAG_CORRUPT;
        if (a->ff->avcodec_send_packet(a->codec, a->packet) < 0 || bad)
            note_damage(a), a->damaged++;
    }
    a->ff->av_packet_unref(a->packet);
}

/* One frame or packet further; at the end, what the resampler still holds. */
static bool decode(at_context *cx, at_audio *a)
{
    int got = a->waits ? 0 : a->ff->avcodec_receive_frame(a->codec, a->frame);
    if (got == AVERROR_EOF) {
        a->drained = true;
        if (resample(cx, a, NULL) && !a->made)
            at_fail(cx, AT_ERROR_FORMAT, "%s: holds no sound", a->path);
    } else if (got < 0) {
        if (got != AVERROR(EAGAIN)) note_damage(a), a->damaged++;
        send(a);
    } else if (!a->waits && (a->silence = gap_before(a, a->frame)) > 0) {
        note_damage(a);
        a->made += a->silence;
        a->missing += a->silence;
        a->waits = true;
    } else {
        a->waits = false;
        resample(cx, a, a->frame);
        a->ff->av_frame_unref(a->frame);
    }
    return at_ok(cx);
}

int64_t at_audio_read(at_context *cx, at_audio *a, float *out, int64_t count)
{
    if (!a || !at_ok(cx)) return -1;
    int64_t done = 0;
    while (done < count) {
        float *to = out + done * a->channels;
        int64_t some = AT_MIN(count - done, a->taken < a->ready ? a->ready - a->taken : a->silence);
        size_t size = sizeof(float) * (size_t)(some * a->channels);
        if (a->taken < a->ready) {
            memcpy(to, a->samples + a->taken * a->channels, size);
            a->taken += some;
        } else if (a->silence) {
            memset(to, 0, size);
            a->silence -= some;
        } else if (a->drained) {
            break;
        } else {
            a->taken = a->ready = 0;
            if (!decode(cx, a)) return -1;
        }
        done += some;
    }
    return done;
}

/* Whether the last page of an Ogg file, which tells no length elsewhere, is cut. */
static bool lacks_page(const at_audio *a)
{
    enum { HEAD = 27, MOST = HEAD + 255 + 255 * 255 };
    uint8_t tail[MOST];
    if (strcmp(a->container->iformat->name, "ogg") != 0 || fseeko(a->file, 0, SEEK_END))
        return false;
    off_t from = AT_MAX(ftello(a->file) - MOST, 0);
    if (fseeko(a->file, from, SEEK_SET)) return false;
    int64_t size = (int64_t)fread(tail, 1, MOST, a->file), at = size - 4;
    while (at > 0 && memcmp(tail + at, "OggS", 4) != 0) at--;
    if (at < 0 || at + HEAD > size || at + HEAD + tail[at + HEAD - 1] > size) return true;
    int64_t end = at + HEAD + tail[at + HEAD - 1];
    for (int i = 0; i < tail[at + HEAD - 1]; i++) end += tail[at + HEAD + i];
    return end > size;
}

void at_audio_report(at_context *cx, const at_audio *a)
{
    double seconds = (double)a->made / a->rate, length = promised(a);
    at_text what = {0};
    if (a->damaged || a->missing)
        at_text_print(cx, &what, " from %.1f s on", (double)a->first / a->rate);
    if (a->damaged)
        at_text_print(cx, &what, ", %lld packets cannot be decoded", (long long)a->damaged);
    if (a->missing)
        at_text_print(cx, &what, ", %.1f s are missing (silence in their place)",
                      (double)a->missing / a->rate);
    if (a->unreal)
        at_text_print(cx, &what, ", %lld samples are not numbers (silence in their place)",
                      (long long)a->unreal);
    if (length > seconds + 1)
        at_text_print(cx, &what, ", %.1f of %.1f s are there", seconds, length);
    else if (a->broken || lacks_page(a))
        at_text_print(cx, &what, ", cut off after %.1f s", seconds);
    if (what.size) at_log(cx, AT_LOG_WARNING, "%s: damaged%s", a->path, what.data);
    at_text_free(&what);
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
