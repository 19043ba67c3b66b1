#include "formats/sound_writer.h"
#include <math.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifdef AT_HAVE_SNDFILE
#include <sndfile.h>
#endif

struct at_sound_writer {
    at_file_writer *file;
    char *path;
    int rate;
    uint32_t bytes; /* of WAV samples so far */
#ifdef AT_HAVE_SNDFILE
    SNDFILE *encoder; /* NULL: WAV */
    bool failed;      /* to write what the encoder gave */
#endif
};

enum { WAV_HEADER = 44, PART = 4096 };

static const struct {
    const char *suffix;
    int format; /* libsndfile's; 0: our own */
} suffixes[] = {
    {".wav", 0},
#ifdef AT_HAVE_SNDFILE
    {".flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16},
    {".opus", SF_FORMAT_OGG | SF_FORMAT_OPUS},
    {".ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS},
    {".mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III},
#else
    {".flac", -1}, {".opus", -1}, {".ogg", -1}, {".mp3", -1},
#endif
};

/* -1: none */
static int suffix_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < AT_COUNT(suffixes); i++)
        if (strcasecmp(dot, suffixes[i].suffix) == 0) return (int)i;
    return -1;
}

bool at_sound_can_save(const char *path)
{
    return suffix_of(path) >= 0;
}

/* ---- WAV */

static void put_32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> 8 * i);
}

/* RIFF, fmt of 16-bit PCM, data. bytes: of the samples. */
static void fill_header(uint8_t out[WAV_HEADER], int rate, uint32_t bytes)
{
    memcpy(out, "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0", 24);
    put_32(out + 4, bytes > UINT32_MAX - 36 ? UINT32_MAX : bytes + 36);
    put_32(out + 24, (uint32_t)rate);
    put_32(out + 28, (uint32_t)rate * 2);
    memcpy(out + 32, "\2\0\x10\0data", 8);
    put_32(out + 40, bytes);
}

static bool write_wav(at_context *cx, at_sound_writer *w, const float *samples, int64_t count)
{
    uint8_t part[2 * PART];
    for (int64_t at = 0; at < count; at += PART) {
        int64_t some = AT_MIN(count - at, PART);
        for (int64_t i = 0; i < some; i++) {
            float value = samples[at + i];
            value = value > 1 ? 1 : value < -1 ? -1 : value;
            int16_t sample = value == value ? (int16_t)lrintf(value * 32767) : 0;
            part[2 * i] = (uint8_t)((uint16_t)sample & 255);
            part[2 * i + 1] = (uint8_t)((uint16_t)sample >> 8);
        }
        if (w->bytes > UINT32_MAX - WAV_HEADER - 2 * PART)
            return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                                 "%s: more than 4 GB, which no .wav can hold (write .flac)",
                                 w->path);
        if (!at_file_writer_write(cx, w->file, part, (size_t)(2 * some))) return false;
        w->bytes += (uint32_t)(2 * some);
    }
    return true;
}

/* ---- libsndfile, which writes through us */

#ifdef AT_HAVE_SNDFILE

static int descriptor(void *user)
{
    return at_file_writer_descriptor(((at_sound_writer *)user)->file);
}

static sf_count_t length_of(void *user)
{
    int fd = descriptor(user);
    off_t at = lseek(fd, 0, SEEK_CUR), end = lseek(fd, 0, SEEK_END);
    lseek(fd, at, SEEK_SET);
    return end;
}

static sf_count_t seek_to(sf_count_t offset, int whence, void *user)
{
    return lseek(descriptor(user), offset, whence);
}

static sf_count_t read_none(void *data, sf_count_t count, void *user)
{
    (void)data;
    (void)count;
    (void)user;
    return 0;
}

static sf_count_t write_some(const void *data, sf_count_t count, void *user)
{
    at_sound_writer *w = user;
    ssize_t written = write(descriptor(user), data, (size_t)count);
    w->failed = w->failed || written != count;
    return written;
}

static sf_count_t place_of(void *user)
{
    return lseek(descriptor(user), 0, SEEK_CUR);
}

static bool open_encoder(at_context *cx, at_sound_writer *w, int format)
{
    static SF_VIRTUAL_IO through = {length_of, seek_to, read_none, write_some, place_of};
    SF_INFO info = {.samplerate = w->rate, .channels = 1, .format = format};
    if (sf_format_check(&info)) w->encoder = sf_open_virtual(&through, SFM_WRITE, &info, w);
    if (!w->encoder)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: this libsndfile cannot write it (write .wav)", w->path);
    sf_command(w->encoder, SFC_SET_CLIPPING, NULL, SF_TRUE);
    return true;
}

#endif

/* ---- all */

at_sound_writer *at_sound_writer_open(at_context *cx, const char *path, int rate)
{
    int suffix = suffix_of(path);
    if (!at_ok(cx)) return NULL;
    if (suffix < 0)
        return at_fail(cx, AT_ERROR_UNSUPPORTED,
                       "%s: unknown suffix (use .wav, .flac, .opus, .ogg or .mp3)", path);
    if (suffixes[suffix].format < 0)
        return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: this build has no libsndfile (write .wav)",
                       path);
    at_sound_writer *w = AT_NEW(cx, at_sound_writer);
    if (!w) return NULL;
    w->rate = rate;
    w->path = at_copy_text(cx, path);
    w->file = at_file_writer_open(cx, path);
    bool fine = w->path && w->file;
    if (fine && suffixes[suffix].format == 0) {
        uint8_t header[WAV_HEADER];
        fill_header(header, rate, UINT32_MAX - 36); /* where it cannot be known later */
        fine = at_file_writer_write(cx, w->file, header, sizeof header);
    }
#ifdef AT_HAVE_SNDFILE
    if (fine && suffixes[suffix].format > 0) fine = open_encoder(cx, w, suffixes[suffix].format);
#endif
    if (fine) return w;
    at_sound_writer_abandon(w);
    return NULL;
}

bool at_sound_writer_write(at_context *cx, at_sound_writer *w, const float *samples, int64_t count)
{
    if (!w || !at_ok(cx)) return false;
#ifdef AT_HAVE_SNDFILE
    if (w->encoder) {
        if (sf_writef_float(w->encoder, samples, count) == count && !w->failed) return true;
        return at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written", w->path);
    }
#endif
    return write_wav(cx, w, samples, count);
}

bool at_sound_writer_commit(at_context *cx, at_sound_writer *w)
{
    if (!w) return false;
    bool wav = true;
#ifdef AT_HAVE_SNDFILE
    wav = !w->encoder;
    if (w->encoder && (sf_close(w->encoder) != 0 || w->failed))
        at_fail(cx, AT_ERROR_FILE, "%s: cannot be written", w->path);
    w->encoder = NULL;
#endif
    if (wav && at_ok(cx)) {
        uint8_t header[WAV_HEADER];
        fill_header(header, w->rate, w->bytes);
        int fd = at_file_writer_descriptor(w->file);
        if (lseek(fd, 0, SEEK_CUR) >= 0 && pwrite(fd, header, sizeof header, 0) != sizeof header)
            at_fail(cx, AT_ERROR_FILE, "%s: cannot be written", w->path);
    }
    bool fine = at_file_writer_commit(cx, w->file);
    w->file = NULL;
    at_sound_writer_abandon(w);
    return fine;
}

void at_sound_writer_abandon(at_sound_writer *w)
{
    if (!w) return;
#ifdef AT_HAVE_SNDFILE
    if (w->encoder) sf_close(w->encoder);
#endif
    at_file_writer_abandon(w->file);
    at_free(w->path);
    at_free(w);
}
