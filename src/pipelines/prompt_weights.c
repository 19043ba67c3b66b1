#include "pipelines/prompt_weights.h"
#include "pipelines/embeddings.h"
#include "pipelines/prompt.h"
#include "text/prompt_syntax.h"
#include "text/tokenizer.h"
#include <string.h>

enum { COMMA_BACKTRACK = 20, LONG_WORD = 8 };

/* Chunks as they fill: rows of `length` tokens, begin and end of each included. */
typedef struct builder {
    at_context *cx;
    const at_tokenizer *tokenizer;
    at_embeddings *embeddings;
    at_prompt_syntax syntax;
    int32_t comma;           /* the token */
    int32_t begin, end, pad; /* begin -1: none */
    size_t length;
    int32_t *ids; /* of all rows */
    float *weights;
    size_t rows, capacity;
    size_t used;         /* tokens in the last row without begin */
    size_t behind_comma; /* the place behind its last one, or 0 */
    size_t lost;         /* tokens that were cut off */
} builder;

/* Plain text is one row, and so is what T5 gets. */
static bool is_cut(const builder *b)
{
    return b->syntax == AT_PROMPT_PLAIN || b->begin < 0;
}

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
    b->used = b->behind_comma = 0;
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
    size_t count = b->used - b->behind_comma, from = place(b, b->behind_comma);
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

/* A1111's, before one more token: full rows end behind a comma that is at most 20 tokens back. */
static bool end_full_row(builder *b, bool is_comma)
{
    bool near = b->behind_comma && b->used - b->behind_comma < COMMA_BACKTRACK;
    return b->used < room(b) || (near && !is_comma ? carry_over(b) : new_row(b));
}

static bool add_a1111(builder *b, const at_ids *ids, float weight)
{
    for (size_t i = 0; i < ids->count; i++) {
        bool is_comma = ids->ids[i] == b->comma, full = b->used == room(b);
        if (!end_full_row(b, is_comma)) return false;
        put(b, ids->ids[i], weight);
        if (is_comma && !full) b->behind_comma = b->used; /* as A1111: not one that began a row */
    }
    return true;
}

/* ComfyUI's: a piece goes into the next row whole, unless it is long. */
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

static bool add_cut(builder *b, const at_ids *ids, float weight)
{
    size_t fit = AT_MIN(ids->count, room(b) - b->used);
    for (size_t i = 0; i < fit; i++) put(b, ids->ids[i], weight);
    b->lost += ids->count - fit;
    return true;
}

static bool add_ids(builder *b, const at_ids *ids, float weight)
{
    if (is_cut(b)) return add_cut(b, ids, weight);
    return b->syntax == AT_PROMPT_COMFY ? add_comfy(b, ids, weight) : add_a1111(b, ids, weight);
}

static bool add_words(builder *b, const char *text, size_t size, float weight)
{
    const at_encode_options plain = {.no_special_tokens = true, .pad_is_text = !is_cut(b)};
    at_ids ids = {0};
    bool fine = at_tokenizer_encode(b->cx, b->tokenizer, text, size, &plain, &ids) &&
                add_ids(b, &ids, weight);
    at_ids_free(&ids);
    return fine;
}

/* The vectors of embedding i; in chunks all in one. */
static bool add_embedding(builder *b, int i, float weight)
{
    at_embedding_place rows = at_embeddings_place(b->embeddings, i);
    size_t count = (size_t)rows.count;
    at_embeddings_mark(b->embeddings, i);
    if (!is_cut(b) && count > room(b))
        return at_fail_false(b->cx, AT_ERROR_UNSUPPORTED, "%s: %zu vectors; a chunk has %zu tokens",
                             at_embeddings_name(b->embeddings, i), count, room(b));
    int32_t *vectors = AT_NEW_ARRAY(b->cx, int32_t, count);
    const at_ids ids = {.ids = vectors, .count = count};
    bool fine = vectors != NULL;
    for (size_t k = 0; fine && k < count; k++) vectors[k] = -1 - (int32_t)(rows.first + (int64_t)k);
    if (fine && b->syntax == AT_PROMPT_A1111)
        fine = end_full_row(b, false) && (b->used + count <= room(b) || new_row(b));
    fine = fine && add_ids(b, &ids, weight);
    at_free(vectors);
    return fine;
}

/* ComfyUI's "embedding:name" at text, with or without the file's suffix: its size. -1 in *found:
   there is none of this name. */
static size_t embedding_word(const builder *b, const char *text, char before, int *found)
{
    static const char mark[] = "embedding:";
    static const char *const suffixes[] = {"", ".safetensors", ".pt", ".bin"};
    if (b->syntax != AT_PROMPT_COMFY || (before && before != ' ' && before != '\n')) return 0;
    if (strncmp(text, mark, sizeof mark - 1) != 0) return 0;
    const char *name = text + sizeof mark - 1;
    size_t size = strcspn(name, " \t\r\n\f\v");
    while (size && name[size - 1] == ',') size--;
    *found = -1;
    for (size_t i = 0; *found < 0 && i < AT_COUNT(suffixes); i++) {
        size_t n = strlen(suffixes[i]);
        if (size > n && memcmp(name + size - n, suffixes[i], n) == 0)
            *found = at_embeddings_find(b->embeddings, name, size - n);
    }
    if (*found < 0)
        at_fail(b->cx, AT_ERROR_FILE,
                "embedding:%.*s: there is no such file (give it by --embedding)",
                (int)AT_MIN(size, 100), name);
    return sizeof mark - 1 + size;
}

/* Words and embeddings of a piece of text. */
static bool add_piece(builder *b, const char *text, float weight)
{
    const char *from = text, *p = text;
    bool fine = true;
    while (fine && *p) {
        int found;
        char before = p > text ? p[-1] : 0;
        size_t size = embedding_word(b, p, before, &found);
        if (!size)
            found = at_embeddings_at(b->embeddings, b->tokenizer, p, before, !is_cut(b), &size);
        if (!size) {
            p++;
            continue;
        }
        fine = at_ok(b->cx) && (p == from || add_words(b, from, (size_t)(p - from), weight)) &&
               add_embedding(b, found, weight);
        from = p += size;
    }
    return fine && (p == from || add_words(b, from, (size_t)(p - from), weight));
}

static bool read_pieces(const builder *b, const char *text, at_prompt_list *pieces)
{
    if (b->syntax == AT_PROMPT_COMFY) return at_prompt_weights_comfy(b->cx, text, pieces);
    return at_prompt_weights_a1111(b->cx, text, pieces);
}

static bool add_text(builder *b, const char *text)
{
    if (!new_row(b)) return false;
    if (b->syntax == AT_PROMPT_PLAIN) return add_piece(b, text, 1.0f);
    at_prompt_list pieces = {0};
    bool fine = read_pieces(b, text, &pieces);
    for (int i = 0; fine && i < pieces.count; i++) {
        const at_prompt_item *piece = &pieces.items[i];
        bool breaks =
            b->syntax == AT_PROMPT_A1111 && piece->value == -1 && strcmp(piece->text, "BREAK") == 0;
        if (!breaks)
            fine = add_piece(b, piece->text, (float)piece->value);
        else if (!is_cut(b))
            fine = new_row(b);
    }
    at_prompt_list_free(&pieces);
    return fine && at_ok(b->cx);
}

/* The rows of all texts: row `first[i]` on are those of text i, the last row is empty. */
static at_prompt_chunks gather(builder *b, const size_t *first, const at_prompt_list *texts,
                               int64_t least)
{
    at_context *cx = b->cx;
    int64_t T = texts->count, C = AT_MAX(least, 1), N = (int64_t)b->length;
    for (int64_t i = 0; i < T; i++) C = AT_MAX(C, (int64_t)(first[i + 1] - first[i]));
    bool weighed = false;
    for (size_t i = 0; i < b->rows * b->length; i++) weighed = weighed || b->weights[i] != 1.0f;
    at_prompt_chunks out = {.texts = T, .each = C};
    out.interpolates = b->syntax == AT_PROMPT_COMFY || b->begin < 0;
    out.ids = at_new(cx, AT_I32, T * C + (weighed && out.interpolates), N);
    out.uses = at_new(cx, AT_F32, T);
    if (weighed) out.weights = at_new(cx, AT_F32, T * C, N, 1);
    if (!at_ok(cx)) return out;
    for (int64_t row = 0; row < at_dim(out.ids, 0); row++) {
        size_t text = (size_t)(row / C), from = b->rows - 1;
        if (row < T * C && first[text] + (size_t)(row % C) < first[text + 1])
            from = first[text] + (size_t)(row % C);
        memcpy((int32_t *)out.ids->data + row * N, b->ids + from * b->length, (size_t)N * 4);
        if (weighed && row < T * C)
            memcpy((float *)out.weights->data + row * N, b->weights + from * b->length,
                   (size_t)N * 4);
    }
    for (int64_t i = 0; i < T; i++) ((float *)out.uses->data)[i] = (float)texts->items[i].step;
    return out;
}

static at_prompt_chunks build(builder *b, const at_prompt_list *texts, int64_t least)
{
    at_prompt_chunks out = {0};
    size_t *first = AT_NEW_ARRAY(b->cx, size_t, texts->count + 1);
    bool fine = first != NULL;
    for (int i = 0; fine && i < texts->count; i++) {
        first[i] = b->rows;
        fine = add_text(b, texts->items[i].text);
        /* a prompt that ends with BREAK has no chunk behind it */
        if (b->rows > first[i] + 1 && !b->used) b->rows--;
        first[i + 1] = b->rows;
    }
    if (fine && new_row(b)) out = gather(b, first, texts, least);
    at_free(first);
    return out;
}

/* What plain text loses at the end of the encoder's length, as the reference says it. */
static void warn_cut(at_context *cx, const at_tokenizer *t, const char *name, const char *text,
                     size_t length)
{
    at_ids ids = {0};
    if (at_tokenizer_encode(cx, t, text, strlen(text), NULL, &ids) && ids.count > length) {
        char *rest =
            at_tokenizer_decode(cx, t, ids.ids + length - 1, ids.count - length, false, NULL);
        at_log(cx, AT_LOG_WARNING,
               "%s: %zu tokens, cut at %zu; not read is: %.200s (--prompt-syntax a1111 reads all)",
               name, ids.count, length, rest ? rest : "");
        at_free(rest);
    }
    at_ids_free(&ids);
}

static bool has_vectors(const at_tensor *ids)
{
    bool has = false;
    for (int64_t i = 0; ids && i < at_elements(ids); i++)
        has = has || ((const int32_t *)ids->data)[i] < 0;
    return has;
}

at_prompt_chunks at_prompt_chunk_texts(at_pipeline *pipeline, const char *tokenizer,
                                       const at_prompt_list *texts, at_prompt_syntax syntax,
                                       size_t length, int64_t least)
{
    at_context *cx = pipeline->cx;
    at_prompt_chunks out = {.texts = 1, .each = 1};
    at_tokenizer *t = at_pipeline_tokenizer(pipeline, tokenizer);
    if (!t) return out;
    bool plain = syntax == AT_PROMPT_AUTO || syntax == AT_PROMPT_PLAIN;
    if (plain && !at_embeddings_count(pipeline->embeddings)) {
        out.ids = at_prompt_ids(pipeline, tokenizer, texts->items[0].text, length);
        if (out.ids) warn_cut(cx, t, tokenizer, texts->items[0].text, (size_t)at_dim(out.ids, 1));
        return out;
    }
    builder b = {.cx = cx,
                 .tokenizer = t,
                 .embeddings = pipeline->embeddings,
                 .syntax = plain ? AT_PROMPT_PLAIN : syntax,
                 .comma = at_tokenizer_id(t, ",</w>"),
                 .begin = at_tokenizer_bos_id(t),
                 .end = at_tokenizer_eos_id(t),
                 .pad = at_tokenizer_pad_id(t),
                 .length = length ? length : at_tokenizer_max_length(t)};
    if (b.length < 3 || b.length > 65536 || b.end < 0 || b.pad < 0) {
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s/%s: weights need a tokenizer with an end and padding",
                pipeline->folder, tokenizer);
        return out;
    }
    out = build(&b, texts, least);
    if (plain && b.lost)
        at_log(cx, AT_LOG_WARNING, "%s: cut at %zu tokens; %zu are not read", tokenizer, b.length,
               b.lost);
    out.vectors = has_vectors(out.ids) ? at_embeddings_vectors(pipeline, tokenizer) : NULL;
    at_free(b.ids);
    at_free(b.weights);
    return out;
}

at_prompt_chunks at_prompt_chunk(at_pipeline *pipeline, const char *tokenizer, const char *prompt,
                                 at_prompt_syntax syntax, size_t length)
{
    char *text = at_copy_text(pipeline->cx, prompt ? prompt : "");
    at_prompt_item one = {.text = text, .step = 1};
    const at_prompt_list texts = {.items = &one, .count = text != NULL};
    at_prompt_chunks out = {0};
    if (text) out = at_prompt_chunk_texts(pipeline, tokenizer, &texts, syntax, length, 1);
    at_free(text);
    return out;
}

static double sum(const float *x, int64_t count)
{
    double total = 0;
    for (int64_t i = 0; i < count; i++) total += x[i];
    return total;
}

/* x times its weights, brought back to the mean that it had: over chunk c of all texts, as often as
   they are used. x [T*C,N,D] */
static at_tensor *restore_means(at_context *cx, const at_prompt_chunks *chunks, at_tensor *x)
{
    x = at_contiguous(cx, x);
    at_tensor *y = at_contiguous(cx, at_mul(cx, x, chunks->weights));
    int64_t T = chunks->texts, C = chunks->each, each = at_dim(x, 1) * at_dim(x, 2);
    at_tensor *ratios = at_new(cx, AT_F32, T * C, 1, 1);
    if (!at_ok(cx)) return NULL;
    for (int64_t c = 0; c < C; c++) {
        double before = 0, after = 0;
        for (int64_t t = 0; t < T; t++) {
            double uses = ((const float *)chunks->uses->data)[t];
            before += uses * sum((const float *)x->data + (t * C + c) * each, each);
            after += uses * sum((const float *)y->data + (t * C + c) * each, each);
        }
        for (int64_t t = 0; t < T; t++)
            ((float *)ratios->data)[t * C + c] = (float)(before / after);
    }
    return at_mul(cx, y, ratios);
}

at_tensor *at_prompt_weigh(at_context *cx, const at_prompt_chunks *chunks, at_tensor *x)
{
    if (!x || !chunks->ids) return NULL;
    at_scope s = at_scope_begin(cx);
    if (chunks->weights && chunks->interpolates) {
        int64_t rows = at_dim(x, 0) - 1;
        at_tensor *empty = at_slice(cx, x, 0, rows, 1);
        x = at_sub(cx, at_slice(cx, x, 0, 0, rows), empty);
        x = at_add(cx, at_mul(cx, x, chunks->weights), empty);
    } else if (chunks->weights) {
        x = restore_means(cx, chunks, x);
    }
    x = at_view(cx, x, chunks->texts, chunks->each * at_dim(x, 1), at_dim(x, 2));
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_tensor *at_prompt_pooled(at_context *cx, const at_prompt_chunks *chunks, at_tensor *x)
{
    if (!x) return NULL;
    int64_t T = chunks->texts, C = chunks->each, P = at_dim(x, 1);
    x = at_view(cx, at_slice(cx, x, 0, 0, T * C), T, C, P);
    return at_view(cx, at_slice(cx, x, 1, 0, 1), T, P);
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
