#include "pipelines/prompt_plan.h"
#include "base/map.h"
#include <string.h>

/* One more text of a part, moved out of its schedule. */
static bool add_text(at_context *cx, at_prompt_part *part, char **text)
{
    at_prompt_list *list = &part->texts;
    at_prompt_item *items = at_resize(cx, list->items, (size_t)list->count + 1, sizeof *items);
    if (!items) return false;
    list->items = items;
    items[list->count++] = (at_prompt_item){.text = *text};
    *text = NULL;
    return true;
}

/* The schedule's entries as texts that are there once, and which of them each call has. */
static bool take_stages(at_context *cx, at_prompt_part *part, at_prompt_list *stages, int calls)
{
    at_map *seen = at_map_new(cx);
    bool fine = seen != NULL;
    int call = 0;
    for (int i = 0; fine && i < stages->count; i++) {
        at_prompt_item *stage = &stages->items[i];
        size_t size = strlen(stage->text);
        int64_t at = part->texts.count;
        if (!at_map_get(seen, stage->text, size, &at))
            fine = at_map_set(cx, seen, stage->text, size, at) && add_text(cx, part, &stage->text);
        if (!fine) break;
        part->texts.items[at].step++;
        bool last = i == stages->count - 1;
        while (call <= calls && (last || call <= stage->step)) part->which[call++] = (int)at;
    }
    at_map_free(seen);
    return fine;
}

static bool make_part(at_context *cx, const at_prompt_item *from, bool edits, int calls, int before,
                      at_prompt_part *part)
{
    at_prompt_list stages = {0};
    part->weight = from->value;
    part->which = AT_NEW_ARRAY(cx, int, calls + 1);
    bool fine = part->which != NULL;
    if (edits)
        fine = fine && at_prompt_schedule(cx, from->text, calls, before, &stages) &&
               take_stages(cx, part, &stages, calls);
    else
        fine = fine && (part->texts.items = AT_NEW(cx, at_prompt_item)) != NULL;
    if (fine && !edits) {
        part->texts.count = 1;
        part->texts.items[0] = (at_prompt_item){.text = at_copy_text(cx, from->text), .step = 1};
    }
    at_prompt_list_free(&stages);
    return fine && at_ok(cx);
}

bool at_prompt_plan_make(at_context *cx, const char *prompt, at_prompt_syntax syntax, bool joined,
                         int calls, int before, at_prompt_plan *plan)
{
    bool edits = syntax == AT_PROMPT_A1111;
    char *copy = at_copy_text(cx, prompt);
    at_prompt_item whole = {.text = copy, .value = 1.0};
    at_prompt_list split = {0};
    bool fine = copy && (!edits || !joined || at_prompt_split_and(cx, prompt, &split));
    int count = split.count ? split.count : 1;
    plan->calls = AT_MAX(calls, 1);
    plan->parts = fine ? AT_NEW_ARRAY(cx, at_prompt_part, count) : NULL;
    fine = plan->parts != NULL;
    for (int i = 0; fine && i < count; i++) {
        plan->count++;
        fine = make_part(cx, split.count ? &split.items[i] : &whole, edits, plan->calls, before,
                         &plan->parts[i]);
    }
    at_prompt_list_free(&split);
    at_free(copy);
    return fine;
}

void at_prompt_plan_free(at_prompt_plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        at_prompt_list_free(&plan->parts[i].texts);
        at_free(plan->parts[i].which);
    }
    at_free(plan->parts);
    *plan = (at_prompt_plan){0};
}

const char *at_prompt_edits(at_context *cx, const char *prompt, bool joined)
{
    at_prompt_plan plan = {0};
    const char *found = NULL;
    if (at_prompt_plan_make(cx, prompt, AT_PROMPT_A1111, joined, 100, 0, &plan)) {
        for (int i = 0; i < plan.count; i++)
            if (plan.parts[i].texts.count > 1) found = "[a:b:0.4] or [a|b]";
        if (plan.count > 1) found = "AND";
    }
    at_prompt_plan_free(&plan);
    return found;
}
