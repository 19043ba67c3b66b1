#include "hub/convert_plan.h"
#include "text/regex.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16 }; /* elements converted at once: a whole number of blocks of every type */

bool at_plan_begin(at_context *cx, at_plan *p, const at_convert_options *options)
{
    *p = (at_plan){.cx = cx, .options = options, .by_name = at_map_new(cx)};
    return p->by_name != NULL;
}

void at_plan_end(at_plan *p)
{
    for (int64_t i = 0; i < p->count; i++) at_free(p->outputs[i].name);
    for (int i = 0; i < p->metadata_count; i++) at_free(p->metadata[i]);
    at_free(p->outputs);
    at_map_free(p->by_name);
}

void at_plan_add_metadata(at_plan *p, const char *key, const char *value)
{
    if (!value || p->metadata_count + 3 > (int)AT_COUNT(p->metadata)) return;
    p->metadata[p->metadata_count++] = at_copy_text(p->cx, key);
    p->metadata[p->metadata_count++] = at_copy_text(p->cx, value);
}

/* ---- tensors */

static at_plan_output *output_of(at_plan *p, char *name)
{
    int64_t i;
    if (at_map_get(p->by_name, name, strlen(name), &i)) {
        at_free(name);
        return &p->outputs[i];
    }
    if (p->count == p->capacity) {
        int64_t capacity = AT_MAX(256, p->capacity * 2);
        at_plan_output *more = at_resize(p->cx, p->outputs, (size_t)capacity, sizeof *more);
        if (more) {
            p->outputs = more;
            p->capacity = capacity;
        }
    }
    if (p->count == p->capacity || !at_map_set(p->cx, p->by_name, name, strlen(name), p->count)) {
        at_free(name);
        return NULL;
    }
    p->outputs[p->count] = (at_plan_output){.name = name};
    return &p->outputs[p->count++];
}

/* A turned or swapped matrix is one of a set of its own. */
static bool flip(at_plan *p, at_plan_piece *piece, const at_name_rule *rule)
{
    const at_weight_view view = {.transposed = rule->transposed,
                                 .halves_swapped = rule->halves_swapped};
    at_weights *set = at_weights_derive(p->cx, piece->set);
    const char *name = piece->weight->name;
    if (!set || !at_weights_add(p->cx, set, name, piece->weight, &view)) return false;
    piece->set = set;
    piece->weight = at_weights_find(set, name);
    return true;
}

bool at_plan_add(at_plan *p, char *name, at_weights *set, const at_weight *weight,
                 const at_name_rule *rule)
{
    at_plan_output *o = name ? output_of(p, name) : NULL;
    at_plan_piece piece = {set, weight, rule && rule->of ? rule->from : 0};
    if (!o) return false;
    if (o->count == AT_PLAN_PIECES || (o->count && !(rule && rule->of)))
        return at_fail_false(p->cx, AT_ERROR_FORMAT, "%s: two tensors become %s",
                             weight->file->path, o->name);
    if (rule && (rule->transposed || rule->halves_swapped) && !flip(p, &piece, rule)) return false;
    o->is_kernel = rule && rule->is_matrix;
    if (rule) o->of = rule->of;
    if (rule) o->parts += rule->to - rule->from;
    int at = o->count++;
    for (; at > 0 && o->pieces[at - 1].from > piece.from; at--) o->pieces[at] = o->pieces[at - 1];
    o->pieces[at] = piece;
    return true;
}

bool at_plan_add_all(at_plan *p, at_weights *set)
{
    bool fine = true;
    for (int64_t i = 0; fine && i < at_weights_count(set); i++) {
        const at_weight *w = at_weights_at(set, i);
        fine = at_plan_add(p, at_copy_text(p->cx, w->name), set, w, NULL);
    }
    return fine;
}

/* ---- types */

typedef struct writing {
    at_plan *plan;
    at_regex **rules;
    bool gguf;
} writing;

static bool is_real(at_dtype dtype)
{
    return dtype <= AT_F64 || at_dtype_block(dtype) > 1;
}

static bool can_hold(const writing *w, at_dtype dtype)
{
    return w->gguf ? at_gguf_has(dtype) : at_safetensors_has(dtype);
}

static at_dtype wanted_of(const writing *w, const char *name, at_dtype own)
{
    const at_convert_options *o = w->plan->options;
    size_t count = 0;
    for (int i = 0; i < o->rule_count; i++) {
        at_span *found = at_regex_find(w->plan->cx, w->rules[i], name, strlen(name), &count);
        at_free(found);
        if (count) return o->rules[i].dtype;
    }
    return o->dtype == AT_DTYPES ? own : o->dtype;
}

/* Its rows, where blocks may go: those of a matrix, or of a kernel as one; GGUF alone has a place
   for the kernel's shape. */
static int64_t row_of(const writing *w, const at_weight_entry *e)
{
    if (e->dims == 4 && w->gguf) return e->shape[1] * e->shape[2] * e->shape[3];
    return e->dims == 2 ? e->shape[1] : 1;
}

/* What the entry becomes: a block type only where rows are whole blocks. */
static at_dtype dtype_of(const writing *w, const at_weight_entry *e, at_dtype own)
{
    at_dtype fallback = at_dtype_block(own) > 1 ? AT_F16 : own;
    at_dtype dtype = is_real(own) ? wanted_of(w, e->name, own) : own;
    int block = at_dtype_block(dtype);
    bool fits = block == 1 || row_of(w, e) % block == 0;
    if (!fits) dtype = fallback;
    bool asked = w->plan->options->dtype != AT_DTYPES && dtype == w->plan->options->dtype;
    if (!can_hold(w, dtype) && !asked) dtype = is_real(own) ? AT_F16 : dtype;
    if (w->gguf && (dtype == AT_BOOL || dtype == AT_U8)) dtype = AT_I8;
    return dtype;
}

static bool fill_entry(const writing *w, const at_plan_output *o, at_weight_entry *e)
{
    const at_weight *first = o->pieces[0].weight;
    *e = (at_weight_entry){.name = o->name, .dims = first->dims, .source = o};
    memcpy(e->shape, first->shape, sizeof e->shape);
    if (o->parts != o->of)
        return at_fail_false(w->plan->cx, AT_ERROR_FORMAT,
                             "%s: what %s is made of is not all there", first->file->path, o->name);
    for (int i = 1; i < o->count; i++) {
        const at_weight *next = o->pieces[i].weight;
        bool fits = next->dims == e->dims && e->dims > 0;
        for (int d = 1; d < e->dims && fits; d++) fits = next->shape[d] == e->shape[d];
        if (!fits || !at_add_size(e->shape[0], next->shape[0], &e->shape[0]))
            return at_fail_false(w->plan->cx, AT_ERROR_FORMAT, "%s: %s does not fit to the others",
                                 next->file->path, next->name);
    }
    if (o->is_kernel && e->dims == 2) {
        e->shape[2] = e->shape[3] = 1;
        e->dims = 4;
    }
    e->dtype = dtype_of(w, e, first->dtype);
    return true;
}

/* ---- bytes */

static bool write_converted(at_context *cx, const at_tensor *x, at_dtype to, at_file_writer *writer)
{
    int64_t left = at_elements(x);
    size_t from_block = (size_t)at_dtype_block(x->dtype), to_block = (size_t)at_dtype_block(to);
    size_t step = CHUNK / from_block * at_dtype_block_bytes(x->dtype);
    uint8_t *buffer = at_alloc(cx, CHUNK / to_block, at_dtype_block_bytes(to));
    const uint8_t *in = x->data;
    bool fine = buffer != NULL;
    for (; fine && left > 0; left -= CHUNK, in += step) {
        int64_t count = AT_MIN(left, CHUNK);
        size_t bytes = (size_t)count / to_block * at_dtype_block_bytes(to);
        fine = at_convert(x->dtype, in, to, buffer, count) &&
               at_file_writer_write(cx, writer, buffer, bytes);
    }
    at_free(buffer);
    return fine;
}

static bool write_output(at_context *cx, const at_weight_entry *e, at_file_writer *writer,
                         void *user)
{
    const at_plan_output *o = e->source;
    writing *w = user;
    bool fine = true;
    for (int i = 0; fine && i < o->count; i++) {
        at_scope s = at_scope_begin(cx);
        at_tensor *x = at_weights_get(cx, o->pieces[i].set, o->pieces[i].weight->name);
        bool same = x && (x->dtype == e->dtype || e->dtype == AT_I8); /* bytes stay bytes */
        fine = x && (same ? at_file_writer_write(cx, writer, x->data, at_bytes(x))
                          : write_converted(cx, x, e->dtype, writer));
        at_scope_end(cx, s, NULL);
    }
    at_progress(cx, "convert", (int)(o - w->plan->outputs) + 1, (int)w->plan->count);
    return fine;
}

bool at_plan_write(at_plan *p, const char *path, const char *architecture)
{
    at_context *cx = p->cx;
    writing w = {.plan = p, .gguf = at_has_suffix(path, ".gguf")};
    at_weight_entry *entries = at_ok(cx) ? AT_NEW_ARRAY(cx, at_weight_entry, p->count) : NULL;
    w.rules = entries ? AT_NEW_ARRAY(cx, at_regex *, p->options->rule_count) : NULL;
    bool fine = w.rules != NULL;
    for (int i = 0; fine && i < p->options->rule_count; i++)
        fine = (w.rules[i] = at_regex_new(cx, p->options->rules[i].pattern, false, "--keep"));
    for (int64_t i = 0; fine && i < p->count; i++)
        fine = fill_entry(&w, &p->outputs[i], &entries[i]);
    at_plan_add_metadata(p, w.gguf ? "general.architecture" : "format",
                         w.gguf ? architecture : "pt");
    const char *const *metadata = (const char *const *)p->metadata;
    fine = fine && at_ok(cx) &&
           (w.gguf ? at_gguf_stream : at_safetensors_stream)(cx, path, p->count, entries, metadata,
                                                             write_output, &w);
    for (int i = 0; w.rules && i < p->options->rule_count; i++) at_regex_free(w.rules[i]);
    at_free(w.rules);
    at_free(entries);
    return fine;
}
