#include "models/layouts/names.h"
#include <string.h>

static const at_name_rule same[] = {{"", ""}, {NULL}};

/* What follows `beginning` in the text, or NULL. */
static const char *after(const char *text, const char *beginning)
{
    size_t n = strlen(beginning);
    return strncmp(text, beginning, n) == 0 ? text + n : NULL;
}

void at_names_add(at_context *cx, at_names *names, const at_name_rule *rules, char *theirs,
                  char *ours)
{
    if (theirs && ours && names->count == names->capacity) {
        int capacity = AT_MAX(64, names->capacity * 2);
        at_name_pair *more = at_resize(cx, names->pairs, (size_t)capacity, sizeof *more);
        if (more) {
            names->pairs = more;
            names->capacity = capacity;
        }
    }
    if (theirs && ours && names->count < names->capacity) {
        names->pairs[names->count++] = (at_name_pair){theirs, ours, rules ? rules : same};
        return;
    }
    at_free(theirs);
    at_free(ours);
}

void at_names_add_all(at_context *cx, at_names *names, const at_name_rule *rules)
{
    at_names_add(cx, names, rules, at_copy_text(cx, ""), at_copy_text(cx, ""));
}

void at_names_free(at_names *names)
{
    for (int i = 0; i < names->count; i++) {
        at_free(names->pairs[i].theirs);
        at_free(names->pairs[i].ours);
    }
    at_free(names->pairs);
    *names = (at_names){0};
}

static at_weight_view view_of(const at_name_rule *r, const at_weight *w)
{
    int64_t part = r->of && w->dims ? w->shape[0] / r->of : 0;
    return (at_weight_view){.begin = part * r->from,
                            .count = part * (r->to - r->from),
                            .transposed = r->transposed,
                            .halves_swapped = r->halves_swapped,
                            .is_matrix = r->is_matrix,
                            .less_one = r->less_one};
}

/* Adds what the rules make of one tensor: one for each rule with the same beginning. False: none.
 */
static bool apply_rules(at_context *cx, const at_name_pair *pair, const char *rest,
                        const at_weight *w, at_weights *to)
{
    const at_name_rule *first = NULL;
    for (const at_name_rule *r = pair->rules; r->theirs; r++) {
        const char *tail = after(rest, r->theirs);
        if (!tail || (first && strcmp(first->theirs, r->theirs) != 0)) continue;
        first = r;
        at_weight_view view = view_of(r, w);
        if (r->of && (!w->dims || w->shape[0] % r->of))
            at_fail(cx, AT_ERROR_FORMAT, "%s: %s cannot be cut into %d parts", w->file->path,
                    w->name, r->of);
        char *name = at_format(cx, "%s%s%s", pair->ours, r->ours, tail);
        if (name) at_weights_add(cx, to, name, w, &view);
        at_free(name);
    }
    return first != NULL;
}

at_weights *at_names_apply(at_context *cx, const at_names *names, at_weights *from,
                           const char *prefix, int64_t *taken)
{
    at_weights *to = at_weights_derive(cx, from);
    for (int64_t i = 0; to && at_ok(cx) && i < at_weights_count(from); i++) {
        const at_weight *w = at_weights_at(from, i);
        const char *rest = after(w->name, prefix);
        for (int p = 0; rest && p < names->count; p++) {
            const char *tail = after(rest, names->pairs[p].theirs);
            if (!tail || !apply_rules(cx, &names->pairs[p], tail, w, to)) continue;
            ++*taken;
            break;
        }
    }
    return at_ok(cx) ? to : NULL;
}

bool at_names_reverse(at_context *cx, const at_names *names, const char *ours, char **name,
                      const at_name_rule **rule)
{
    for (int p = 0; p < names->count; p++) {
        const at_name_pair *pair = &names->pairs[p];
        const char *rest = after(ours, pair->ours);
        for (const at_name_rule *r = pair->rules; rest && r->theirs; r++) {
            const char *tail = after(rest, r->ours);
            if (!tail) continue;
            *rule = r;
            *name = at_format(cx, "%s%s%s", pair->theirs, r->theirs, tail);
            return *name != NULL;
        }
    }
    return false;
}
