/* Text into words and marks, before anything is known of how they sound. */
#include "text/pieces_of_speech.h"
#include "text/unicode.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORD = 100, MOST_GIVEN = 2000 }; /* bytes */

typedef struct cutter {
    at_context *cx;
    const at_lexicon *lexicon;
    const char *text, *end;
    at_speech_pieces *out;
} cutter;

void at_speech_pieces_free(at_speech_pieces *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        at_free(p->items[i].text);
        at_free(p->items[i].phonemes);
    }
    at_free(p->items);
    *p = (at_speech_pieces){0};
}

static at_speech_piece *add(cutter *c, const char *text, size_t size, const char *phonemes)
{
    at_speech_pieces *p = c->out;
    if (p->count == p->capacity) {
        int64_t capacity = AT_MAX(64, p->capacity * 2);
        at_speech_piece *more = at_resize(c->cx, p->items, (size_t)capacity, sizeof *more);
        if (!more) return NULL;
        p->items = more;
        p->capacity = capacity;
    }
    at_speech_piece *piece = &p->items[p->count++];
    *piece = (at_speech_piece){.stress = NAN};
    piece->text = at_format(c->cx, "%.*s", (int)size, text);
    if (phonemes) piece->phonemes = at_copy_text(c->cx, phonemes);
    return piece;
}

/* ---- marks */

static const struct {
    const char *mark, *phonemes;
} marks[] = {
    {"...", "…"}, {"--", "—"}, {";", ";"},  {":", ":"},  {",", ","},  {".", "."},  {"!", "!"},
    {"?", "?"},   {"—", "—"},  {"–", "—"},  {"―", "—"},  {"…", "…"},  {"“", "“"},  {"”", "”"},
    {"„", "“"},   {"«", "“"},  {"»", "”"},  {"(", "("},  {")", ")"},  {"[", "("},  {"]", ")"},
    {"{", "("},   {"}", ")"},  {"¿", ""},   {"¡", ""},   {"‘", ""},   {"*", ""},   {"_", ""},
    {"`", ""},    {"~", ""},   {"|", ""},   {"•", ""},   {"。", "."}, {"，", ","}, {"、", ","},
    {"？", "?"},  {"！", "!"}, {"：", ":"}, {"；", ";"}, {"।", "."},  {"؟", "?"},  {"،", ","},
};

/* Which mark the text begins with; -1: none. */
static int mark_at(const char *at, const char *end)
{
    for (size_t i = 0; i < AT_COUNT(marks); i++) {
        size_t n = strlen(marks[i].mark);
        if ((size_t)(end - at) >= n && memcmp(at, marks[i].mark, n) == 0) return (int)i;
    }
    return -1;
}

/* Which mark the text ends in; -1: none. */
static int mark_before(const char *start, const char *end)
{
    for (size_t i = 0; i < AT_COUNT(marks); i++) {
        size_t n = strlen(marks[i].mark);
        if ((size_t)(end - start) >= n && memcmp(end - n, marks[i].mark, n) == 0) return (int)i;
    }
    return -1;
}

static void add_mark(cutter *c, const char *text, size_t size, const char *phonemes)
{
    at_speech_piece *piece = add(c, text, size, phonemes);
    if (piece) piece->is_mark = true;
}

/* ---- words */

static bool is_between_digits(const char *start, const char *at, const char *end)
{
    return at > start && at + 1 < end && isdigit((unsigned char)at[-1]) &&
           isdigit((unsigned char)at[1]);
}

/* A word with its full stop that the lexicon has, or letters with full stops: "Mr.", "U.S." */
static bool stop_belongs(const cutter *c, const char *start, const char *end, bool *ends)
{
    char word[64];
    size_t n = (size_t)(end - start);
    *ends = false;
    if (!n || n + 2 > sizeof word) return false;
    memcpy(word, start, n);
    word[n] = 0;
    bool dotted = memchr(word, '.', n) && isalpha((unsigned char)word[0]) && n <= 8;
    bool initial = n == 1 && isupper((unsigned char)word[0]);
    bool title = at_english_abbreviation(word) != NULL;
    strcpy(word + n, ".");
    bool known = c->lexicon && at_lexicon_has(c->lexicon, word);
    if (!known && !dotted && !initial && !title) return false;
    /* is it the end of the sentence too? */
    const char *next = end + 1;
    while (next < c->end && isspace((unsigned char)*next)) next++;
    bool capital = next >= c->end || isupper((unsigned char)*next);
    bool before_name = initial || title || (known && isupper((unsigned char)word[0]));
    *ends = next >= c->end || (capital && !before_name);
    return true;
}

/* Straight quotes: opening where a word follows. */
static void add_quote(cutter *c, bool opening)
{
    add_mark(c, "\"", 1, opening ? "“" : "”");
}

static void add_word(cutter *c, const char *start, const char *end)
{
    at_text plain = {0}, whole = {0};
    at_unicode_form(c->cx, AT_NFKC, start, (size_t)(end - start), &plain);
    for (size_t i = 0; i < plain.size;) { /* ‘ and ’ become ' */
        size_t size;
        int32_t code = at_utf8_next(plain.data + i, &size);
        if (code == 0x2018 || code == 0x2019)
            at_text_add(c->cx, &whole, "'", 1);
        else
            at_text_add(c->cx, &whole, plain.data + i, size);
        i += size;
    }
    for (size_t i = 0, n; i < whole.size; i += n) { /* nobody says longer words */
        n = AT_MIN(whole.size - i, MOST_WORD);
        while (i + n < whole.size && (whole.data[i + n] & 0xc0) == 0x80) n--;
        add(c, whole.data + i, n, NULL);
    }
    at_text_free(&plain);
    at_text_free(&whole);
}

/* One run without white space: marks, the word, marks. */
static void cut_run(cutter *c, const char *start, const char *end)
{
    int mark;
    while (start < end) {
        if (*start == '"') {
            add_quote(c, true);
            start++;
        } else if ((mark = mark_at(start, end)) >= 0 &&
                   !(*start == '.' && start + 1 < end && isdigit((unsigned char)start[1]))) {
            size_t n = strlen(marks[mark].mark);
            add_mark(c, start, n, marks[mark].phonemes);
            start += n;
        } else {
            break;
        }
    }
    const char *stop = end;
    bool ends = false, belongs = false;
    while (stop > start) { /* what is behind the word */
        if (stop[-1] == '.' && !(stop - start > 2 && stop[-2] == '.') &&
            stop_belongs(c, start, stop - 1, &ends)) {
            belongs = true;
            break;
        }
        mark = mark_before(start, stop);
        if (mark >= 0)
            stop -= strlen(marks[mark].mark);
        else if (stop[-1] == '"' || (stop[-1] == '\'' && stop - start > 1))
            stop--;
        else
            break;
    }
    /* marks inside, that no number or abbreviation is made of: "yes,no", "word—word" */
    for (const char *at = start; at < stop;) {
        mark = mark_at(at, stop);
        bool inside = mark >= 0 && at > start && !strchr(".:_'*~|`", *at) &&
                      !is_between_digits(start, at, stop);
        if (!inside) {
            at++;
            continue;
        }
        add_word(c, start, at);
        add_mark(c, at, strlen(marks[mark].mark), marks[mark].phonemes);
        at += strlen(marks[mark].mark);
        start = at;
    }
    if (stop > start) add_word(c, start, stop);
    if (belongs && ends) add_mark(c, ".", 1, ".");
    while (stop < end) {
        mark = mark_at(stop, end);
        if (*stop == '"') add_quote(c, false);
        size_t n = mark >= 0 ? strlen(marks[mark].mark) : 1;
        if (mark >= 0 && !(belongs && *stop == '.')) add_mark(c, stop, n, marks[mark].phonemes);
        belongs = false;
        stop += n;
    }
}

/* ---- what the writer says: [word](/phonemes/), [word](1) */

static bool take_given(cutter *c, const char *at, const char **next)
{
    const char *far = at + AT_MIN(c->end - at, MOST_GIVEN);
    const char *close = memchr(at, ']', (size_t)(far - at));
    if (!close || close == at + 1 || close + 1 >= c->end || close[1] != '(') return false;
    const char *end = memchr(close, ')', (size_t)(far - close));
    if (!end || memchr(at, '\n', (size_t)(end - at))) return false;
    const char *given = close + 2;
    size_t size = (size_t)(end - given);
    char number[16];
    at_speech_piece *piece = NULL;
    if (size > 1 && given[0] == '/' && given[size - 1] == '/') {
        char *phonemes = at_format(c->cx, "%.*s", (int)(size - 2), given + 1);
        if (phonemes) piece = add(c, at + 1, (size_t)(close - at - 1), phonemes);
        at_free(phonemes);
    } else if (size && size < sizeof number) {
        char *last;
        memcpy(number, given, size);
        number[size] = 0;
        double stress = strtod(number, &last);
        if (*last || !(stress >= -2 && stress <= 2)) return false;
        int64_t first = c->out->count;
        cut_run(c, at + 1, close);
        for (int64_t i = first; i < c->out->count; i++) c->out->items[i].stress = stress;
        piece = c->out->count > first ? &c->out->items[c->out->count - 1] : NULL;
    }
    if (!piece) return false;
    *next = end + 1;
    return true;
}

/* ---- all */

static bool is_blank(const char *at, size_t *size)
{
    int32_t code = at_utf8_next(at, size);
    return at_is_space(code) || code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xfeff ||
           code == 0x200b;
}

static bool ends_sentence(const at_speech_piece *p)
{
    return p->is_mark && p->phonemes && *p->phonemes && strstr(".!?:;…", p->phonemes);
}

/* White space from `at` on. An empty line ends a paragraph, and so does the end of a line that is
   short or ends in a mark; other lines were only broken to fit. */
static const char *skip_blank(cutter *c, const char *at, const char *line)
{
    int breaks = 0;
    size_t size;
    const char *start = at;
    for (; at < c->end && is_blank(at, &size); at += size) breaks += *at == '\n';
    at_speech_piece *last = c->out->count ? &c->out->items[c->out->count - 1] : NULL;
    if (last && at > start) {
        last->space = true;
        if (breaks > 1 || (breaks && (start - line < 50 || ends_sentence(last))))
            last->paragraph = true;
    }
    return at;
}

bool at_cut_speech(at_context *cx, const char *text, size_t size, const at_lexicon *lexicon,
                   at_speech_pieces *out)
{
    cutter c = {cx, lexicon, text, text + size, out};
    const char *at = text, *line = text;
    size_t width;
    while (at < c.end && at_ok(cx)) {
        if (is_blank(at, &width)) {
            const char *next = skip_blank(&c, at, line);
            if (memchr(at, '\n', (size_t)(next - at))) line = next;
            at = next;
            continue;
        }
        if (*at == '[' && take_given(&c, at, &at)) continue;
        const char *end = at;
        bool spaced = at > text && (at + 1 >= c.end || isspace((unsigned char)at[1]));
        if (*at == '-' && spaced) { /* a dash that stands alone */
            add_mark(&c, at, 1, "—");
            at++;
            continue;
        }
        while (end < c.end && !is_blank(end, &width) && !(*end == '[' && end > at)) end += width;
        cut_run(&c, at, end);
        at = end;
    }
    return at_ok(cx);
}
