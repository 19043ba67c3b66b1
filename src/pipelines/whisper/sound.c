#include "pipelines/whisper/sound.h"
#include "formats/audio.h"
#include <math.h>
#include <string.h>

enum {
    BLOCK = 3000,             /* frames of the first reading */
    EDGE = AT_MEL_WINDOW / 2, /* samples that a frame hears before and behind its place */
};

struct at_sound {
    at_context *cx;
    const at_log_mel *mel;
    char *path;
    int bands;
    at_audio *audio;
    float *samples; /* of the file from `base` on, `count` of them */
    int64_t base, count, room;
    int64_t total; /* samples of the file; -1: not known yet */
    float *padded; /* what a window's frames hear */
    int64_t padded_room;
    float loudest;
    float *levels;
};

void at_sound_close(at_sound *s)
{
    if (!s) return;
    at_audio_close(s->audio);
    at_free(s->samples);
    at_free(s->padded);
    at_free(s->levels);
    at_free(s->path);
    at_free(s);
}

/* ---- samples */

/* Lets go of what lies before `from`. */
static void forget(at_sound *s, int64_t from)
{
    int64_t gone = AT_MIN(from - s->base, s->count);
    if (gone <= 0) return;
    memmove(s->samples, s->samples + gone, sizeof *s->samples * (size_t)(s->count - gone));
    s->base += gone;
    s->count -= gone;
}

/* Reads on until `end`, or the file's. */
static bool read_until(at_context *cx, at_sound *s, int64_t end)
{
    int64_t wanted = end - s->base;
    if (wanted > s->room) {
        float *more = at_resize(cx, s->samples, (size_t)wanted, sizeof *more);
        if (!more) return false;
        s->samples = more;
        s->room = wanted;
    }
    if (wanted <= s->count || (s->total >= 0 && s->base + s->count >= s->total)) return true;
    int64_t got = at_audio_read(cx, s->audio, s->samples + s->count, wanted - s->count);
    if (got < 0) return false;
    s->count += got;
    if (s->count < wanted) s->total = s->base + s->count;
    return true;
}

/* Sample i: mirrored before the beginning, silence past the end. */
static float sample_at(const at_sound *s, int64_t i)
{
    if (i < 0) i = -i;
    return i >= s->base && i - s->base < s->count ? s->samples[i - s->base] : 0.0f;
}

/* ---- frames */

static bool frames_of(at_context *cx, at_sound *s, int64_t first, int64_t count, float *out)
{
    int64_t begin = first * AT_MEL_HOP - EDGE;
    int64_t size = (count - 1) * AT_MEL_HOP + AT_MEL_WINDOW;
    forget(s, begin);
    if (!read_until(cx, s, AT_MAX(begin + size, EDGE + 1))) return false;
    if (size > s->padded_room) {
        float *more = at_resize(cx, s->padded, (size_t)size, sizeof *more);
        if (!more) return false;
        s->padded = more;
        s->padded_room = size;
    }
    for (int64_t i = 0; i < size; i++) s->padded[i] = sample_at(s, begin + i);
    return at_log_mel_frames(cx, s->mel, s->padded, count, out);
}

/* The mean power of a frame's bands. */
static float level_of(const float *frame, int bands)
{
    double sum = 0;
    for (int b = 0; b < bands; b++) sum += pow(10.0, (double)frame[b]);
    return (float)log10(sum / bands);
}

/* The first reading: the loudest band, the levels, the length. */
static bool measure(at_context *cx, at_sound *s)
{
    float *block = AT_NEW_ARRAY(cx, float, (size_t)BLOCK *(size_t)s->bands);
    int64_t frames = 0;
    bool fine = block != NULL;
    s->loudest = -10.0f; /* of the silence behind the end */
    for (int64_t first = 0; fine && (s->total < 0 || first < frames); first += BLOCK) {
        fine = frames_of(cx, s, first, BLOCK, block);
        frames = s->total < 0 ? first + BLOCK : s->total / AT_MEL_HOP;
        int64_t some = AT_MIN(frames - first, BLOCK);
        /* The frame behind the last whole one hears the end too. */
        int64_t heard = AT_MIN(some + 2, BLOCK);
        for (int64_t i = 0; fine && i < heard * s->bands; i++)
            if (block[i] > s->loudest) s->loudest = block[i];
        float *levels =
            fine ? at_resize(cx, s->levels, (size_t)AT_MAX(frames, 1), sizeof *levels) : NULL;
        fine = levels != NULL;
        if (fine) s->levels = levels;
        for (int64_t i = 0; fine && i < some; i++)
            levels[first + i] = level_of(block + i * s->bands, s->bands);
    }
    at_free(block);
    if (fine) at_audio_report(cx, s->audio);
    return fine;
}

/* From the beginning again, where it is not in memory any more. */
static bool rewind_sound(at_context *cx, at_sound *s)
{
    if (s->base == 0) return true;
    at_audio_close(s->audio);
    s->audio = at_audio_open(cx, s->path, AT_MEL_RATE, 1);
    s->base = s->count = 0;
    return s->audio != NULL;
}

at_sound *at_sound_open(at_context *cx, const at_log_mel *mel, int bands, const char *path)
{
    at_sound *s = at_ok(cx) ? AT_NEW(cx, at_sound) : NULL;
    if (!s) return NULL;
    *s = (at_sound){.cx = cx, .mel = mel, .bands = bands, .total = -1};
    s->path = at_copy_text(cx, path);
    s->audio = s->path ? at_audio_open(cx, path, AT_MEL_RATE, 1) : NULL;
    if (s->audio && measure(cx, s) && rewind_sound(cx, s)) return s;
    at_sound_close(s);
    return NULL;
}

int64_t at_sound_frames(const at_sound *s)
{
    return s->total / AT_MEL_HOP;
}

double at_sound_seconds(const at_sound *s)
{
    return (double)s->total / AT_MEL_RATE;
}

const float *at_sound_levels(const at_sound *s)
{
    return s->levels;
}

bool at_sound_read(at_context *cx, at_sound *s, int64_t first, int64_t count, float *out)
{
    if (!frames_of(cx, s, first, count, out)) return false;
    at_log_mel_scale(out, count * s->bands, s->loudest);
    return true;
}
