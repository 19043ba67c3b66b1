/* Text into words and marks, before anything is known of how they sound. */
#include "text/pieces_of_speech.h"
#include "text/english_tokens.h"
#include "text/unicode.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_WORD = 100, MOST_GIVEN = 2000 }; /* bytes */

typedef struct cutter {
    at_context *cx;
    const at_lexicon *lexicon;
    bool english;
    const char *text, *end;
    at_speech_pieces *out;
    at_text *missed;
} cutter;

void at_speech_pieces_free(at_speech_pieces *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        at_free(p->items[i].text);
        at_free(p->items[i].phonemes);
        at_free(p->items[i].words);
    }
    at_free(p->items);
    *p = (at_speech_pieces){0};
}

void at_note_missed(at_context *cx, at_text *missed, const char *word)
{
    bool told = missed->data && strstr(missed->data, word);
    if (!told && missed->size < 400)
        at_text_print(cx, missed, "%s%s", missed->size ? " " : "", word);
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

/* Where misaki's way with the languages of espeak-ng differs from the English one: `others`. */
static const struct {
    const char *mark, *phonemes, *others;
} marks[] = {
    {"...", "…", "..."}, {"--", "—"},    {";", ";"},     {":", ":"},  {",", ","},
    {".", "."},          {"!", "!"},     {"?", "?"},     {"—", "—"},  {"–", "—"},
    {"―", "—"},          {"…", "…"},     {"“", "“"},     {"”", "”"},  {"„", "“"},
    {"«", "“"},          {"»", "”"},     {"(", "("},     {")", ")"},  {"[", "(", ""},
    {"]", ")", ""},      {"{", "(", ""}, {"}", ")", ""}, {"¿", ""},   {"¡", ""},
    {"‘", ""},           {"*", ""},      {"_", ""},      {"`", ""},   {"~", ""},
    {"|", ""},           {"•", ""},      {"。", "."},    {"，", ","}, {"、", ","},
    {"？", "?"},         {"！", "!"},    {"：", ":"},    {"；", ";"}, {"।", "."},
    {"؟", "?"},          {"،", ","},
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

/* Gives its bytes. */
static size_t add_known_mark(cutter *c, int mark)
{
    const char *others = c->english ? NULL : marks[mark].others;
    size_t size = strlen(marks[mark].mark);
    add_mark(c, marks[mark].mark, size, others ? others : marks[mark].phonemes);
    return size;
}

/* ---- words */

static bool is_between_digits(const char *start, const char *at, const char *end)
{
    size_t n = strncmp(at, "–", 3) == 0 ? 3 : 1;
    return at > start && at + n < end && isdigit((unsigned char)at[-1]) &&
           isdigit((unsigned char)at[n]);
}

/* The word at `at`, for a look at what follows; "" for none. */
static const char *peek(const cutter *c, const char *at, char out[32])
{
    size_t n = 0;
    while (at < c->end && isspace((unsigned char)*at)) at++;
    while (at < c->end && n < 31 && isalnum((unsigned char)*at)) out[n++] = *at++;
    out[n] = 0;
    return n ? out : NULL;
}

/* A unit behind a number: "6 ft." */
static bool is_unit_of(const cutter *c, const char *word, const char *before)
{
    at_text unit = {0};
    bool is = before && isdigit((unsigned char)before[strlen(before) - 1]) &&
              at_add_unit(c->cx, &unit, word, false, true);
    at_text_free(&unit);
    return is;
}

/* A word with its full stop that the lexicon has, or letters with full stops: "Mr.", "U.S." */
static bool stop_belongs(const cutter *c, const char *start, const char *end, bool *ends)
{
    char word[64], following[32];
    size_t n = (size_t)(end - start);
    *ends = false;
    if (!n || n + 2 > sizeof word || !c->english) return false;
    memcpy(word, start, n);
    word[n] = 0;
    const at_speech_piece *last = c->out->count ? &c->out->items[c->out->count - 1] : NULL;
    const char *before = last && last->space && !last->is_mark ? last->text : NULL;
    const char *next = peek(c, end + 1, following);
    bool dotted = memchr(word, '.', n) && isalpha((unsigned char)word[0]) && n <= 8;
    bool initial = n == 1 && isupper((unsigned char)word[0]);
    bool short_form = at_english_abbreviation(word, true, before, next) != NULL;
    bool unit = is_unit_of(c, word, before);
    strcpy(word + n, ".");
    bool known = c->lexicon && at_lexicon_has(c->lexicon, word) && strcasecmp(word, "no.") != 0;
    if (!known && !dotted && !initial && !short_form && !unit) return false;
    /* is it the end of the sentence too? */
    const char *behind = end + 1;
    while (behind < c->end && isspace((unsigned char)*behind)) behind++;
    bool before_name = initial || (!unit && isupper((unsigned char)word[0]) && !dotted);
    bool name = next && before_name && !at_english_starts_sentence(next);
    *ends = behind >= c->end || (isupper((unsigned char)*behind) && !name);
    return true;
}

/* Straight quotes: opening where a word follows. */
static void add_quote(cutter *c, bool opening)
{
    add_mark(c, "\"", 1, !c->english ? "\"" : opening ? "“" : "”");
}

/* What has no sound and stands within words: soft hyphens, marks of direction, variants. */
static bool is_invisible(int32_t code)
{
    return code == 0xad || code == 0x200b || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2060 && code <= 0x2069) ||
           (code >= 0xfe00 && code <= 0xfe0f) || code == 0xfeff;
}

/* The digit of a power, or -1 */
static int power_of(int32_t code)
{
    static const int32_t powers[] = {0x2070, 0xb9,   0xb2,   0xb3,   0x2074,
                                     0x2075, 0x2076, 0x2077, 0x2078, 0x2079};
    for (int i = 0; i < 10; i++)
        if (powers[i] == code) return i;
    return -1;
}

/* Pictures, which no word has among its letters. */
static bool is_picture(int32_t code)
{
    return (code >= 0x2190 && code < 0x2200) || (code >= 0x2300 && code < 0x2c00) ||
           (code >= 0xe000 && code < 0xf900) || code >= 0x1f000;
}

/* Whether there are more letters in a row than any word has, in a script that puts spaces between
   words (those before Thai). */
static bool is_endless(const char *text, size_t size)
{
    int letters = 0;
    for (size_t i = 0, n; i < size && letters <= MOST_WORD; i += n) {
        int32_t code = at_utf8_next(text + i, &n);
        letters = code < 0xe00 && at_is_word(code) ? letters + 1 : 0;
    }
    return letters > MOST_WORD;
}

/* What espeak-ng reads otherwise than its letters: 3ª, nº, m², ½, № and ™. */
static bool has_own_reading(int32_t code)
{
    return code == 0xaa || code == 0xb2 || code == 0xb3 || code == 0xb9 || code == 0xba ||
           (code >= 0xbc && code <= 0xbe) || code == 0x2116 || code == 0x2122;
}

/* NFKC; in other languages than English not of what has its own reading. Spanish 3.º is 3º. */
static void normalize(const cutter *c, const char *text, size_t size, at_text *out)
{
    size_t begin = 0;
    for (size_t i = 0, n; i < size && !c->english; i += n) {
        if (!has_own_reading(at_utf8_next(text + i, &n))) continue;
        bool stopped = i > begin && text[i - 1] == '.';
        at_unicode_form(c->cx, AT_NFKC, text + begin, i - begin - stopped, out);
        at_text_add(c->cx, out, text + i, n);
        begin = i + n;
    }
    at_unicode_form(c->cx, AT_NFKC, text + begin, size - begin, out);
}

/* A word without marks, in the normal form, with ' for ’ and - for every hyphen. */
static void add_plain_word(cutter *c, const char *text, size_t size)
{
    at_text plain = {0}, whole = {0};
    normalize(c, text, size, &plain);
    for (size_t i = 0; i < plain.size;) {
        size_t n;
        int32_t code = at_utf8_next(plain.data + i, &n);
        if (code == 0x2018 || code == 0x2019)
            at_text_add(c->cx, &whole, "'", 1);
        else if (code == 0x2010 || (code == 0x2013 && c->english))
            at_text_add(c->cx, &whole, "-", 1);
        else if (code == 0x2044 && c->english)
            at_text_add(c->cx, &whole, "/", 1);
        else if (!is_invisible(code))
            at_text_add(c->cx, &whole, plain.data + i, n);
        i += n;
    }
    bool endless = is_endless(whole.data, whole.size);
    if (endless) {
        int shown = 20;
        while ((whole.data[shown] & 0xc0) == 0x80) shown--;
        char *begins = at_format(c->cx, "%.*s...", shown, whole.data);
        if (begins) at_note_missed(c->cx, c->missed, begins);
        at_free(begins);
    }
    for (size_t i = 0, n; i < whole.size && !endless; i += n) {
        n = AT_MIN(whole.size - i, MOST_WORD);
        while (i + n < whole.size && (whole.data[i + n] & 0xc0) == 0x80) n--;
        add(c, whole.data + i, n, NULL);
    }
    at_text_free(&plain);
    at_text_free(&whole);
}

/* 10², x²: "10^2"; a number behind a longer word is a note's. */
static const char *add_power(cutter *c, at_text *word, const char *at, const char *end)
{
    bool note = word->size > 2;
    for (size_t i = 1; i <= 3 && note; i++)
        note = isalpha((unsigned char)word->data[word->size - i]);
    size_t n;
    if (!note) at_text_add(c->cx, word, "^", 1);
    for (int digit; at < end && (digit = power_of(at_utf8_next(at, &n))) >= 0; at += n)
        if (!note) at_text_print(c->cx, word, "%d", digit);
    return at;
}

/* Cuts pictures off, and fractions of one character: "3½" is 3 and 1/2. */
static void add_word(cutter *c, const char *start, const char *end)
{
    at_text word = {0};
    for (size_t n; start < end; start += n) {
        int32_t code = at_utf8_next(start, &n);
        bool fraction = (code >= 0xbc && code <= 0xbe) || (code >= 0x2150 && code <= 0x215e);
        if (c->english && power_of(code) >= 0 && word.size) {
            start = add_power(c, &word, start, end);
            n = 0;
        } else if (code == 0x200d && !word.size) { /* joins pictures */
            continue;
        } else if (is_picture(code) || (fraction && c->english && word.size)) {
            if (word.size) add_plain_word(c, word.data, word.size);
            if (word.size && c->out->count) c->out->items[c->out->count - 1].space = true;
            word.size = 0;
            at_text_add(c->cx, &word, start, n);
            if (is_picture(code)) {
                add_plain_word(c, word.data, word.size);
                word.size = 0;
            }
        } else {
            at_text_add(c->cx, &word, start, n);
        }
    }
    if (word.size) add_plain_word(c, word.data, word.size);
    at_text_free(&word);
}

/* 5'10" */
static bool is_height(const char *start, const char *end)
{
    const char *foot = memchr(start, '\'', (size_t)(end - start));
    return foot && foot > start && isdigit((unsigned char)foot[-1]) && end[-1] == '"' &&
           isdigit((unsigned char)end[-2]);
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
                   !(*start == '.' && start + 1 < end && isalnum((unsigned char)start[1]))) {
            start += add_known_mark(c, mark);
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
        else if (is_height(start, stop))
            break;
        else if (stop[-1] == '"' || (stop[-1] == '\'' && stop - start > 1))
            stop--;
        else
            break;
    }
    /* marks inside, that no number or abbreviation is made of: "yes,no", "word—word" */
    bool whole = c->english && at_is_address(start, (size_t)(stop - start));
    for (const char *at = start; at < stop && !whole;) {
        mark = mark_at(at, stop);
        bool inside = mark >= 0 && !strchr(".:_'*~|`", *at) && !is_between_digits(start, at, stop);
        if (!inside) {
            at++;
            continue;
        }
        if (at > start) add_word(c, start, at);
        start = at += add_known_mark(c, mark);
    }
    if (stop > start) add_word(c, start, stop);
    if (belongs && ends) add_mark(c, ".", 1, ".");
    while (stop < end) {
        mark = mark_at(stop, end);
        if (*stop == '"') add_quote(c, false);
        size_t n = mark >= 0 ? strlen(marks[mark].mark) : 1;
        if (mark >= 0 && !(belongs && *stop == '.')) add_known_mark(c, mark);
        belongs = false;
        stop += n;
    }
}

/* ---- what the writer says: [word](/phonemes/), [word](1), [105](#&#) */

/* Words as they are, with spaces between; gives the first of them. */
static int64_t cut_words(cutter *c, const char *at, const char *end)
{
    int64_t first = c->out->count;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at)), *stop = space ? space : end;
        if (stop > at) cut_run(c, at, stop);
        if (space && c->out->count > first) c->out->items[c->out->count - 1].space = true;
        at = stop + 1;
    }
    return first;
}

/* A stress is a whole number or half a one; NAN for what is none. */
static double stress_given(const char *text)
{
    char *end;
    double stress = strtod(text, &end);
    bool whole = fabs(stress) < 100 && stress == (double)(int)stress;
    bool is = end > text && !*end && text[strspn(text, "+-.0123456789")] == 0;
    return is && (whole || fabs(stress) == 0.5) ? stress : NAN;
}

/* Where a link leads, which nobody reads aloud. */
static bool is_target(const char *text)
{
    return *text && !strchr(text, ' ') &&
           (strchr("/#", *text) || at_is_address(text, strlen(text)));
}

static bool take_given(cutter *c, const char *at, const char **next)
{
    const char *far = at + AT_MIN(c->end - at, MOST_GIVEN);
    const char *close = memchr(at, ']', (size_t)(far - at));
    if (!close || close == at + 1 || close + 1 >= c->end || close[1] != '(') return false;
    const char *end = memchr(close, ')', (size_t)(far - close));
    if (!end || memchr(at, '\n', (size_t)(end - at))) return false;
    char *given = at_format(c->cx, "%.*s", (int)(end - close - 2), close + 2);
    size_t size = given ? strlen(given) : 0;
    double stress = given ? stress_given(given) : NAN;
    bool sounds = size > 1 && given[0] == '/' && given[size - 1] == '/';
    bool flags = size > 1 && given[0] == '#' && given[size - 1] == '#';
    bool taken = given && (sounds || flags || !isnan(stress) || is_target(given));
    if (taken && sounds) {
        given[size - 1] = 0;
        add(c, at + 1, (size_t)(close - at - 1), given + 1);
    } else if (taken) {
        for (int64_t i = cut_words(c, at + 1, close); i < c->out->count; i++) {
            c->out->items[i].stress = stress;
            for (size_t k = 1; flags && k + 1 < size; k++)
                c->out->items[i].flags |= given[k] == '&'   ? AT_NUMBER_AND
                                          : given[k] == 'n' ? AT_NUMBER_N
                                          : given[k] == 'a' ? AT_NUMBER_A
                                                            : 0;
        }
    }
    at_free(given);
    if (taken) *next = end + 1;
    return taken;
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
    return p->is_mark && p->phonemes && *p->phonemes && strstr("...!?:;…", p->phonemes);
}

/* White space from `at` on. An empty line ends a paragraph, and so does the end of a line that is
   short or ends in a mark; other lines were only broken to fit. */
static const char *skip_blank(cutter *c, const char *at, size_t column)
{
    int breaks = 0;
    size_t size;
    const char *start = at;
    bool thin = !c->english; /* all of it is French space before and within marks: none */
    for (; at < c->end && is_blank(at, &size); at += size) {
        int32_t code = at_utf8_next(at, &size);
        thin = thin && (code == 0xa0 || code == 0x202f);
        breaks += *at == '\n';
    }
    at_speech_piece *last = c->out->count ? &c->out->items[c->out->count - 1] : NULL;
    thin = thin && last && (last->is_mark || mark_at(at, c->end) >= 0);
    if (last && at > start && !thin) {
        last->space = true;
        if (breaks > 1 || (breaks && (column < 50 || ends_sentence(last)))) last->paragraph = true;
    }
    return at;
}

bool at_cut_speech(at_context *cx, const char *text, size_t size, size_t column,
                   const at_lexicon *lexicon, bool english, at_speech_pieces *out, at_text *missed)
{
    cutter c = {cx, lexicon, english, text, text + size, out, missed};
    const char *at = text, *line = text;
    size_t width;
    while (at < c.end && at_ok(cx)) {
        if (is_blank(at, &width)) {
            const char *next = skip_blank(&c, at, (size_t)(at - line) + column);
            if (memchr(at, '\n', (size_t)(next - at))) line = next, column = 0;
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
