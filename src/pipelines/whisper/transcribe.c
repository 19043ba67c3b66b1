/* openai-whisper's transcribe(): windows, fallbacks, segments. */
#include "base/text.h"
#include "base/threads.h"
#include "pipelines/whisper/decode.h"
#include "pipelines/whisper/gate.h"
#include "pipelines/whisper/sound.h"
#include "pipelines/whisper/words.h"
#include "tensor/pool.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = 2 }; /* frames of mel a timestamp */

static const double default_temperatures[] = {0, 0.2, 0.4, 0.6, 0.8, 1};

typedef struct made {
    at_transcript transcript; /* what the caller gets: the first member */
    at_context *cx;
    at_piece *pieces;
    at_segment *segments;
    int capacity;
    at_text text;
    char language[8];
} made;

typedef struct job {
    at_transcriber *model;
    at_context *cx;
    at_transcribe_options options;
    at_sound *sound;
    made *out;
    at_generator random;
    at_tensor *heard; /* the first window as the language was heard in it: encoded, or NULL */
    int language;
    int32_t start[4]; /* <|startoftranscript|>, language, task, <|notimestamps|> */
    int start_count;  /* without the last */
    at_ids history;   /* the initial prompt, then all text */
    size_t forgotten; /* tokens of it that windows do not see any more */
    at_ids hotwords;
    double last_speech;
} job;

/* ---- options */

static bool check_options(const at_transcriber *m, at_transcribe_options *o)
{
    if (!o->beams) o->beams = 5;
    if (!o->best_of) o->best_of = 5;
    if (o->patience <= 0) o->patience = 1;
    if (!o->compression_ratio) o->compression_ratio = 2.4;
    if (!o->logprob) o->logprob = -1;
    if (!o->no_speech) o->no_speech = 0.6;
    if (!o->max_initial_timestamp) o->max_initial_timestamp = 1;
    if (!o->temperatures) {
        o->temperatures = default_temperatures;
        o->temperature_count = AT_COUNT(default_temperatures);
    }
    if (o->language && strcmp(o->language, "auto") == 0) o->language = NULL;
    if (o->beams < 1 || o->beams > AT_WHISPER_BEAMS || o->best_of < 1 ||
        o->best_of > AT_WHISPER_BEAMS || o->patience > 10 || o->batch < 0 || o->batch > 64 ||
        o->temperature_count < 1)
        return at_fail_false(
            m->cx, AT_ERROR_ARGUMENT,
            "transcribe: beams and best_of are 1 to %d, patience at most 10, batch "
            "at most 64",
            AT_WHISPER_BEAMS);
    if (o->translate && !m->is_multilingual)
        return at_fail_false(m->cx, AT_ERROR_ARGUMENT,
                             "the model knows English only: it cannot translate");
    if (o->language && (m->is_multilingual ? at_transcriber_find_language(m, o->language) < 0
                                           : strcmp(o->language, "en") != 0))
        return at_fail_false(m->cx, AT_ERROR_ARGUMENT, "%s: not a language of this model%s",
                             o->language, m->is_multilingual ? "" : " (it knows English only)");
    return true;
}

/* ---- windows */

/* Frames [first,first+some) and zeros behind them, encoded: [1,1500,width]. */
static at_tensor *encode(job *j, const int64_t *firsts, const int64_t *somes, int windows)
{
    double started = at_clock();
    at_context *cx = j->cx;
    int64_t bands = j->model->info.mels, size = AT_WHISPER_WINDOW * bands;
    at_tensor *mel = at_zeros(cx, AT_F32, 3, (int64_t[]){windows, AT_WHISPER_WINDOW, bands});
    for (int w = 0; mel && w < windows; w++)
        at_sound_read(cx, j->sound, firsts[w], somes[w], (float *)mel->data + w * size);
    at_tensor *encoded = at_whisper_encode(cx, j->model->network, mel);
    j->out->transcript.encode += at_clock() - started;
    return encoded;
}

static at_tensor *encode_window(job *j, int64_t first, int64_t frames)
{
    return encode(j, &first, &frames, 1);
}

/* The language as given, or as heard in the first window, as faster-whisper does. */
static bool choose_language(job *j)
{
    at_transcriber *m = j->model;
    at_transcript *t = &j->out->transcript;
    t->language_probability = 1;
    j->language = j->options.language ? at_transcriber_find_language(m, j->options.language) : -1;
    if (m->is_multilingual && !j->options.language) {
        at_scope scope = at_scope_begin(j->cx);
        int64_t frames = AT_MIN(AT_WHISPER_WINDOW, at_sound_frames(j->sound));
        j->heard = at_tensor_keep(encode_window(j, 0, frames));
        j->language = at_detect_language(m, j->heard, &t->language_probability);
        at_scope_end(j->cx, scope, NULL);
    }
    bool known = m->is_multilingual && j->language >= 0;
    snprintf(j->out->language, sizeof j->out->language, "%s",
             known ? m->languages[j->language] : "en");
    t->language = j->out->language;
    j->start[j->start_count++] = m->sot;
    if (m->is_multilingual) {
        j->start[j->start_count++] = m->sot + 1 + AT_MAX(j->language, 0);
        j->start[j->start_count++] = j->options.translate ? m->translate : m->transcribe;
    }
    j->start[j->start_count] = m->no_timestamps;
    return at_ok(j->cx);
}

/* What the decoder sees first: hotwords, the text before, then the start. *count tokens. */
static int32_t *make_prompt(job *j, bool with_history, int *count, int *sot_index)
{
    size_t half = (size_t)j->model->info.positions / 2 - 1;
    size_t hot = AT_MIN(j->hotwords.count, half);
    size_t seen = with_history ? j->history.count - j->forgotten : 0;
    size_t before = AT_MIN(seen, half - hot);
    int32_t *prompt = AT_NEW_ARRAY(j->cx, int32_t, hot + before + 8);
    int n = 0;
    if (!prompt) return NULL;
    if (hot + before) prompt[n++] = j->model->sot_prev;
    for (size_t i = 0; i < hot; i++) prompt[n++] = j->hotwords.ids[i];
    for (size_t i = 0; i < before; i++) prompt[n++] = j->history.ids[j->history.count - before + i];
    *sot_index = n;
    int starts = j->start_count + (j->options.timestamps == AT_TIMESTAMPS_NONE);
    for (int i = 0; i < starts; i++) prompt[n++] = j->start[i];
    *count = n;
    return prompt;
}

static bool is_silence(const job *j, const at_decoded *d)
{
    return d->no_speech_prob > j->options.no_speech;
}

static bool is_unlikely(const job *j, const at_decoded *d)
{
    return j->options.logprob <= 0 && d->avg_logprob < j->options.logprob;
}

static bool has_failed(const job *j, const at_decoded *d)
{
    const at_transcribe_options *o = &j->options;
    bool loops = o->compression_ratio > 0 && d->compression_ratio > o->compression_ratio;
    if (is_silence(j, d) && is_unlikely(j, d)) return false;
    return loops || is_unlikely(j, d);
}

/* One window at each temperature in turn, until a text looks right. */
static bool decode_until_fine(job *j, at_tensor *encoded, bool with_history, int first_temperature,
                              at_decoded *out)
{
    at_decode_task task = {.model = j->model, .options = &j->options, .random = &j->random};
    int32_t *prompt = make_prompt(j, with_history, &task.prompt_count, &task.sot_index);
    bool fine = prompt != NULL;
    task.prompt = prompt;
    for (int i = first_temperature; fine && i < j->options.temperature_count; i++) {
        task.temperature = j->options.temperatures[i];
        fine = at_decode_windows(&task, encoded, out);
        if (fine && !has_failed(j, out)) break;
    }
    at_free(prompt);
    return fine;
}

/* ---- segments */

static at_piece *new_piece(job *j)
{
    made *m = j->out;
    if (m->transcript.count == m->capacity) {
        int capacity = AT_MAX(32, 2 * m->capacity);
        at_piece *more = at_resize(j->cx, m->pieces, (size_t)capacity, sizeof *more);
        if (!more) return NULL;
        m->pieces = more;
        m->capacity = capacity;
    }
    at_piece *p = &m->pieces[m->transcript.count++];
    *p = (at_piece){0};
    return p;
}

static void add_segment(job *j, double start, double end, const int32_t *tokens, int count,
                        const at_decoded *d)
{
    at_piece *p = new_piece(j);
    if (!p) return;
    p->tokens = AT_NEW_ARRAY(j->cx, int32_t, count + 1);
    if (p->tokens) memcpy(p->tokens, tokens, sizeof *tokens * (size_t)count);
    p->count = p->tokens ? count : 0;
    p->segment = (at_segment){.start = start,
                              .end = end,
                              .text = at_transcriber_decode(j->model, tokens, (size_t)count),
                              .avg_logprob = d->avg_logprob,
                              .no_speech_prob = d->no_speech_prob,
                              .compression_ratio = d->compression_ratio,
                              .temperature = d->temperature};
}

/* A window: where it begins and how much sound it has, in frames. */
typedef struct window {
    int64_t first, frames;
    bool last; /* nothing comes behind it: what is unfinished is a segment too */
    bool silent_end;
} window;

static double seconds_of(int64_t frames)
{
    return (double)frames * AT_MEL_HOP / AT_MEL_RATE;
}

/* Cuts the tokens where two timestamps meet. Gives the frames to go on by. */
static int64_t cut_segments(job *j, window *w, const at_decoded *d)
{
    int32_t zero = j->model->timestamp_begin;
    int n = d->count, cut = 0;
    double offset = seconds_of(w->first);
    const int32_t *t = d->tokens;
    bool ends = n >= 1 && t[n - 1] >= zero;
    w->silent_end = ends && !(n >= 2 && t[n - 2] >= zero) && n >= 2;
    for (int i = 1; i <= n; i++) {
        bool pair = i < n && t[i] >= zero && t[i - 1] >= zero;
        if (!pair && !(i == n && cut && (w->silent_end || w->last) && i > cut)) continue;
        double start = t[cut] >= zero ? (t[cut] - zero) * 0.02 : 0;
        double end = t[i - 1] >= zero ? (t[i - 1] - zero) * 0.02 : seconds_of(w->frames);
        add_segment(j, offset + start, offset + end, t + cut, i - cut, d);
        cut = i;
    }
    if (cut && (w->silent_end || w->last)) return w->frames;
    if (cut) return (int64_t)(t[cut - 1] - zero) * STEP;
    int32_t latest = zero;
    for (int i = 0; i < n; i++)
        if (t[i] >= zero) latest = t[i];
    double duration = latest > zero ? (latest - zero) * 0.02 : seconds_of(w->frames);
    add_segment(j, offset, offset + duration, t, n, d);
    return w->frames;
}

static bool is_blank(const char *text)
{
    return text && strspn(text, " \n\t") == strlen(text);
}

/* The new segments from `first` on become part of the text; those without one go. */
static bool keep_segments(job *j, int first, double temperature)
{
    made *m = j->out;
    int kept = first;
    for (int i = first; i < m->transcript.count; i++) {
        at_piece *p = &m->pieces[i];
        if (p->segment.start == p->segment.end || is_blank(p->segment.text)) {
            at_piece_free(p);
            continue;
        }
        for (int k = 0; k < p->count; k++) at_ids_add(j->cx, &j->history, p->tokens[k]);
        if (p->segment.text) at_text_add(j->cx, &m->text, p->segment.text, strlen(p->segment.text));
        m->pieces[kept++] = *p;
        if (j->options.segment && at_ok(j->cx)) j->options.segment(j->options.user, &p->segment);
    }
    m->transcript.count = kept;
    if (j->options.forget || temperature > 0.5) j->forgotten = j->history.count;
    return at_ok(j->cx);
}

/* The segments of a decoded window, with their words. Gives the frames to go on by. */
static int64_t take_window(job *j, window *w, at_tensor *encoded, const at_decoded *d)
{
    bool likely = j->options.logprob <= 0 && d->avg_logprob > j->options.logprob;
    if (is_silence(j, d) && !likely) return w->frames;
    int first = j->out->transcript.count;
    int64_t on = cut_segments(j, w, d);
    if (j->options.timestamps == AT_TIMESTAMPS_WORD && at_ok(j->cx)) {
        static const char *const spaceless[] = {"zh", "ja", "th", "lo", "my", "yue"};
        at_words_task task = {.model = j->model,
                              .prompt = j->start,
                              .prompt_count = j->start_count + 1,
                              .time_offset = seconds_of(w->first),
                              .frames = w->frames,
                              .last_speech = &j->last_speech};
        for (size_t i = 0; i < AT_COUNT(spaceless); i++)
            task.no_spaces |= strcmp(j->out->transcript.language, spaceless[i]) == 0;
        at_piece *pieces = j->out->pieces + first;
        int count = j->out->transcript.count - first;
        at_words_add(&task, encoded, pieces, count);
        double end = count ? pieces[count - 1].segment.end : -1;
        for (int i = 0; i < count; i++)
            if (pieces[i].segment.word_count)
                end = pieces[i].segment.words[pieces[i].segment.word_count - 1].end;
        if (!w->silent_end && end > task.time_offset) on = (int64_t)rint(end * 100) - w->first;
        if (end >= 0) j->last_speech = end;
    }
    keep_segments(j, first, d->temperature);
    return AT_MAX(on, 1);
}

static void report(const job *j, int64_t done)
{
    int64_t total = AT_MAX(at_sound_frames(j->sound), 1);
    at_progress(j->cx, "transcribe", (int)AT_MIN(done / 100, total / 100), (int)(total / 100));
}

/* ---- one window after the other */

static bool run_sequential(job *j)
{
    int64_t total = at_sound_frames(j->sound), on;
    const float *levels = at_sound_levels(j->sound);
    for (int64_t seek = 0; seek < total && at_ok(j->cx); seek += on) {
        window w = {.first = seek, .frames = AT_MIN(AT_WHISPER_WINDOW, total - seek)};
        on = w.frames;
        report(j, seek);
        if (!at_gate_hears(j->cx, levels + seek, w.frames)) continue;
        at_scope scope = at_scope_begin(j->cx);
        at_decoded d = {0};
        at_tensor *encoded = seek || !j->heard ? encode_window(j, seek, w.frames) : j->heard;
        double started = at_clock();
        if (decode_until_fine(j, encoded, true, 0, &d)) on = take_window(j, &w, encoded, &d);
        j->out->transcript.decode += at_clock() - started;
        at_free(d.tokens);
        at_scope_end(j->cx, scope, NULL);
    }
    return at_ok(j->cx);
}

/* ---- several at once */

static bool run_batch(job *j, window *windows, int count)
{
    at_context *cx = j->cx;
    int64_t firsts[64], somes[64];
    at_decoded decoded[64] = {{0}};
    for (int i = 0; i < count; i++) firsts[i] = windows[i].first, somes[i] = windows[i].frames;
    at_scope scope = at_scope_begin(cx);
    at_tensor *encoded = encode(j, firsts, somes, count);
    double started = at_clock();
    at_decode_task task = {.model = j->model, .options = &j->options, .random = &j->random};
    task.temperature = j->options.temperatures[0];
    int32_t *prompt = make_prompt(j, false, &task.prompt_count, &task.sot_index);
    task.prompt = prompt;
    bool fine = prompt && at_decode_windows(&task, encoded, decoded);
    for (int i = 0; fine && i < count; i++) {
        at_tensor *own = at_slice(cx, encoded, 0, i, 1);
        if (has_failed(j, &decoded[i])) fine = decode_until_fine(j, own, false, 1, &decoded[i]);
        if (fine) take_window(j, &windows[i], own, &decoded[i]);
    }
    for (int i = 0; i < count; i++) at_free(decoded[i].tokens);
    at_free(prompt);
    at_scope_end(cx, scope, NULL);
    j->out->transcript.decode += at_clock() - started;
    return fine && at_ok(cx);
}

static bool run_batched(job *j)
{
    window windows[64];
    int count = 0;
    int64_t total = at_sound_frames(j->sound), begin, end = 0;
    const float *levels = at_sound_levels(j->sound);
    bool more = true;
    while (more && at_ok(j->cx)) {
        more = at_gate_next(j->cx, levels, total, end, AT_WHISPER_WINDOW, &begin, &end);
        if (more) windows[count++] = (window){.first = begin, .frames = end - begin, .last = true};
        if (count == j->options.batch || (!more && count)) {
            if (!run_batch(j, windows, count)) return false;
            report(j, end);
            count = 0;
        }
    }
    return at_ok(j->cx);
}

/* ---- the whole */

static void destroy(void *object)
{
    made *m = object;
    for (int i = 0; i < m->transcript.count; i++) at_piece_free(&m->pieces[i]);
    at_free(m->pieces);
    at_free(m->segments);
    at_text_free(&m->text);
    at_free(m);
}

void at_transcript_free(at_transcript *transcript)
{
    made *m = (made *)transcript;
    if (!m) return;
    at_disown(m->cx, m);
    destroy(m);
}

/* What the caller sees: text without space around it, and the segments side by side. */
static bool give(job *j)
{
    made *m = j->out;
    at_transcript *t = &m->transcript;
    m->segments = AT_NEW_ARRAY(j->cx, at_segment, t->count + 1);
    for (int i = 0; m->segments && i < t->count; i++) m->segments[i] = m->pieces[i].segment;
    t->segments = m->segments;
    while (m->text.size && strchr(" \n\t", m->text.data[m->text.size - 1]))
        m->text.data[--m->text.size] = 0;
    t->text = m->text.data ? m->text.data + strspn(m->text.data, " \n\t") : "";
    return m->segments != NULL;
}

static bool run(job *j, const char *path)
{
    at_transcriber *m = j->model;
    const at_transcribe_options *o = &j->options;
    if (!check_options(m, &j->options)) return false;
    at_generator_seed(&j->random, AT_RNG_CPU, o->seed);
    if (o->initial_prompt && !at_transcriber_encode(m, o->initial_prompt, &j->history))
        return false;
    if (o->hotwords && !at_transcriber_encode(m, o->hotwords, &j->hotwords)) return false;
    j->sound = at_sound_open(j->cx, m->mel, (int)m->info.mels, path);
    if (!j->sound) return false;
    j->out->transcript.duration = at_sound_seconds(j->sound);
    j->out->transcript.load = m->load;
    if (!choose_language(j)) return false;
    return (o->batch ? run_batched(j) : run_sequential(j)) && give(j);
}

at_transcript *at_transcribe(at_transcriber *m, const char *path,
                             const at_transcribe_options *options)
{
    if (!m || !at_ok(m->cx)) return NULL;
    double started = at_clock();
    job j = {.model = m, .cx = m->cx, .out = AT_NEW(m->cx, made)};
    if (!j.out) return NULL;
    j.out->cx = m->cx;
    if (options) j.options = *options;
    bool fine = run(&j, path);
    at_sound_close(j.sound);
    at_tensor_release(m->cx, j.heard);
    at_ids_free(&j.history);
    at_ids_free(&j.hotwords);
    j.out->transcript.total = at_clock() - started;
    if (fine && at_ok(m->cx)) return at_own(m->cx, j.out, destroy) ? &j.out->transcript : NULL;
    destroy(j.out);
    return NULL;
}
