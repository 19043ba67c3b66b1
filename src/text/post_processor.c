/* Special tokens around the sequence. Only single sequences are processed. */
#include "text/tokenizer_parts.h"
#include <string.h>

enum { SEQUENCE = -1 };

typedef struct step {
    at_ids items; /* ids to add, SEQUENCE where the sequence goes */
} step;

struct at_post_processor {
    step *steps;
    size_t count;
};

static step *new_step(at_context *cx, at_post_processor *p)
{
    step *steps = at_resize(cx, p->steps, p->count + 1, sizeof *steps);
    if (!steps) return NULL;
    p->steps = steps;
    steps[p->count] = (step){0};
    return &steps[p->count++];
}

/* "$A" or "$B" of a template. */
static bool add_sequence(at_context *cx, step *s, const cJSON *piece, const char *what)
{
    const char *id = at_field_text(cx, piece, "id", what);
    bool twice = false;
    for (size_t i = 0; i < s->items.count; i++) twice |= s->items.ids[i] == SEQUENCE;
    if (id && (strcmp(id, "A") != 0 || twice))
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: a template that uses \"%.20s\" or the sequence twice", what, id);
    at_ids_add(cx, &s->items, SEQUENCE);
    return !at_failed(cx);
}

static bool add_special(at_context *cx, step *s, const cJSON *piece, const cJSON *tokens,
                        const char *what)
{
    const char *name = at_field_text(cx, piece, "id", what);
    const cJSON *special = name ? cJSON_GetObjectItemCaseSensitive(tokens, name) : NULL;
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(special, "ids"), *item;
    if (!cJSON_IsArray(ids))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: a template without ids for \"%.40s\"", what,
                             name ? name : "");
    cJSON_ArrayForEach(item, ids)
    {
        int32_t id;
        if (!at_json_id(item, &id))
            return at_fail_false(cx, AT_ERROR_FORMAT, "%s: an id of \"%.40s\" is no id", what,
                                 name);
        at_ids_add(cx, &s->items, id);
    }
    return !at_failed(cx);
}

static bool parse_template(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const cJSON *single = cJSON_GetObjectItemCaseSensitive(json, "single"), *piece;
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(json, "special_tokens");
    if (!cJSON_IsArray(single))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: a template without \"single\"", what);
    cJSON_ArrayForEach(piece, single)
    {
        const cJSON *sequence = cJSON_GetObjectItemCaseSensitive(piece, "Sequence");
        const cJSON *special = cJSON_GetObjectItemCaseSensitive(piece, "SpecialToken");
        if (sequence ? !add_sequence(cx, s, sequence, what)
                     : !add_special(cx, s, special, tokens, what))
            return false;
    }
    return true;
}

/* BertProcessing, RobertaProcessing: "cls": ["[CLS]", 101], "sep" likewise. */
static bool parse_around(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const cJSON *cls = cJSON_GetObjectItemCaseSensitive(json, "cls");
    const cJSON *sep = cJSON_GetObjectItemCaseSensitive(json, "sep");
    int32_t first, last;
    if (!at_json_id(cJSON_GetArrayItem(cls, 1), &first) ||
        !at_json_id(cJSON_GetArrayItem(sep, 1), &last))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: \"cls\" and \"sep\" must be [token, id]",
                             what);
    at_ids_add(cx, &s->items, first);
    at_ids_add(cx, &s->items, SEQUENCE);
    at_ids_add(cx, &s->items, last);
    return !at_failed(cx);
}

static bool parse_step(at_context *cx, void *stage, const cJSON *json, const char *type,
                       const char *what)
{
    if (strcmp(type, "ByteLevel") == 0) return true; /* changes offsets only */
    bool around = strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0;
    if (!around && strcmp(type, "TemplateProcessing") != 0)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: the post-processor \"%.40s\" is not supported", what, type);
    step *s = new_step(cx, stage);
    return s && (around ? parse_around(cx, s, json, what) : parse_template(cx, s, json, what));
}

bool at_post_processor_parse(at_context *cx, const cJSON *json, const char *what,
                             at_post_processor **out)
{
    if (!at_ok(cx)) return false;
    if (!json || cJSON_IsNull(json)) return true;
    *out = AT_NEW(cx, at_post_processor);
    return *out && at_each_step(cx, json, "processors", what, parse_step, *out);
}

at_post_processor *at_post_processor_around(at_context *cx, int32_t first, int32_t last)
{
    at_post_processor *p = at_ok(cx) ? AT_NEW(cx, at_post_processor) : NULL;
    step *s = p ? new_step(cx, p) : NULL;
    if (s) {
        if (first >= 0) at_ids_add(cx, &s->items, first);
        at_ids_add(cx, &s->items, SEQUENCE);
        if (last >= 0) at_ids_add(cx, &s->items, last);
    }
    if (!at_failed(cx)) return p;
    at_post_processor_free(p);
    return NULL;
}

void at_post_processor_free(at_post_processor *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->count; i++) at_ids_free(&p->steps[i].items);
    at_free(p->steps);
    at_free(p);
}

size_t at_post_processor_added(const at_post_processor *p)
{
    size_t added = 0;
    for (size_t i = 0; p && i < p->count; i++)
        for (size_t k = 0; k < p->steps[i].items.count; k++)
            added += p->steps[i].items.ids[k] != SEQUENCE;
    return added;
}

void at_post_processor_apply(at_context *cx, const at_post_processor *p, at_ids *ids)
{
    for (size_t i = 0; p && i < p->count && !at_failed(cx); i++) {
        const at_ids *items = &p->steps[i].items;
        at_ids out = {0};
        for (size_t k = 0; k < items->count; k++) {
            if (items->ids[k] != SEQUENCE)
                at_ids_add(cx, &out, items->ids[k]);
            else
                for (size_t n = 0; n < ids->count; n++) at_ids_add(cx, &out, ids->ids[n]);
        }
        at_ids_free(ids);
        *ids = out;
    }
}
