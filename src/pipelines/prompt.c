#include "pipelines/prompt.h"
#include "text/tokenizer.h"
#include <string.h>

at_tensor *at_prompt_ids(at_pipeline *pipeline, const char *name, const char *prompt, size_t length)
{
    enum { MOST = 65536 };
    at_context *cx = pipeline->cx;
    at_tokenizer *tokenizer = at_pipeline_tokenizer(pipeline, name);
    if (!tokenizer) return NULL;
    if (!length) length = at_tokenizer_max_length(tokenizer);
    if (!length || length > MOST)
        return at_fail(cx, AT_ERROR_FORMAT, "%s/%s: no usable model_max_length", pipeline->folder,
                       name);
    at_ids ids = {0};
    at_tensor *x = NULL;
    const at_encode_options options = {.max_length = length, .pad = true};
    if (at_tokenizer_encode(cx, tokenizer, prompt, strlen(prompt), &options, &ids))
        x = at_from(cx, AT_I32, 2, (int64_t[]){1, (int64_t)ids.count}, ids.ids);
    at_ids_free(&ids);
    return x;
}
