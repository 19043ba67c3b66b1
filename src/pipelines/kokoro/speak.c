#include "base/threads.h"
#include "formats/sound_writer.h"
#include "pipelines/kokoro/speaker.h"
#include "text/unicode.h"
#include <string.h>

enum { FIRST_TARGET = 20, TARGET = 160 }; /* symbols in a chunk */
enum { AHEAD = 600 };                     /* words and marks, more than a chunk has */
enum { SILENCE = 2 };                     /* frames where a sentence is cut between words */

typedef struct job {
    at_speaker *speaker;
    const at_speak_options *options;
    at_voice *voice;
    at_generator random;
    at_speech made;
    at_text unknown; /* symbols that the model does not have */
    double started;
    at_phonemizer *phonemizer; /* NULL: the text is phonemes */
    at_utterance ahead;        /* what waits to be said: */
    size_t size, from, to;     /* the text's bytes from..to */
} job;

/* ---- what is asked for */

static const char *language_of(const at_speak_options *o)
{
    static const struct {
        char letter;
        const char *language;
    } languages[] = {{'a', "en-us"}, {'b', "en-gb"}, {'e', "es"},    {'f', "fr-fr"}, {'h', "hi"},
                     {'i', "it"},    {'j', "ja"},    {'p', "pt-br"}, {'z', "cmn"}};
    static const char *const names[][2] = {{"en", "en-us"}, {"en-US", "en-us"}, {"en-GB", "en-gb"},
                                           {"fr", "fr-fr"}, {"pt", "pt-br"},    {"pt-BR", "pt-br"}};
    for (size_t i = 0; o->language && i < AT_COUNT(names); i++)
        if (strcmp(o->language, names[i][0]) == 0) return names[i][1];
    if (o->language) return o->language;
    const char *voice = o->voice ? o->voice : "a", *end = voice + strcspn(voice, "+,");
    for (const char *at = voice; at < end; at++) /* of the first, without its folder */
        if (*at == '/') voice = at + 1;
    for (size_t i = 0; i < AT_COUNT(languages); i++)
        if (voice[0] == languages[i].letter && (voice[1] == 'f' || voice[1] == 'm') &&
            voice[2] == '_')
            return languages[i].language;
    return "en-us";
}

/* Phonemes as they are: words with their spaces, marks apart, for the chunks. Some of them from
   `at` on; gives where the rest begins. */
static size_t split_phonemes(at_context *cx, const char *text, size_t n, size_t at,
                             at_utterance *out)
{
    int64_t enough = out->count + AHEAD;
    for (size_t next; at < n && out->count < enough && at_ok(cx); at = next) {
        next = at + at_utf8_size((unsigned char)text[at]);
        bool mark = strchr(";:,.!?", text[at]) != NULL || strncmp(text + at, "—", 3) == 0 ||
                    strncmp(text + at, "…", 3) == 0;
        while (next < n && !mark && !strchr(" \n;:,.!?", text[next]) &&
               strncmp(text + next, "—", 3) != 0 && strncmp(text + next, "…", 3) != 0 &&
               next - at < 400)
            next += at_utf8_size((unsigned char)text[next]);
        char *phonemes = at_format(cx, "%.*s", (int)(next - at), text + at);
        bool space = false, paragraph = false;
        for (; next < n && strchr(" \n\t\r", text[next]); next++) {
            space = true;
            paragraph = paragraph || text[next] == '\n';
        }
        at_utterance_add(cx, out, at_copy_text(cx, ""), phonemes, space, paragraph);
    }
    return at_ok(cx) ? at : 0;
}

/* A few bytes that are no UTF-8 are left out; with more of them it is another encoding, or no text.
 */
static bool begin_text(job *j)
{
    at_context *cx = j->speaker->cx;
    const at_speak_options *o = j->options;
    j->size = strlen(o->text);
    size_t invalid = at_utf8_invalid(o->text, j->size);
    if (invalid > (o->phonemes ? 0 : j->size / 8))
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "the text is not UTF-8 (%zu bytes of %zu are none)", invalid, j->size);
    if (invalid) at_log(cx, AT_LOG_WARNING, "%zu bytes are no UTF-8 and not spoken", invalid);
    if (!o->phonemes) j->phonemizer = at_phonemizer_open(cx, j->speaker->folder, language_of(o));
    return at_ok(cx);
}

/* The bytes of the text that the first `items` that wait are about. */
static size_t bytes_of(const job *j, int64_t items)
{
    double share = j->ahead.count ? (double)items / (double)j->ahead.count : 0;
    return (size_t)((double)(j->to - j->from) * share);
}

/* Lets go of what was said, and looks further ahead. */
static void look_ahead(job *j, int64_t said)
{
    at_context *cx = j->speaker->cx;
    const char *text = j->options->text;
    j->from += bytes_of(j, said);
    at_utterance_drop(&j->ahead, said);
    while (j->ahead.count < AHEAD && j->to < j->size && at_ok(cx))
        j->to = j->phonemizer
                    ? at_phonemize_part(cx, j->phonemizer, text, j->size, j->to, &j->ahead)
                    : split_phonemes(cx, text, j->size, j->to, &j->ahead);
}

/* ---- a chunk */

static void note_unknown(job *j, const char *symbol, size_t size)
{
    at_context *cx = j->speaker->cx;
    char one[8] = "";
    if ((unsigned char)*symbol < ' ') return; /* nothing to see */
    memcpy(one, symbol, AT_MIN(size, sizeof one - 1));
    if (j->unknown.data && strstr(j->unknown.data, one)) return;
    if (j->unknown.size < 200)
        at_text_print(cx, &j->unknown, "%s%s", j->unknown.size ? " " : "", one);
}

/* Adds the ids of phonemes; what has none is noted. */
static int64_t add_ids(job *j, const char *phonemes, int32_t *ids, int64_t count, int64_t most)
{
    for (size_t size; *phonemes && count < most; phonemes += size) {
        int64_t id;
        size = at_utf8_size((unsigned char)*phonemes);
        if (at_map_get(j->speaker->symbols, phonemes, size, &id))
            ids[count++] = (int32_t)id;
        else
            note_unknown(j, phonemes, size);
    }
    return count;
}

static bool has_sound(const char *phonemes)
{
    return phonemes[strspn(phonemes, " ;:,.!?\"()")] && strcmp(phonemes, "—") != 0 &&
           strcmp(phonemes, "…") != 0 && strcmp(phonemes, "“") != 0 && strcmp(phonemes, "”") != 0;
}

/* The ids of a chunk with the zeros around them, and its phonemes; NULL where nothing sounds. */
static at_tensor *ids_of(job *j, const at_utterance *u, at_chunk chunk, at_text *phonemes)
{
    at_context *cx = j->speaker->cx;
    int64_t most = j->speaker->info.longest - 1, count = 1;
    int32_t *ids = AT_NEW_ARRAY(cx, int32_t, most + 1);
    bool sounds = false;
    for (int64_t i = chunk.begin; ids && i < chunk.end; i++) {
        const at_spoken *s = &u->items[i];
        bool space = s->space && i + 1 < chunk.end;
        at_text_print(cx, phonemes, "%s%s", s->phonemes, space ? " " : "");
        sounds = sounds || has_sound(s->phonemes);
        count = add_ids(j, s->phonemes, ids, count, most);
        if (space) count = add_ids(j, " ", ids, count, most);
    }
    at_tensor *out = NULL;
    if (ids && sounds && count > 1) out = at_from(cx, AT_I32, 2, (int64_t[]){1, count + 1}, ids);
    at_free(ids);
    return out;
}

/* True: go on. */
static bool say(job *j, const at_utterance *u, at_chunk chunk)
{
    at_speaker *s = j->speaker;
    at_context *cx = s->cx;
    at_text phonemes = {0};
    bool more = true;
    at_scope scope = at_scope_begin(cx);
    at_tensor *ids = ids_of(j, u, chunk, &phonemes);
    if (ids) {
        at_tensor *style = at_voice_style(cx, j->voice, at_dim(ids, 1) - 2);
        double speed = j->options->speed > 0 ? j->options->speed : 1;
        at_kokoro_plan plan =
            at_kokoro_plan_of(cx, s->module, ids, style, speed, chunk.broken ? SILENCE : 0);
        at_tensor *sound = at_kokoro_say(cx, s->module, &plan, style, &j->random);
        if (at_ok(cx) && sound && !(at_is_finite(plan.predicted) && at_is_finite(sound)))
            at_fail(cx, AT_ERROR_FORMAT, "%s: the model gives no numbers (its weights are damaged)",
                    s->folder);
        if (at_ok(cx) && sound) {
            if (!j->made.chunks++) j->made.first = at_clock() - j->started;
            at_speech_chunk out = {phonemes.data, sound->data, at_elements(sound),
                                   j->made.duration};
            j->made.duration += (double)out.count / AT_KOKORO_RATE;
            more = !j->options->chunk || j->options->chunk(j->options->user, &out);
        }
    }
    at_scope_end(cx, scope, NULL);
    at_text_free(&phonemes);
    return more && at_ok(cx);
}

static void say_all(job *j)
{
    at_context *cx = j->speaker->cx;
    at_chunk chunk = {0};
    bool first = true;
    at_progress(cx, "speak", 0, (int)j->size);
    look_ahead(j, 0);
    while (at_ok(cx) && at_next_chunk(&j->ahead, 0, first ? FIRST_TARGET : TARGET,
                                      j->speaker->info.longest - 2, first, &chunk)) {
        if (!say(j, &j->ahead, chunk)) break;
        first = first && !j->made.chunks;
        look_ahead(j, chunk.end);
        at_progress(cx, "speak", (int)j->from, (int)j->size);
    }
    at_utterance_warn(cx, &j->ahead);
    if (at_ok(cx) && !j->made.chunks)
        at_fail(cx, AT_ERROR_ARGUMENT, "there is nothing to say in the text");
    if (j->unknown.size)
        at_log(cx, AT_LOG_WARNING, "not spoken, since the model has no such symbols: %s",
               j->unknown.data);
}

bool at_speak(at_speaker *s, const at_speak_options *o, at_speech *info)
{
    if (info) *info = (at_speech){0};
    if (!s || !at_ok(s->cx)) return false;
    if (!o->text || !*o->text)
        return at_fail_false(s->cx, AT_ERROR_ARGUMENT, "there is no text to speak");
    if (o->speed != 0 && !(o->speed >= 0.25 && o->speed <= 4))
        return at_fail_false(s->cx, AT_ERROR_ARGUMENT, "speed %g: must be from 0.25 to 4",
                             o->speed);
    job j = {.speaker = s, .options = o, .started = at_clock()};
    at_generator_seed(&j.random, AT_RNG_CPU, o->seed);
    j.voice = at_voice_open(s, o->voice ? o->voice : "af_heart");
    if (j.voice && begin_text(&j)) say_all(&j);
    at_utterance_free(&j.ahead);
    at_phonemizer_free(j.phonemizer);
    at_voice_free(j.voice);
    at_text_free(&j.unknown);
    j.made.load = s->load_seconds;
    s->load_seconds = 0;
    j.made.total = at_clock() - j.started;
    if (info) *info = j.made;
    return at_ok(s->cx);
}

/* ---- to files */

typedef struct recording {
    const at_speak_options *given;
    at_sound_writer *writer;
    at_context *cx;
} recording;

static bool record(void *user, const at_speech_chunk *chunk)
{
    recording *r = user;
    return at_sound_writer_write(r->cx, r->writer, chunk->samples, chunk->count) &&
           (!r->given->chunk || r->given->chunk(r->given->user, chunk));
}

bool at_speak_to_file(at_speaker *s, const at_speak_options *o, const char *path, at_speech *info)
{
    if (!s || !at_ok(s->cx)) return false;
    recording r = {o, at_sound_writer_open(s->cx, path, AT_KOKORO_RATE), s->cx};
    if (!r.writer) return false;
    at_speak_options options = *o;
    options.chunk = record;
    options.user = &r;
    if (at_speak(s, &options, info)) return at_sound_writer_commit(s->cx, r.writer);
    at_sound_writer_abandon(r.writer);
    return false;
}

bool at_speech_can_save(const char *path)
{
    return at_sound_can_save(path);
}
