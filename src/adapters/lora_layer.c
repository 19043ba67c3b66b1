#include "adapters/lora_layer.h"
#include "base/json.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What one layer is built with. */
typedef struct builder {
    at_context *cx;
    at_lora *lora;
    const at_lora_layer *layer;
    const at_lora_slice *slice;
    int64_t rows, columns; /* of the layer by its name in the file; columns are I * k * k */
    int64_t in, size;      /* I and k * k */
} builder;

static void *wrong(const builder *b, const char *what)
{
    const at_weight *w = NULL;
    for (int r = 0; !w && r < AT_LORA_ROLES; r++) w = b->layer->tensors[r];
    return at_fail(b->cx, AT_ERROR_FORMAT, "%s: %s: %s", b->lora->path, w->name, what);
}

/* The tensor as [shape[0], the rest], or NULL where the file has none. */
static at_tensor *matrix(const builder *b, at_lora_role role)
{
    const at_weight *w = b->layer->tensors[role];
    at_tensor *x = w ? at_weights_get(b->cx, b->lora->weights, w->name) : NULL;
    if (!x) return NULL;
    if (x->dims < 1 || at_elements(x) == 0) return wrong(b, "a tensor is empty (rank 0)");
    return at_view(b->cx, x, x->shape[0], at_elements(x) / x->shape[0]);
}

/* Some rows of it as columns of a convolution: [R,I*k*k] -> [R,I,k,k]; of a linear layer it stays.
 */
static at_tensor *as_weight(const builder *b, at_tensor *x)
{
    const at_target *t = b->slice->target;
    if (!x || t->dims != 4 || t->shape[2] * t->shape[3] == 0) return x;
    return at_reshape(b->cx, x, 4, (int64_t[]){at_dim(x, 0), -1, t->shape[2], t->shape[3]});
}

/* The rows [total,...] that belong to the target. */
static at_tensor *rows_of(const builder *b, at_tensor *x)
{
    const at_lora_slice *s = b->slice;
    int64_t rows = s->target->shape[0];
    if (!x || s->total == rows) {
        if (!x || !s->swapped) return x;
        return at_join(b->cx, 0, at_slice(b->cx, x, 0, rows / 2, rows - rows / 2),
                       at_slice(b->cx, x, 0, 0, rows / 2));
    }
    return at_slice(b->cx, x, 0, s->first, rows);
}

static at_tensor *f32(const builder *b, at_tensor *x)
{
    return x ? at_cast(b->cx, x, AT_F32) : NULL;
}

/* ---- how much */

static bool number_at(const builder *b, at_lora_role role, double *out)
{
    const at_weight *w = b->layer->tensors[role];
    if (!w) return false;
    float value = 0;
    at_tensor *x = at_weights_get(b->cx, b->lora->weights, w->name);
    if (!x || at_elements(x) != 1 || !at_read_f32(b->cx, x, &value))
        return at_fail_false(b->cx, AT_ERROR_FORMAT, "%s: %s is not one number", b->lora->path,
                             w->name);
    *out = value;
    return true;
}

/* A key of PEFT's configuration. Diffusers puts the component before it, PEFT nothing. */
static const cJSON *setting(const builder *b, const char *key)
{
    static const struct {
        const char *front;
        at_lora_part part;
    } fronts[] = {{"transformer.", AT_LORA_DENOISER},
                  {"unet.", AT_LORA_DENOISER},
                  {"text_encoder.", AT_LORA_CLIP},
                  {"text_encoder_2.", AT_LORA_CLIP_2},
                  {"text_encoder_3.", AT_LORA_T5}};
    char name[64];
    for (size_t i = 0; i < AT_COUNT(fronts); i++) {
        if (fronts[i].part != b->layer->part) continue;
        snprintf(name, sizeof name, "%s%s", fronts[i].front, key);
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(b->lora->settings, name);
        if (item) return item;
    }
    return cJSON_GetObjectItemCaseSensitive(b->lora->settings, key);
}

/* lora_alpha, or that of the pattern that names the layer, whole or by the end of its name. */
static double alpha_of(const builder *b, double fallback)
{
    const char *path = b->layer->path;
    const cJSON *patterns = setting(b, "alpha_pattern"), *alpha = setting(b, "lora_alpha");
    for (const cJSON *item = patterns ? patterns->child : NULL; item; item = item->next) {
        char plain[512];
        if (!cJSON_IsNumber(item) || !at_lora_plain(item->string, plain, sizeof plain)) continue;
        size_t n = strlen(path), m = strlen(plain);
        if (n >= m && strcmp(path + n - m, plain) == 0 && (n == m || path[n - m - 1] == '_'))
            return item->valuedouble;
    }
    return cJSON_IsNumber(alpha) ? alpha->valuedouble : fallback;
}

/* alpha / rank, or 1 where the file has no alpha; rank 0: there is none. */
static double scale_of(const builder *b, int64_t rank)
{
    double alpha = 0, scale = 1;
    if (!rank) return 1;
    if (number_at(b, AT_LORA_ALPHA, &alpha)) {
        scale = alpha / (double)rank;
    } else if (b->lora->settings) {
        alpha = alpha_of(b, (double)rank);
        bool root = cJSON_IsTrue(setting(b, "use_rslora"));
        scale = alpha / (root ? sqrt((double)rank) : (double)rank);
    }
    if (!(fabs(scale) <= 65536.0)) wrong(b, "alpha is out of range");
    return scale;
}

/* ---- the forms of an update */

static bool shape_is(const at_tensor *x, int64_t rows, int64_t columns)
{
    return x && at_dim(x, 0) == rows && at_dim(x, 1) == columns;
}

/* down and up, with mid between them where the file has it */
static bool low_rank(const builder *b, at_nn_update *u)
{
    at_tensor *down = matrix(b, AT_LORA_DOWN), *up = matrix(b, AT_LORA_UP);
    at_tensor *mid = matrix(b, AT_LORA_MID);
    if (!down || !up) return wrong(b, "down or up is missing"), false;
    int64_t rank = at_dim(down, 0);
    if (!shape_is(down, rank, mid ? b->in : b->columns) || !shape_is(up, b->rows, rank) ||
        (mid && !shape_is(mid, rank, rank * b->size)))
        return wrong(b, "its shape does not fit the model's layer"), false;
    u->down = mid ? down : as_weight(b, down);
    u->mid = as_weight(b, mid);
    u->up = rows_of(b, up);
    u->scale = (float)scale_of(b, rank);
    return true;
}

/* (1a 1b) * (2a 2b), element by element: low rank again, with a row for each pair of ranks. */
static bool hadamard(const builder *b, at_nn_update *u)
{
    at_context *cx = b->cx;
    at_tensor *a1 = f32(b, matrix(b, AT_LORA_HADA_1A)), *b1 = f32(b, matrix(b, AT_LORA_HADA_1B));
    at_tensor *a2 = f32(b, matrix(b, AT_LORA_HADA_2A)), *b2 = f32(b, matrix(b, AT_LORA_HADA_2B));
    int64_t m = at_dim(b1, 0), n = at_dim(b2, 0), O = b->rows, K = b->columns;
    if (!shape_is(a1, O, m) || !shape_is(a2, O, n) || !shape_is(b1, m, K) || !shape_is(b2, n, K))
        return wrong(b, "its shape does not fit the model's layer"), false;
    u->scale = (float)scale_of(b, m);
    if (m * n > K) { /* no longer small */
        at_tensor *whole = at_mul(cx, at_matmul(cx, a1, b1), at_matmul(cx, a2, b2));
        u->down = as_weight(b, rows_of(b, whole));
        return true;
    }
    at_tensor *down = at_mul(cx, at_view(cx, b1, m, 1, K), at_view(cx, b2, 1, n, K));
    at_tensor *up = at_mul(cx, at_view(cx, a1, O, m, 1), at_view(cx, a2, O, 1, n));
    u->down = as_weight(b, at_view(cx, down, m * n, K));
    u->up = rows_of(b, at_view(cx, up, O, m * n));
    return true;
}

/* t [R,R,k,k], a [R,O], b [R,I] -> [O,I*k*k]: sum of t[i,j] a[i] b[j] */
static at_tensor *tucker(const builder *b, at_lora_role t_role, at_lora_role a_role,
                         at_lora_role b_role, int64_t rows, int64_t in)
{
    at_context *cx = b->cx;
    at_tensor *t = f32(b, matrix(b, t_role)), *a = f32(b, matrix(b, a_role));
    at_tensor *c = f32(b, matrix(b, b_role));
    int64_t r = at_dim(a, 0), q = at_dim(c, 0);
    if (!shape_is(a, r, rows) || !shape_is(c, q, in) || !shape_is(t, r, q * b->size))
        return wrong(b, "its shape does not fit the model's layer");
    at_tensor *x = at_matmul(cx, at_transpose(cx, a, 1, 0), t); /* [O,q*kk] */
    x = at_transpose(cx, at_view(cx, x, rows, q, b->size), 0, 2, 1);
    x = at_matmul(cx, at_view(cx, at_contiguous(cx, x), rows * b->size, q), c); /* [O*kk,I] */
    x = at_transpose(cx, at_view(cx, x, rows, b->size, in), 0, 2, 1);
    return at_view(cx, at_contiguous(cx, x), rows, in * b->size);
}

static bool hadamard_tucker(const builder *b, at_nn_update *u)
{
    at_tensor *x = tucker(b, AT_LORA_HADA_T1, AT_LORA_HADA_1A, AT_LORA_HADA_1B, b->rows, b->in);
    at_tensor *y = tucker(b, AT_LORA_HADA_T2, AT_LORA_HADA_2A, AT_LORA_HADA_2B, b->rows, b->in);
    u->scale = (float)scale_of(b, at_dim(matrix(b, AT_LORA_HADA_1B), 0));
    u->down = as_weight(b, rows_of(b, at_mul(b->cx, x, y)));
    return u->down != NULL;
}

/* One factor of a Kronecker product, whole or as a product. */
static at_tensor *factor_of(const builder *b, at_lora_role whole, int64_t *rank)
{
    at_tensor *x = matrix(b, whole), *a = matrix(b, whole + 1), *c = matrix(b, whole + 2);
    if (x || !a || !c) return f32(b, x);
    if (at_dim(a, 1) != at_dim(c, 0)) return wrong(b, "its shape does not fit the model's layer");
    *rank = at_dim(c, 0);
    return at_matmul(b->cx, f32(b, a), f32(b, c));
}

static bool kronecker(const builder *b, at_nn_update *u)
{
    at_context *cx = b->cx;
    int64_t rank = 0;
    at_tensor *x = factor_of(b, AT_LORA_KRON_1, &rank), *y;
    int64_t o = at_dim(x, 0), i = at_dim(x, 1);
    if (!x || b->rows % o || b->in % i)
        return wrong(b, "its shape does not fit the model's layer"), false;
    if (b->layer->tensors[AT_LORA_KRON_T2]) {
        y = tucker(b, AT_LORA_KRON_T2, AT_LORA_KRON_2A, AT_LORA_KRON_2B, b->rows / o, b->in / i);
        rank = at_dim(matrix(b, AT_LORA_KRON_2B), 0);
    } else {
        y = factor_of(b, AT_LORA_KRON_2, &rank);
    }
    if (!shape_is(y, b->rows / o, b->columns / i))
        return wrong(b, "its shape does not fit the model's layer"), false;
    u->scale = (float)scale_of(b, rank);
    if (b->slice->target->shape[0] == b->rows && !b->slice->swapped) {
        u->factor = x;
        u->down = as_weight(b, y);
        return true;
    }
    /* Rows out of a product: written out. */
    int64_t d = at_dim(y, 0), c = b->in / i, k = b->size;
    at_tensor *whole = at_mul(cx, at_view(cx, x, o, 1, i, 1), at_view(cx, y, 1, d, 1, c * k));
    u->down = as_weight(b, rows_of(b, at_view(cx, whole, b->rows, b->columns)));
    return true;
}

static bool difference(const builder *b, at_nn_update *u)
{
    at_tensor *x = matrix(b, AT_LORA_DIFF);
    if (!shape_is(x, b->rows, b->columns))
        return wrong(b, "its shape does not fit the model's layer"), false;
    u->scale = 1.0f;
    u->down = as_weight(b, rows_of(b, x));
    return true;
}

static bool build(const builder *b, at_nn_update *u)
{
    const at_weight *const *t = b->layer->tensors;
    if (t[AT_LORA_DOWN] || t[AT_LORA_UP]) return low_rank(b, u);
    if (t[AT_LORA_HADA_T1] || t[AT_LORA_HADA_T2]) return hadamard_tucker(b, u);
    if (t[AT_LORA_HADA_1A] || t[AT_LORA_HADA_1B]) return hadamard(b, u);
    if (t[AT_LORA_KRON_1] || t[AT_LORA_KRON_1A]) return kronecker(b, u);
    if (t[AT_LORA_DIFF]) return difference(b, u);
    return t[AT_LORA_DIFF_BIAS] || wrong(b, "a layer without an update");
}

/* ---- DoRA */

/* What the update adds to the weight, as the weight lies: [O,I] or [O,I,k,k]. */
static at_tensor *written_out(const builder *b, const at_nn_update *u)
{
    at_context *cx = b->cx;
    const at_tensor *weight = *b->slice->target->weight;
    int64_t rows = at_dim(weight, 0), in = at_dim(weight, 1), k = b->size;
    at_tensor *x = u->down;
    if (u->factor) {
        int64_t o = at_dim(u->factor, 0), i = at_dim(u->factor, 1);
        x = at_mul(cx, at_view(cx, u->factor, o, 1, i, 1),
                   at_view(cx, x, 1, rows / o, 1, in / i * k));
    } else if (u->mid) { /* up mid down, k * k times */
        int64_t r = at_dim(x, 0);
        at_tensor *m = at_view(cx, f32(b, u->mid), r, k * r);
        m = at_view(cx, at_matmul(cx, f32(b, u->up), m), rows, r, k);
        m = at_view(cx, at_transpose(cx, m, 0, 2, 1), rows * k, r);
        x = at_view(cx, at_matmul(cx, m, f32(b, x)), rows, k, in);
        x = at_transpose(cx, x, 0, 2, 1);
    } else if (u->up) {
        x = at_matmul(cx, f32(b, u->up), at_view(cx, f32(b, x), at_dim(u->up, 1), k * in));
    }
    return at_affine(cx, at_reshape(cx, f32(b, x), weight->dims, weight->shape), u->scale, 0.0f);
}

/* Norms of the rows [O,...] of x -> [O] */
static at_tensor *row_norms(at_context *cx, at_tensor *x)
{
    at_tensor *norms = at_new(cx, AT_F32, at_dim(x, 0));
    x = at_contiguous(cx, x);
    if (!x || !norms) return NULL;
    int64_t n = at_elements(x) / AT_MAX(x->shape[0], 1);
    for (int64_t r = 0; r < x->shape[0]; r++) {
        const float *row = (const float *)x->data + r * n;
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += (double)row[i] * row[i];
        ((float *)norms->data)[r] = (float)sqrt(sum);
    }
    return norms;
}

/* The weight with its update keeps its directions, row by row, and takes these lengths. */
static bool decompose(const builder *b, at_nn_update *u, at_tensor *lengths, bool by_row)
{
    at_context *cx = b->cx;
    const at_target *t = b->slice->target;
    at_tensor *whole = at_add(cx, f32(b, *t->weight), written_out(b, u));
    if (by_row) {
        if (at_elements(lengths) != t->shape[0])
            return wrong(b, "its magnitudes do not fit the model's layer"), false;
        lengths = at_view(cx, lengths, t->shape[0]);
        u->row_scale = at_div(cx, lengths, row_norms(cx, whole));
        at_tensor *bias = t->bias ? *t->bias : NULL;
        if (bias) u->row_shift = at_sub(cx, bias, at_mul(cx, bias, u->row_scale));
        return at_ok(cx);
    }
    if (at_elements(lengths) != b->in)
        return wrong(b, "dora_scale does not fit the model's layer"), false;
    /* Column by column, as LyCORIS does with wd_on_output=False: written out as a difference. */
    at_tensor *kernels = at_view(cx, whole, b->rows, b->in, b->size);
    at_tensor *norms = row_norms(cx, at_transpose(cx, kernels, 1, 0, 2));
    at_tensor *scale = at_div(cx, at_view(cx, lengths, b->in), norms);
    kernels = at_mul(cx, kernels, at_view(cx, scale, b->in, 1));
    whole = at_reshape(cx, kernels, whole->dims, whole->shape);
    at_tensor *difference = at_sub(cx, whole, f32(b, *t->weight));
    *u = (at_nn_update){.down = difference, .scale = 1.0f, .bias = u->bias};
    return at_ok(cx);
}

/* ---- attaching */

static at_tensor *vector(const builder *b, at_lora_role role, double times)
{
    at_tensor *x = f32(b, matrix(b, role));
    if (!x) return NULL;
    if (at_elements(x) != b->slice->total) return wrong(b, "a bias does not fit the model's layer");
    x = rows_of(b, at_view(b->cx, x, b->slice->total));
    return at_affine(b->cx, at_contiguous(b->cx, x), (float)times, 0.0f);
}

static bool attach_layer(const builder *b, at_module *module, double weight)
{
    at_nn_update u = {0};
    if (!build(b, &u)) return false;
    u.scale *= (float)weight;
    u.bias = vector(b, AT_LORA_UP_BIAS, u.scale);
    if (b->layer->tensors[AT_LORA_DIFF_BIAS]) u.bias = vector(b, AT_LORA_DIFF_BIAS, weight);
    at_tensor *rows = f32(b, matrix(b, AT_LORA_MAGNITUDE)),
              *scale = f32(b, matrix(b, AT_LORA_DORA));
    if (rows && at_elements(rows) == b->rows) rows = rows_of(b, at_view(b->cx, rows, b->rows));
    if (scale && at_dim(scale, 0) == b->rows) rows = rows_of(b, scale);
    if ((rows || scale) && u.down && !decompose(b, &u, rows ? rows : scale, rows != NULL))
        return false;
    return at_ok(b->cx) && at_module_update(module, b->slice->target->updates, &u);
}

/* A parameter on its own: base + weight * difference, or the way from base to what the file has in
   its place. */
static bool replace(const builder *b, at_module *module, at_tensor **slot, at_lora_role role,
                    double weight)
{
    at_tensor *base = f32(b, *slot), *x = f32(b, matrix(b, role));
    if (!x) return at_ok(b->cx);
    if (at_elements(x) != at_elements(base))
        return wrong(b, "its shape does not fit the model's parameter"), false;
    x = at_reshape(b->cx, x, base->dims, base->shape);
    if (role == AT_LORA_OTHER) x = at_sub(b->cx, x, base);
    x = at_add(b->cx, base, at_affine(b->cx, x, (float)weight, 0.0f));
    return at_module_replace(module, slot, x);
}

bool at_lora_attach_layer(at_lora *lora, const at_lora_layer *layer, at_module *module,
                          const at_lora_slice *slice, at_lora_role role, double weight)
{
    const at_target *t = slice->target;
    at_context *cx = lora->cx;
    at_scope s = at_scope_begin(cx);
    int64_t size = t->dims == 4 ? t->shape[2] * t->shape[3] : 1, in = t->dims > 1 ? t->shape[1] : 1;
    builder b = {cx, lora, layer, slice, slice->total, in * size, in, size};
    bool fine = t->updates ? attach_layer(&b, module, weight)
                           : replace(&b, module, t->weight, role, weight);
    at_scope_end(cx, s, NULL);
    return fine;
}
