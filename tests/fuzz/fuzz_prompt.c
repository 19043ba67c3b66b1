#include "fuzz.h"
#include "pipelines/prompt_plan.h"
#include <string.h>

/* A prompt through every reader: whatever it is, it is text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    at_context *cx = at_context_new(NULL);
    char *text = at_alloc(cx, size + 1, 1);
    if (size) memcpy(text, data, size);
    at_prompt_list list = {0};
    if (!at_prompt_weights_a1111(cx, text, &list) || !list.count) abort();
    at_prompt_list_free(&list);
    if (!at_prompt_weights_comfy(cx, text, &list)) abort();
    at_prompt_list_free(&list);
    if (!at_prompt_split_and(cx, text, &list) || !list.count) abort();
    at_prompt_list_free(&list);
    if (!at_prompt_schedule(cx, text, 7, size & 3, &list) || list.items[list.count - 1].step != 7)
        abort();
    at_prompt_list_free(&list);
    at_prompt_plan plan = {0};
    if (!at_prompt_plan_make(cx, text, AT_PROMPT_A1111, true, 7, size & 3, &plan) || !plan.count)
        abort();
    for (int i = 0; i < plan.count; i++)
        for (int call = 0; call < 7; call++)
            if (plan.parts[i].which[call] >= plan.parts[i].texts.count) abort();
    at_prompt_plan_free(&plan);
    char *rest = at_prompt_take_loras(cx, text, &list);
    if (!rest || strlen(rest) > strlen(text)) abort();
    at_prompt_list_free(&list);
    at_prompt_is_a1111(text);
    at_free(rest);
    at_free(text);
    fuzz_end(cx);
    return 0;
}
