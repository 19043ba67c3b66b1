/* Attention against sums in double: head sizes, grouped heads, strides, every kind of mask, with
   and without causality, more keys than a block and queries than a block, few queries, outliers,
   what is not finite. The tolerance is of the
   largest value: f32 loses a few ulp in the scores; bf16 rounds q, k, v and the weights. */
#include "kernels/cpu/gemm.h"
#include "kernels/random_values.h"
#include <float.h>

/* Boolean or added, and which of [B,H,N,M] it has (1, 2, 4, 8); it is broadcast over the others. */
enum { NO_MASK, SEEN = 16, BIAS = 32, EVERYWHERE = 15 };

typedef struct attention_case {
    int64_t batch, queries, keys, heads, groups, size, value_size;
    int mask;
    bool causal;
    int64_t pad; /* between positions of q, k, v */
} attention_case;

static void make_mask(const attention_case *c, at_attention_args *a, bool *seen, float *bias)
{
    int64_t size[4] = {c->batch, c->heads, c->queries, c->keys}, count = 1;
    for (int i = 3; i >= 0; i--)
        if (c->mask & 1 << i) a->mask_stride[i] = count, count *= size[i];
    for (int64_t i = 0; i < count; i++) {
        seen[i] = random_value() > 0;
        bias[i] = random_value() * 4;
        if (random_value() > 0.9f) bias[i] = -INFINITY;
    }
    /* somebody sees nothing */
    for (int64_t j = 0; j < c->keys && count > 1; j++)
        seen[j * a->mask_stride[3]] = false, bias[j * a->mask_stride[3]] = -INFINITY;
    if (c->mask & SEEN) a->seen = seen;
    if (c->mask & BIAS) a->bias = bias;
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
        if (score > most || isnan(score)) most = score;
    }
    for (int64_t e = 0; e < a->value_size; e++) y[e] = 0;
    for (int64_t j = 0; j < a->keys && most != -INFINITY; j++)
        sum += weight[j] = exp(weight[j] - most);
    for (int64_t j = 0; j < a->keys && most != -INFINITY; j++)
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
                           .scale = 3.0f / sqrtf((float)AT_MAX(c->size, 1)),
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
    static const int64_t sizes[] = {0,  1,  3,  8,   20,  33,  40,  64,
                                    65, 80, 96, 127, 128, 160, 256, 512};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (size_t i = 0; i < AT_COUNT(sizes); i++) {
        check(cx, precisions[p], &(attention_case){1, 13, 35, 2, 2, sizes[i], sizes[i]});
        check(cx, precisions[p], &(attention_case){1, 2, 35, 2, 2, sizes[i], sizes[i]});
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
    for (int mask = NO_MASK; mask < 3 * SEEN; mask++)
        for (int causal = 0; causal < 2; causal++) {
            attention_case c = {2, 9, 41, 4, 2, 24, 24, mask, causal};
            check(cx, precisions[p], &c);
            c.queries = 2;
            check(cx, precisions[p], &c);
            if (mask % SEEN != EVERYWHERE && mask % SEEN != 8) continue;
            c.queries = 41, c.keys = 17; /* the first queries see nothing when causal */
            check(cx, precisions[p], &c);
            c = (attention_case){1, 130, 530, 2, 1, 16, 16, mask, causal};
            check(cx, precisions[p], &c);
        }
    at_context_free(cx);
}

/* Up to and past the number of queries that are taken as few, for each number of heads that share
   keys; more keys than a block. */
static void test_few_queries(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (int64_t queries = 1; queries <= 5; queries++)
        for (int64_t heads = 2; heads <= 8; heads += heads)
            for (int causal = 0; causal < 2; causal++)
                check(cx, precisions[p],
                      &(attention_case){1, queries, 147, heads, 2, 20, 24,
                                        causal ? NO_MASK : BIAS | 8, causal, .pad = 3});
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

/* One head of q, k, v [N,size] as they lie; y of q's rows. */
static void attend(at_context *cx, at_precision precision, int64_t queries, int64_t keys,
                   int64_t size, const float *q, const float *k, const float *v, const float *bias,
                   float *y)
{
    at_attention_args a = {.batch = 1,
                           .queries = queries,
                           .keys = keys,
                           .heads = 1,
                           .groups = 1,
                           .head_size = size,
                           .value_size = size,
                           .q = q,
                           .k = k,
                           .v = v,
                           .q_stride = {0, size, 0},
                           .k_stride = {0, size, 0},
                           .v_stride = {0, size, 0},
                           .bias = bias,
                           .mask_stride = {0, 0, 0, 1},
                           .scale = 0.125f,
                           .y = y,
                           .precision = precision};
    cx->kernels->attention(cx, &a);
    assert_fine(cx);
    double right[64];
    for (int64_t i = 0; i < queries; i++) {
        expected(&a, 0, 0, i, right);
        for (int64_t e = 0; e < size; e++)
            if (isfinite(right[e]) && !(fabs((double)y[i * size + e] - right[e]) <= 2e-2))
                fail_msg("query %lld of %lld, value %lld: %g, not %g", (long long)i,
                         (long long)queries, (long long)e, (double)y[i * size + e], right[e]);
            else if (!isfinite(right[e]) && !isnan(y[i * size + e]))
                fail_msg("query %lld of %lld, value %lld: %g", (long long)i, (long long)queries,
                         (long long)e, (double)y[i * size + e]);
    }
}

/* A channel 100 times the rest, so that scores lie in the hundreds and a few keys get it all. The
   numbers have few bits, so that rounding them to bf16 changes nothing. */
static void test_outliers(void **state)
{
    (void)state;
    enum { N = 300, SIZE = 40 };
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    float *x[3], *y = random_values(N * SIZE);
    for (int t = 0; t < 3; t++) {
        x[t] = random_values(N * SIZE);
        for (int i = 0; i < N * SIZE; i++) {
            x[t][i] = roundf(x[t][i] * 8) / 4;
            if (t < 2 && i % SIZE == 7) x[t][i] = roundf(x[t][i] * 4) * 24;
        }
    }
    EACH_PRECISION(p)
    for (int64_t queries = 1; queries <= N; queries += N - 1)
        attend(cx, precisions[p], queries, N, SIZE, x[0], x[1], x[2], NULL, y);
    for (int t = 0; t < 3; t++) free(x[t]);
    free(y);
    at_context_free(cx);
}

/* NaN in a query, key or value, infinite scores, and masks of the lowest number there is: what one
   query must not see changes nothing for the others. */
static void test_not_finite(void **state)
{
    (void)state;
    enum { N = 70, SIZE = 8 };
    at_context *cx = at_context_new(NULL);
    float *q = random_values(N * SIZE), *k = random_values(N * SIZE), *v = random_values(N * SIZE);
    float y[N * SIZE], bias[N];
    EACH_PRECISION(p)
    for (int64_t queries = 1; queries <= N; queries += N - 1) {
        float kept = q[3];
        q[3] = NAN; /* the first query is lost, the others not */
        attend(cx, precisions[p], queries, N, SIZE, q, k, v, NULL, y);
        q[3] = kept;
        kept = k[45 * SIZE];
        k[45 * SIZE] = NAN; /* all are lost */
        attend(cx, precisions[p], queries, N, SIZE, q, k, v, NULL, y);
        for (int i = 0; i < queries * SIZE; i++) assert_true(isnan(y[i]));
        k[45 * SIZE] = kept;
        kept = v[45 * SIZE + 2];
        v[45 * SIZE + 2] = NAN; /* a channel is lost */
        attend(cx, precisions[p], queries, N, SIZE, q, k, v, NULL, y);
        assert_true(isnan(y[2]) && isfinite(y[3]));
        v[45 * SIZE + 2] = kept;
        for (int j = 0; j < N; j++) bias[j] = j == 50 ? INFINITY : 0;
        attend(cx, precisions[p], queries, N, SIZE, q, k, v, bias, y);
        for (int j = 0; j < N; j++) bias[j] = -FLT_MAX; /* the same for all keys */
        attend(cx, precisions[p], queries, N, SIZE, q, k, v, bias, y);
        for (int j = 0; j < N; j++) bias[j] = j < 40 ? -FLT_MAX : -INFINITY;
        attend(cx, precisions[p], queries, N, SIZE, q, k, v, bias, y);
        bias[60] = 0;
        attend(cx, precisions[p], queries, N, SIZE, q, k, v, bias, y);
    }
    free(q), free(k), free(v);
    at_context_free(cx);
}

/* Weights from 1 down to where they would be denormal and may be 0: their sum is f32 in all
   precisions. */
static void test_weights(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    EACH_PRECISION(p)
    {
        const at_gemm *g = cx->kernels->gemm[precisions[p]];
        if (!g || !g->soften) continue;
        double worst = 0;
        for (float x = 0; x > -103; x -= 0.00137f) {
            float scores[64], most = 0;
            for (int i = 0; i < 40; i++) scores[i] = i < 39 ? x : -INFINITY;
            double sum = (double)g->soften(40, scores, &most) / 39, want = exp((double)x);
            assert_true(most == 0);
            if (want > 0x1p-125)
                worst = fmax(worst, fabs(sum - want) / want);
            else
                assert_true(sum >= 0 && sum < 0x1p-124);
        }
        printf("%s: weights within %.1e\n", precision_names[p], worst);
        assert_true(worst < (precisions[p] == AT_PRECISION_F32 ? 6e-7 : 8.5e-5));
    }
    at_context_free(cx);
}

/* The same bits for any number of threads and on every run; a failing scratch is an error and
   nothing else. */
static void test_threads_and_failure(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8, 8};
    enum { RUNS = AT_COUNT(threads), HEADS = 3, SIZE = 40, ROW = HEADS * SIZE, KEYS = 300 };
    float *x = random_values(KEYS * ROW), *y[RUNS];
    EACH_PRECISION(p)
    for (int64_t queries = 2; queries <= KEYS; queries += KEYS - 2) {
        for (int t = 0; t < RUNS; t++) {
            y[t] = random_values(queries * ROW);
            at_context *cx = at_context_new(&(at_context_options){.threads = threads[t]});
            at_attention_args a = {.batch = 1,
                                   .queries = queries,
                                   .keys = KEYS,
                                   .heads = HEADS,
                                   .groups = HEADS,
                                   .head_size = SIZE,
                                   .value_size = SIZE,
                                   .q = x,
                                   .k = x,
                                   .v = x,
                                   .q_stride = {0, ROW, SIZE},
                                   .k_stride = {0, ROW, SIZE},
                                   .v_stride = {0, ROW, SIZE},
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
        for (int t = 1; t < RUNS; t++)
            assert_memory_equal(y[0], y[t], sizeof(float) * (size_t)(queries * ROW));
        for (int t = 0; t < RUNS; t++) free(y[t]);
    }
    free(x);
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_sizes),  cmocka_unit_test(test_masks),
        cmocka_unit_test(test_few_queries), cmocka_unit_test(test_one_and_none),
        cmocka_unit_test(test_outliers),    cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_weights),     cmocka_unit_test(test_threads_and_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
