#include "pipelines/whisper/rules.h"
#include <math.h>

bool at_rules_begin(at_rules *r, const at_transcriber *m, const at_transcribe_options *o)
{
    *r = (at_rules){.model = m, .timestamps = o->timestamps != AT_TIMESTAMPS_NONE};
    r->most_initial = (int)lround(o->max_initial_timestamp / 0.02);
    r->banned = AT_NEW_ARRAY(m->cx, bool, m->info.vocabulary);
    if (!r->banned) return false;
    const int32_t special[] = {m->transcribe, m->translate, m->sot,
                               m->sot_prev,   m->sot_lm,    m->no_speech};
    for (size_t i = 0; i < AT_COUNT(special); i++) r->banned[special[i]] = true;
    if (r->timestamps) r->banned[m->no_timestamps] = true;
    for (size_t i = 0; i < m->symbols.count && !o->keep_symbols; i++)
        if (m->symbols.ids[i] < m->info.vocabulary) r->banned[m->symbols.ids[i]] = true;
    for (int i = 0; i < o->suppressed_count; i++)
        if (o->suppressed[i] >= 0 && o->suppressed[i] < m->info.vocabulary)
            r->banned[o->suppressed[i]] = true;
    return true;
}

void at_rules_end(at_rules *r)
{
    at_free(r->banned);
}

static void ban(float *logits, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) logits[i] = -INFINITY;
}

/* Timestamps come in pairs, but before the end, and never go back; a segment is not empty. */
static void keep_order(const at_rules *r, const int32_t *tokens, int count, float *logits)
{
    const at_transcriber *m = r->model;
    int32_t first = m->timestamp_begin, latest = -1;
    bool last = count > 0 && tokens[count - 1] >= first;
    bool before = count < 2 || tokens[count - 2] >= first;
    if (last && before) ban(logits, first, m->info.vocabulary);
    if (last && !before) ban(logits, 0, m->eot);
    for (int i = count - 1; i >= 0 && latest < 0; i--)
        if (tokens[i] >= first) latest = tokens[i];
    if (latest >= 0) ban(logits, first, last && !before ? latest : latest + 1);
    if (count) return;
    ban(logits, 0, first);
    ban(logits, (int64_t)first + r->most_initial + 1, m->info.vocabulary);
}

void at_rules_apply(const at_rules *r, const int32_t *tokens, int count, float *logits)
{
    const at_transcriber *m = r->model;
    for (int64_t i = 0; i < m->info.vocabulary; i++)
        if (r->banned[i]) logits[i] = -INFINITY;
    if (!count) logits[m->space] = logits[m->eot] = -INFINITY;
    if (r->timestamps) keep_order(r, tokens, count, logits);
}

int32_t at_rules_first(const at_rules *r, const float *p, double *share)
{
    const at_transcriber *m = r->model;
    double sum = 0;
    float most = 0;
    *share = 1;
    if (!r->timestamps) return 0;
    for (int64_t i = m->timestamp_begin; i < m->info.vocabulary; i++) sum += (double)p[i];
    for (int64_t i = 0; i < m->timestamp_begin; i++)
        if (p[i] > most) most = p[i];
    if (sum <= (double)most) return 0;
    *share = sum;
    return m->timestamp_begin;
}
