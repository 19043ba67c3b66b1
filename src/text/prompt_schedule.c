/* A1111's prompt editing. A bracket is an edit, an alternation or an emphasis where it can be one
   from its beginning to its end, else its signs are text; a bar outside an alternation, or a
   backslash at the end, makes the whole prompt text. */
#include "base/text.h"
#include "text/prompt_syntax.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 100, MOST_PARTS = 64 };

typedef enum kind { ROUND, SQUARE, EDIT, ALTERNATE } kind;

/* A bracket from `begin` to `end` (behind it); parts are cut by `cut`, the places of : and |. */
typedef struct bracket {
    kind kind;
    int end; /* 0: not one; -1: not looked at yet */
    int when;
    int cuts, first_cut;
} bracket;

typedef struct parser {
    at_context *cx;
    const char *text;
    int size, steps, before;
    bracket *at; /* by the place of the opening sign */
    int *cuts;
    int cut_count, cut_capacity;
} parser;

static bool add_cut(parser *p, int at)
{
    if (p->cut_count == p->cut_capacity) {
        int capacity = 2 * p->cut_capacity;
        int *cuts = at_resize(p->cx, p->cuts, (size_t)capacity, sizeof *cuts);
        if (!cuts) return false;
        p->cuts = cuts;
        p->cut_capacity = capacity;
    }
    p->cuts[p->cut_count++] = at;
    return true;
}

/* A number with spaces around it: the step, counted of `steps` where it has a point. */
static bool read_when(const parser *p, int from, int to, int *when)
{
    const char *a = at_prompt_skip_spaces(p->text + from, p->text + to), *c = a, *digits;
    const char *b = at_prompt_trim_spaces(a, p->text + to);
    bool point = false, any = false;
    if (c < b && (*c == '+' || *c == '-')) c++;
    for (; c < b && (isdigit((unsigned char)*c) || (*c == '.' && !point)); c++) {
        point = point || *c == '.';
        any = any || *c != '.';
    }
    if (any && c < b && (*c == 'e' || *c == 'E')) {
        digits = c + 1 + (c + 1 < b && (c[1] == '+' || c[1] == '-'));
        for (c = digits; c < b && isdigit((unsigned char)*c);) c++;
        any = c > digits;
    }
    if (!any || c != b) return false;
    double value = strtod(a, NULL);
    value = point ? (value - (p->before > 0)) * p->steps : value - p->before;
    *when = value >= p->steps ? p->steps : value < 0 ? 0 : (int)value;
    return true;
}

static int bracket_at(parser *p, int at, int depth);

/* From `at` to the first sign of this level that is no text: its place, or -1 where a bracket in
   between is none, or the text ends. */
static int level_end(parser *p, int at, int depth)
{
    while (at < p->size) {
        char c = p->text[at];
        if (c == '\\') {
            if (at + 1 >= p->size || p->text[at + 1] == '\n') return -1;
            at += 2;
        } else if (c == '(' || c == '[') {
            at = bracket_at(p, at, depth + 1);
            if (at <= 0) return -1;
        } else if (strchr(")]:|", c)) {
            return at;
        } else {
            at++;
        }
    }
    return -1;
}

/* What the bracket at a place is, by the cuts in it. */
static bool judge(parser *p, int at, int close, bracket *b)
{
    const int *cuts = p->cuts + b->first_cut;
    bool bars = b->cuts && p->text[cuts[0]] == '|';
    for (int i = 1; i < b->cuts; i++)
        if ((p->text[cuts[i]] == '|') != bars) return false;
    if (p->text[at] == '(') {
        b->kind = ROUND;
        return p->text[close] == ')' && b->cuts <= 1 && !bars;
    }
    if (p->text[close] != ']') return false;
    b->kind = bars ? ALTERNATE : b->cuts ? EDIT : SQUARE;
    if (b->kind != EDIT) return true;
    return b->cuts <= 2 && read_when(p, cuts[b->cuts - 1] + 1, close, &b->when);
}

/* Behind the bracket that opens at a place, or 0: it is none. Each place is looked at once. */
static int bracket_at(parser *p, int at, int depth)
{
    bracket *b = &p->at[at];
    if (b->end >= 0 || depth > DEEPEST) return AT_MAX(b->end, 0);
    int places[MOST_PARTS], count = 0, close = level_end(p, at + 1, depth);
    while (close > 0 && strchr(":|", p->text[close]) && count < MOST_PARTS) {
        places[count++] = close;
        close = level_end(p, close + 1, depth);
    }
    b->end = 0;
    if (close < 0 || strchr(":|", p->text[close])) return 0;
    b->first_cut = p->cut_count;
    b->cuts = count;
    for (int i = 0; i < count; i++)
        if (!add_cut(p, places[i])) return 0;
    if (judge(p, at, close, b)) b->end = close + 1;
    return b->end;
}

/* Looks at all brackets that are not in others; false: the whole prompt is text. */
static bool parse(parser *p)
{
    for (int at = 0; at < p->size;) {
        char c = p->text[at];
        if (c == '|' || (c == '\\' && (at + 1 >= p->size || p->text[at + 1] == '\n'))) return false;
        int end = c == '(' || c == '[' ? bracket_at(p, at, 0) : 0;
        at = end > 0 ? end : at + (c == '\\' ? 2 : 1);
    }
    return at_ok(p->cx);
}

/* The text from `at` to `to` as it is at a step. */
static void write(const parser *p, int at, int to, int step, at_text *out)
{
    while (at < to) {
        const bracket *b = &p->at[at];
        char c = p->text[at];
        if ((c != '(' && c != '[') || b->end <= 0) {
            int n = c == '\\' && at + 1 < to ? 2 : 1;
            at_text_add(p->cx, out, p->text + at, (size_t)n);
            at += n;
            continue;
        }
        const int *cuts = p->cuts + b->first_cut;
        int close = b->end - 1, from = at + 1, until = close;
        if (b->kind == EDIT) {
            int last = cuts[b->cuts - 1];
            bool before = step <= b->when;
            if (b->cuts == 1)
                until = before ? from : last;
            else if (before)
                until = cuts[0];
            else
                from = cuts[0] + 1, until = last;
        } else if (b->kind == ALTERNATE) {
            int part = (step - 1) % (b->cuts + 1);
            from = part ? cuts[part - 1] + 1 : from;
            until = part < b->cuts ? cuts[part] : close;
        }
        bool keeps = b->kind == ROUND || b->kind == SQUARE;
        if (keeps) at_text_add(p->cx, out, &c, 1);
        write(p, from, until, step, out);
        if (keeps) at_text_add(p->cx, out, p->text + close, 1);
        at = b->end;
    }
}

static bool add_stage(parser *p, int step, bool parsed, at_prompt_list *stages)
{
    at_text out = {0};
    at_text_add(p->cx, &out, "", 0);
    if (parsed)
        write(p, 0, p->size, step, &out);
    else
        at_text_add(p->cx, &out, p->text, (size_t)p->size);
    at_prompt_item *items =
        at_resize(p->cx, stages->items, (size_t)stages->count + 1, sizeof *items);
    if (items) {
        stages->items = items;
        stages->capacity = stages->count + 1;
        items[stages->count++] = (at_prompt_item){.text = out.data, .step = step};
    } else {
        at_text_free(&out);
    }
    return at_ok(p->cx);
}

/* A place in a bracket that came to nothing is text, and so is what is in it, but for brackets. */
static void mark_steps(const parser *p, int at, int to, uint8_t *ends)
{
    for (; at < to; at += p->text[at] == '\\' ? 2 : 1) {
        const bracket *b = &p->at[at];
        if ((p->text[at] != '(' && p->text[at] != '[') || b->end <= 0) continue;
        if (b->kind == EDIT && b->when >= 1) ends[b->when] = 1;
        if (b->kind == ALTERNATE) memset(ends + 1, 1, (size_t)p->steps);
    }
}

bool at_prompt_schedule(at_context *cx, const char *text, int steps, int before,
                        at_prompt_list *stages)
{
    enum { LONGEST = 1 << 20 };
    size_t size = strlen(text);
    if (steps < 1) steps = 1;
    if (size > LONGEST) return at_fail_false(cx, AT_ERROR_ARGUMENT, "the prompt is too long");
    parser p = {.cx = cx, .text = text, .size = (int)size, .steps = steps, .before = before};
    p.at = AT_NEW_ARRAY(cx, bracket, size + 1);
    p.cuts = AT_NEW_ARRAY(cx, int, MOST_PARTS);
    p.cut_capacity = MOST_PARTS;
    uint8_t *ends = AT_NEW_ARRAY(cx, uint8_t, steps + 1);
    bool fine = p.at && p.cuts && ends;
    for (size_t i = 0; fine && i <= size; i++) p.at[i].end = -1;
    bool parsed = fine && parse(&p);
    if (parsed) mark_steps(&p, 0, p.size, ends);
    if (fine) ends[steps] = 1;
    for (int step = 1; fine && step <= steps; step++)
        if (ends[step]) fine = add_stage(&p, step, parsed, stages);
    at_free(p.at);
    at_free(p.cuts);
    at_free(ends);
    return fine && at_ok(cx);
}
