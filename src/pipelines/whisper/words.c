#include "pipelines/whisper/words.h"
#include "pipelines/whisper/alignment.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define PREPENDED "\"'“¿([{-"
#define APPENDED "\"'.。,，!！?？:：”)]}、"
#define SENTENCE_ENDS ".。!！?？"
#define PUNCTUATION "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

typedef struct word {
    char *text;
    int first, count; /* tokens */
    double start, end, probability;
} word;

typedef struct words {
    at_context *cx;
    word *items;
    int count;
} words;

void at_piece_free(at_piece *p)
{
    for (int i = 0; p->segment.words && i < p->segment.word_count; i++)
        at_free((char *)(uintptr_t)p->segment.words[i].text);
    at_free((at_word *)(uintptr_t)p->segment.words);
    at_free((char *)(uintptr_t)p->segment.text);
    at_free(p->tokens);
    *p = (at_piece){0};
}

static void free_words(words *w)
{
    for (int i = 0; w->items && i < w->count; i++) at_free(w->items[i].text);
    at_free(w->items);
}

/* ---- tokens to words */

/* Where character i of a text begins. */
static const char *character(const char *text, size_t i)
{
    for (; i && *text; i--) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
        text += n > 0 ? n : 1;
    }
    return text;
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (const char *at = text; *at; at = character(at, 1)) n++;
    return n;
}

/* Characters that several tokens make up are one piece: split_tokens_on_unicode. */
static bool split_characters(const at_transcriber *m, const int32_t *tokens, int count, words *out)
{
    static const char unknown[] = "\xef\xbf\xbd";
    char *full = at_transcriber_decode(m, tokens, (size_t)count);
    size_t offset = 0; /* in characters of the full text */
    int first = 0;
    for (int i = 0; full && i < count; i++) {
        char *text = at_transcriber_decode(m, tokens + first, (size_t)(i + 1 - first));
        if (!text) break;
        const char *cut = strstr(text, unknown);
        size_t before = cut ? offset : 0;
        for (const char *at = text; cut && at < cut; at = character(at, 1)) before++;
        if (cut && strncmp(character(full, before), unknown, 3) != 0) {
            at_free(text);
            continue;
        }
        out->items[out->count++] = (word){.text = text, .first = first, .count = i + 1 - first};
        offset += characters(text);
        first = i + 1;
    }
    at_free(full);
    return at_ok(m->cx);
}

/* Without the white space around it; in place of a copy, a view. */
static const char *strip(const char *text, size_t *size)
{
    while (*text == ' ' || *text == '\n' || *text == '\t') text++;
    *size = strlen(text);
    while (*size && strchr(" \n\t", text[*size - 1])) --*size;
    return text;
}

/* Python's `text in list`, the white space around the text left out. */
static bool among(const char *text, const char *list)
{
    char part[16];
    size_t size;
    text = strip(text, &size);
    if (size >= sizeof part) return false;
    memcpy(part, text, size);
    part[size] = 0;
    return strstr(list, part) != NULL;
}

static bool append(words *w, word *to, word *from)
{
    char *text = at_format(w->cx, "%s%s", to->text, from->text);
    if (!text) return false;
    at_free(to->text);
    at_free(from->text);
    to->text = text;
    from->text = at_copy_text(w->cx, "");
    to->count += from->count;
    from->count = 0;
    return from->text != NULL;
}

/* Pieces that do not begin with a space go on with the word before: split_tokens_on_spaces. */
static bool join_pieces(words *w)
{
    int kept = 0;
    for (int i = 0; i < w->count; i++) {
        word *piece = &w->items[i];
        if (!kept || piece->text[0] == ' ' || among(piece->text, PUNCTUATION)) {
            w->items[kept++] = *piece;
            continue;
        }
        if (!append(w, &w->items[kept - 1], piece)) return false;
        at_free(piece->text);
        piece->text = NULL;
    }
    for (int i = kept; i < w->count; i++) w->items[i].text = NULL;
    w->count = kept;
    return true;
}

/* ---- times */

static double mean_probability(const float *p, const word *w)
{
    double sum = 0;
    for (int i = 0; i < w->count; i++) sum += (double)p[w->first + i];
    return w->count ? sum / w->count : 0;
}

/* How likely each token of the text was, among all that are text. */
static bool read_probabilities(const at_words_task *t, at_tensor *logits, const int32_t *tokens,
                               int count, float *out)
{
    at_context *cx = t->model->cx;
    at_tensor *text =
        at_slice(cx, at_slice(cx, logits, 0, t->prompt_count - 1, count), 1, 0, t->model->eot);
    at_tensor *p = at_softmax(cx, text);
    for (int i = 0; p && i < count; i++)
        out[i] = ((const float *)p->data)[(int64_t)i * t->model->eot + tokens[i]];
    return p != NULL;
}

/* Reads the text again and fills in the words' times, from the window's beginning. */
static bool find_times(const at_words_task *t, at_tensor *encoded, const int32_t *tokens, int count,
                       words *w)
{
    const at_transcriber *m = t->model;
    at_context *cx = m->cx;
    int n = t->prompt_count + count + 1;
    at_scope scope = at_scope_begin(cx);
    at_whisper_cache *cache = at_whisper_cache_new(cx, m->network, encoded, 1);
    at_tensor *ids = at_new(cx, AT_I32, 1, n), *logits = NULL;
    int *times = AT_NEW_ARRAY(cx, int, count + 1);
    float *p = AT_NEW_ARRAY(cx, float, count);
    if (ids && times && p) {
        memcpy(ids->data, t->prompt, sizeof *t->prompt * (size_t)t->prompt_count);
        memcpy((int32_t *)ids->data + t->prompt_count, tokens, sizeof *tokens * (size_t)count);
        ((int32_t *)ids->data)[n - 1] = m->eot;
    }
    at_tensor *scores = at_whisper_align(cx, m->network, cache, ids, (const int(*)[2])m->heads,
                                         m->head_count, &logits);
    bool fine = scores && times && p && read_probabilities(t, logits, tokens, count, p) &&
                at_align_tokens(cx, scores->data, m->head_count, n, at_dim(scores, 2),
                                t->frames / 2, t->prompt_count - 1, count + 1, times);
    for (int i = 0; fine && i < w->count; i++) {
        word *item = &w->items[i];
        item->start = times[item->first] / 50.0;
        item->end = times[item->first + item->count] / 50.0;
        item->probability = mean_probability(p, item);
    }
    at_free(p);
    at_free(times);
    at_whisper_cache_free(cache);
    at_scope_end(cx, scope, NULL);
    return fine;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Of the words that last at all, 0.7 seconds at the most. */
static double median_duration(const words *w)
{
    double *durations = AT_NEW_ARRAY(w->cx, double, w->count + 1), median = 0;
    int n = 0;
    for (int i = 0; durations && i < w->count; i++) {
        double d = w->items[i].end - w->items[i].start;
        if (d != 0) durations[n++] = d;
    }
    if (n) qsort(durations, (size_t)n, sizeof *durations, by_value);
    if (n) median = (durations[(n - 1) / 2] + durations[n / 2]) / 2;
    at_free(durations);
    return AT_MIN(median, 0.7);
}

/* Words around the end of a sentence do not take the pause behind it. */
static void shorten_at_ends(words *w, double most)
{
    for (int i = 1; i < w->count; i++) {
        word *before = &w->items[i - 1], *item = &w->items[i];
        if (item->end - item->start <= most) continue;
        if (strstr(SENTENCE_ENDS, item->text))
            item->end = item->start + most;
        else if (strstr(SENTENCE_ENDS, before->text))
            item->start = item->end - most;
    }
}

/* Punctuation joins the word behind or before it; what it leaves is empty. */
static bool merge_punctuation(words *w)
{
    bool fine = true;
    for (int i = w->count - 2, j = w->count - 1; i >= 0 && fine; i--) {
        word *before = &w->items[i], *behind = &w->items[j];
        if (before->text[0] != ' ' || !among(before->text, PREPENDED)) {
            j = i;
            continue;
        }
        char *text = at_format(w->cx, "%s%s", before->text, behind->text);
        fine = text != NULL;
        if (!fine) break;
        at_free(behind->text);
        behind->text = text;
        behind->count += before->count;
        before->text[0] = 0;
        before->count = 0;
    }
    for (int i = 0, j = 1; j < w->count && fine; j++) {
        word *before = &w->items[i], *behind = &w->items[j];
        size_t size = strlen(before->text);
        bool spaced = size && before->text[size - 1] == ' ';
        if (!spaced && strstr(APPENDED, behind->text))
            fine = append(w, before, behind);
        else
            i = j;
    }
    return fine;
}

/* ---- words to segments */

static double hundredths(double seconds)
{
    return rint(seconds * 100) / 100;
}

static at_word *take_words(const at_words_task *t, words *w, int *next, at_piece *piece)
{
    at_word *list = AT_NEW_ARRAY(w->cx, at_word, w->count - *next + 1);
    int texts = 0, saved = 0;
    for (int i = 0; i < piece->count; i++) texts += piece->tokens[i] < t->model->eot;
    piece->segment.words = list;
    piece->segment.word_count = 0;
    for (; list && *next < w->count && saved < texts; ++*next) {
        word *item = &w->items[*next];
        saved += item->count;
        if (!item->text[0]) continue;
        list[piece->segment.word_count++] =
            (at_word){.text = item->text,
                      .start = hundredths(t->time_offset + item->start),
                      .end = hundredths(t->time_offset + item->end),
                      .probability = item->probability};
        item->text = NULL;
    }
    return list;
}

/* Words behind a pause that reach into it are cut; else the segment begins and ends with them. */
static void fit_segment(at_segment *s, at_word *list, double median, double *last_speech)
{
    double most = 2 * median;
    at_word *first = list, *second = s->word_count > 1 ? list + 1 : NULL;
    at_word *last = list + s->word_count - 1;
    if (first->end - *last_speech > median * 4 &&
        (first->end - first->start > most || (second && second->end - first->start > most * 2))) {
        if (second && second->end - second->start > most)
            first->end = second->start = AT_MAX(second->end / 2, second->end - most);
        first->start = AT_MAX(0, first->end - most);
    }
    if (s->start < first->end && s->start - 0.5 > first->start)
        first->start = AT_MAX(0, AT_MIN(first->end - median, s->start));
    else
        s->start = first->start;
    if (s->end > last->start && s->end + 0.5 < last->end)
        last->end = AT_MAX(last->start + median, s->end);
    else
        s->end = last->end;
    *last_speech = s->end;
}

static bool spread(const at_words_task *t, words *w, at_piece *pieces, int count)
{
    double median = median_duration(w);
    int next = 0;
    shorten_at_ends(w, 2 * median);
    bool fine = merge_punctuation(w);
    for (int i = 0; fine && i < count; i++) {
        at_word *list = take_words(t, w, &next, &pieces[i]);
        fine = list != NULL;
        if (fine && pieces[i].segment.word_count)
            fit_segment(&pieces[i].segment, list, median, t->last_speech);
    }
    return fine;
}

/* The text tokens of all pieces behind each other. */
static int32_t *collect(const at_words_task *t, const at_piece *pieces, int count, int *total)
{
    int most = 0;
    for (int i = 0; i < count; i++) most += pieces[i].count;
    int32_t *tokens = AT_NEW_ARRAY(t->model->cx, int32_t, most + 1);
    *total = 0;
    for (int i = 0; tokens && i < count; i++)
        for (int j = 0; j < pieces[i].count; j++)
            if (pieces[i].tokens[j] < t->model->eot) tokens[(*total)++] = pieces[i].tokens[j];
    return tokens;
}

bool at_words_add(const at_words_task *t, at_tensor *encoded, at_piece *pieces, int count)
{
    at_context *cx = t->model->cx;
    int total, room = (int)t->model->info.positions - t->prompt_count - 1;
    int32_t *tokens = collect(t, pieces, count, &total);
    words w = {.cx = cx};
    w.items = tokens ? AT_NEW_ARRAY(cx, word, total + 1) : NULL;
    bool fine = w.items != NULL, some = total && total <= room && t->frames >= 2;
    if (fine && some)
        fine = split_characters(t->model, tokens, total, &w) && (t->no_spaces || join_pieces(&w)) &&
               find_times(t, encoded, tokens, total, &w);
    fine = fine && spread(t, &w, pieces, count);
    free_words(&w);
    at_free(tokens);
    return fine;
}
