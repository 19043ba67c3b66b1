#include "pipelines/prompt_weights.h"
#include "pipelines/prompt.h"
#include "text/prompt_syntax.h"
#include "text/tokenizer.h"
#include <string.h>

enum { COMMA_BACKTRACK = 20, LONG_WORD = 8 };

/* Chunks as they fill: rows of `length` tokens, begin and end of each included. */
typedef struct builder {
    at_context *cx;
    const at_tokenizer *tokenizer;
    int32_t begin, end, pad; /* begin -1: none */
    size_t length;
    int32_t *ids; /* of all rows */
    float *weights;
    size_t rows, capacity;
    size_t used,
        comma; /* tokens in the last row without begin; place behind its last comma, or 0 */
} builder;

static size_t room(const builder *b)
{
    return b->length - 1 - (b->begin >= 0);
}

static size_t place(const builder *b, size_t token)
{
    return (b->rows - 1) * b->length + (b->begin >= 0) + token;
}

/* A row of padding with its begin and end. */
static bool new_row(builder *b)
{
    if (b->rows == b->capacity) {
        size_t capacity = AT_MAX(4, 2 * b->capacity);
        int32_t *ids = at_resize(b->cx, b->ids, capacity * b->length, sizeof *ids);
        if (ids) b->ids = ids;
        float *weights = at_resize(b->cx, b->weights, capacity * b->length, sizeof *weights);
        if (weights) b->weights = weights;
        if (!ids || !weights) return false;
        b->capacity = capacity;
    }
    b->rows++;
    b->used = b->comma = 0;
    int32_t *row = b->ids + (b->rows - 1) * b->length;
    for (size_t i = 0; i < b->length; i++) {
        row[i] = b->pad;
        b->weights[(b->rows - 1) * b->length + i] = 1.0f;
    }
    if (b->begin >= 0) row[0] = b->begin;
    row[b->begin >= 0] = b->end;
    return true;
}

static void put(builder *b, int32_t id, float weight)
{
    size_t at = place(b, b->used++);
    b->ids[at] = id;
    b->weights[at] = weight;
    b->ids[at + 1] = b->end;
}

/* Moves what stands behind the last comma into a new row. */
static bool carry_over(builder *b)
{
    size_t count = b->used - b->comma, from = place(b, b->comma);
    int32_t ids[COMMA_BACKTRACK];
    float weights[COMMA_BACKTRACK];
    for (size_t i = 0; i < count; i++) {
        ids[i] = b->ids[from + i];
        weights[i] = b->weights[from + i];
        b->ids[from + i] = i ? b->pad : b->end;
        b->weights[from + i] = 1.0f;
    }
    if (count) b->ids[from + count] = b->pad;
    if (!new_row(b)) return false;
    for (size_t i = 0; i < count; i++) put(b, ids[i], weights[i]);
    return true;
}

/* A1111's: full rows end behind a comma that is at most 20 tokens back. */
static bool add_a1111(builder *b, const at_ids *ids, float weight, int32_t comma)
{
    for (size_t i = 0; i < ids->count; i++) {
        bool is_comma = ids->ids[i] == comma, full = b->used == room(b);
        bool near = b->comma && b->used - b->comma < COMMA_BACKTRACK;
        if (full && !(near && !is_comma ? carry_over(b) : new_row(b))) return false;
        put(b, ids->ids[i], weight);
        if (is_comma && !full) b->comma = b->used; /* as A1111: not one that began a row */
    }
    return true;
}

/* ComfyUI's: a word goes into the next row whole, unless it is long. */
static bool add_comfy(builder *b, const at_ids *ids, float weight)
{
    bool whole = ids->count < LONG_WORD;
    if (whole && b->used + ids->count > room(b) && !new_row(b)) return false;
    for (size_t i = 0; i < ids->count; i++) {
        if (b->used == room(b) && !new_row(b)) return false;
        put(b, ids->ids[i], weight);
    }
    return true;
}

static bool encode(const builder *b, const char *text, size_t size, at_ids *ids)
{
    const at_encode_options plain = {.no_special_tokens = true};
    return at_tokenizer_encode(b->cx, b->tokenizer, text, size, &plain, ids);
}

/* T5 has no chunks: what does not fit is cut off. */
static bool add_cut(builder *b, const at_ids *ids, float weight)
{
    for (size_t i = 0; i < ids->count && b->used < room(b); i++) put(b, ids->ids[i], weight);
    return true;
}

static bool add_words(builder *b, const at_prompt_item *piece, at_ids *ids)
{
    bool fine = true;
    for (const char *p = piece->text; fine && *p;) {
        size_t n = strcspn(p, " \n");
        fine = !n || (encode(b, p, n, ids) && add_comfy(b, ids, (float)piece->value));
        p += n + (p[n] != 0);
    }
    return fine;
}

static bool add_pieces(builder *b, const at_prompt_list *pieces, bool comfy)
{
    at_ids ids = {0};
    int32_t comma = at_tokenizer_id(b->tokenizer, ",</w>");
    bool fine = new_row(b);
    for (int i = 0; fine && i < pieces->count; i++) {
        const at_prompt_item *piece = &pieces->items[i];
        bool breaks = !comfy && piece->value == -1 && strcmp(piece->text, "BREAK") == 0;
        if (breaks && b->begin >= 0)
            fine = new_row(b);
        else if (comfy && b->begin >= 0)
            fine = add_words(b, piece, &ids);
        else if (!breaks && encode(b, piece->text, strlen(piece->text), &ids))
            fine = b->begin >= 0 ? add_a1111(b, &ids, (float)piece->value, comma)
                                 : add_cut(b, &ids, (float)piece->value);
    }
    at_ids_free(&ids);
    return fine && at_ok(b->cx);
}

/* A prompt that ends with BREAK has no chunk behind it. */
static void drop_empty_row(builder *b)
{
    if (b->rows > 1 && !b->used) b->rows--;
}

static bool refuse_edits(at_context *cx, const char *prompt)
{
    at_prompt_list parts = {0}, stages = {0};
    bool fine =
        at_prompt_split_and(cx, prompt, &parts) && at_prompt_schedule(cx, prompt, 100, &stages);
    if (fine && (parts.count > 1 || stages.count > 1))
        fine = at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "the prompt: %s is not supported yet (write it without, or give "
                             "--prompt-syntax plain)",
                             parts.count > 1 ? "AND" : "[a:b:0.4] or [a|b]");
    at_prompt_list_free(&parts);
    at_prompt_list_free(&stages);
    return fine;
}

static at_prompt_chunks finish(builder *b, bool interpolates)
{
    at_prompt_chunks out = {.interpolates = interpolates};
    bool weighed = false;
    size_t count = b->rows * b->length;
    for (size_t i = 0; i < count; i++) weighed = weighed || b->weights[i] != 1.0f;
    int64_t rows = (int64_t)b->rows, length = (int64_t)b->length;
    if (weighed) out.weights = at_from(b->cx, AT_F32, 3, (int64_t[]){rows, length, 1}, b->weights);
    if (weighed && interpolates && new_row(b)) rows++;
    out.ids = at_from(b->cx, AT_I32, 2, (int64_t[]){rows, length}, b->ids);
    return out;
}

at_prompt_chunks at_prompt_chunk(at_pipeline *pipeline, const char *tokenizer, const char *prompt,
                                 at_prompt_syntax syntax, size_t length)
{
    at_context *cx = pipeline->cx;
    at_prompt_chunks out = {0};
    if (!prompt) prompt = "";
    if (syntax == AT_PROMPT_AUTO || syntax == AT_PROMPT_PLAIN) {
        out.ids = at_prompt_ids(pipeline, tokenizer, prompt, length);
        return out;
    }
    bool comfy = syntax == AT_PROMPT_COMFY;
    at_tokenizer *t = at_pipeline_tokenizer(pipeline, tokenizer);
    if (!t || (!comfy && !refuse_edits(cx, prompt))) return out;
    builder b = {.cx = cx,
                 .tokenizer = t,
                 .begin = at_tokenizer_bos_id(t),
                 .end = at_tokenizer_eos_id(t),
                 .pad = at_tokenizer_pad_id(t),
                 .length = length ? length : at_tokenizer_max_length(t)};
    if (b.length < 3 || b.length > 65536 || b.end < 0 || b.pad < 0) {
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s/%s: weights need a tokenizer with an end and padding",
                pipeline->folder, tokenizer);
        return out;
    }
    at_prompt_list pieces = {0};
    bool fine = comfy ? at_prompt_weights_comfy(cx, prompt, &pieces)
                      : at_prompt_weights_a1111(cx, prompt, &pieces);
    if (fine && add_pieces(&b, &pieces, comfy)) {
        drop_empty_row(&b);
        out = finish(&b, comfy || b.begin < 0);
    }
    at_prompt_list_free(&pieces);
    at_free(b.ids);
    at_free(b.weights);
    return out;
}

/* Each chunk times its weights, brought back to the mean that it had. */
static at_tensor *restore_means(at_context *cx, at_tensor *x, at_tensor *weights)
{
    at_tensor *parts[64];
    int64_t C = at_dim(x, 0);
    if (C > (int64_t)AT_COUNT(parts))
        return at_fail(cx, AT_ERROR_ARGUMENT, "the prompt is too long: %lld chunks", (long long)C);
    for (int64_t i = 0; i < C; i++) {
        at_tensor *one = at_slice(cx, x, 0, i, 1);
        at_tensor *y = at_mul(cx, one, at_slice(cx, weights, 0, i, 1));
        parts[i] = at_mul(cx, y, at_div(cx, at_mean(cx, one), at_mean(cx, y)));
    }
    return C ? at_concat(cx, 0, (int)C, parts) : x;
}

at_tensor *at_prompt_weigh(at_context *cx, const at_prompt_chunks *chunks, at_tensor *x)
{
    if (!x || !chunks->ids) return NULL;
    at_scope s = at_scope_begin(cx);
    if (chunks->weights && chunks->interpolates) {
        int64_t C = at_dim(x, 0) - 1;
        at_tensor *empty = at_slice(cx, x, 0, C, 1);
        x = at_sub(cx, at_slice(cx, x, 0, 0, C), empty);
        x = at_add(cx, at_mul(cx, x, chunks->weights), empty);
    } else if (chunks->weights) {
        x = restore_means(cx, x, chunks->weights);
    }
    x = at_view(cx, x, 1, at_dim(x, 0) * at_dim(x, 1), at_dim(x, 2));
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_tensor *at_prompt_pooled(at_context *cx, at_tensor *x)
{
    return x ? at_slice(cx, x, 0, 0, 1) : NULL;
}

static at_tensor *repeated(at_context *cx, at_tensor *x, int64_t times)
{
    at_tensor *y = x;
    for (int64_t i = 1; i < times; i++) y = at_join(cx, 1, y, x);
    return y;
}

void at_prompt_match(at_context *cx, at_tensor **a, at_tensor **b)
{
    int64_t n = at_dim(*a, 1), m = at_dim(*b, 1), common = n;
    if (n == m || n < 1 || m < 1) return;
    while (common % m) common += n;
    *a = repeated(cx, *a, common / n);
    *b = repeated(cx, *b, common / m);
}
