#include "text/lexicon.h"
#include "base/text.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORD = 128 };

struct at_lexicon {
    at_mapping *file;
    bool british;
};

/* A line: the word's sounds follow `at`. */
typedef struct entry {
    const char *at, *end; /* at: phonemes, then tags; NULL: no such word */
    int rating;           /* 4 or 3 */
} entry;

at_lexicon *at_lexicon_open(at_context *cx, const char *path, bool british)
{
    at_mapping *file = at_mapping_open(cx, path);
    at_lexicon *l = file ? AT_NEW(cx, at_lexicon) : NULL;
    if (!l) {
        at_mapping_release(file);
        return NULL;
    }
    l->file = file;
    l->british = british;
    if (file->size && file->data[file->size - 1] == '\n') return l;
    at_fail(cx, AT_ERROR_FORMAT, "%s: not a lexicon (it must be lines)", path);
    at_lexicon_free(l);
    return NULL;
}

void at_lexicon_free(at_lexicon *l)
{
    if (!l) return;
    at_mapping_release(l->file);
    at_free(l);
}

/* ---- finding words */

/* word against the first field of a line */
static int compare(const char *word, size_t size, const char *line, const char *end)
{
    const char *tab = memchr(line, '\t', (size_t)(end - line));
    size_t length = tab ? (size_t)(tab - line) : (size_t)(end - line);
    int order = memcmp(word, line, AT_MIN(size, length));
    return order ? order : (size > length) - (size < length);
}

static entry find(const at_lexicon *l, const char *word)
{
    const char *low = (const char *)l->file->data, *high = low + l->file->size;
    size_t size = strlen(word);
    while (low < high) {
        const char *line = low + (high - low) / 2;
        while (line > low && line[-1] != '\n') line--;
        const char *end = memchr(line, '\n', (size_t)(high - line));
        if (!end) break;
        int order = compare(word, size, line, end);
        if (order < 0) {
            high = line;
        } else if (order > 0) {
            low = end + 1;
        } else {
            const char *at = line + size;
            if (end - at < 3 || at[0] != '\t' || (at[1] != '3' && at[1] != '4') || at[2] != '\t')
                break;
            return (entry){at + 3, end, at[1] - '0'};
        }
    }
    return (entry){0};
}

static bool is_lower(const char *word)
{
    for (; *word; word++)
        if (isupper((unsigned char)*word)) return false;
    return true;
}

static bool is_upper(const char *word)
{
    for (; *word; word++)
        if (islower((unsigned char)*word)) return false;
    return true;
}

static bool is_alpha(const char *word)
{
    if (!*word) return false;
    for (; *word; word++)
        if (!isalpha((unsigned char)*word)) return false;
    return true;
}

static void lower(const char *word, char *out)
{
    size_t i = 0;
    for (; word[i] && i < MOST_WORD - 1; i++) out[i] = (char)tolower((unsigned char)word[i]);
    out[i] = 0;
}

/* The word, or with the other case of its first letter where the rest is small. */
static entry look_up(const at_lexicon *l, const char *word)
{
    char other[MOST_WORD];
    entry own = find(l, word), second = {0};
    if (own.rating == 4 || strlen(word) < 2 || strlen(word) >= MOST_WORD || !is_lower(word + 1))
        return own;
    lower(word, other);
    if (is_lower(word)) other[0] = (char)toupper((unsigned char)other[0]);
    if (strcmp(other, word) != 0) second = find(l, other);
    return !own.at || second.rating > own.rating ? second : own;
}

bool at_lexicon_has(const at_lexicon *l, const char *word)
{
    return look_up(l, word).at != NULL;
}

static bool is_gold(const at_lexicon *l, const char *word)
{
    return look_up(l, word).rating == 4;
}

/* The sounds under a tag, else those without one; false: to be spelled. */
static bool take(entry e, const char *tag, at_sounds *out)
{
    const char *tab = memchr(e.at, '\t', (size_t)(e.end - e.at));
    const char *plain_end = tab ? tab : e.end;
    size_t size = tag ? strlen(tag) : 0;
    while (tag && tab) {
        const char *field = tab + 1;
        tab = memchr(field, '\t', (size_t)(e.end - field));
        const char *end = tab ? tab : e.end;
        if ((size_t)(end - field) <= size || memcmp(field, tag, size) != 0 || field[size] != '=')
            continue;
        at_sounds_set(out, field + size + 1, (size_t)(end - field) - size - 1);
        return out->count > 0;
    }
    at_sounds_set(out, e.at, (size_t)(plain_end - e.at));
    return out->count > 0;
}

void at_lexicon_spell(const at_lexicon *l, const char *word, at_sounds *out)
{
    at_sounds letter;
    out->count = 0;
    for (; *word; word++) {
        char name[2] = {(char)toupper((unsigned char)*word), 0};
        if (!isalpha((unsigned char)*word)) continue;
        entry e = find(l, name);
        if (!e.at || !take(e, NULL, &letter)) {
            at_sounds_none(out);
            return;
        }
        at_sounds_add(out, &letter);
    }
    at_sounds_stress(out, 0);
    for (int i = out->count - 1; i >= 0; i--) { /* the last letter is the loudest */
        if (out->code[i] != AT_STRESS_SECOND) continue;
        out->code[i] = AT_STRESS_FIRST;
        break;
    }
}

/* Whether the rules may look a word up: it is there, or is spelled. */
static bool is_known(const at_lexicon *l, const char *word)
{
    char small[MOST_WORD];
    if (strlen(word) >= MOST_WORD) return false;
    if (at_lexicon_has(l, word) || (strlen(word) == 1 && strchr("%&+@", *word))) return true;
    if (!is_alpha(word)) return false;
    if (strlen(word) == 1) return true;
    lower(word, small);
    if (is_upper(word) && is_gold(l, small)) return true;
    return is_upper(word + 1);
}

static const char *tag_of(const at_word_context *c)
{
    return c->next == AT_NEXT_NOTHING ? "None" : c->tag;
}

static void say_known(const at_lexicon *l, const char *word, double stress,
                      const at_word_context *c, at_sounds *out)
{
    char small[MOST_WORD];
    if (is_upper(word) && !is_gold(l, word) && strlen(word) < MOST_WORD) {
        lower(word, small);
        word = small;
    }
    entry e = look_up(l, word);
    bool there = e.at && take(e, tag_of(c), out);
    if (e.at && !there && c->next == AT_NEXT_NOTHING) there = take(e, c->tag, out);
    if (!there) {
        at_lexicon_spell(l, word, out);
        return;
    }
    at_sounds_stress(out, stress);
}

/* ---- endings */

static int32_t last_of(const at_sounds *s, int back)
{
    return s->count > back ? s->code[s->count - 1 - back] : 0;
}

static void add_text(at_sounds *s, const char *text)
{
    at_sounds more;
    at_sounds_set(&more, text, strlen(text));
    at_sounds_add(s, &more);
}

static bool is_american_tap(const at_sounds *s)
{
    return last_of(s, 0) == 't' && s->count > 1 && at_is_one_of(last_of(s, 1), "AIOWYiuæɑəɛɪɹʊʌ");
}

void at_lexicon_add_s(const at_lexicon *l, at_sounds *s)
{
    if (s->count < 1) return;
    int32_t last = last_of(s, 0);
    if (at_is_one_of(last, "ptkfθ"))
        add_text(s, "s");
    else if (at_is_one_of(last, "szʃʒʧʤ"))
        add_text(s, l->british ? "ɪz" : "ᵻz");
    else
        add_text(s, "z");
}

void at_lexicon_add_ed(const at_lexicon *l, at_sounds *s)
{
    if (s->count < 1) return;
    int32_t last = last_of(s, 0);
    if (at_is_one_of(last, "pkfθʃsʧ")) {
        add_text(s, "t");
    } else if (last == 'd') {
        add_text(s, l->british ? "ɪd" : "ᵻd");
    } else if (last != 't') {
        add_text(s, "d");
    } else if (l->british || s->count < 2) {
        add_text(s, "ɪd");
    } else if (is_american_tap(s)) {
        s->count--;
        add_text(s, "ɾᵻd");
    } else {
        add_text(s, "ᵻd");
    }
}

void at_lexicon_add_ing(const at_lexicon *l, at_sounds *s)
{
    if (s->count < 1) return;
    if (l->british && at_is_one_of(last_of(s, 0), "əː")) {
        at_sounds_none(s);
        return;
    }
    if (!l->british && is_american_tap(s)) {
        s->count--;
        add_text(s, "ɾɪŋ");
        return;
    }
    add_text(s, "ɪŋ");
}

/* word without its last `cut` letters and with `more`, if that is a known word */
static bool stem_is_known(const at_lexicon *l, const char *word, size_t cut, const char *more,
                          char *stem)
{
    size_t n = strlen(word) - cut;
    if (n + strlen(more) >= MOST_WORD) return false;
    memcpy(stem, word, n);
    strcpy(stem + n, more);
    return is_known(l, stem);
}

static bool find_stem_s(const at_lexicon *l, const char *word, char *stem)
{
    size_t n = strlen(word);
    if (n < 3 || word[n - 1] != 's') return false;
    if (!at_ends_with(word, "ss") && stem_is_known(l, word, 1, "", stem)) return true;
    bool es = n > 4 && at_ends_with(word, "es") && !at_ends_with(word, "ies");
    if ((at_ends_with(word, "'s") || es) && stem_is_known(l, word, 2, "", stem)) return true;
    return n > 4 && at_ends_with(word, "ies") && stem_is_known(l, word, 3, "y", stem);
}

static bool find_stem_ed(const at_lexicon *l, const char *word, char *stem)
{
    size_t n = strlen(word);
    if (n < 4 || word[n - 1] != 'd') return false;
    if (!at_ends_with(word, "dd") && stem_is_known(l, word, 1, "", stem)) return true;
    return n > 4 && at_ends_with(word, "ed") && !at_ends_with(word, "eed") &&
           stem_is_known(l, word, 2, "", stem);
}

static bool find_stem_ing(const at_lexicon *l, const char *word, char *stem)
{
    size_t n = strlen(word);
    if (n < 5 || !at_ends_with(word, "ing")) return false;
    if (n > 5 && stem_is_known(l, word, 3, "", stem)) return true;
    if (stem_is_known(l, word, 3, "e", stem)) return true;
    bool doubled = n > 5 && word[n - 4] == word[n - 5] && strchr("bcdgklmnprstvxz", word[n - 4]);
    return n > 5 && (doubled || at_ends_with(word, "cking")) && stem_is_known(l, word, 4, "", stem);
}

/* With one of the three endings. */
static void say_ending(const at_lexicon *l, const char *word, double stress,
                       const at_word_context *c, at_sounds *out)
{
    char stem[MOST_WORD];
    at_sounds_none(out);
    if (find_stem_s(l, word, stem)) {
        say_known(l, stem, stress, c, out);
        at_lexicon_add_s(l, out);
    } else if (find_stem_ed(l, word, stem)) {
        say_known(l, stem, stress, c, out);
        at_lexicon_add_ed(l, out);
    } else if (find_stem_ing(l, word, stem)) {
        say_known(l, stem, isnan(stress) ? 0.5 : stress, c, out);
        at_lexicon_add_ing(l, out);
    }
}

/* ---- words whose sound depends on their neighbours */

static bool is_word(const char *word, const char *small)
{
    return strcmp(word, small) == 0 ||
           (toupper((unsigned char)small[0]) == word[0] && strcmp(word + 1, small + 1) == 0);
}

static void set(at_sounds *out, const char *text)
{
    at_sounds_set(out, text, strlen(text));
}

/* "U.S.", "e.g": dots inside, no part longer than two letters */
static bool is_dotted(const char *word)
{
    size_t n = strlen(word), part = 0;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '.') {
            inside = inside || (i > 0 && i + 1 < n);
            part = 0;
        } else if (!isalpha((unsigned char)word[i]) || ++part > 2) {
            return false;
        }
    }
    return inside;
}

static void say_special(const at_lexicon *l, const char *word, double stress,
                        const at_word_context *c, at_sounds *out)
{
    static const char *const symbols[][2] = {
        {"%", "percent"}, {"&", "and"}, {"+", "plus"}, {"@", "at"}};
    at_sounds_none(out);
    for (size_t i = 0; i < AT_COUNT(symbols); i++)
        if (strcmp(word, symbols[i][0]) == 0) say_known(l, symbols[i][1], NAN, c, out);
    if (out->count >= 0) return;
    if (is_dotted(word))
        at_lexicon_spell(l, word, out);
    else if (strcmp(word, "a") == 0 || (strcmp(word, "A") == 0 && c->next != AT_NEXT_NOTHING))
        set(out, "ɐ");
    else if (strcmp(word, "A") == 0)
        set(out, "ˈA");
    else if (strcmp(word, "am") == 0 && c->next != AT_NEXT_NOTHING && !(stress > 0))
        set(out, "ɐm");
    else if (is_word(word, "an"))
        set(out, "ɐn");
    else if (strcmp(word, "I") == 0)
        set(out, "ˌI");
    else if (is_word(word, "to") && c->next != AT_NEXT_NOTHING)
        set(out, c->next == AT_NEXT_VOWEL ? "tʊ" : "tə");
    else if (is_word(word, "in"))
        set(out, c->next == AT_NEXT_NOTHING ? "ˈɪn" : "ɪn");
    else if (is_word(word, "the") || strcmp(word, "THE") == 0)
        set(out, c->next == AT_NEXT_VOWEL ? "ði" : "ðə");
    else if (is_word(word, "vs") || is_word(word, "vs."))
        say_known(l, "versus", NAN, c, out);
    else if (is_word(word, "used"))
        take(look_up(l, "used"), c->before_to ? "VBD" : NULL, out);
    if (out->count == 0) at_sounds_none(out);
}

/* Capitals that say nothing: "Hello", "HELLO", where only the small word is known. */
static bool means_small(const at_lexicon *l, const char *word, const char *small)
{
    char stem[MOST_WORD];
    if (strlen(word) < 2 || is_lower(word) || at_lexicon_has(l, word)) return false;
    for (const char *c = word; *c; c++)
        if (!isalpha((unsigned char)*c) && *c != '\'') return false;
    if (!is_upper(word) && !is_lower(word + 1)) return false;
    return at_lexicon_has(l, small) || find_stem_s(l, small, stem) ||
           find_stem_ed(l, small, stem) || find_stem_ing(l, small, stem);
}

void at_lexicon_say(const at_lexicon *l, const char *word, double stress, const at_word_context *c,
                    at_sounds *out)
{
    char small[MOST_WORD], stem[MOST_WORD];
    at_sounds_none(out);
    if (strlen(word) >= MOST_WORD || !*word) return;
    say_special(l, word, stress, c, out);
    if (out->count >= 0) return;
    lower(word, small);
    if (means_small(l, word, small)) word = small;
    size_t n = strlen(word);
    if (is_known(l, word))
        say_known(l, word, stress, c, out);
    else if (at_ends_with(word, "s'") && stem_is_known(l, word, 2, "'s", stem))
        say_known(l, stem, stress, c, out);
    else if (n > 1 && word[n - 1] == '\'' && stem_is_known(l, word, 1, "", stem))
        say_known(l, stem, stress, c, out);
    else
        say_ending(l, word, stress, c, out);
}
