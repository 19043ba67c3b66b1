#include "schedulers/alphas.h"
#include <math.h>
#include <string.h>

/* torch.linspace in f32: from both ends to the middle, products and sums fused. */
static float linspace_f32(float start, float stop, int i, int count)
{
    if (count == 1) return start;
    float step = (stop - start) / (float)(count - 1);
    return i < count / 2 ? fmaf(step, (float)i, start) : fmaf(-step, (float)(count - i - 1), stop);
}

/* How much is left after a share t of the way: Nichol and Dhariwal 2021. */
static double alpha_bar(double t)
{
    double c = cos((t + 0.008) / 1.008 * 3.14159265358979323846 / 2.0);
    return c * c;
}

static void given_betas(at_context *cx, at_config *k, const cJSON *list, float *betas, int count)
{
    if (cJSON_GetArraySize(list) != count) {
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"trained_betas\" has %d numbers, not %d",
                at_config_what(k), cJSON_GetArraySize(list), count);
        return;
    }
    const cJSON *item;
    int i = 0;
    cJSON_ArrayForEach(item, list) betas[i++] = (float)cJSON_GetNumberValue(item);
}

static void make_betas(at_context *cx, at_config *k, float *betas, int count,
                       const at_alphas_defaults *d)
{
    double start = at_config_number(cx, k, "beta_start", d->start);
    double stop = at_config_number(cx, k, "beta_end", d->stop);
    const char *way = at_config_text(cx, k, "beta_schedule", d->schedule);
    const cJSON *given = at_config_item(k, "trained_betas");
    bool linear = strcmp(way, "linear") == 0, scaled = strcmp(way, "scaled_linear") == 0;
    bool cosine = strcmp(way, "squaredcos_cap_v2") == 0, sigmoid = strcmp(way, "sigmoid") == 0;
    bool exponential = strcmp(way, "exp") == 0;
    if (given) {
        given_betas(cx, k, given, betas, count);
        return;
    }
    if (!linear && !scaled && !cosine && !sigmoid && !exponential)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"beta_schedule\": \"%s\" is not supported",
                at_config_what(k), way);
    for (int i = 0; i < count; i++) {
        if (linear) betas[i] = linspace_f32((float)start, (float)stop, i, count);
        if (scaled) {
            float root = linspace_f32((float)sqrt(start), (float)sqrt(stop), i, count);
            betas[i] = root * root;
        }
        if (cosine)
            betas[i] = (float)fmin(
                1.0 - alpha_bar((double)(i + 1) / count) / alpha_bar((double)i / count), 0.999);
        if (exponential) betas[i] = (float)fmin(1.0 - exp(-12.0 / count), 0.999);
        if (sigmoid)
            betas[i] =
                1.0f / (1.0f + expf(-linspace_f32(-6.0f, 6.0f, i, count))) * (float)(stop - start) +
                (float)start;
    }
}

/* rescale_zero_terminal_snr: nothing of the sample is left at the end (Lin et al. 2023). betas
   come and go as they are there: products, then ratios again. */
static void rescale(float *betas, float *roots, int count)
{
    double product = 1.0;
    for (int i = 0; i < count; i++) {
        product *= 1.0f - betas[i];
        roots[i] = sqrtf((float)product);
    }
    float first = roots[0], last = roots[count - 1], scale = first / (first - last);
    for (int i = 0; i < count; i++) {
        float root = (roots[i] - last) * scale;
        roots[i] = root * root;
        betas[i] = 1.0f - (i ? roots[i] / roots[i - 1] : roots[i]);
    }
}

float *at_alphas_cumprod(at_context *cx, at_config *k, int *count, const at_alphas_defaults *d)
{
    int n = at_config_range(cx, k, "num_train_timesteps", 1000, 1, 1000000);
    bool zero_snr = d->zero_snr && at_config_bool(cx, k, "rescale_betas_zero_snr", false);
    float *betas = AT_NEW_ARRAY(cx, float, n), *alphas = AT_NEW_ARRAY(cx, float, n);
    if (betas && alphas) {
        make_betas(cx, k, betas, n, d);
        if (zero_snr) rescale(betas, alphas, n);
        double product = 1.0; /* torch sums and multiplies f32 up in f64 */
        for (int i = 0; i < n; i++) {
            product *= 1.0f - betas[i];
            alphas[i] = (float)product;
        }
        if (zero_snr && d->tiny_end) alphas[n - 1] = 0x1p-24f;
    }
    at_free(betas);
    *count = n;
    return alphas;
}
