#include "pipelines/whisper/decode.h"
#include "pipelines/whisper/rules.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A text in the making, or a finished one. */
typedef struct line {
    int32_t *tokens;
    int count;
    double sum; /* of log probabilities */
} line;

typedef struct candidate {
    int row; /* that it goes on from */
    int32_t token;
    double sum;
} candidate;

typedef struct decoder {
    const at_decode_task *task;
    const at_transcriber *model;
    at_context *cx;
    at_rules rules;
    at_whisper_cache *cache;
    int windows, beams, most_finished;
    bool searches;      /* beams, not lines drawn one beside the other */
    line *lines, *next; /* [windows * beams] */
    line *finished;     /* [windows][most_finished + beams] */
    int *finished_counts;
    candidate *candidates;
    int *sources;
    int32_t *memory; /* of all tokens */
    double *weights; /* [vocabulary], of a draw */
} decoder;

/* ---- setting up */

static int most_tokens(const decoder *d)
{
    return (int)d->model->info.positions + 1;
}

static bool begin(decoder *d, const at_decode_task *task, at_tensor *encoded)
{
    const at_transcribe_options *o = task->options;
    *d = (decoder){.task = task, .model = task->model, .cx = task->model->cx};
    at_context *cx = d->cx;
    bool cold = task->temperature <= 0;
    d->windows = (int)at_dim(encoded, 0);
    d->beams = cold ? o->beams : o->best_of;
    d->searches = cold && d->beams > 1;
    d->most_finished = AT_MAX((int)lround(d->beams * o->patience), 1);
    int rows = d->windows * d->beams, kept = d->windows * (d->most_finished + d->beams);
    int64_t most = most_tokens(d);
    d->lines = AT_NEW_ARRAY(cx, line, rows);
    d->next = AT_NEW_ARRAY(cx, line, rows);
    d->finished = AT_NEW_ARRAY(cx, line, kept);
    d->finished_counts = AT_NEW_ARRAY(cx, int, d->windows);
    d->candidates = AT_NEW_ARRAY(cx, candidate, d->beams * (d->beams + 1));
    d->sources = AT_NEW_ARRAY(cx, int, rows);
    d->memory = at_alloc(cx, (size_t)(2 * rows + kept) * (size_t)most, sizeof *d->memory);
    if (!cold) d->weights = AT_NEW_ARRAY(cx, double, d->model->info.vocabulary);
    d->cache = at_whisper_cache_new(cx, d->model->network, encoded, d->beams);
    if (!at_rules_begin(&d->rules, d->model, o) || !at_ok(cx)) return false;
    for (int i = 0; i < rows; i++) {
        d->lines[i].tokens = d->memory + i * most;
        d->next[i].tokens = d->memory + (rows + i) * most;
    }
    for (int i = 0; i < kept; i++) d->finished[i].tokens = d->memory + (2 * rows + i) * most;
    return true;
}

static void end(decoder *d)
{
    at_rules_end(&d->rules);
    at_whisper_cache_free(d->cache);
    at_free(d->lines);
    at_free(d->next);
    at_free(d->finished);
    at_free(d->finished_counts);
    at_free(d->candidates);
    at_free(d->sources);
    at_free(d->memory);
    at_free(d->weights);
}

static void copy_line(line *to, const line *from)
{
    memcpy(to->tokens, from->tokens, sizeof *from->tokens * (size_t)from->count);
    to->count = from->count;
    to->sum = from->sum;
}

/* ---- choosing */

/* Row r of the step's logits [rows,vocabulary] under the rules, and their softmax. */
typedef struct step {
    const float *logits, *p;
    int64_t vocabulary;
} step;

static const float *row_of(const float *all, const step *s, int r)
{
    return all + r * s->vocabulary;
}

static double logprob(float p, double share)
{
    return log((double)p / share);
}

/* The `count` likeliest tokens of a row, the best first; fewer where no more are possible. */
static int likeliest(const float *logits, int64_t first, int64_t vocabulary, int count,
                     int32_t *tokens)
{
    int n = 0;
    for (int64_t t = first; t < vocabulary; t++) {
        float v = logits[t];
        if (!(v > (n < count ? -INFINITY : logits[tokens[n - 1]]))) continue;
        int at = n < count ? n++ : n - 1;
        for (; at > 0 && v > logits[tokens[at - 1]]; at--) tokens[at] = tokens[at - 1];
        tokens[at] = (int32_t)t;
    }
    return n;
}

static int32_t draw(const decoder *d, const float *logits, int64_t first, int64_t vocabulary)
{
    int32_t best = 0;
    double sum = 0;
    float where;
    if (!likeliest(logits, first, vocabulary, 1, &best)) return d->model->eot;
    double temperature = d->task->temperature, top = (double)logits[best];
    for (int64_t t = first; t < vocabulary; t++) {
        d->weights[t] = exp(((double)logits[t] - top) / temperature);
        sum += d->weights[t];
    }
    at_random_uniform(d->task->random, &where, 1);
    double left = sum * (double)where;
    for (int64_t t = first; t < vocabulary; t++) {
        left -= d->weights[t];
        if (left < 0) return (int32_t)t;
    }
    return best;
}

/* Each line by itself. True when all have ended. */
static bool extend_lines(decoder *d, const step *s, bool first)
{
    int32_t eot = d->model->eot;
    bool all = true;
    for (int r = 0; r < d->windows * d->beams; r++) {
        line *l = &d->lines[r];
        int row = first ? r / d->beams : r;
        d->sources[r] = first ? r / d->beams * d->beams : r;
        if (l->count && l->tokens[l->count - 1] == eot) continue;
        const float *logits = row_of(s->logits, s, row), *p = row_of(s->p, s, row);
        double share;
        int32_t from = at_rules_first(&d->rules, p, &share), token = eot;
        if (d->task->temperature > 0)
            token = draw(d, logits, from, s->vocabulary);
        else
            likeliest(logits, from, s->vocabulary, 1, &token);
        l->sum += logprob(p[token], share);
        l->tokens[l->count++] = token;
        all = all && token == eot;
    }
    return all;
}

static int by_sum(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->sum != y->sum) return x->sum > y->sum ? -1 : 1;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* The candidates of a window, the best first. */
static int find_candidates(decoder *d, const step *s, int window, bool first)
{
    int count = 0;
    for (int b = 0; b < (first ? 1 : d->beams); b++) {
        int line_row = window * d->beams + b, row = first ? window : line_row;
        const float *logits = row_of(s->logits, s, row), *p = row_of(s->p, s, row);
        int32_t tokens[AT_WHISPER_BEAMS + 1];
        double share;
        int32_t from = at_rules_first(&d->rules, p, &share);
        int n = likeliest(logits, from, s->vocabulary, d->beams + 1, tokens);
        for (int i = 0; i < n; i++)
            d->candidates[count++] = (candidate){
                line_row, tokens[i], d->lines[line_row].sum + logprob(p[tokens[i]], share)};
    }
    qsort(d->candidates, (size_t)count, sizeof *d->candidates, by_sum);
    return count;
}

static void finish(decoder *d, int window, const line *from, double sum)
{
    line *l = &d->finished[window * (d->most_finished + d->beams) + d->finished_counts[window]++];
    copy_line(l, from);
    l->sum = sum;
}

/* The best beams of each window go on. True when every window has enough finished texts. */
static bool extend_beams(decoder *d, const step *s, bool first)
{
    bool all = true;
    for (int w = 0; w < d->windows; w++) {
        int count = find_candidates(d, s, w, first), kept = 0, base = w * d->beams;
        for (int i = 0; i < count && kept < d->beams; i++) {
            const candidate *c = &d->candidates[i];
            const line *from = &d->lines[c->row];
            if (c->token == d->model->eot) {
                if (d->finished_counts[w] < d->most_finished) finish(d, w, from, c->sum);
                continue;
            }
            line *to = &d->next[base + kept];
            copy_line(to, from);
            to->tokens[to->count++] = c->token;
            to->sum = c->sum;
            d->sources[base + kept++] = c->row;
        }
        for (; kept < d->beams; kept++) { /* of a tiny vocabulary */
            copy_line(&d->next[base + kept], &d->lines[base]);
            d->next[base + kept].sum = -INFINITY;
            d->next[base + kept].tokens[d->next[base + kept].count++] = d->model->eot;
            d->sources[base + kept] = base;
        }
        all = all && d->finished_counts[w] >= d->most_finished;
    }
    line *lines = d->lines;
    d->lines = d->next;
    d->next = lines;
    return all;
}

/* ---- the loop */

/* logits [rows,vocabulary] of the prompt's last token, one row a window; how likely silence is. */
static at_tensor *begin_prompt(decoder *d, at_decoded *out)
{
    const at_decode_task *task = d->task;
    at_context *cx = d->cx;
    at_tensor *logits = NULL;
    for (int at = 0; at < task->prompt_count; at += at ? task->prompt_count : task->sot_index + 1) {
        int n = at ? task->prompt_count - at : task->sot_index + 1;
        at_tensor *ids = at_new(cx, AT_I32, d->windows, n);
        for (int w = 0; ids && w < d->windows; w++)
            memcpy((int32_t *)ids->data + w * n, task->prompt + at, sizeof(int32_t) * (size_t)n);
        logits = at_whisper_decode(cx, task->model->network, d->cache, ids, false);
        at_tensor *p = at ? NULL : at_softmax(cx, logits);
        for (int w = 0; p && w < d->windows; w++)
            out[w].no_speech_prob =
                (double)((float *)p->data)[w * at_dim(p, 1) + task->model->no_speech];
    }
    return logits;
}

static at_tensor *next_logits(decoder *d)
{
    int rows = d->windows * d->beams;
    at_whisper_cache_reorder(d->cache, d->sources);
    at_tensor *ids = at_new(d->cx, AT_I32, rows, 1);
    for (int r = 0; ids && r < rows; r++)
        ((int32_t *)ids->data)[r] = d->lines[r].tokens[d->lines[r].count - 1];
    return at_whisper_decode(d->cx, d->model->network, d->cache, ids, false);
}

/* The next token of every line; true when that was the last. */
static bool take_step(decoder *d, at_tensor *logits, bool first)
{
    int rows = (int)at_dim(logits, 0);
    int64_t vocabulary = d->model->info.vocabulary;
    for (int r = 0; r < rows; r++) {
        const line *l = &d->lines[first ? r * d->beams : r];
        at_rules_apply(&d->rules, l->tokens, l->count, (float *)logits->data + r * vocabulary);
    }
    at_tensor *p = at_softmax(d->cx, logits);
    if (!p) return true;
    step s = {logits->data, p->data, vocabulary};
    return d->searches ? extend_beams(d, &s, first) : extend_lines(d, &s, first);
}

static bool run(decoder *d, at_decoded *out)
{
    int half = (int)d->model->info.positions / 2;
    at_scope scope = at_scope_begin(d->cx);
    for (int i = 0; i < half && at_ok(d->cx); i++) {
        at_tensor *logits = i ? next_logits(d) : begin_prompt(d, out);
        bool last = !logits || take_step(d, logits, i == 0);
        at_scope_keep(d->cx, scope, NULL);
        if (last || d->task->prompt_count + i + 1 > d->model->info.positions) break;
    }
    at_scope_end(d->cx, scope, NULL);
    return at_ok(d->cx);
}

/* ---- the best */

/* Lines that did not end stand in where too few did, the likeliest first. */
static void fill_finished(decoder *d, int window)
{
    line *lines = d->lines + window * d->beams;
    while (d->finished_counts[window] < d->beams) {
        line *best = NULL;
        for (int b = 0; b < d->beams; b++)
            if (lines[b].count && (!best || lines[b].sum > best->sum)) best = &lines[b];
        if (!best) return;
        finish(d, window, best, best->sum);
        best->count = 0;
    }
}

static double score_of(const decoder *d, const line *l)
{
    double alpha = d->task->options->length_penalty, count = AT_MAX(l->count, 1);
    return l->sum / (alpha > 0 ? pow((5.0 + count) / 6.0, alpha) : count);
}

static const line *best_line(decoder *d, int window)
{
    const line *lines = d->lines + window * d->beams, *best = NULL;
    int count = d->beams;
    if (d->searches) {
        fill_finished(d, window);
        lines = d->finished + window * (d->most_finished + d->beams);
        count = d->finished_counts[window];
    }
    for (int i = 0; !d->searches && i < count; i++) {
        line *l = &d->lines[window * d->beams + i];
        if (l->count && l->tokens[l->count - 1] == d->model->eot) l->count--;
    }
    for (int i = 0; i < count; i++)
        if (!best || score_of(d, &lines[i]) > score_of(d, best)) best = &lines[i];
    return best;
}

/* How many times shorter zlib makes the text. */
static double compression_ratio(at_context *cx, const char *text)
{
    while (*text == ' ') text++;
    size_t size = strlen(text);
    while (size && text[size - 1] == ' ') size--;
    uLongf packed = compressBound((uLong)size);
    Bytef *out = at_alloc(cx, packed, 1);
    bool fine = out && compress(out, &packed, (const Bytef *)text, (uLong)size) == Z_OK;
    at_free(out);
    return fine ? (double)size / (double)packed : 0;
}

static bool give(decoder *d, int window, at_decoded *out)
{
    const line *best = best_line(d, window);
    if (!best) return false;
    at_free(out->tokens);
    out->tokens = AT_NEW_ARRAY(d->cx, int32_t, best->count + 1);
    char *text = at_transcriber_decode(d->model, best->tokens, (size_t)best->count);
    if (!out->tokens || !text) return false;
    memcpy(out->tokens, best->tokens, sizeof *out->tokens * (size_t)best->count);
    out->count = best->count;
    out->avg_logprob = best->sum / (best->count + 1);
    out->compression_ratio = compression_ratio(d->cx, text);
    out->temperature = d->task->temperature;
    at_free(text);
    return at_ok(d->cx);
}

bool at_decode_windows(const at_decode_task *task, at_tensor *encoded, at_decoded *out)
{
    decoder d;
    if (!at_ok(task->model->cx) || !encoded) return false;
    bool fine = begin(&d, task, encoded) && run(&d, out);
    for (int w = 0; fine && w < d.windows; w++) fine = give(&d, w, &out[w]);
    end(&d);
    return fine;
}

int at_detect_language(const at_transcriber *m, at_tensor *encoded, double *probability)
{
    at_context *cx = m->cx;
    at_scope scope = at_scope_begin(cx);
    at_tensor *first = at_slice(cx, encoded, 0, 0, 1);
    at_whisper_cache *cache = at_whisper_cache_new(cx, m->network, first, 1);
    at_tensor *ids = at_from(cx, AT_I32, 2, (int64_t[]){1, 1}, &m->sot);
    at_tensor *logits = at_whisper_decode(cx, m->network, cache, ids, false);
    int best = -1;
    double sum = 0;
    for (int i = 0; logits && i < m->language_count; i++) {
        const float *of = (const float *)logits->data + m->sot + 1;
        if (best < 0 || of[i] > of[best]) best = i;
    }
    for (int i = 0; best >= 0 && i < m->language_count; i++) {
        const float *of = (const float *)logits->data + m->sot + 1;
        sum += exp((double)of[i] - (double)of[best]);
    }
    *probability = sum > 0 ? 1 / sum : 0;
    at_whisper_cache_free(cache);
    at_scope_end(cx, scope, NULL);
    return best;
}
