#include "models/transformers/lumina2.h"

enum { AXES = 3, FREQUENCIES = 256, MOST_TIME = 1024 };

typedef struct lumina2_config {
    int patch_size, sample_size, layers, refiners, heads, groups;
    int64_t in_channels, out_channels, dim, head_dim, inner, caption_dim, time_dim;
    int64_t axes[AXES], lengths[AXES];
    double eps;
} lumina2_config;

typedef struct lumina2_block {
    int heads, groups;
    at_nn_linear norm1_linear; /* LuminaRMSNormZero; none in the context refiner */
    at_nn_norm norm1, norm2, ffn_norm1, ffn_norm2;
    at_nn_linear to_q, to_k, to_v, to_out;
    at_nn_norm norm_q, norm_k;
    at_nn_linear linear_1, linear_2, linear_3; /* silu(1) * 3, then 2 */
} lumina2_block;

typedef struct lumina2_transformer {
    at_module module;
    lumina2_config config;
    at_nn_linear x_embedder;
    at_nn_embedder timestep_embedder;
    at_nn_norm caption_norm;
    at_nn_linear caption_linear;
    lumina2_block *noise_refiner, *context_refiner, *layers;
    at_nn_linear norm_out_1, norm_out_2;
} lumina2_transformer;

/* Where captions and pictures lie in their common rows. */
typedef struct lumina2_layout {
    at_tensor *captions;   /* i64 [B]: tokens of each caption */
    int64_t longest;       /* of them */
    int64_t rows, columns; /* of patches */
    bool even;             /* captions of one length */
} lumina2_layout;

/* ---- forward */

/* x [B,N,D], rope [B,N,head_dim/2,2], mask bool [B,1,1,N] or NULL */
static at_tensor *attention(at_context *cx, const lumina2_block *m, at_tensor *x, at_tensor *rope,
                            at_tensor *mask)
{
    const at_attention_options options = {.mask = mask};
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->to_q, x), m->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->to_k, x), m->groups);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->to_v, x), m->groups);
    q = at_rotary(cx, at_rms_normalize(cx, &m->norm_q, q), rope, AT_ROTARY_INTERLEAVED);
    k = at_rotary(cx, at_rms_normalize(cx, &m->norm_k, k), rope, AT_ROTARY_INTERLEAVED);
    return at_project(cx, &m->to_out, at_merge_heads(cx, at_attention(cx, q, k, v, &options)));
}

static at_tensor *feed_forward(at_context *cx, const lumina2_block *m, at_tensor *x)
{
    at_tensor *y = at_project(cx, &m->linear_1, x);
    return at_project(cx, &m->linear_2, at_project_mul(cx, &m->linear_3, x, y, AT_SILU));
}

/* rms_norm(x) * (1 + scale) */
static at_tensor *norm_scaled(at_context *cx, const at_nn_norm *norm, at_tensor *x,
                              at_tensor *scale)
{
    scale = at_affine(cx, scale, 1.0f, 1.0f);
    if (at_dim(scale, 0) > 1) return at_mul(cx, at_rms_normalize(cx, norm, x), scale);
    at_tensor *weight = at_mul(cx, at_view(cx, scale, at_dim(scale, 2)), norm->weight);
    return at_rms_norm(cx, x, weight, norm->eps); /* one pass */
}

/* x [B,N,D], temb [B,time]: norms before and after both halves, gates through tanh. */
static void block(at_context *cx, const lumina2_block *m, at_tensor **x, at_tensor *temb,
                  at_tensor *rope, at_tensor *mask)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *p[4]; /* scale, gate of attention, then of feed-forward: [B,1,D] */
    at_modulation_pieces(cx, &m->norm1_linear, temb, 4, p);
    for (int i = 1; i < 4; i += 2) p[i] = at_activate(cx, p[i], AT_TANH);

    at_tensor *y = attention(cx, m, norm_scaled(cx, &m->norm1, *x, p[0]), rope, mask);
    *x = at_gated_add(cx, *x, p[1], at_rms_normalize(cx, &m->norm2, y));

    y = feed_forward(cx, m, norm_scaled(cx, &m->ffn_norm1, *x, p[2]));
    *x = at_gated_add(cx, *x, p[3], at_rms_normalize(cx, &m->ffn_norm2, y));
    at_scope_end(cx, s, x, NULL);
}

/* The same without time, for captions. */
static void context_block(at_context *cx, const lumina2_block *m, at_tensor **x, at_tensor *rope,
                          at_tensor *mask)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *y = attention(cx, m, at_rms_normalize(cx, &m->norm1, *x), rope, mask);
    *x = at_add(cx, *x, at_rms_normalize(cx, &m->norm2, y));

    y = feed_forward(cx, m, at_rms_normalize(cx, &m->ffn_norm1, *x));
    *x = at_add(cx, *x, at_rms_normalize(cx, &m->ffn_norm2, y));
    at_scope_end(cx, s, x, NULL);
}

/* ---- captions of different lengths */

static int64_t caption(const lumina2_layout *l, int64_t b)
{
    return ((const int64_t *)l->captions->data)[b];
}

static lumina2_layout layout_of(at_context *cx, const lumina2_config *c,
                                const at_lumina2_inputs *in)
{
    lumina2_layout l = {.rows = at_dim(in->hidden_states, 1) / c->patch_size,
                        .columns = at_dim(in->hidden_states, 2) / c->patch_size,
                        .even = true};
    at_tensor *mask = at_contiguous(cx, in->encoder_attention_mask);
    int64_t B = at_dim(mask, 0), M = at_dim(mask, 1);
    l.captions = at_new(cx, AT_I64, B);
    for (int64_t b = 0; l.captions && b < B; b++) {
        int64_t count = 0;
        for (int64_t i = 0; i < M; i++) count += ((const bool *)mask->data)[b * M + i];
        ((int64_t *)l.captions->data)[b] = count;
        l.even = l.even && count == caption(&l, 0);
        l.longest = count > l.longest ? count : l.longest;
    }
    if (l.longest >= c->lengths[0] || l.rows > c->lengths[1] || l.columns > c->lengths[2])
        at_fail(cx, AT_ERROR_ARGUMENT,
                "lumina: %lld tokens, %lld x %lld patches; the model has positions for less than "
                "%lld, and up to %lld x %lld",
                (long long)l.longest, (long long)l.columns, (long long)l.rows,
                (long long)c->lengths[0], (long long)c->lengths[2], (long long)c->lengths[1]);
    return l;
}

/* What is no padding, of N places of which each caption takes its length and `after` more: bool
   [B,1,1,N], NULL where nothing is. */
static at_tensor *seen(at_context *cx, const lumina2_layout *l, int64_t N, int64_t after)
{
    if (l->even || !at_ok(cx)) return NULL;
    int64_t B = at_dim(l->captions, 0);
    at_tensor *mask = at_new(cx, AT_BOOL, B, 1, 1, N);
    for (int64_t b = 0; mask && b < B; b++)
        for (int64_t i = 0; i < N; i++) ((bool *)mask->data)[b * N + i] = i < caption(l, b) + after;
    return mask;
}

/* Captions [B,M,D] and pictures [B,N,D] in rows: a caption, its picture, then zeros. -> [B,M+N,D]
 */
static at_tensor *rows_of(at_context *cx, const lumina2_layout *l, at_tensor *text, at_tensor *img)
{
    if (l->even) return at_join(cx, 1, text, img);
    at_tensor *all = NULL;
    for (int64_t b = 0; b < at_dim(text, 0) && at_ok(cx); b++) {
        at_tensor *words = at_slice(cx, at_slice(cx, text, 0, b, 1), 1, 0, caption(l, b));
        at_tensor *row = at_join(cx, 1, words, at_slice(cx, img, 0, b, 1));
        row = at_pad(cx, row, 1, 0, l->longest - caption(l, b), 0.0f);
        all = all ? at_join(cx, 0, all, row) : row;
    }
    return all;
}

/* The pictures' part of such rows: [B,M+N,...] -> [B,N,...] */
static at_tensor *pictures_of(at_context *cx, const lumina2_layout *l, at_tensor *x)
{
    int64_t N = l->rows * l->columns;
    if (l->even) return at_slice(cx, x, 1, l->longest, N);
    at_tensor *all = NULL;
    for (int64_t b = 0; b < at_dim(x, 0) && at_ok(cx); b++) {
        at_tensor *part = at_slice(cx, at_slice(cx, x, 0, b, 1), 1, caption(l, b), N);
        all = all ? at_join(cx, 0, all, part) : part;
    }
    return all;
}

/* Positions (token, row, column) of such rows: a caption counts along the first axis, and its
   picture stays at the caption's end there. -> [B,M+N,head_dim/2,2] */
static at_tensor *rope_of(at_context *cx, const lumina2_config *c, const lumina2_layout *l)
{
    int64_t B = at_dim(l->captions, 0), N = l->rows * l->columns, each = l->longest + N;
    at_tensor *ids = at_zeros(cx, AT_F32, 3, (int64_t[]){B, each, AXES});
    for (int64_t b = 0; ids && b < B; b++) {
        float *id = (float *)ids->data + b * each * AXES;
        for (int64_t i = 0; i < caption(l, b); i++, id += AXES) id[0] = (float)i;
        for (int64_t i = 0; i < N; i++, id += AXES) {
            id[0] = (float)caption(l, b);
            id[1] = (float)(i / l->columns);
            id[2] = (float)(i % l->columns);
        }
    }
    if (!ids) return NULL;
    at_tensor *table = at_rotary_table(cx, B * each, AXES, c->axes, ids->data, 10000.0);
    return at_view(cx, table, B, each, c->head_dim / 2, 2);
}

/* ---- the whole */

/* [B,H,W,C] -> [B,N,p*p*C], features in the order (dy, dx, c) */
static at_tensor *patchify(at_context *cx, at_tensor *x, const lumina2_layout *l, int64_t p)
{
    int64_t B = at_dim(x, 0), C = at_dim(x, 3);
    x = at_transpose(cx, at_view(cx, x, B, l->rows, p, l->columns, p, C), 0, 1, 3, 2, 4, 5);
    return at_view(cx, x, B, l->rows * l->columns, p * p * C);
}

static at_tensor *unpatchify(at_context *cx, at_tensor *x, const lumina2_layout *l, int64_t p)
{
    int64_t B = at_dim(x, 0), C = at_dim(x, 2) / (p * p);
    x = at_transpose(cx, at_view(cx, x, B, l->rows, l->columns, p, p, C), 0, 1, 3, 2, 4, 5);
    return at_view(cx, x, B, l->rows * p, l->columns * p, C);
}

/* The refined captions, cut to the longest: [B,M,D] */
static at_tensor *captions_of(at_context *cx, const lumina2_transformer *m, const lumina2_layout *l,
                              at_tensor *states, at_tensor *rope)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *text = at_slice(cx, states, 1, 0, l->longest);
    text = at_project(cx, &m->caption_linear, at_rms_normalize(cx, &m->caption_norm, text));
    at_tensor *mask = seen(cx, l, l->longest, 0);
    rope = at_slice(cx, rope, 1, 0, l->longest);
    for (int i = 0; i < m->config.refiners; i++)
        context_block(cx, &m->context_refiner[i], &text, rope, mask);
    at_scope_end(cx, s, &text, NULL);
    return text;
}

/* The patches, refined on their own: [B,N,D] */
static at_tensor *pictures_refined(at_context *cx, const lumina2_transformer *m,
                                   const lumina2_layout *l, at_tensor *latents, at_tensor *temb,
                                   at_tensor *rope)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *img = patchify(cx, latents, l, m->config.patch_size);
    img = at_project(cx, &m->x_embedder, img);
    rope = pictures_of(cx, l, rope);
    for (int i = 0; i < m->config.refiners; i++)
        block(cx, &m->noise_refiner[i], &img, temb, rope, NULL);
    at_scope_end(cx, s, &img, NULL);
    return img;
}

at_tensor *at_lumina2_forward(at_context *cx, const at_module *module, const at_lumina2_inputs *in)
{
    const lumina2_transformer *m = (const lumina2_transformer *)module;
    const at_timestep_options options = {.flip_sin_to_cos = true};
    at_scope s = at_scope_begin(cx);
    lumina2_layout l = layout_of(cx, &m->config, in);
    at_tensor *temb = at_timestep_embedding(cx, in->timestep, FREQUENCIES, &options);
    temb = at_embed(cx, &m->timestep_embedder, temb, AT_SILU); /* [B,time] */
    at_tensor *rope = at_ok(cx) ? rope_of(cx, &m->config, &l) : NULL;
    at_tensor *text = captions_of(cx, m, &l, in->encoder_hidden_states, rope);
    at_tensor *img = pictures_refined(cx, m, &l, in->hidden_states, temb, rope);

    int64_t patches = l.rows * l.columns;
    at_tensor *x = rows_of(cx, &l, text, img), *mask = seen(cx, &l, l.longest + patches, patches);
    at_scope_keep(cx, s, &x, &temb, &rope, &mask, &l.captions, NULL);
    for (int i = 0; i < m->config.layers; i++) block(cx, &m->layers[i], &x, temb, rope, mask);

    at_tensor *scale; /* LuminaLayerNormContinuous */
    at_modulation_pieces(cx, &m->norm_out_1, temb, 1, &scale);
    x = at_layer_norm(cx, pictures_of(cx, &l, x), NULL, NULL, 1e-6f);
    x = at_project(cx, &m->norm_out_2, at_mul(cx, x, at_affine(cx, scale, 1.0f, 1.0f)));
    x = unpatchify(cx, x, &l, m->config.patch_size);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_lumina2_info at_lumina2_info_of(const at_module *module)
{
    if (!module) return (at_lumina2_info){0};
    const lumina2_config *c = &((const lumina2_transformer *)module)->config;
    return (at_lumina2_info){c->patch_size, c->sample_size, c->in_channels};
}

/* ---- parameters */

static void bind_block(at_binder *b, lumina2_block *m, const lumina2_config *c, bool modulation)
{
    int64_t queries = c->heads * c->head_dim, keys = c->groups * c->head_dim;
    m->heads = c->heads;
    m->groups = c->groups;
    if (modulation) {
        at_bind_linear(b, "norm1.linear", &m->norm1_linear, c->time_dim, 4 * c->dim, AT_BIAS);
        at_bind_rms_norm(b, "norm1.norm", &m->norm1, c->dim, c->eps);
    } else {
        at_bind_rms_norm(b, "norm1", &m->norm1, c->dim, c->eps);
    }
    at_bind_rms_norm(b, "norm2", &m->norm2, c->dim, c->eps);
    at_bind_rms_norm(b, "ffn_norm1", &m->ffn_norm1, c->dim, c->eps);
    at_bind_rms_norm(b, "ffn_norm2", &m->ffn_norm2, c->dim, c->eps);
    at_bind_linear(b, "attn.to_q", &m->to_q, c->dim, queries, AT_NO_BIAS);
    at_bind_linear(b, "attn.to_k", &m->to_k, c->dim, keys, AT_NO_BIAS);
    at_bind_linear(b, "attn.to_v", &m->to_v, c->dim, keys, AT_NO_BIAS);
    at_bind_linear(b, "attn.to_out.0", &m->to_out, queries, c->dim, AT_NO_BIAS);
    at_bind_rms_norm(b, "attn.norm_q", &m->norm_q, c->head_dim, 1e-5);
    at_bind_rms_norm(b, "attn.norm_k", &m->norm_k, c->head_dim, 1e-5);
    at_bind_linear(b, "feed_forward.linear_1", &m->linear_1, c->dim, c->inner, AT_NO_BIAS);
    at_bind_linear(b, "feed_forward.linear_2", &m->linear_2, c->inner, c->dim, AT_NO_BIAS);
    at_bind_linear(b, "feed_forward.linear_3", &m->linear_3, c->dim, c->inner, AT_NO_BIAS);
}

static void bind(at_binder *b, at_module *module)
{
    lumina2_transformer *m = (lumina2_transformer *)module;
    const lumina2_config *c = &m->config;
    int64_t p2 = (int64_t)c->patch_size * c->patch_size;
    at_bind_linear(b, "x_embedder", &m->x_embedder, p2 * c->in_channels, c->dim, AT_BIAS);
    size_t before = at_bind_enter(b, "time_caption_embed");
    at_bind_embedder(b, "timestep_embedder", &m->timestep_embedder, FREQUENCIES, c->time_dim);
    at_bind_rms_norm(b, "caption_embedder.0", &m->caption_norm, c->caption_dim, c->eps);
    at_bind_linear(b, "caption_embedder.1", &m->caption_linear, c->caption_dim, c->dim, AT_BIAS);
    at_bind_leave(b, before);
    AT_BIND_LIST(b, "noise_refiner", c->refiners, bind_block, m->noise_refiner, c, true);
    AT_BIND_LIST(b, "context_refiner", c->refiners, bind_block, m->context_refiner, c, false);
    AT_BIND_LIST(b, "layers", c->layers, bind_block, m->layers, c, true);
    at_bind_linear(b, "norm_out.linear_1", &m->norm_out_1, c->time_dim, c->dim, AT_BIAS);
    at_bind_linear(b, "norm_out.linear_2", &m->norm_out_2, c->dim, p2 * c->out_channels, AT_BIAS);
}

/* LuminaFeedForward: four times as wide, times a factor, rounded up to a multiple. */
static void configure_feed_forward(at_context *cx, at_config *k, lumina2_config *c)
{
    int64_t multiple = at_config_range(cx, k, "multiple_of", 256, 1, 1 << 20);
    double inner = 4.0 * (double)c->dim * at_config_number(cx, k, "ffn_dim_multiplier", 1.0);
    if (!(inner >= 1 && inner < 1 << 24)) {
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"ffn_dim_multiplier\" is out of range",
                at_config_what(k));
        return;
    }
    c->inner = ((int64_t)inner + multiple - 1) / multiple * multiple;
}

static void configure_rope(at_context *cx, at_config *k, lumina2_config *c)
{
    const int64_t axes[AXES] = {32, 32, 32}, lengths[AXES] = {300, 512, 512};
    bool fine = at_config_ints(cx, k, "axes_dim_rope", c->axes, AXES, axes, AXES) == AXES &&
                at_config_ints(cx, k, "axes_lens", c->lengths, AXES, lengths, AXES) == AXES;
    int64_t sum = 0;
    for (int a = 0; a < AXES && fine; a++) {
        fine = c->axes[a] >= 0 && c->axes[a] <= c->head_dim && c->axes[a] % 2 == 0;
        sum += c->axes[a];
    }
    if (at_ok(cx) && (!fine || sum != c->head_dim))
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"axes_dim_rope\" must be three even numbers that add up to hidden_size / "
                "num_attention_heads, %lld, and \"axes_lens\" three numbers",
                at_config_what(k), (long long)c->head_dim);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    lumina2_transformer *m = (lumina2_transformer *)module;
    lumina2_config *c = &m->config;
    static const char *const unused[] = {"scaling_factor", NULL}; /* by the reference too */
    at_config_ignore(k, unused);
    c->sample_size = at_config_range(cx, k, "sample_size", 128, 1, 1 << 16);
    c->patch_size = at_config_range(cx, k, "patch_size", 2, 1, 16);
    c->in_channels = at_config_range(cx, k, "in_channels", 16, 1, 65536);
    c->out_channels = at_config_range(cx, k, "out_channels", c->in_channels, 0, 65536);
    if (!c->out_channels) c->out_channels = c->in_channels;
    c->dim = at_config_range(cx, k, "hidden_size", 2304, 1, 1 << 20);
    c->layers = at_config_range(cx, k, "num_layers", 26, 0, 1000);
    c->refiners = at_config_range(cx, k, "num_refiner_layers", 2, 0, 1000);
    c->heads = at_config_range(cx, k, "num_attention_heads", 24, 1, 1024);
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(at_config_json(k), "num_kv_heads");
    int all = cJSON_IsNull(groups) ? c->heads : 8; /* null: each head has its own */
    c->groups = at_config_range(cx, k, "num_kv_heads", all, 1, 1024);
    c->caption_dim = at_config_range(cx, k, "cap_feat_dim", 1024, 1, 1 << 20);
    c->eps = at_config_number(cx, k, "norm_eps", 1e-5);
    c->head_dim = c->dim / c->heads;
    c->time_dim = c->dim < MOST_TIME ? c->dim : MOST_TIME;
    if (c->heads % c->groups)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"num_attention_heads\" must be a multiple of \"num_kv_heads\"",
                at_config_what(k));
    configure_feed_forward(cx, k, c);
    configure_rope(cx, k, c);
    m->noise_refiner = at_module_list(module, c->refiners, sizeof *m->noise_refiner);
    m->context_refiner = at_module_list(module, c->refiners, sizeof *m->context_refiner);
    m->layers = at_module_list(module, c->layers, sizeof *m->layers);
}

const at_module_class at_lumina2_transformer_class = {
    .name = "Lumina2Transformer2DModel",
    .size = sizeof(lumina2_transformer),
    .configure = configure,
    .bind = bind,
};
