#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"
#include "base/text.h"
#include "text/unicode.h"
#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps that one match may take: what an honest pattern needs grows with the text at most. */
enum { STEPS = 50000, STEPS_A_BYTE = 20, HEAP_LIMIT_KIB = 256 << 10, JIT_STACK = 1 << 20 };

struct at_regex {
    char *pattern; /* as the file has it */
    size_t size;
    bool literal;
    pcre2_code *code;
};

/* --- Translation. --- */

/* Oniguruma's classes, as members of a PCRE2 class: White_Space; Alphabetic, marks, decimal digits,
   connectors, Latin-1's superscripts and fractions. PCRE2's own \s has U+180E too, its own \w
   (10.42) no marks. */
#define SPACE                                                                                   \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
    "\\x{205f}\\x{3000}"
#define NOT_SPACE                                                                                  \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff" \
    "}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{1" \
    "0ffff}"
#define WORD                                                                                   \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}" \
    "\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"

typedef struct translation {
    at_context *cx;
    const char *at; /* what is left of the pattern */
    const char *what;
    at_text out;
    bool in_class;
} translation;

static void put(translation *t, const char *text)
{
    at_text_add(t->cx, &t->out, text, strlen(text));
}

static void refuse(translation *t, const char *why)
{
    at_fail(t->cx, AT_ERROR_UNSUPPORTED, "%s: a regular expression with %s is not supported",
            t->what, why);
}

/* A class escape, given as members of a class and their negation. */
static void put_class(translation *t, const char *members, bool negated)
{
    put(t, t->in_class ? "" : negated ? "[^" : "[");
    put(t, members);
    put(t, t->in_class ? "" : "]");
}

/* Whether this PCRE2 (10.40 and later) knows the name as that of a script. */
static bool is_script(const char *name, size_t size)
{
    char pattern[64];
    int error;
    size_t offset;
    if (size < 3 || size > 40) return false;
    snprintf(pattern, sizeof pattern, "\\p{sc:%.*s}", (int)size, name);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
    pcre2_code_free(code);
    return code != NULL;
}

/* {Name} behind \p or \P: a script is meant, where PCRE2 would take its extensions too. */
static void translate_property(translation *t)
{
    if (*t->at != '{') return;
    put(t, "{");
    t->at++;
    if (*t->at == '^') put(t, "^"), t->at++;
    if (is_script(t->at, strcspn(t->at, "}"))) put(t, "sc:");
}

/* What follows a backslash; t->at is behind it. */
static void translate_escape(translation *t)
{
    char c = *t->at;
    if (!c) return refuse(t, "a backslash at its end");
    t->at++;
    switch (c) {
    case 's':
        return put_class(t, SPACE, false);
    case 'S':
        return put_class(t, t->in_class ? NOT_SPACE : SPACE, true);
    case 'w':
        return put_class(t, WORD, false);
    case 'W':
        if (t->in_class) return refuse(t, "\\W in a class");
        return put_class(t, WORD, true);
    case 'h':
        return put_class(t, "0-9a-fA-F", false);
    case 'H':
        if (t->in_class) return refuse(t, "\\H in a class");
        return put_class(t, "0-9a-fA-F", true);
    case 'v':
        return put(t, "\\x{b}");
    case 'b':
        if (t->in_class) return put(t, "\\x{8}");
        return put(t, "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))");
    case 'B':
        if (t->in_class) return refuse(t, "\\B in a class");
        return put(t, "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
    case 'u':
        for (int i = 0; i < 4; i++)
            if (!isxdigit((unsigned char)t->at[i])) return refuse(t, "a damaged \\u");
        put(t, "\\x{");
        at_text_add(t->cx, &t->out, t->at, 4);
        t->at += 4;
        return put(t, "}");
    case 'C':
        return refuse(t, "\\C");
    default:
        put(t, "\\");
        at_text_add(t->cx, &t->out, &c, 1);
        if (c == 'p' || c == 'P') translate_property(t);
    }
}

/* A group's opening: Ruby's m (the dot takes newlines) is PCRE2's s. */
static void translate_group(translation *t)
{
    put(t, "(");
    if (*t->at == '*') return refuse(t, "a verb");
    if (t->at[0] != '?') return;
    size_t n = strspn(t->at + 1, "imx-");
    if (n == 0 || (t->at[1 + n] != ':' && t->at[1 + n] != ')')) return;
    put(t, "?");
    for (size_t i = 1; i <= n; i++)
        at_text_add(t->cx, &t->out, t->at[i] == 'm' ? "s" : t->at + i, 1);
    t->at += 1 + n;
}

/* {n,m} as a quantifier: the lower bound may be missing. */
static void translate_brace(translation *t)
{
    const char *c = t->at; /* behind the brace */
    size_t low = strspn(c, "0123456789");
    put(t, "{");
    if (c[low] != ',' && c[low] != '}') return;
    size_t high = c[low] == ',' ? 1 + strspn(c + low + 1, "0123456789") : 0;
    if (c[low + high] != '}' || low + high < 1 || (low == 0 && high < 2)) return;
    if (c[low + high + 1] == '+') return refuse(t, "a + behind {n,m}");
    if (low == 0) put(t, "0");
}

/* [:name:] in a class. */
static void translate_posix(translation *t)
{
    static const char *const names[][2] = {
        {"[:space:]", SPACE},        {"[:word:]", WORD},
        {"[:digit:]", "\\p{Nd}"},    {"[:punct:]", "\\p{P}\\p{S}"},
        {"[:xdigit:]", "0-9a-fA-F"}, {"[:ascii:]", "\\x{0}-\\x{7f}"}};
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        size_t size = strlen(names[i][0]);
        if (strncmp(t->at, names[i][0], size) != 0) continue;
        t->at += size;
        return put(t, names[i][1]);
    }
    refuse(t, "this class in a class");
}

static void translate_class_character(translation *t, const char *class_start)
{
    char c = *t->at;
    if (c == ']' && t->at > class_start) t->in_class = false;
    if (c == '[') return translate_posix(t);
    if (c == '&' && t->at[1] == '&') return refuse(t, "&& in a class");
    at_text_add(t->cx, &t->out, &c, 1);
    t->at++;
}

static void translate(translation *t)
{
    const char *class_start = NULL;
    while (*t->at && !at_failed(t->cx)) {
        char c = *t->at;
        if (c == '\\') {
            t->at++;
            translate_escape(t);
        } else if (t->in_class) {
            translate_class_character(t, class_start);
        } else {
            t->at++;
            if (c == '(')
                translate_group(t);
            else if (c == '{')
                translate_brace(t);
            else
                at_text_add(t->cx, &t->out, &c, 1);
            if (c != '[') continue;
            t->in_class = true;
            if (*t->at == '^') put(t, "^"), t->at++;
            class_start = t->at;
        }
    }
}

/* --- Compilation. --- */

static void compile(at_context *cx, at_regex *regex, const char *what)
{
    translation t = {.cx = cx, .at = regex->pattern, .what = what};
    translate(&t);
    at_text_add(cx, &t.out, "", 0);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) at_fail(cx, AT_ERROR_MEMORY, "out of memory: a regular expression");
    if (!at_failed(cx)) {
        int error = 0;
        size_t offset = 0;
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        regex->code =
            pcre2_compile((PCRE2_SPTR)t.out.data, t.out.size,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                          &offset, context);
        if (!regex->code) {
            char reason[128] = "";
            pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof reason);
            at_fail(cx, AT_ERROR_FORMAT, "%s: the regular expression \"%.80s\": %s", what,
                    regex->pattern, reason);
        } else {
            pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without, it interprets */
        }
    }
    pcre2_compile_context_free(context);
    at_text_free(&t.out);
}

at_regex *at_regex_new(at_context *cx, const char *pattern, bool literal, const char *what)
{
    at_regex *regex = at_ok(cx) ? AT_NEW(cx, at_regex) : NULL;
    if (!regex) return NULL;
    regex->pattern = at_copy_text(cx, pattern);
    regex->size = strlen(pattern);
    regex->literal = literal && regex->size > 0; /* an empty pattern matches everywhere */
    if (regex->pattern && !regex->literal) compile(cx, regex, what);
    if (!at_failed(cx)) return regex;
    at_regex_free(regex);
    return NULL;
}

void at_regex_free(at_regex *regex)
{
    if (!regex) return;
    at_free(regex->pattern);
    pcre2_code_free(regex->code);
    at_free(regex);
}

/* --- Matching. --- */

typedef struct spans {
    at_span *items;
    size_t count, capacity;
} spans;

static void add_span(at_context *cx, spans *all, size_t start, size_t end)
{
    if (all->count == all->capacity) {
        size_t capacity = all->capacity * 2 + 16;
        at_span *items = at_resize(cx, all->items, capacity, sizeof *items);
        if (!items) return;
        all->items = items;
        all->capacity = capacity;
    }
    all->items[all->count++] = (at_span){start, end};
}

static void find_literal(at_context *cx, const at_regex *regex, const char *text, size_t size,
                         spans *all)
{
    for (const char *at = text; !at_failed(cx);) {
        const char *hit = memmem(at, size - (size_t)(at - text), regex->pattern, regex->size);
        if (!hit) return;
        add_span(cx, all, (size_t)(hit - text), (size_t)(hit - text) + regex->size);
        at = hit + regex->size;
    }
}

typedef struct matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
} matcher;

static bool matcher_open(at_context *cx, const at_regex *regex, size_t size, matcher *m)
{
    m->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
    m->context = pcre2_match_context_create(NULL);
    if (!m->data || !m->context)
        return at_fail_false(cx, AT_ERROR_MEMORY, "out of memory: matching");
    pcre2_set_match_limit(m->context, (uint32_t)AT_MIN(STEPS + STEPS_A_BYTE * size, UINT32_MAX));
    pcre2_set_heap_limit(m->context, HEAP_LIMIT_KIB);
    return true;
}

static void matcher_close(matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
}

/* The text is known to be valid: without NO_UTF_CHECK every call would walk all of it. */
static int match_with(const at_regex *regex, const matcher *m, const char *text, size_t size,
                      size_t start, uint32_t options)
{
    return pcre2_match(regex->code, (PCRE2_SPTR)text, size, start, options | PCRE2_NO_UTF_CHECK,
                       m->data, m->context);
}

/* The JIT starts on 32 KiB of the machine's stack; where that is too small it gets more, then the
   interpreter takes over with its own limits. */
static int match(const at_regex *regex, matcher *m, const char *text, size_t size, size_t start)
{
    int rc = match_with(regex, m, text, size, start, 0);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !m->stack) {
        m->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK, NULL);
        if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
        rc = match_with(regex, m, text, size, start, 0);
    }
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = match_with(regex, m, text, size, start, PCRE2_NO_JIT);
    return rc;
}

static void find_pattern(at_context *cx, const at_regex *regex, const char *text, size_t size,
                         spans *all)
{
    matcher m = {0};
    size_t at = 0, last_end = SIZE_MAX;
    if (matcher_open(cx, regex, size, &m)) {
        while (at <= size && at_ok(cx)) {
            int rc = match(regex, &m, text, size, at);
            if (rc == PCRE2_ERROR_NOMATCH) break;
            const size_t *found = pcre2_get_ovector_pointer(m.data);
            if (rc < 0 || found[0] < at || found[1] < found[0]) {
                at_fail(cx, AT_ERROR_UNSUPPORTED,
                        "the regular expression \"%.80s\" is too complex for this text",
                        regex->pattern);
                break;
            }
            if (found[0] == found[1] && found[1] == last_end) {
                at += at < size ? at_utf8_size((unsigned char)text[at]) : 1;
                continue;
            }
            add_span(cx, all, found[0], found[1]);
            at = last_end = found[1];
        }
    }
    matcher_close(&m);
}

at_span *at_regex_find(at_context *cx, const at_regex *regex, const char *text, size_t size,
                       size_t *count)
{
    spans all = {0};
    *count = 0;
    if (!at_ok(cx) || size == 0) return NULL;
    if (regex->literal)
        find_literal(cx, regex, text, size, &all);
    else
        find_pattern(cx, regex, text, size, &all);
    if (at_failed(cx)) {
        at_free(all.items);
        return NULL;
    }
    *count = all.count;
    return all.items;
}
