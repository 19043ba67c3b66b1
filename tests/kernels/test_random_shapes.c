/* Kernels over elements and rows on views of random shapes: odd sizes, one element and none,
   turned, cut out (so that rows begin anywhere), broadcast; against their meaning in double,
   element by element. */
#include "kernels/kernels.h"
#include "parity.h"
#include "random_values.h"

enum { ROUNDS = 400, MOST_DIMS = 4 };

static int64_t random_below(int64_t n)
{
    return (int64_t)((random_value() + 1) / 2 * (float)n);
}

/* Mostly small, now and then none, one, or more than a run. */
static int64_t random_size(void)
{
    static const int64_t sizes[] = {1, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 3, 5, 0};
    return random_below(300) == 0 ? 2100 : sizes[random_below(AT_COUNT(sizes))];
}

static int random_shape(int least, int64_t *shape)
{
    int dims = least + (int)random_below(MOST_DIMS + 1 - least);
    int64_t elements = 1;
    for (int d = 0; d < dims; d++) {
        shape[d] = random_size();
        if (elements * shape[d] > 20000) shape[d] = 2;
        elements *= AT_MAX(shape[d], 1);
    }
    return dims;
}

/* A view of that shape of something larger, its dimensions (but the last where `rows`) in another
   order. */
static at_tensor *random_view(at_context *cx, int dims, const int64_t *shape, bool rows)
{
    int order[AT_MAX_DIMS], back[AT_MAX_DIMS];
    int64_t stored[AT_MAX_DIMS], start[AT_MAX_DIMS];
    for (int d = 0; d < dims; d++) order[d] = d;
    for (int d = (rows ? dims - 1 : dims) - 1; d > 0; d--) {
        int other = (int)random_below(d + 1), was = order[d];
        order[d] = order[other];
        order[other] = was;
    }
    for (int d = 0; d < dims; d++) {
        back[order[d]] = d;
        start[d] = random_below(3);
        stored[d] = shape[order[d]] + start[d] + random_below(2);
    }
    at_tensor *x = at_empty(cx, AT_F32, dims, stored);
    for (int64_t i = 0; i < at_elements(x); i++) ((float *)x->data)[i] = random_value();
    for (int d = 0; d < dims; d++) x = at_slice(cx, x, d, start[d], shape[order[d]]);
    return dims ? at_permute(cx, x, back) : x;
}

/* Broadcasts to the shape: some dimensions are 1, some of the first are missing. The last stays
   where `rows`. */
static at_tensor *random_operand(at_context *cx, int dims, const int64_t *shape, bool rows)
{
    int64_t part[AT_MAX_DIMS];
    int from = (int)random_below(dims);
    if (random_below(2)) from = 0;
    for (int d = from; d < dims; d++)
        part[d - from] = random_below(3) == 0 && !(rows && d == dims - 1) ? 1 : shape[d];
    return random_view(cx, dims - from, part, rows);
}

/* Of the element of x that position `at` of a tensor of `dims` dimensions sees. */
static double value_at(const at_tensor *x, const int64_t *at, int dims)
{
    int64_t offset = 0;
    for (int d = 0; d < x->dims; d++)
        if (x->shape[d] != 1) offset += at[dims - x->dims + d] * x->stride[d];
    return ((const float *)x->data)[offset];
}

static void position_of(const at_tensor *x, int64_t i, int64_t *at)
{
    for (int d = x->dims - 1; d >= 0; i /= x->shape[d--]) at[d] = i % x->shape[d];
}

static void expect(const at_tensor *y, int64_t i, double want, const char *what)
{
    double got = ((const float *)y->data)[i];
    if (!(fabs(got - want) <= 4e-6 * fmax(fabs(want), 1)))
        fail_msg("%s of %s: element %d is %g, not %g", what, at_shape_text(y), (int)i, got, want);
}

/* A shape, a view of it and two operands, for a round. */
typedef struct operands {
    int dims;
    int64_t shape[AT_MAX_DIMS];
    at_tensor *x, *a, *b;
} operands;

static operands random_operands(at_context *cx, int least, bool rows)
{
    operands o;
    o.dims = random_shape(least, o.shape);
    o.x = random_view(cx, o.dims, o.shape, rows);
    o.a = random_operand(cx, o.dims, o.shape, rows);
    o.b = random_operand(cx, o.dims, o.shape, rows);
    return o;
}

static double element_meaning(int kind, double x, double a, double b)
{
    switch (kind) {
    case 0:
        return x + a;
    case 1:
        return x - a;
    case 2:
        return x * a;
    case 3:
        return x + a * b;
    case 4:
        return x / (1 + exp(-x));
    case 5:
        return a * x / 2 * erfc(-x / sqrt(2));
    case 6:
        return x * 1.5 - 0.25;
    case 7:
        return x < -0.5 ? -0.5 : x > 0.75 ? 0.75 : x;
    default:
        return x;
    }
}

static at_tensor *run_element(at_context *cx, int kind, const operands *o)
{
    switch (kind) {
    case 0:
        return at_add(cx, o->x, o->a);
    case 1:
        return at_sub(cx, o->x, o->a);
    case 2:
        return at_mul(cx, o->x, o->a);
    case 4:
        return at_activate(cx, o->x, AT_SILU);
    case 6:
        return at_affine(cx, o->x, 1.5f, -0.25f);
    case 7:
        return at_clamp(cx, o->x, -0.5f, 0.75f);
    default:
        break;
    }
    at_tensor *out = at_empty(cx, AT_F32, o->dims, o->shape);
    if (kind == 3) cx->kernels->gated_add(cx, out, o->x, o->b, o->a);
    if (kind == 5) cx->kernels->activate_mul(cx, out, o->x, AT_GELU, o->a);
    if (kind == 8) cx->kernels->copy(cx, out, o->x);
    return out;
}

static void test_elements(void **state)
{
    static const char *const names[] = {"add",  "sub",    "mul",   "gated_add", "silu",
                                        "gelu", "affine", "clamp", "copy"};
    (void)state;
    at_context *cx = f32_context();
    for (int round = 0; round < ROUNDS; round++) {
        at_scope s = at_scope_begin(cx);
        operands o = random_operands(cx, 0, false);
        for (int kind = 0; kind < (int)AT_COUNT(names); kind++) {
            at_tensor *y = run_element(cx, kind, &o);
            assert_fine(cx);
            for (int64_t i = 0; i < at_elements(y); i++) {
                int64_t at[AT_MAX_DIMS];
                position_of(y, i, at);
                expect(y, i,
                       element_meaning(kind, value_at(o.x, at, o.dims), value_at(o.a, at, o.dims),
                                       value_at(o.b, at, o.dims)),
                       names[kind]);
            }
        }
        at_scope_end(cx, s, NULL);
    }
    at_context_free(cx);
}

enum { LAYER_NORM, RMS_NORM, MODULATE, SOFTMAX, ROW_KINDS };

/* The row of the view that begins at position `at`, as `kind` turns it. */
static void row_meaning(int kind, const operands *o, int64_t *at, double *y)
{
    int64_t n = o->shape[o->dims - 1];
    double mean = 0, square = 0, most = -INFINITY, sum = 0;
    for (at[o->dims - 1] = 0; at[o->dims - 1] < n; at[o->dims - 1]++) {
        double x = y[at[o->dims - 1]] = value_at(o->x, at, o->dims);
        mean += x / (double)n;
        most = fmax(most, x);
    }
    if (kind == RMS_NORM) mean = 0;
    for (int64_t i = 0; i < n; i++) square += (y[i] - mean) * (y[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) sum += exp(y[i] - most);
    for (int64_t i = 0; i < n; i++) {
        at[o->dims - 1] = i;
        y[i] = kind == SOFTMAX ? exp(y[i] - most) / sum : (y[i] - mean) / sqrt(square + 1e-2);
        if (kind == MODULATE)
            y[i] = y[i] * (1 + value_at(o->a, at, o->dims)) + value_at(o->b, at, o->dims);
    }
}

static at_tensor *run_rows(at_context *cx, int kind, const operands *o)
{
    at_tensor *out = at_empty(cx, AT_F32, o->dims, o->shape);
    switch (kind) {
    case LAYER_NORM:
        cx->kernels->layer_norm(cx, out, o->x, NULL, NULL, 1e-2f);
        break;
    case RMS_NORM:
        cx->kernels->rms_norm(cx, out, o->x, NULL, 1e-2f);
        break;
    case MODULATE:
        cx->kernels->norm_modulate(cx, out, o->x, o->b, o->a, 1e-2f);
        break;
    default:
        cx->kernels->softmax(cx, out, o->x);
    }
    return out;
}

static void test_rows(void **state)
{
    static const char *const names[] = {"layer_norm", "rms_norm", "norm_modulate", "softmax"};
    static double want[4096];
    (void)state;
    at_context *cx = f32_context();
    for (int round = 0; round < ROUNDS; round++) {
        at_scope s = at_scope_begin(cx);
        operands o = random_operands(cx, 1, true);
        int64_t n = o.shape[o.dims - 1];
        for (int kind = 0; kind < ROW_KINDS; kind++) {
            at_tensor *y = run_rows(cx, kind, &o);
            assert_fine(cx);
            for (int64_t i = 0; i < at_elements(y); i++) {
                int64_t at[AT_MAX_DIMS];
                position_of(y, i, at);
                if (i % n == 0) row_meaning(kind, &o, at, want);
                expect(y, i, want[i % n], names[kind]);
            }
        }
        at_scope_end(cx, s, NULL);
    }
    at_context_free(cx);
}

/* [B,positions,C] in groups, with silu */
static void check_groups(at_context *cx, int64_t batch, int64_t positions, int64_t groups,
                         int64_t width)
{
    int64_t channels = groups * width;
    at_tensor *x =
        at_contiguous(cx, random_view(cx, 3, (int64_t[]){batch, positions, channels}, 0));
    at_tensor *weight = at_contiguous(cx, random_view(cx, 1, &channels, true));
    at_tensor *y = at_empty_like(cx, x);
    cx->kernels->group_norm(cx, y, x, (int)groups, weight, NULL, 1e-2f, AT_SILU);
    assert_fine(cx);
    const float *in = x->data, *w = weight->data;
    for (int64_t i = 0; i < at_elements(x); i++) {
        int64_t c = i % channels, first = i / channels / positions * positions * channels;
        double mean = 0, square = 0, count = (double)(positions * width);
        for (int64_t j = 0; j < positions * width; j++) {
            double v = in[first + j / width * channels + c / width * width + j % width];
            mean += v / count;
            square += v * v / count;
        }
        double now = (in[i] - mean) / sqrt(square - mean * mean + 1e-2) * w[c];
        expect(y, i, now / (1 + exp(-now)), "group_norm");
    }
}

static void test_groups(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    for (int round = 0; round < 60; round++) {
        at_scope s = at_scope_begin(cx);
        check_groups(cx, random_below(3), random_below(70), 1 + random_below(4),
                     1 + random_below(9));
        at_scope_end(cx, s, NULL);
    }
    at_context_free(cx);
}

/* Heads at any stride, tables that turn all of a head or a part of it. */
static void test_rotary(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    for (int round = 0; round < 200; round++) {
        at_scope s = at_scope_begin(cx);
        int64_t pairs = 1 + random_below(20), size = 2 * pairs + random_below(3);
        int64_t shape[4] = {random_below(3), 1 + random_below(5), 1 + random_below(4), size};
        at_tensor *x = random_view(cx, 4, shape, true);
        int64_t turns[3] = {shape[1], pairs, 2};
        at_tensor *table = at_contiguous(cx, random_view(cx, 3, turns, false));
        bool halves = random_below(2);
        at_tensor *y = at_rotary(cx, x, table, halves ? AT_ROTARY_HALVES : AT_ROTARY_INTERLEAVED);
        assert_fine(cx);
        for (int64_t i = 0; i < at_elements(y); i++) {
            int64_t at[4];
            position_of(y, i, at);
            int64_t e = at[3], pair = halves ? e % pairs : e / 2;
            double want = value_at(x, at, 4);
            if (e < 2 * pairs) {
                bool second = halves ? e >= pairs : e % 2;
                at[3] = halves ? (second ? e - pairs : e + pairs) : e ^ 1;
                const float *turn = (const float *)table->data + (at[1] * pairs + pair) * 2;
                want = want * turn[0] + value_at(x, at, 4) * (second ? turn[1] : -turn[1]);
            }
            expect(y, i, want, "rotary");
        }
        at_scope_end(cx, s, NULL);
    }
    at_context_free(cx);
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_rotary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
