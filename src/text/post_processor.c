/* Special tokens around the sequence. Only single sequences are processed, by one processor that
   adds tokens: a second one in a Sequence takes the first one's parts for a pair in the reference.
 */
#include "text/tokenizer_parts.h"
#include <string.h>

enum { SEQUENCE = -1 };

struct at_post_processor {
    at_ids items; /* ids to add, SEQUENCE where the sequence goes; none: the sequence as it is */
};

/* "$A" or "$B" of a template. */
static bool add_sequence(at_context *cx, at_post_processor *p, const cJSON *piece, const char *what)
{
    const char *id = at_field_text(cx, piece, "id", what);
    bool twice = false;
    for (size_t i = 0; i < p->items.count; i++) twice |= p->items.ids[i] == SEQUENCE;
    if (id && (strcmp(id, "A") != 0 || twice))
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: a template that uses \"%.20s\" or the sequence twice", what, id);
    at_ids_add(cx, &p->items, SEQUENCE);
    return !at_failed(cx);
}

static bool add_special(at_context *cx, at_post_processor *p, const cJSON *piece,
                        const cJSON *tokens, const char *what)
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
        at_ids_add(cx, &p->items, id);
    }
    return !at_failed(cx);
}

static bool parse_template(at_context *cx, at_post_processor *p, const cJSON *json,
                           const char *what)
{
    const cJSON *single = cJSON_GetObjectItemCaseSensitive(json, "single"), *piece;
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(json, "special_tokens");
    if (!cJSON_IsArray(single))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: a template without \"single\"", what);
    cJSON_ArrayForEach(piece, single)
    {
        const cJSON *sequence = cJSON_GetObjectItemCaseSensitive(piece, "Sequence");
        const cJSON *special = cJSON_GetObjectItemCaseSensitive(piece, "SpecialToken");
        if (sequence ? !add_sequence(cx, p, sequence, what)
                     : !add_special(cx, p, special, tokens, what))
            return false;
    }
    return true;
}

/* BertProcessing, RobertaProcessing: "cls": ["[CLS]", 101], "sep" likewise. */
static bool parse_around(at_context *cx, at_post_processor *p, const cJSON *json, const char *what)
{
    const cJSON *cls = cJSON_GetObjectItemCaseSensitive(json, "cls");
    const cJSON *sep = cJSON_GetObjectItemCaseSensitive(json, "sep");
    int32_t first, last;
    if (!at_json_id(cJSON_GetArrayItem(cls, 1), &first) ||
        !at_json_id(cJSON_GetArrayItem(sep, 1), &last))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: \"cls\" and \"sep\" must be [token, id]",
                             what);
    at_ids_add(cx, &p->items, first);
    at_ids_add(cx, &p->items, SEQUENCE);
    at_ids_add(cx, &p->items, last);
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
    at_post_processor *p = stage;
    if (p->items.count)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: a second post-processor that adds tokens is not supported", what);
    return around ? parse_around(cx, p, json, what) : parse_template(cx, p, json, what);
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
    if (p) {
        if (first >= 0) at_ids_add(cx, &p->items, first);
        at_ids_add(cx, &p->items, SEQUENCE);
        if (last >= 0) at_ids_add(cx, &p->items, last);
    }
    if (!at_failed(cx)) return p;
    at_post_processor_free(p);
    return NULL;
}

void at_post_processor_free(at_post_processor *p)
{
    if (!p) return;
    at_ids_free(&p->items);
    at_free(p);
}

size_t at_post_processor_added(const at_post_processor *p)
{
    size_t added = 0;
    for (size_t i = 0; p && i < p->items.count; i++) added += p->items.ids[i] != SEQUENCE;
    return added;
}

void at_post_processor_apply(at_context *cx, const at_post_processor *p, at_ids *ids)
{
    at_ids out = {0};
    if (!p || p->items.count == 0) return;
    for (size_t i = 0; i < p->items.count && !at_failed(cx); i++) {
        if (p->items.ids[i] != SEQUENCE)
            at_ids_add(cx, &out, p->items.ids[i]);
        else
            for (size_t n = 0; n < ids->count; n++) at_ids_add(cx, &out, ids->ids[n]);
    }
    at_ids_free(ids);
    *ids = out;
}
