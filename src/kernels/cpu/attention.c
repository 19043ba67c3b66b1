/* Attention by blocks of keys with a running maximum (Dao et al. 2022), on the register tiles of
   the packed product.

   Keys and values of some heads at a time (PACKED_BYTES) are packed by all threads into panels,
   block by block of BLOCK_KEYS. Then each job takes one head and MOST_ROWS queries, and for
   each block of keys: scores = q k^T (tiles over the head size), mask, weights = exp(scores -
   maximum), out = out * exp(old maximum - maximum) + weights v (tiles over the keys). Scores,
   weights and out of a job stay in the second cache level. The scale is multiplied into q. */
#include "kernels/cpu/attention.h"
#include "kernels/cpu/gemm.h"
#include <math.h>
#include <omp.h>
#include <string.h>

enum { MOST_ROWS = 128, BLOCK_KEYS = 256, PACKED_BYTES = 32 << 20, ROW_PAD = 16 };
enum { AHEAD = 8 /* rows that are asked for before they are needed */ };
enum { SMALL = 1 << 18 }; /* multiply-adds that one thread does before another is awake */

typedef struct flash {
    const at_attention_args *args;
    const at_gemm *gemm;
    int64_t size_words;       /* of a head */
    int64_t values;           /* value size in whole panels */
    int64_t block;            /* keys of a block: whole panels */
    int64_t blocks, pairs;    /* blocks of keys; (batch, group) pairs packed at a time */
    int64_t k_block, v_block; /* words of a packed block */
    int64_t rows, query_blocks;
    uint32_t *packed; /* for each pair, for each block: keys' panels, values' panels */
    int threads;
} flash;

/* A job's buffers: all rows of MOST_ROWS. */
typedef struct workspace {
    uint32_t *q;       /* [rows][q_stride] words */
    float *scores;     /* [rows][s_stride]; then the words of the weights, in place */
    float *out;        /* [rows][values] */
    uint32_t *packing; /* [columns][size_words] */
    float most[MOST_ROWS + AT_GEMM_MOST_ROWS], sum[MOST_ROWS + AT_GEMM_MOST_ROWS];
    int64_t q_stride, s_stride;
} workspace;

void at_attention_mask(const at_context *cx, const at_attention_args *a, int64_t b, int64_t h,
                       int64_t query, int64_t first, int64_t count, float *scores)
{
    const int64_t *s = a->mask_stride;
    int64_t at = b * s[0] + h * s[1] + query * s[2] + first * s[3];
    if (a->bias && s[3] == 1) {
        cx->kernels->runs->binary(AT_BINARY_ADD, count, scores, scores, a->bias + at);
    } else if (a->bias) {
        for (int64_t j = 0; j < count; j++) scores[j] += a->bias[at + j * s[3]];
    }
    if (a->seen && s[3] == 1) {
        cx->kernels->runs->hide(count, scores, a->seen + at);
    } else if (a->seen) {
        for (int64_t j = 0; j < count; j++)
            if (!a->seen[at + j * s[3]]) scores[j] = -INFINITY;
    }
}

/* The mask of `rows` queries, asked for while their scores are computed. */
static void fetch_mask(const at_attention_args *a, int64_t b, int64_t h, int64_t query,
                       int64_t rows, int64_t first, int64_t count)
{
    const int64_t *s = a->mask_stride;
    int64_t at = b * s[0] + h * s[1] + query * s[2] + first * s[3], line = a->bias ? 16 : 64;
    if (s[3] != 1) return;
    for (int64_t i = 0; i < rows; i++, at += s[2])
        for (int64_t j = 0; j < count; j += line) {
            if (a->bias) __builtin_prefetch(a->bias + at + j, 0, 2);
            if (a->seen) __builtin_prefetch(a->seen + at + j, 0, 2);
        }
}

/* ---- packing */

/* Rows of a head may lie too far from each other for the processor to see them coming. Nothing is
   read, so they need not be there. */
static void fetch(const float *row, int64_t count)
{
    for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(row + i);
}

static void pack_keys(const flash *f, const float *k, int64_t stride, int64_t keys, uint32_t *panel,
                      uint32_t *room)
{
    const at_gemm *g = f->gemm;
    for (int64_t first = 0; first < f->block; first += g->columns) {
        const void *rows[AT_GEMM_MOST_COLUMNS] = {NULL};
        for (int64_t j = 0; j < g->columns && first + j < keys; j++) {
            uint32_t *words = room + j * f->size_words;
            fetch(k + (first + j + AHEAD) * stride, f->args->head_size);
            g->to_words(f->args->head_size, k + (first + j) * stride, words);
            rows[j] = words;
        }
        g->interleave(f->size_words, rows, panel);
        panel += f->size_words * g->columns;
    }
}

static void pack_values(const flash *f, const float *v, int64_t stride, int64_t keys,
                        uint32_t *panel)
{
    const at_gemm *g = f->gemm;
    int64_t words = f->block / g->group;
    for (int64_t e = 0; e < f->values; e += g->columns, panel += words * g->columns) {
        int64_t used = at_ceil_div(keys, g->group);
        g->column_words(keys, AT_MIN(g->columns, f->args->value_size - e), v + e, stride, panel);
        memset(panel + used * g->columns, 0, (size_t)((words - used) * g->columns) * sizeof *panel);
    }
}

/* Block `block` of (batch, group) pair `pair`, into place `slot` of those packed now. */
static void pack_block(const flash *f, int64_t pair, int64_t slot, int64_t block, uint32_t *room)
{
    const at_attention_args *a = f->args;
    int64_t b = pair / a->groups, g = pair % a->groups, first = block * f->block;
    int64_t keys = AT_MIN(f->block, a->keys - first);
    uint32_t *to = f->packed + (slot * f->blocks + block) * (f->k_block + f->v_block);
    pack_keys(f, a->k + b * a->k_stride[0] + first * a->k_stride[1] + g * a->k_stride[2],
              a->k_stride[1], keys, to, room);
    pack_values(f, a->v + b * a->v_stride[0] + first * a->v_stride[1] + g * a->v_stride[2],
                a->v_stride[1], keys, to + f->k_block);
}

/* ---- one job */

/* Scores of row i to weights, its running maximum and sum, and its out so far to the new maximum.
   `count` keys are seen; the weights of the block's others become 0. */
static void soften_row(const at_context *cx, const flash *f, workspace *w, int64_t i, int64_t count)
{
    float *scores = w->scores + i * w->s_stride, *out = w->out + i * f->values, old = w->most[i];
    float sum = f->gemm->soften(count, scores, &w->most[i]), most = w->most[i];
    if (most == -INFINITY) count = 0; /* nothing seen yet */
    int64_t used = at_ceil_div(count, f->gemm->group), all = f->block / f->gemm->group;
    if (used < all) memset(scores + used, 0, (size_t)(all - used) * sizeof *scores);
    if (count == 0) return;
    if (old != most && old != -INFINITY) {
        float shrink = expf(old - most);
        w->sum[i] *= shrink;
        cx->kernels->runs->affine(f->values, out, out, shrink, 0);
    }
    w->sum[i] += sum;
}

/* c[rows][columns] (+)= a panels, over whole rows of tiles. */
static void tiles(const at_gemm *g, int64_t rows, int64_t columns, int64_t count, const uint32_t *a,
                  int64_t a_stride, const uint32_t *panels, float *c, int64_t c_stride, bool add)
{
    for (int64_t j = 0; j < columns; j += g->columns, panels += count * g->columns)
        for (int64_t i = 0; i < rows; i += g->rows)
            at_gemm_tile(g, columns - j, count, a + i * a_stride, a_stride, panels,
                         c + i * c_stride + j, c_stride, add);
}

static void load_queries(const at_context *cx, const flash *f, workspace *w, int64_t b, int64_t h,
                         int64_t first, int64_t rows)
{
    const at_attention_args *a = f->args;
    const float *q = a->q + b * a->q_stride[0] + h * a->q_stride[2];
    for (int64_t i = 0; i < rows; i++) {
        const float *from = q + (first + i) * a->q_stride[1];
        fetch(from + AHEAD * a->q_stride[1], a->head_size);
        cx->kernels->runs->affine(a->head_size, w->scores, from, a->scale, 0);
        f->gemm->to_words(a->head_size, w->scores, w->q + i * w->q_stride);
        w->most[i] = -INFINITY;
        w->sum[i] = 0;
    }
    memset(w->out, 0, (size_t)(f->rows * f->values) * sizeof *w->out);
}

static void store_outputs(const at_context *cx, const flash *f, const workspace *w, int64_t b,
                          int64_t h, int64_t first, int64_t rows)
{
    const at_attention_args *a = f->args;
    for (int64_t i = 0; i < rows; i++) {
        float *y = a->y + ((b * a->queries + first + i) * a->heads + h) * a->value_size;
        const float *out = w->out + i * f->values;
        if (w->most[i] == -INFINITY) /* it sees nothing */
            memset(y, 0, (size_t)a->value_size * sizeof *y);
        else
            cx->kernels->runs->affine(a->value_size, y, out, 1.0f / w->sum[i], 0);
    }
}

/* Queries [first, ...) of head h; its keys and values are packed at `packed`. */
static void attend(const at_context *cx, const flash *f, int64_t b, int64_t h, int64_t first,
                   const uint32_t *packed, workspace *w)
{
    const at_attention_args *a = f->args;
    const at_gemm *g = f->gemm;
    int64_t rows = AT_MIN(f->rows, a->queries - first), ahead = a->keys - a->queries;
    load_queries(cx, f, w, b, h, first, rows);
    for (int64_t block = 0; block < f->blocks; block++, packed += f->k_block + f->v_block) {
        int64_t key = block * f->block, keys = AT_MIN(f->block, a->keys - key);
        if (at_cancelled(cx) || (a->causal && key > first + rows - 1 + ahead)) break;
        if (a->bias || a->seen) fetch_mask(a, b, h, first, rows, key, keys);
        tiles(g, rows, keys, f->size_words, w->q, w->q_stride, packed, w->scores, w->s_stride,
              false);
        for (int64_t i = 0; i < rows; i++) {
            int64_t seen = keys;
            if (a->causal) seen = AT_MAX(0, AT_MIN(keys, first + i + ahead - key + 1));
            if (a->bias || a->seen)
                at_attention_mask(cx, a, b, h, first + i, key, seen, w->scores + i * w->s_stride);
            soften_row(cx, f, w, i, seen);
        }
        tiles(g, rows, a->value_size, f->block / g->group, (const uint32_t *)w->scores, w->s_stride,
              packed + f->k_block, w->out, f->values, true);
    }
    store_outputs(cx, f, w, b, h, first, rows);
}

/* ---- all of it */

static flash make_flash(const at_context *cx, const at_attention_args *a)
{
    /* int8 would have to be quantised anew for every block of weights */
    const at_gemm *g = at_gemm_of(cx, AT_MIN(a->precision, AT_PRECISION_BF16));
    flash f = {.args = a, .gemm = g};
    f.size_words = at_round_up(at_ceil_div(a->head_size, g->group), g->step);
    f.values = at_round_up(a->value_size, g->columns);
    f.block = AT_MIN(BLOCK_KEYS, at_round_up(a->keys, g->columns));
    f.blocks = at_ceil_div(a->keys, f.block);
    f.k_block = f.block * f.size_words;
    f.v_block = f.block / g->group * f.values;
    int64_t pair_bytes = f.blocks * (f.k_block + f.v_block) * 4;
    f.pairs = AT_MAX(1, AT_MIN(a->batch * a->groups, PACKED_BYTES / AT_MAX(pair_bytes, 1)));
    int64_t most = MOST_ROWS / g->rows * g->rows;
    f.query_blocks = at_ceil_div(a->queries, most);
    f.rows = at_round_up(at_ceil_div(a->queries, f.query_blocks), g->rows);
    int64_t work = a->batch * a->heads * a->queries * a->keys * (a->head_size + a->value_size);
    f.threads = work < SMALL ? 1 : cx->threads;
    return f;
}

static int64_t workspace_words(const flash *f)
{
    int64_t q_stride = at_round_up(f->size_words, 16) + ROW_PAD, s_stride = f->block + ROW_PAD;
    int64_t scores = AT_MAX(f->rows * s_stride, f->args->head_size);
    int64_t words = at_round_up(scores, 16) + f->rows * (q_stride + f->values);
    return at_round_up(words + f->gemm->columns * f->size_words, 16);
}

static workspace divide(const flash *f, uint32_t *memory)
{
    workspace w = {.q_stride = at_round_up(f->size_words, 16) + ROW_PAD,
                   .s_stride = f->block + ROW_PAD};
    w.scores = (float *)memory;
    w.q = memory + at_round_up(AT_MAX(f->rows * w.s_stride, f->args->head_size), 16);
    w.out = (float *)(w.q + f->rows * w.q_stride);
    w.packing = (uint32_t *)(w.out + f->rows * f->values);
    return w;
}

/* Packs the pairs [first, first + pairs), then runs their heads. */
static void run_pairs(const at_context *cx, const flash *f, int64_t first, int64_t pairs,
                      workspace *w)
{
    const at_attention_args *a = f->args;
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < pairs * f->blocks; i++)
        if (!at_cancelled(cx))
            pack_block(f, first + i / f->blocks, i / f->blocks, i % f->blocks, w->packing);
    int64_t heads = a->heads / a->groups;
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < pairs * heads * f->query_blocks; i++) {
        int64_t slot = i / f->query_blocks / heads, pair = first + slot;
        int64_t h = pair % a->groups * heads + i / f->query_blocks % heads;
        if (!at_cancelled(cx))
            attend(cx, f, pair / a->groups, h, i % f->query_blocks * f->rows,
                   f->packed + slot * f->blocks * (f->k_block + f->v_block), w);
    }
}

void at_packed_attention(at_context *cx, const at_attention_args *a)
{
    if (a->keys == 0) {
        memset(a->y, 0, (size_t)(a->batch * a->queries * a->heads * a->value_size) * sizeof *a->y);
        return;
    }
    if (a->queries * (a->heads / a->groups) <= AT_ATTENTION_FEW) {
        at_attention_few_queries(cx, a);
        return;
    }
    flash f = make_flash(cx, a);
    int64_t each = workspace_words(&f);
    f.packed = at_scratch(cx, (size_t)(f.pairs * f.blocks * (f.k_block + f.v_block)) * 4);
    uint32_t *memory = at_scratch(cx, (size_t)(each * f.threads) * sizeof *memory);
    if (f.packed && memory) {
        int64_t all = a->batch * a->groups;
#pragma omp parallel num_threads(f.threads)
        {
            uint32_t *mine = memory + omp_get_thread_num() * each;
            workspace w = divide(&f, mine);
            memset(mine, 0, (size_t)each * sizeof *mine); /* what only fills up stays 0 */
            at_gemm_begin(f.gemm);
            for (int64_t first = 0; first < all; first += f.pairs)
                run_pairs(cx, &f, first, AT_MIN(f.pairs, all - first), &w);
            at_gemm_end(f.gemm);
        }
    }
    at_scratch_free(cx, memory);
    at_scratch_free(cx, f.packed);
}
