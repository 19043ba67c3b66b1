#include "nn/nn.h"

void at_bind_linear(at_binder *b, const char *name, at_nn_linear *m, int64_t in, int64_t out,
                    int bias)
{
    size_t before = at_bind_enter(b, name);
    at_bind_weight(b, &m->weight, AT_PARAMETER_MATRIX, 2, (int64_t[]){out, in}, &m->updates);
    if (bias == AT_BIAS)
        at_bind_parameter(b, "bias", &m->bias, AT_PARAMETER_VECTOR, 1, (int64_t[]){out});
    at_bind_leave(b, before);
}

at_tensor *at_project(at_context *cx, const at_nn_linear *m, at_tensor *x)
{
    return at_project_act(cx, m, x, AT_IDENTITY);
}

at_tensor *at_project_act(at_context *cx, const at_nn_linear *m, at_tensor *x,
                          at_activation activation)
{
    if (!m->updates) return at_linear(cx, x, m->weight, m->bias, activation);
    at_tensor *y = at_linear(cx, x, m->weight, m->bias, AT_IDENTITY);
    y = at_update_linear(cx, m->updates, x, y);
    return activation == AT_IDENTITY ? y : at_activate(cx, y, activation);
}

at_tensor *at_project_add(at_context *cx, const at_nn_linear *m, at_tensor *x, at_tensor *gate,
                          at_tensor *residual)
{
    if (!m->updates) return at_linear_add(cx, x, m->weight, m->bias, residual, gate);
    at_tensor *y = at_project(cx, m, x);
    return gate ? at_gated_add(cx, residual, gate, y) : at_add(cx, residual, y);
}

at_tensor *at_project_mul(at_context *cx, const at_nn_linear *m, at_tensor *x, at_tensor *other,
                          at_activation activation)
{
    if (!m->updates) return at_linear_mul(cx, x, m->weight, m->bias, other, activation);
    return at_activate_mul(cx, other, activation, at_project(cx, m, x));
}

at_tensor *at_project_pair(at_context *cx, const at_nn_linear *a, at_tensor *x,
                           const at_nn_linear *b, at_tensor *y)
{
    if (a->updates || b->updates) return at_join(cx, 1, at_project(cx, a, x), at_project(cx, b, y));
    return at_linear_pair(cx, (at_tensor *[]){x, y}, (at_tensor *[]){a->weight, b->weight},
                          (at_tensor *[]){a->bias, b->bias});
}

void at_bind_embedding(at_binder *b, const char *name, at_tensor **table, int64_t entries,
                       int64_t channels)
{
    size_t before = at_bind_enter(b, name);
    at_bind_parameter(b, "weight", table, AT_PARAMETER_TABLE, 2, (int64_t[]){entries, channels});
    at_bind_leave(b, before);
}

static void bind_feed_forward(at_binder *b, const char *name, at_nn_feed_forward *m,
                              int64_t channels, int64_t inner)
{
    size_t before = at_bind_enter(b, name);
    at_bind_linear(b, "net.0.proj", &m->in, channels, m->gated ? 2 * inner : inner, AT_BIAS);
    at_bind_linear(b, "net.2", &m->out, inner, channels, AT_BIAS);
    at_bind_leave(b, before);
}

void at_bind_feed_forward(at_binder *b, const char *name, at_nn_feed_forward *m, int64_t channels,
                          int64_t inner, at_activation activation)
{
    m->activation = activation;
    bind_feed_forward(b, name, m, channels, inner);
}

void at_bind_geglu(at_binder *b, const char *name, at_nn_feed_forward *m, int64_t channels,
                   int64_t inner)
{
    m->activation = AT_GELU;
    m->gated = true;
    bind_feed_forward(b, name, m, channels, inner);
}

/* value * activation(gate) of [..., value | gate] */
static at_tensor *gated(at_context *cx, const at_nn_feed_forward *m, at_tensor *x)
{
    at_tensor *both = at_project(cx, &m->in, x);
    int64_t inner = at_dim(both, -1) / 2;
    at_tensor *gate = at_slice(cx, both, -1, inner, inner);
    return at_activate_mul(cx, gate, m->activation, at_slice(cx, both, -1, 0, inner));
}

static at_tensor *inner_of(at_context *cx, const at_nn_feed_forward *m, at_tensor *x)
{
    return m->gated ? gated(cx, m, x) : at_project_act(cx, &m->in, x, m->activation);
}

at_tensor *at_feed_forward(at_context *cx, const at_nn_feed_forward *m, at_tensor *x)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *y = at_project(cx, &m->out, inner_of(cx, m, x));
    at_scope_end(cx, s, &y, NULL);
    return y;
}

at_tensor *at_feed_forward_add(at_context *cx, const at_nn_feed_forward *m, at_tensor *x,
                               at_tensor *gate, at_tensor *residual)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *y = at_project_add(cx, &m->out, inner_of(cx, m, x), gate, residual);
    at_scope_end(cx, s, &y, NULL);
    return y;
}

void at_bind_embedder(at_binder *b, const char *name, at_nn_embedder *m, int64_t in, int64_t out)
{
    size_t before = at_bind_enter(b, name);
    at_bind_linear(b, "linear_1", &m->linear_1, in, out, AT_BIAS);
    at_bind_linear(b, "linear_2", &m->linear_2, out, out, AT_BIAS);
    at_bind_leave(b, before);
}

at_tensor *at_embed(at_context *cx, const at_nn_embedder *m, at_tensor *x, at_activation activation)
{
    return at_project(cx, &m->linear_2, at_project_act(cx, &m->linear_1, x, activation));
}

at_tensor *at_split_heads(at_context *cx, at_tensor *x, int64_t heads)
{
    return heads > 0 ? at_view(cx, x, at_dim(x, 0), at_dim(x, 1), heads, at_dim(x, 2) / heads)
                     : NULL;
}

at_tensor *at_merge_heads(at_context *cx, at_tensor *x)
{
    return at_view(cx, x, at_dim(x, 0), at_dim(x, 1), at_dim(x, 2) * at_dim(x, 3));
}
