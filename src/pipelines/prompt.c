#include "pipelines/prompt.h"
#include "text/tokenizer.h"
#include <string.h>

/* length ids with `count` of them in place from `first` on, padding around. */
static at_prompt_tokens padded(at_context *cx, const at_ids *ids, size_t length, size_t first,
                               int32_t pad)
{
    at_prompt_tokens out = {at_new(cx, AT_I32, 1, (int64_t)length),
                            at_new(cx, AT_BOOL, 1, (int64_t)length)};
    for (size_t i = 0; at_ok(cx) && i < length; i++) {
        bool token = i >= first && i - first < ids->count;
        ((int32_t *)out.ids->data)[i] = token ? ids->ids[i - first] : pad;
        ((bool *)out.mask->data)[i] = token;
    }
    return out;
}

at_prompt_tokens at_prompt_encode(at_pipeline *pipeline, const char *name, const char *prompt,
                                  size_t length, bool right)
{
    enum { MOST = 65536 };
    at_context *cx = pipeline->cx;
    at_prompt_tokens out = {0};
    at_tokenizer *tokenizer = at_pipeline_tokenizer(pipeline, name);
    if (!tokenizer) return out;
    if (!length) length = at_tokenizer_max_length(tokenizer);
    int32_t pad = at_tokenizer_pad_id(tokenizer);
    if (!length || length > MOST)
        at_fail(cx, AT_ERROR_FORMAT, "%s/%s: no usable model_max_length", pipeline->folder, name);
    else if (pad < 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s/%s: no padding token", pipeline->folder, name);
    at_ids ids = {0};
    const at_encode_options options = {.max_length = length};
    if (at_ok(cx) && at_tokenizer_encode(cx, tokenizer, prompt, strlen(prompt), &options, &ids)) {
        bool left = at_tokenizer_pads_left(tokenizer) && !right;
        out = padded(cx, &ids, length, left ? length - ids.count : 0, pad);
    }
    at_ids_free(&ids);
    return out;
}

at_tensor *at_prompt_ids(at_pipeline *pipeline, const char *name, const char *prompt, size_t length)
{
    return at_prompt_encode(pipeline, name, prompt, length, false).ids;
}

at_tensor *at_prompt_repeat(at_context *cx, at_tensor *x, int64_t count)
{
    if (!x || count == 1) return x;
    int64_t shape[AT_MAX_DIMS] = {count};
    for (int i = 1; i < x->dims; i++) shape[i] = x->shape[i];
    return at_expand(cx, x, x->dims, shape);
}
