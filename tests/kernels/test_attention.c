/* Attention against sums in double: head sizes, grouped heads, strides, every kind of mask, with
   and without causality, more keys than a block and queries than a block. The tolerance is of the
   largest value: f32 loses a few ulp in the scores; bf16 rounds q, k, v and the weights. */
#include "kernels/random_values.h"

typedef enum mask_kind { NO_MASK, SEEN, SEEN_KEYS, BIAS, BIAS_HEADS, BIAS_COLUMN } mask_kind;

typedef struct attention_case {
    int64_t batch, queries, keys, heads, groups, size, value_size;
    mask_kind mask;
    bool causal;
    int64_t pad; /* between positions of q, k, v */
} attention_case;

/* Mask [B,H,N,M] with the strides that the kind has. */
static void make_mask(const attention_case *c, at_attention_args *a, bool *seen, float *bias)
{
    int64_t full[4] = {c->heads * c->queries * c->keys, c->queries * c->keys, c->keys, 1};
    int64_t keys[4] = {c->keys, 0, 0, 1}, heads[4] = {0, c->queries * c->keys, c->keys, 1};
    int64_t column[4] = {0, 0, 1, 0};
    const int64_t *strides = c->mask == SEEN_KEYS     ? keys
                             : c->mask == BIAS_HEADS  ? heads
                             : c->mask == BIAS_COLUMN ? column
                                                      : full;
    for (int64_t i = 0; i < c->batch * full[0]; i++) {
        seen[i] = random_value() > 0;
        bias[i] = random_value() * 4;
        if (random_value() > 0.9f) bias[i] = -INFINITY;
    }
    /* somebody sees nothing */
    for (int64_t j = 0; j < c->keys; j++) seen[j] = false, bias[j] = -INFINITY;
    memcpy(a->mask_stride, strides, sizeof a->mask_stride);
    if (c->mask == SEEN || c->mask == SEEN_KEYS) a->seen = seen;
    if (c->mask >= BIAS) a->bias = bias;
}

/* y of one query in double; false when it sees nothing */
static void expected(const at_attention_args *a, int64_t b, int64_t h, int64_t i, double *y)
{
    double *weight = malloc(sizeof(double) * (size_t)a->keys), most = -INFINITY, sum = 0;
    int64_t g = h / (a->heads / a->groups);
    const int64_t *s = a->mask_stride;
    for (int64_t j = 0; j < a->keys; j++) {
        double score = 0;
        for (int64_t d = 0; d < a->head_size; d++)
            score +=
                (double)a->q[b * a->q_stride[0] + i * a->q_stride[1] + h * a->q_stride[2] + d] *
                (double)a->k[b * a->k_stride[0] + j * a->k_stride[1] + g * a->k_stride[2] + d];
        score *= (double)a->scale;
        int64_t at = b * s[0] + h * s[1] + i * s[2] + j * s[3];
        if (a->bias) score += (double)a->bias[at];
        if (a->seen && !a->seen[at]) score = -INFINITY;
        if (a->causal && j > i + a->keys - a->queries) score = -INFINITY;
        weight[j] = score;
        most = fmax(most, score);
    }
    for (int64_t e = 0; e < a->value_size; e++) y[e] = 0;
    for (int64_t j = 0; j < a->keys && most > -INFINITY; j++)
        sum += weight[j] = exp(weight[j] - most);
    for (int64_t j = 0; j < a->keys && most > -INFINITY; j++)
        for (int64_t e = 0; e < a->value_size; e++)
            y[e] += weight[j] / sum *
                    (double)a->v[b * a->v_stride[0] + j * a->v_stride[1] + g * a->v_stride[2] + e];
    free(weight);
}

static void check(at_context *cx, at_precision precision, const attention_case *c)
{
    int64_t qs = c->heads * c->size + c->pad, ks = c->groups * c->size + c->pad;
    int64_t vs = c->groups * c->value_size + c->pad,
            masks = c->batch * c->heads * c->queries * c->keys;
    float *q = random_values(c->batch * c->queries * qs),
          *k = random_values(c->batch * c->keys * ks);
    float *v = random_values(c->batch * c->keys * vs), *bias = random_values(masks);
    bool *seen = malloc((size_t)masks + 1);
    int64_t count = c->batch * c->queries * c->heads * c->value_size;
    float *y = random_values(count);
    double *right = malloc(sizeof(double) * (size_t)c->value_size);
    at_attention_args a = {.batch = c->batch,
                           .queries = c->queries,
                           .keys = c->keys,
                           .heads = c->heads,
                           .groups = c->groups,
                           .head_size = c->size,
                           .value_size = c->value_size,
                           .q = q,
                           .k = k,
                           .v = v,
                           .q_stride = {c->queries * qs, qs, c->size},
                           .k_stride = {c->keys * ks, ks, c->size},
                           .v_stride = {c->keys * vs, vs, c->value_size},
                           .causal = c->causal,
                           .scale = 3.0f / sqrtf((float)c->size),
                           .y = y,
                           .precision = precision};
    if (c->mask != NO_MASK) make_mask(c, &a, seen, bias);
    cx->kernels->attention(cx, &a);
    assert_fine(cx);
    double bar = precision == AT_PRECISION_F32 ? 2e-6 : 2e-2;
    for (int64_t r = 0; r < c->batch * c->queries * c->heads; r++) {
        int64_t h = r % c->heads, i = r / c->heads % c->queries, b = r / c->heads / c->queries;
        expected(&a, b, h, i, right);
        for (int64_t e = 0; e < c->value_size; e++)
            if (!(fabs((double)y[r * c->value_size + e] - right[e]) <= bar))
                fail_msg(
                    "%lld queries %lld keys head %lld mask %d causal %d: y[%lld,%lld,%lld,%lld] "
                    "is %g, not %g",
                    (long long)c->queries, (long long)c->keys, (long long)c->size, c->mask,
                    c->causal, (long long)b, (long long)i, (long long)h, (long long)e,
                    (double)y[r * c->value_size + e], right[e]);
    }
    free(q), free(k), free(v), free(bias), free(seen), free(y), free(right);
}

static void test_head_sizes(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 8, 20, 40, 64, 80, 128, 160, 512};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (size_t i = 0; i < AT_COUNT(sizes); i++) {
        check(cx, precisions[p], &(attention_case){1, 13, 35, 2, 2, sizes[i], sizes[i]});
        check(cx, precisions[p],
              &(attention_case){2, 7, 9, 4, 2, sizes[i], sizes[i] + 3, .pad = 5});
    }
    at_context_free(cx);
}

static void test_masks(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (int mask = NO_MASK; mask <= BIAS_COLUMN; mask++)
        for (int causal = 0; causal < 2; causal++) {
            attention_case c = {2, 17, 41, 4, 2, 24, 24, (mask_kind)mask, causal};
            check(cx, precisions[p], &c);
            c.queries = 41, c.keys = 17; /* the first queries see nothing when causal */
            check(cx, precisions[p], &c);
            c = (attention_case){1, 130, 530, 2, 1, 16, 16, (mask_kind)mask, causal};
            check(cx, precisions[p], &c);
        }
    at_context_free(cx);
}

static void test_one_and_none(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    EACH_PRECISION(p)
    {
        check(cx, precisions[p], &(attention_case){1, 1, 1, 1, 1, 1, 1});
        check(cx, precisions[p], &(attention_case){1, 5, 0, 2, 1, 8, 8});
        check(cx, precisions[p], &(attention_case){3, 1, 300, 8, 1, 64, 64, .causal = true});
    }
    at_context_free(cx);
}

/* The same bits for any number of threads; a failing scratch is an error and nothing else. */
static void test_threads_and_failure(void **state)
{
    (void)state;
    int64_t n = 300, count = n * 3 * 40;
    float *x = random_values(count), *y[3];
    EACH_PRECISION(p)
    {
        for (int t = 0; t < 3; t++) {
            y[t] = random_values(count);
            at_context *cx = at_context_new(&(at_context_options){.threads = 1 + 2 * t});
            at_attention_args a = {1,
                                   n,
                                   n,
                                   3,
                                   3,
                                   40,
                                   40,
                                   x,
                                   x,
                                   x,
                                   {n * 120, 120, 40},
                                   {n * 120, 120, 40},
                                   {n * 120, 120, 40},
                                   .scale = 0.5f,
                                   .y = y[t],
                                   .precision = precisions[p]};
            cx->kernels->attention(cx, &a);
            assert_fine(cx);
            cx->fail_allocation_in = 1;
            a.y = x; /* never reached */
            if (t < 2) cx->kernels->attention(cx, &a);
            assert_int_equal(at_error_status(cx), t < 2 ? AT_ERROR_MEMORY : AT_OK);
            at_context_free(cx);
        }
        for (int t = 1; t < 3; t++) assert_memory_equal(y[0], y[t], sizeof(float) * (size_t)count);
        for (int t = 0; t < 3; t++) free(y[t]);
    }
    free(x);
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_sizes),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_one_and_none),
        cmocka_unit_test(test_threads_and_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
